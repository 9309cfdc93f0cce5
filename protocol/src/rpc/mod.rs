//! What parent and enclave say to each other, one frame each, matched by a correlation id.
//!
//! Many requests may be under way on one stream; responses come in any order. The parent is trusted with nothing
//! here: the enclave decodes every request as strictly as if a stranger had sent it, and the other way round.

mod documents;
mod request;
mod response;

pub use documents::{PLACES, Received, Sent};

use crate::{
    MAX_AAD, MAX_CIPHERTEXT,
    batch::Inclusion,
    code::Code,
    descriptor::ReleaseTo,
    document::Document,
    ids::{KeyId, Nonce, Purpose},
    reply::MAX_DESCRIPTOR,
    suite::PublicKey,
};
use core::fmt;
use zeroize::Zeroizing;

/// The longest attestation document that the NSM can answer with, in bytes.
pub const MAX_DOCUMENT: usize = 12_288;
/// The longest reply record, in bytes.
pub const MAX_REPLY: usize = 256 + MAX_DESCRIPTOR + MAX_AAD + MAX_CIPHERTEXT;
/// The longest sentence of a refusal, in bytes.
const MAX_DETAIL: usize = 512;

/// A request, with the id that its response will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the parent, unique among the requests under way on a stream.
    pub id: u64,
    /// What is asked.
    pub call: Call,
}

/// What can be asked of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Make keys.
    Issue(Issue),
    /// Open one message, once.
    Open(Open),
    /// Ask what became of a key.
    Status(KeyId),
    /// End a key now.
    Destroy(KeyId),
    /// Attest a nonce.
    Attest(Nonce),
    /// Ask how the enclave is.
    Health,
}

/// A request for keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issue {
    /// Ties the keys to this request.
    pub nonce: Nonce,
    /// What the keys are for.
    pub purpose: Purpose,
    /// How long the keys live, in milliseconds.
    pub ttl: u64,
    /// Who reads what the keys open.
    pub release_to: ReleaseTo,
    /// How many keys, 1 to 100.
    pub count: u32,
}

/// A request to open one message.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// The key that it was sealed to.
    pub key_id: KeyId,
    /// HPKE's encapsulated key.
    pub enc: PublicKey,
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
    /// The caller's context that the message was sealed with.
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
    /// What came of it.
    pub result: Result<Answer, Refusal>,
}

/// What an enclave answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Keys, with the one document that attests them all.
    Issued(Issued),
    /// What the recipient alone can read.
    Sealed(SealedReply),
    /// What the key opened, in `caller` mode.
    Plaintext(Plaintext),
    /// What became of a key.
    State(KeyState),
    /// A record and the document that attests it.
    Attested(Attested),
    /// How the enclave is.
    Health(Health),
}

/// Keys and their proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The attestation document.
    pub document: Document,
    /// A descriptor and its place in the document's batch, for each key.
    pub keys: Vec<(Vec<u8>, Inclusion)>,
}

/// A record, its place in a batch, and the batch's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The record.
    pub record: Vec<u8>,
    /// Its place in the batch.
    pub inclusion: Inclusion,
    /// The attestation document of the batch.
    pub document: Document,
}

/// A reply and the context that it is sealed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedReply {
    /// The reply record.
    pub reply: Vec<u8>,
    /// The reply context, attested.
    pub context: Attested,
}

/// Plaintext on its way to a caller. Overwritten when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It can still open one message.
    Live,
    /// It has opened one.
    Used,
    /// Its deadline passed before it was used.
    Expired,
    /// It was ended by request, or by too many failed opens.
    Destroyed,
    /// It never was, or it ended longer ago than endings are remembered.
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

/// How an enclave is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Keys that can still open a message.
    pub live_keys: u64,
    /// The most keys that it may hold.
    pub capacity: u64,
    /// Endings that are still remembered.
    pub tombstones: u64,
    /// Attestation documents made since boot.
    pub documents: u64,
    /// Records attested since boot.
    pub attested: u64,
    /// Calls to the NSM that failed since boot.
    pub nsm_failures: u64,
    /// Streams closed for a frame that was not understood.
    pub streams_closed: u64,
}

/// A request was refused. Nothing was lost or changed by it, unless the code says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Which rule.
    pub code: Code,
    /// A sentence for people. Holds nothing secret and nothing reusable.
    pub detail: String,
    /// After how many milliseconds it may be worth trying again; 0 if that is not known.
    pub retry_after: u64,
}

impl Refusal {
    /// A refusal that says no more than its code does.
    pub fn new(code: Code) -> Self {
        Self { code, detail: code.title().to_owned(), retry_after: 0 }
    }

    /// A refusal with a sentence of its own, of which 512 bytes are kept.
    pub fn with_detail(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
        Self { code, detail, retry_after: 0 }
    }

    /// The same, worth trying again after `ms` milliseconds.
    pub fn retry_after(self, ms: u64) -> Self {
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
