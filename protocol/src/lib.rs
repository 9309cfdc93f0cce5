//! The language that ok2cry's parts share, and nothing else: no I/O, no async, no clocks.
//!
//! A *record* is a byte string that somebody relies on: it is hashed, attested or sealed. Records are CBOR in
//! deterministic encoding (RFC 8949 §4.2.1) with integer keys, and there is exactly one encoding of each. Who
//! receives one hashes the bytes as they came and decodes them strictly; nobody re-encodes. [`Encoded`] keeps
//! the bytes, their hash and the decoded value together so that the three cannot come apart.
//!
//! `docs/protocol.md` is the normative text; `tests/vectors/` holds frozen examples of everything here.
//!
//! | module | holds |
//! |---|---|
//! | [`descriptor`] | the key descriptor: what a disposable key is for |
//! | [`reply`] | reply contexts and reply records, and what binds a reply to its request |
//! | [`statement`] | the answer to "is an enclave there?" |
//! | [`batch`], [`merkle`] | many records under one attestation document |
//! | [`ids`], [`suite`] | identifiers, nonces, purposes; algorithms, points and `info` strings |
//! | [`document`] | an attestation document, shared by the answers that need it |
//! | [`rpc`], [`frame`] | what parent and enclave say to each other, and how it is framed |
//! | [`http`] | the JSON bodies of the parent's API (feature `http`) |
//! | [`code`] | the registry of refusals |
//! | [`cbor`] | the strict reader and the deterministic writer beneath all records |

mod reasons;

pub mod batch;
pub mod cbor;
pub mod code;
pub mod descriptor;
pub mod document;
mod encoded;
mod error;
pub mod frame;
#[cfg(feature = "http")]
pub mod http;
pub mod ids;
pub mod merkle;
pub mod reply;
pub mod rpc;
pub mod statement;
pub mod suite;

pub use encoded::{Encoded, Record};
pub use error::{DecodeError, Rule};

use sha2::{Digest, Sha384};

/// H: SHA-384, the only hash of the protocol (the audit log has its own).
pub type Hash = [u8; 48];

/// The longest plaintext that a key opens, in bytes.
pub const MAX_PLAINTEXT: usize = 4096;
/// The longest ciphertext: a plaintext and the AES-GCM tag, in bytes.
pub const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 16;
/// The longest `aad`, in bytes.
pub const MAX_AAD: usize = 1024;
/// The most keys that one request can ask for.
pub const MAX_COUNT: u32 = 100;

/// H over the concatenation of `parts`.
pub fn hash(parts: &[&[u8]]) -> Hash {
    let mut h = Sha384::new();
    for part in parts {
        h.update(part);
    }
    h.finalize().into()
}
