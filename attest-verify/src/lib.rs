//! Strict verification of AWS Nitro Enclaves attestation documents.
//!
//! An attestation document is a statement, signed by the Nitro hypervisor, about which image runs in an enclave, together
//! with a public key, a nonce and other data that the enclave chose. This crate decides whether such a document is genuine
//! ([`Verifier`]) and whether it is what you expect ([`Policy`]). It works for any enclave, reads no clock, opens no file
//! and no socket, and has no unsafe code.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use ok2cry_attest_verify::{CheckTime, Error, Measurements, PCR_LEN, Policy, TrustAnchor, Verifier};
//!
//! /// Returns the enclave's public key, if it is an enclave that runs our release and answers our nonce.
//! fn public_key(document: &[u8], release: [(u8, [u8; PCR_LEN]); 3], nonce: &[u8]) -> Result<Option<Vec<u8>>, Error> {
//!     let verifier = Verifier::new(TrustAnchor::aws_nitro());
//!     // PCR0, PCR1 and PCR2 as `nitro-cli build-enclave` prints them.
//!     let policy = Policy::new([Measurements::new(release)?])?.with_max_age(Duration::from_secs(300)).with_nonce(nonce);
//!
//!     let now = CheckTime::system();
//!     let document = policy.appraise(verifier.verify(document, &now)?, &now)?;
//!     Ok(document.public_key().map(<[u8]>::to_vec))
//! }
//! # public_key(&[], [(0, [1; PCR_LEN]), (1, [1; PCR_LEN]), (2, [1; PCR_LEN])], b"").unwrap();
//! ```
//!
//! # Manual
//!
//! **Two questions, two types.** [`Verifier::verify`] answers "did a Nitro module sign this, validly now?" and returns a
//! [`VerifiedDocument`]. [`Policy::appraise`] answers "is it the enclave that I want, about my request, recently?" and
//! returns an [`AcceptedDocument`]. Neither type can be made in another way, and neither step can be skipped by what is in
//! a document. Take an `AcceptedDocument` wherever your code depends on the verdict. A genuine document alone means little:
//! everybody with an AWS account can get one for an image of their own.
//!
//! **Measurements are whole sets.** A release is a [`Measurements`]: PCR0 at least, best PCR0, 1 and 2 and, if the image is
//! signed, PCR8. A policy of several releases accepts a document that matches one of them entirely; mixing PCR0 of one with
//! PCR2 of another matches none. Sets that would let a debug enclave pass (zeros), or anything (empty), cannot be made.
//!
//! **Freshness is yours to ask for.** A document is valid as long as its certificates, about three hours. A nonce that you
//! drew for this one request proves that the document is younger than the nonce; [`Policy::with_max_age`] bounds its age by the
//! clock.
//!
//! **Clocks.** Time is a parameter. Leaf certificates are seconds old when they are first used, so a client whose clock is
//! slightly behind sees certificates of the future; [`CheckTime::leeway_ms`] forgives that and nothing else. All disagreements
//! with the clock are [`Error::Clock`], apart from every other error, so that a program can say "check your clock".
//! [`Verifier::verify_historical`] takes the document's own time and belongs in audits only.
//!
//! **Escapes are named so.** Everything that weakens a verdict has `insecure_` in its name:
//! [`Verifier::insecure_allow_debug`], [`Policy::insecure_without_pcrs`].
//!
//! **Speed.** A verification costs five ECDSA P-384 signatures and hardly anything else. Keep the [`Verifier`]: it remembers
//! certificate signatures that verified, so that another document of the same enclave costs one and one of its neighbour two. A
//! verdict never depends on what was remembered, and memory is bounded ([`Verifier::with_signature_cache`]). With the feature
//! `aws-lc-rs`, `Verifier::new(anchor).with_provider(Provider::aws_lc_rs())` is four times as fast as the default [`Provider`], which is
//! pure Rust.
//!
//! **Errors.** [`Error`] says which field broke which rule; [`Error::code`] is stable. Show them freely: they contain nothing
//! secret, and text from documents only in escaped form.
//!
//! # How known mistakes of verifiers are avoided
//!
//! | mistake | here |
//! |---|---|
//! | The COSE headers are not looked at: another `alg`, `crit`, an unprotected header that nobody signed | both headers have one allowed encoding |
//! | Decoders that keep one of two equal keys, skip unknown ones, ignore trailing bytes | a decoder of our own refuses all three, at every level |
//! | NitroTPM documents hang from the same root | the key `nitrotpm_pcrs` is an error of its own |
//! | PCR0 is compared if it is there | PCR0, 1 and 2 must be there, [`Measurements`] must contain PCR0, an absent PCR differs |
//! | Debug enclaves pass, because a policy was made from their zeros | zero in PCR0, 1 or 2 is refused in documents and in policies |
//! | A leaf is taken for an issuer: the document is signed under a certificate that the leaf's key signed | every issuer must be a CA with keyCertSign within its pathLenConstraint, checked besides `rustls-webpki` |
//! | The path builder picks what it likes from the bundle | the bundle is root first, every entry used, in order |
//! | The root is not checked for validity, or the chain's end is found by its name | the root must equal the anchor byte for byte, and be valid |
//! | Weak algorithms by agility | P-384 with SHA-384 is the only algorithm that is there |
//! | A document replayed under a clock of its own choice | "now" comes from the caller; a timestamp must lie within its leaf's validity |
//! | Memory or stack by claimed lengths and nesting | size first; lengths are compared with what is there; no recursion; nothing is skipped unseen |
//!
//! | A cache of certificates changes verdicts: an expired chain, or one with a forged signature, passes because a good one was seen | only signatures are remembered, with all that decides about them; everything else is checked again |
//!
//! ECDSA signatures are malleable: whoever has a document can make a second, equally valid encoding of its signature. Do not
//! use a hash of a document to recognise it.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `aws-lc-rs` (default) | `Provider::aws_lc_rs`; needs a C compiler. It does not change what [`Verifier::new`] uses |
//! | `json` | `Measurements::from_nitro_cli_json`, and the strict reader that it uses: `strict_json` |
//! | `cli` | the command `attest-verify`; includes `json` |
//!
//! # Map
//!
//! | module | idea |
//! |---|---|
//! | `verifier` | the order of all checks, [`VerifiedDocument`] |
//! | `policy`, `measurements` | appraisal |
//! | `nitro_cli` | measurements as `nitro-cli` prints them (feature `json`) |
//! | `time` | [`CheckTime`], leeway |
//! | `cose`, `document` | envelope and payload: [`decode`] |
//! | `cbor`, `der` | the two strict readers |
//! | `x509` | one certificate by itself |
//! | `chain` | the certificates together: order, roles, validity, path |
//! | `anchor` | [`TrustAnchor`], AWS's root |
//! | `crypto` | the seam to ECDSA P-384: [`Provider`] |
//! | `pem` | which block of a PEM text is meant |
//! | `signature_cache` | certificate signatures that were verified before |
//! | `strict_json` | JSON under one rule (feature `json`) |
//! | `error` | every reason with its code |
//!
//! The checklist with sources, constants and the test for each rule is `docs/attestation.md`.

#![forbid(unsafe_code)]

mod anchor;
mod cbor;
mod chain;
mod cose;
mod crypto;
mod der;
mod document;
mod error;
mod measurements;
#[cfg(feature = "json")]
mod nitro_cli;
mod pem;
mod policy;
mod signature_cache;
#[cfg(feature = "json")]
pub mod strict_json;
#[doc(hidden)]
pub mod support;
mod time;
mod verifier;
mod x509;

pub use self::anchor::TrustAnchor;
pub use self::cose::MAX_DOCUMENT_LEN;
pub use self::crypto::Provider;
pub use self::document::{MAX_CABUNDLE_LEN, PCR_COUNT, PCR_LEN, Pcrs, UnverifiedDocument, decode};
pub use self::error::{
    AnchorFault, AppraisalFault, CborFault, CertificateAt, CertificateFault, ChainFault, ClockFault,
    CoseFault, DocumentFault, Error, Field, MeasurementsFault, PayloadFault, PcrDifference,
};
pub use self::measurements::Measurements;
pub use self::pem::{PemBlock, PemFault};
pub use self::policy::{AcceptedDocument, Policy};
pub use self::time::{CheckTime, DEFAULT_LEEWAY_MS};
pub use self::verifier::{DEFAULT_SIGNATURE_CACHE, VerifiedDocument, Verifier};
pub use self::x509::Certificate;
