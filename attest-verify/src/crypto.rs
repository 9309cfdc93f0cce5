//! The seam between the rules of this crate and an implementation of ECDSA P-384.
//!
//! Everything that Nitro signs is ECDSA on P-384 with SHA-384, in two encodings: DER within certificates, r and s side by
//! side within COSE. A provider does these two and decides nothing else.

mod p384;

use std::fmt;

use pki_types::{InvalidSignature, SignatureVerificationAlgorithm};

use crate::cose::SIGNATURE_LEN;
use crate::x509::POINT_LEN;

pub(crate) use self::p384::P384;

/// An implementation of ECDSA P-384 with SHA-384.
pub(crate) trait Provider: fmt::Debug + Send + Sync {
    /// The algorithm for certificates: one, so that path validation knows no other.
    fn certificate_algorithm(&self) -> &'static dyn SignatureVerificationAlgorithm;

    /// Verifies an ES384 signature (RFC 9053 §2.1) of `message`. A `key` that is not on the curve verifies nothing.
    fn verify_es384(
        &self,
        key: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), InvalidSignature>;
}
