//! Errors of the mock itself.

/// Why the mock could not make a key, a certificate or a document. Constructors return it; a running
/// [`MockNsm`](crate::MockNsm) converts it to an [`NsmError`](ok2cry_enclave::platform::nsm::NsmError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// The operating system gave no random bytes.
    #[error("no randomness for the mock's keys")]
    Entropy(#[from] getrandom::Error),
    /// A certificate could not be built or encoded.
    #[error("the mock could not make a certificate")]
    Certificate(#[from] x509_cert::builder::Error),
    /// A document could not be encoded.
    #[error("the mock could not encode a document: {0}")]
    Encoding(String),
    /// A document could not be signed.
    #[error("the mock could not sign a document")]
    Signature(#[from] p384::ecdsa::Error),
}

impl From<x509_cert::der::Error> for MockError {
    fn from(error: x509_cert::der::Error) -> Self {
        Self::Certificate(error.into())
    }
}

impl From<x509_cert::spki::Error> for MockError {
    fn from(error: x509_cert::spki::Error) -> Self {
        Self::Certificate(error.into())
    }
}
