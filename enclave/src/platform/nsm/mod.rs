//! The Nitro Secure Module as the enclave sees it: one call, one at a time.
//!
//! The provider brings its trust anchor with it, so that a mock's documents take exactly the path that AWS's do:
//! only the root certificate differs. Providers block; [`crate::attest::batcher`] owns one on a thread of its own.

mod device;
#[cfg(test)]
pub(crate) mod forged;

pub use device::{DeviceNsm, Pcr};

/// Attests what the enclave asks it to. Calls block for about a millisecond on real hardware, and for as long
/// as the host likes when it is hostile, so an async worker must never make one.
pub trait Nsm: Send + 'static {
    /// Returns one attestation document (a `COSE_Sign1`, at most 12,288 bytes) that carries `request`.
    fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError>;

    /// The certificate (DER) that this provider's documents chain to.
    fn root_certificate(&self) -> &[u8];
}

/// What a document is asked to carry. `None` leaves the field null.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttestationRequest<'a> {
    /// At most 512 bytes are promised by AWS's API.
    pub user_data: Option<&'a [u8]>,
    /// At most 1,024 bytes.
    pub public_key: Option<&'a [u8]>,
    /// At most 512 bytes are promised by AWS's API.
    pub nonce: Option<&'a [u8]>,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NsmError {
    /// There is no module to ask, or it could not be opened.
    #[error("no Nitro Secure Module: {0}")]
    Absent(String),
    /// The module answered with an error of its own.
    #[error("the Nitro Secure Module refused: {0}")]
    Refused(String),
    /// The module answered something that is no attestation document.
    #[error("the Nitro Secure Module answered something else than a document")]
    UnexpectedAnswer,
}

impl NsmError {
    /// A stable name, for logs and counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Absent(_) => "nsm_absent",
            Self::Refused(_) => "nsm_refused",
            Self::UnexpectedAnswer => "nsm_unexpected_answer",
        }
    }
}
