//! The requests and responses between parent and enclave: one frame each, matched by a correlation id.
//!
//! Many requests may be in flight on one stream, and responses come in any order. Neither end trusts the
//! other: both decode every frame strictly.

mod documents;
mod request;
mod response;

pub use documents::{DOCUMENT_SLOTS, ResponseReader, ResponseWriter};

use crate::{
    MAX_AAD, MAX_CIPHERTEXT,
    batch::Inclusion,
    code::Code,
    descriptor::DeliverTo,
    document::Document,
    ids::{KeyId, Nonce, Purpose},
    reply::MAX_DESCRIPTOR,
    suite::PublicKey,
};
use core::fmt;
use zeroize::Zeroizing;

/// The longest attestation document of the NSM, in bytes.
pub const MAX_DOCUMENT: usize = 12_288;
/// The longest reply record, in bytes.
pub const MAX_REPLY: usize = 256 + MAX_DESCRIPTOR + MAX_AAD + MAX_CIPHERTEXT;
/// The longest detail of a refusal, in bytes.
const MAX_DETAIL: usize = 512;

/// A request. Its response carries the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the parent, unique among the requests in flight on a stream.
    pub id: u64,
    /// The call.
    pub call: Call,
}

/// A call to an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Make keys.
    Issue(Issue),
    /// Open one message, once.
    Open(Open),
    /// Query the state of a key.
    Status(KeyId),
    /// End a key now.
    Destroy(KeyId),
    /// Attest a nonce.
    Attest(Nonce),
    /// Query counters of the enclave.
    Health,
}

/// A request for keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issue {
    /// Binds the keys to this request.
    pub nonce: Nonce,
    /// The purpose of the keys.
    pub purpose: Purpose,
    /// The lifetime of the keys, in milliseconds.
    pub ttl: u64,
    /// To whom the plaintext is delivered. `release_to` on the wire.
    pub deliver_to: DeliverTo,
    /// The number of keys, 1 to 100.
    pub count: u32,
}

/// A request to open one message.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// The key that the message is sealed to.
    pub key_id: KeyId,
    /// HPKE's encapsulated key.
    pub enc: PublicKey,
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
    /// The `aad` that the message was sealed with.
    pub aad: Vec<u8>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The answer to the request of the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's id.
    pub id: u64,
    /// The answer, or why the request is refused.
    pub result: Result<Answer, Refusal>,
}

/// The answer of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Keys, with the one document that attests them all.
    Issued(Issued),
    /// A reply that is sealed to the recipient.
    Sealed(SealedReply),
    /// The plaintext, if the key delivers to the caller.
    Plaintext(Plaintext),
    /// The state of a key.
    State(KeyState),
    /// A record and the document that attests it.
    Attested(Attested),
    /// Counters of the enclave.
    Health(Health),
}

/// Keys, with the document that attests them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The attestation document.
    pub document: Document,
    /// For each key its descriptor, and the position of that in the document's batch.
    pub keys: Vec<(Vec<u8>, Inclusion)>,
}

/// An attested record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The record.
    pub record: Vec<u8>,
    /// Its position in the batch.
    pub inclusion: Inclusion,
    /// The attestation document of the batch.
    pub document: Document,
}

/// A reply and its attested reply context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedReply {
    /// The reply record.
    pub reply: Vec<u8>,
    /// The reply context.
    pub context: Attested,
}

/// Plaintext for a caller. Overwritten when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// The key can open one message.
    Live,
    /// The key has opened a message.
    Used,
    /// The deadline passed before the key was used.
    Expired,
    /// The key was destroyed, by request or after too many failed opens.
    Destroyed,
    /// The key was never issued, or its tombstone was dropped.
    Unknown,
}

impl KeyState {
    const ALL: [Self; 5] = [Self::Live, Self::Used, Self::Expired, Self::Destroyed, Self::Unknown];

    /// The state's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Destroyed => "destroyed",
            Self::Unknown => "unknown",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// Counters of an enclave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Live keys.
    pub live_keys: u64,
    /// The most keys that the enclave can hold.
    pub capacity: u64,
    /// Tombstones of ended keys.
    pub tombstones: u64,
    /// Attestation documents made since boot.
    pub documents: u64,
    /// Records attested since boot.
    pub attested: u64,
    /// Calls to the NSM that failed since boot.
    pub nsm_failures: u64,
    /// Streams closed since boot because of an invalid frame.
    pub streams_closed: u64,
}

/// Why a request is refused. A refused request has no effect, unless the row of its code says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// A sentence for people. It holds no secrets and no ids.
    pub detail: String,
    /// After how many milliseconds a retry may succeed; 0 if unknown.
    pub retry_after: u64,
}

impl Refusal {
    /// A refusal with the title of its code as detail.
    pub fn new(code: Code) -> Self {
        Self { code, detail: code.title().to_owned(), retry_after: 0 }
    }

    /// A refusal with this detail, cut to 512 bytes.
    pub fn with_detail(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
        Self { code, detail, retry_after: 0 }
    }

    /// Sets after how many milliseconds a retry may succeed.
    #[must_use]
    pub fn with_retry_after_ms(self, ms: u64) -> Self {
        Self { retry_after: ms, ..self }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl Health {
    fn fields(&self) -> [u64; 7] {
        let mut copy = *self;
        copy.fields_mut().map(|field| *field)
    }

    fn fields_mut(&mut self) -> [&mut u64; 7] {
        [
            &mut self.live_keys,
            &mut self.capacity,
            &mut self.tombstones,
            &mut self.documents,
            &mut self.attested,
            &mut self.nsm_failures,
            &mut self.streams_closed,
        ]
    }
}

#[cfg(test)]
mod tests;
