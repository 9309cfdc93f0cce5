//! The portable provider: the `p384` crate.

use ::p384::ecdsa::signature::Verifier;
use ::p384::ecdsa::{Signature, VerifyingKey};
use pki_types::InvalidSignature;

use super::Ecdsa;
use crate::cose::SIGNATURE_LEN;
use crate::x509::POINT_LEN;

pub(crate) struct P384;

impl Ecdsa for P384 {
    fn name(&self) -> &'static str {
        "p384"
    }

    fn verify(
        &self,
        key: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), InvalidSignature> {
        // A certificate's key is public, so constant time is not needed.
        let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_slice(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature).map_err(|_| InvalidSignature)
    }
}
