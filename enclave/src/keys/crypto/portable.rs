//! The `p384` crate's P-384. It needs no C compiler.
//!
//! A private key is 48 bytes of scalar, which `p384` overwrites when it is dropped.

use super::{
    Provider,
    kem::{Curve, Point},
    suite::Hpke,
};
use hpke::HpkeError;
use p384::{SecretKey, ecdh::diffie_hellman};
use zeroize::Zeroizing;

pub(super) const PROVIDER: &dyn Provider = &Hpke::<Portable>::new();

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Portable;

impl Curve for Portable {
    type Private = SecretKey;

    fn generate() -> Option<SecretKey> {
        let mut scalar = Zeroizing::new([0; 48]);
        // Zero or at least the group's order once in 2^194; then the next is tried.
        loop {
            getrandom::fill(scalar.as_mut()).ok()?;
            if let Some(private) = Self::of_scalar(&scalar) {
                return Some(private);
            }
        }
    }

    fn of_scalar(scalar: &[u8; 48]) -> Option<SecretKey> {
        SecretKey::from_slice(scalar).ok()
    }

    fn scalar(private: &SecretKey) -> Option<Zeroizing<[u8; 48]>> {
        let mut scalar = Zeroizing::new([0; 48]);
        scalar.copy_from_slice(Zeroizing::new(private.to_bytes()).as_slice());
        Some(scalar)
    }

    fn public(private: &SecretKey) -> Option<Point> {
        private.public_key().to_sec1_bytes().as_ref().try_into().ok()
    }

    fn is_point(point: &Point) -> bool {
        p384::PublicKey::from_sec1_bytes(point).is_ok()
    }

    fn agree<T>(
        private: &SecretKey,
        public: &Point,
        then: impl FnOnce(&[u8]) -> Result<T, HpkeError>,
    ) -> Result<T, HpkeError> {
        let public = p384::PublicKey::from_sec1_bytes(public).map_err(|_| HpkeError::ValidationError)?;
        let shared = diffie_hellman(private.to_nonzero_scalar(), public.as_affine());
        then(shared.raw_secret_bytes())
    }
}
