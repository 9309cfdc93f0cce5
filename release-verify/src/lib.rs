#![doc = include_str!("../README.md")]
//!
//! # Documents
//!
//! | document | signed by | content |
//! |---|---|---|
//! | [`RootDocument`] | root keys of this version and the one before | signers, log, witnesses, expiry |
//! | [`Manifest`] | builders | the measurements of an image |
//! | [`ReleaseList`] | list keys | every accepted release; a release that is not listed is revoked |
//! | [`Checkpoint`](ok2cry_tlog::Checkpoint) | the log and its witnesses | size and root of the log |
//!
//! Root document, manifest and list are DSSE envelopes with ECDSA P-384, and entries of the log, which is
//! [C2SP tlog-tiles](https://c2sp.org/tlog-tiles).
//!
//! # Map
//!
//! | module | contents |
//! |---|---|
//! | `acceptance` | the order of all checks: [`ReleaseKey`], [`AcceptedReleases`] |
//! | `policy` | appraisal of an enclave under the list: [`ReleasePolicy`] |
//! | `state` | what a client saves between checks: [`ReleaseState`] |
//! | `bundle` | all that a client needs, in one file: [`Bundle`] |
//! | `root`, `list`, `manifest`, `version` | the documents |
//! | `envelope`, `key` | DSSE, signers and roles |
//! | `json` | strict reading |
//! | `error`, `fault` | every reason with its code |

#![forbid(unsafe_code)]

mod acceptance;
mod bundle;
mod envelope;
mod error;
mod fault;
mod json;
mod key;
mod list;
mod manifest;
mod policy;
mod root;
mod state;
mod version;

pub use ok2cry_attest_verify as attest_verify;
pub use ok2cry_tlog as tlog;

pub use self::acceptance::{AcceptedRelease, AcceptedReleases, DEFAULT_MAX_LIST_AGE, ReleaseKey};
pub use self::bundle::{Bundle, BundleEntry, MAX_BUNDLE_LEN};
pub use self::envelope::{Envelope, MAX_ENVELOPE_LEN};
pub use self::error::Error;
pub use self::fault::ReleaseFault;
pub use self::json::Hex;
pub use self::key::{KeyIds, Role, SignerKey};
pub use self::list::{LIST_PAYLOAD_TYPE, ListedRelease, MAX_RELEASES, ReleaseList};
pub use self::manifest::{
    Digests, Manifest, PREDICATE_TYPE, Predicate, STATEMENT_PAYLOAD_TYPE, STATEMENT_TYPE, Source, Subject,
};
pub use self::policy::ReleasePolicy;
pub use self::root::{ROOT_PAYLOAD_TYPE, ReleaseLog, RootDocument};
pub use self::state::{MAX_STATE_LEN, ReleaseState};
pub use self::version::Version;
