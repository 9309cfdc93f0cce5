//! The portable provider: the `p384` crate.

use ::p384::ecdsa::signature::Verifier;
use ::p384::ecdsa::{Signature, VerifyingKey};
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use super::Provider;
use crate::cose::SIGNATURE_LEN;
use crate::x509::POINT_LEN;

#[derive(Debug)]
pub(crate) struct P384;

impl Provider for P384 {
    fn certificate_algorithm(&self) -> &'static dyn SignatureVerificationAlgorithm {
        &EcdsaP384Sha384
    }

    fn verify_es384(
        &self,
        key: &[u8; POINT_LEN],
        message: &[u8],
        signature: &[u8; SIGNATURE_LEN],
    ) -> Result<(), InvalidSignature> {
        verify(key, message, Signature::from_slice(signature))
    }
}

#[derive(Debug)]
struct EcdsaP384Sha384;

impl SignatureVerificationAlgorithm for EcdsaP384Sha384 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA384
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        verify(key, message, Signature::from_der(signature))
    }
}

fn verify(
    key: &[u8],
    message: &[u8],
    signature: Result<Signature, ::p384::ecdsa::Error>,
) -> Result<(), InvalidSignature> {
    // A certificate's key is public: nothing here needs constant time.
    let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
    key.verify(message, &signature.map_err(|_| InvalidSignature)?).map_err(|_| InvalidSignature)
}
