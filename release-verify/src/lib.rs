//! Signed releases: which measurements are accepted now, from a key that hardly ever changes.
//!
//! A client pins a [`ReleaseKey`]. Somebody, anybody, hands it a [`Bundle`]; [`ReleaseKey::check`] decides offline whether it
//! holds. Its answer is a policy of whole measurement sets that ends with the list.
//!
//! ```
//! use std::time::Duration;
//!
//! use ok2cry_attest_verify::{CheckTime, TrustAnchor};
//! use ok2cry_release_verify::{Bundle, Error, ReleaseKey, ReleasePolicy, ReleaseState};
//!
//! fn policy(release_key_pem: &str, bundle_json: &[u8], state: &mut ReleaseState) -> Result<ReleasePolicy, Error> {
//!     let key = ReleaseKey::from_pem(release_key_pem)?.with_max_list_age(Duration::from_hours(24));
//!     let bundle = Bundle::decode(bundle_json)?;
//!     Ok(key.check(&bundle, &TrustAnchor::aws_nitro(), state, &CheckTime::system())?.policy())
//! }
//! ```
//!
//! | document | signed by | says |
//! |---|---|---|
//! | [`RootDocument`] | k of n root keys, of this version and the one before | who signs what, which log, which witnesses, until when |
//! | [`Manifest`] | k of n builders | that an image has these measurements |
//! | [`ReleaseList`] | k of n list keys | every release that is accepted now. Absence is revocation |
//! | [`Checkpoint`](ok2cry_tlog::Checkpoint) | the log, and its witnesses | what is in the log, for ever |
//!
//! Root, manifest and list are DSSE envelopes with ECDSA P-384, and entries of the log, which is
//! [C2SP tlog-tiles](https://c2sp.org/tlog-tiles). `docs/releases.md` is the specification, with the reason for every rule.
//!
//! # Map
//!
//! | module | idea |
//! |---|---|
//! | `acceptance` | the order of all checks; what a client pins and gets |
//! | `policy` | appraisal of an enclave under the list |
//! | `state` | what a client remembers |
//! | `bundle` | all that a client needs, in one file |
//! | `root`, `list`, `manifest`, `version` | what the documents say |
//! | `envelope`, `key` | DSSE and who has signed |
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
