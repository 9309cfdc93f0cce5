//! The fast provider: AWS-LC, with P-384 from s2n-bignum.

use ::aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use pki_types::InvalidSignature;

use super::Ecdsa;
use crate::cose::SIGNATURE_LEN;
use crate::x509::POINT_LEN;

pub(crate) struct AwsLcRs;

impl Ecdsa for AwsLcRs {
    fn name(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn verify(
        &self,
        key: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), InvalidSignature> {
        // AWS-LC would also accept a point in hybrid form, which has the same length and begins with 6 or 7.
        if key.first() != Some(&4) {
            return Err(InvalidSignature);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key);
        key.verify(message, signature).map_err(|_| InvalidSignature)
    }
}
