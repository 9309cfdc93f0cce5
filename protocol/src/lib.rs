#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`descriptor`] | the key descriptor: what a disposable key is for |
//! | [`reply`] | reply contexts and reply records, and what binds a reply to its request |
//! | [`statement`] | a nonce and a time that an enclave attests |
//! | [`batch`], [`merkle`] | many records under one attestation document |
//! | [`audit_log`] | the entries of the audit log |
//! | [`ids`], [`suite`] | identifiers, nonces, purposes; algorithms, points and `info` strings |
//! | [`document`] | an attestation document, shared by the answers that carry it |
//! | [`rpc`], [`frame`] | the messages between parent and enclave, and their frames |
//! | `http` | the JSON bodies of the parent's API (feature `http`) |
//! | [`code`], [`reasons!`] | the registry of refusals, and the macro that declares such registries |
//! | [`cbor`] | the strict reader and the deterministic writer of all records |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod reasons;

pub mod audit_log;
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

/// The longest plaintext of a message, in bytes.
pub const MAX_PLAINTEXT: usize = 4096;
/// The longest ciphertext, in bytes: a plaintext and the AES-GCM tag.
pub const MAX_CIPHERTEXT: usize = MAX_PLAINTEXT + 16;
/// The longest `aad`, in bytes.
pub const MAX_AAD: usize = 1024;
/// The most keys of one request.
pub const MAX_COUNT: u32 = 100;

/// H over the concatenation of `parts`.
pub fn hash(parts: &[&[u8]]) -> Hash {
    let mut h = Sha384::new();
    for part in parts {
        h.update(part);
    }
    h.finalize().into()
}
