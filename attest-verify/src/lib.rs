#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! | module | contents |
//! |---|---|
//! | [`manual`] | what the verdicts mean, measurements, time, speed, known mistakes of verifiers |
//! | `verifier` | the order of all checks, [`VerifiedDocument`] |
//! | `policy`, `measurements` | appraisal: [`Policy`], [`AcceptedDocument`] |
//! | `time` | [`CheckTime`] and its leeway |
//! | `cose`, `document` | envelope and payload: [`decode`] |
//! | `cbor`, `der` | the two strict readers |
//! | `x509` | one certificate by itself |
//! | `chain` | the certificates together: order, roles, validity, path |
//! | `anchor` | [`TrustAnchor`], AWS's root |
//! | `crypto` | the interface to ECDSA P-384: [`Provider`] |
//! | `signature_cache` | certificate signatures that were verified before |
//! | `pem` | the one block of a PEM text |
//! | `error` | every reason with its code: [`Error`] |
//! | `strict_json`, `nitro_cli` | strict JSON, and measurements as `nitro-cli` prints them (feature `json`) |

#![forbid(unsafe_code)]

mod anchor;
mod cbor;
mod chain;
mod cose;
mod crypto;
mod der;
mod document;
mod error;
pub mod manual;
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
