//! Fetch a disposable key, verify that it lives in an enclave that you accept, seal one message to it; and, at the
//! other end, open what the enclave replied.
//!
//! A key that was not verified cannot be sealed to: [`VerifiedKey`] comes from [`KeyRequest::verify`] and from
//! nowhere else, and [`VerifiedKey::seal`] uses it up. Nothing here trusts the parent that carries the messages.
//!
//! ```
//! # fn main() -> Result<(), ok2cry_client::Error> {
//! use ok2cry_client::{KeyRequest, RecipientKey, Trust};
//! use ok2cry_attest_verify::{CheckTime, Measurements, TrustAnchor};
//!
//! // What you accept: documents under AWS's root, from one of these releases.
//! let release = Measurements::new([(0, [0x11; 48]), (1, [0x22; 48]), (2, [0x33; 48])])?;
//! let trust = Trust::new(TrustAnchor::aws_nitro(), [release])?;
//!
//! // The recipient makes a key pair and gives its public half to whoever seals.
//! let recipient = RecipientKey::generate()?;
//!
//! // The sender asks for a key: a minute, for a purpose, readable by this recipient and nobody else.
//! let request = KeyRequest::new("card-pin", 60_000, recipient.public_key())?;
//! let body: String = request.to_json();
//! # let answer = b"{}";
//!
//! // POST `body` to /v1/keys, then:
//! let Ok(keys) = request.verify(answer, &trust, &CheckTime::system()) else {
//!     return Ok(()); // the error's code says which rule broke
//! };
//! for key in keys {
//!     let sealed = key.seal(b"1234", b"order 17", &CheckTime::system())?;
//!     // POST sealed.to_json() to /v1/keys/{sealed.key_id}/open, or hand it to somebody who will.
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`Trust`] | which enclaves are accepted |
//! | [`KeyRequest`], [`VerifiedKey`], [`SealedMessage`] | the sender's side |
//! | [`RecipientKey`], [`Expected`], [`SeenSet`] | the recipient's side |
//! | [`recipient_public_key`] | reading a recipient's public key: base64url, PEM, JWK |
//! | [`answer`] | reading the service's answers, strictly |
//! | [`http`] | a small blocking client for a parent's API (feature `http`) |
//! | [`measurements`] | reading measurements as `nitro-cli` prints them |

pub mod answer;
mod error;
#[cfg(feature = "http")]
pub mod http;
mod hybrid;
mod key;
mod keyfile;
pub mod measurements;
mod recipient;
mod trust;
#[cfg(test)]
mod vectors;

pub use error::Error;
pub use key::{KeyRequest, SealedMessage, VerifiedKey};
pub use keyfile::recipient_public_key;
pub use recipient::{Expected, OpenedReply, RecipientKey, Seen, SeenSet, sealed_reply};
pub use trust::{AttestedBatch, DEFAULT_MAX_REPLY_AGE_MS, MAX_DISTANCE_MS, MAX_STATEMENT_AGE_MS, Trust};
