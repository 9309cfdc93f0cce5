//! AWS-LC's P-384, through aws-lc-rs.
//!
//! A private key is an AWS-LC object, kept from its making to its end. Its scalar is drawn inside AWS-LC,
//! stays in one allocation of AWS-LC's heap and never enters Rust's memory. AWS-LC overwrites every
//! allocation that it frees.

use super::{
    Provider,
    kem::{Curve, Point},
    suite::Hpke,
};
use aws_lc_rs::{
    agreement::{ECDH_P384, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree},
    encoding::{AsBigEndian, EcPrivateKeyBin},
};
use hpke::HpkeError;
use zeroize::Zeroizing;

pub(super) const PROVIDER: &dyn Provider = &Hpke::<AwsLc>::new();

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AwsLc;

impl Curve for AwsLc {
    /// Holds the public key beside the private one, and overwrites both when it is freed.
    type Private = PrivateKey;

    fn generate() -> Option<PrivateKey> {
        PrivateKey::generate(&ECDH_P384).ok()
    }

    fn of_scalar(scalar: &[u8; 48]) -> Option<PrivateKey> {
        PrivateKey::from_private_key(&ECDH_P384, scalar).ok()
    }

    fn scalar(private: &PrivateKey) -> Option<Zeroizing<[u8; 48]>> {
        let bytes: EcPrivateKeyBin<'_> = private.as_be_bytes().ok()?;
        let mut scalar = Zeroizing::new([0; 48]);
        // AWS-LC always writes this length.
        scalar.copy_from_slice(bytes.as_ref());
        Some(scalar)
    }

    /// The key holds it already; it is only encoded here.
    fn public(private: &PrivateKey) -> Option<Point> {
        // The public key of aws-lc-rs keeps the private one alive, so only its bytes leave.
        let public = private.compute_public_key().ok()?;
        public.as_ref().try_into().ok()
    }

    fn is_point(point: &Point) -> bool {
        ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P384, point)).is_ok()
    }

    fn agree<T>(
        private: &PrivateKey,
        public: &Point,
        then: impl FnOnce(&[u8]) -> Result<T, HpkeError>,
    ) -> Result<T, HpkeError> {
        agree(private, UnparsedPublicKey::new(&ECDH_P384, public), HpkeError::ValidationError, then)
    }
}
