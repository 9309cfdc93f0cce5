//! The Nitro Secure Module (NSM): a trait with one blocking call, and the device.
//!
//! The trust anchor follows the provider: documents of a mock take the same path as AWS's, under another root
//! certificate. [`crate::attest`] calls a provider on a thread of its own.

mod device;
#[cfg(test)]
pub(crate) mod forged;

pub use device::{DeviceNsm, Pcr};

/// Makes attestation documents. A call blocks for about a millisecond on real hardware, and for as long as a
/// hostile host likes, so an async worker must never make one.
pub trait Nsm: Send + 'static {
    /// Returns one attestation document (a `COSE_Sign1`, at most 12,288 bytes) that carries `request`.
    fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError>;

    /// The certificate (DER) that this provider's documents chain to.
    fn root_certificate(&self) -> &[u8];
}

/// The fields that a document carries. `None` leaves a field null.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttestationRequest<'a> {
    /// At most 512 bytes, by AWS's API.
    pub user_data: Option<&'a [u8]>,
    /// At most 1,024 bytes.
    pub public_key: Option<&'a [u8]>,
    /// At most 512 bytes, by AWS's API.
    pub nonce: Option<&'a [u8]>,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NsmError {
    /// There is no module, or it cannot be opened.
    #[error("no Nitro Secure Module: {0}")]
    Absent(String),
    /// The module answered with an error.
    #[error("the Nitro Secure Module refused: {0}")]
    Refused(String),
    /// The module answered with something else than a document.
    #[error("the Nitro Secure Module answered with something else than a document")]
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
