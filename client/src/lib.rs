#![doc = include_str!("../README.md")]
//!
//! # Modules
//!
//! | item | holds |
//! |---|---|
//! | [`Trust`] | which enclaves are accepted |
//! | [`KeyRequest`], [`VerifiedKey`], [`Message`], [`SealedMessage`] | the sender's side |
//! | [`RecipientKey`], [`Expected`], [`ReplayGuard`], [`ReplaySet`] | the recipient's side |
//! | [`recipient_public_key`] | reading a recipient's public key: base64url, PEM, JWK |
//! | [`answer`] | reading the service's answers, strictly |
//! | `http` | a blocking client for a parent's API (feature `http`) |
//! | [`measurements`] | reading measurements as `nitro-cli` prints them |
//! | [`releases`] | following signed releases instead of fixed measurements |
//! | [`attestation`], [`protocol`] | the crates whose types are used here |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod answer;
mod error;
mod hpke;
#[cfg(feature = "http")]
pub mod http;
mod key;
mod keyfile;
pub mod measurements;
mod recipient;
mod replay;
mod trust;
#[cfg(test)]
mod vectors;

pub use error::Error;
pub use key::{KeyRequest, Message, SealedMessage, VerifiedKey};
pub use keyfile::recipient_public_key;
pub use recipient::{Expected, OpenError, OpenedReply, RecipientKey, sealed_reply};
pub use replay::{ReplayEntry, ReplayGuard, ReplaySet};
pub use trust::{AttestedBatch, DEFAULT_MAX_REPLY_AGE, MAX_DISTANCE, MAX_STATEMENT_AGE, Trust};

/// The crate that verifies attestation documents.
pub use ok2cry_attest_verify as attestation;
pub use ok2cry_attest_verify::{CheckTime, Measurements, TrustAnchor};
/// The crate of records, JSON bodies and codes.
pub use ok2cry_protocol as protocol;
pub use ok2cry_protocol::{
    Encoded, Hash, MAX_AAD, MAX_COUNT, MAX_PLAINTEXT,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::{InstanceId, KeyId, Nonce, Purpose},
    suite::PublicKey,
};
/// Signed releases: measurements that follow from a pinned key.
pub use ok2cry_release_verify as releases;
pub use zeroize::Zeroizing;
