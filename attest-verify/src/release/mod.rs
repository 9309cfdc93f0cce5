//! Signed releases: which measurements are accepted now, from a key that hardly ever changes.
//!
//! A client pins a [`ReleaseKey`]. Somebody, anybody, hands it a [`Bundle`]; [`ReleaseKey::check`] decides offline whether it
//! holds. Its answer is a policy of whole measurement sets that ends with the list.
//!
//! ```
//! use ok2cry_attest_verify::release::{AcceptedReleases, Bundle, Memory, ReleaseKey};
//! use ok2cry_attest_verify::{CheckTime, Error, Policy, TrustAnchor};
//!
//! fn policy(release_key_pem: &str, bundle_json: &[u8], memory: &mut Memory) -> Result<Policy, Error> {
//!     let key = ReleaseKey::from_pem(release_key_pem)?.max_list_age_ms(24 * 3_600_000);
//!     let bundle = Bundle::decode(bundle_json)?;
//!     Policy::from_release_key(&key, &bundle, &TrustAnchor::aws_nitro(), memory, &CheckTime::system())
//! }
//! ```
//!
//! | document | signed by | says |
//! |---|---|---|
//! | [`Root`] | k of n root keys, of this version and the one before | who signs what, which log, which witnesses, until when |
//! | [`Manifest`] | k of n builders | that an image has these measurements |
//! | [`List`] | k of n list keys | every release that is accepted now. Absence is revocation |
//! | [`Checkpoint`] | the log, and its witnesses | what is in the log, for ever |
//!
//! Root, manifest and list are DSSE envelopes with ECDSA P-384, and entries of the log, which is
//! [C2SP tlog-tiles](https://c2sp.org/tlog-tiles). `docs/releases.md` is the specification, with the reason for every rule.
//!
//! # Map
//!
//! | module | idea |
//! |---|---|
//! | `acceptance` | the order of all checks; what a client pins and gets |
//! | `memory` | what a client remembers |
//! | `bundle` | all that a client needs, in one file |
//! | `root`, `list`, `manifest`, `version` | what the documents say |
//! | `envelope`, `key` | DSSE and who has signed |
//! | `checkpoint`, `log_key` | signed notes, checkpoints, cosignatures |
//! | `tree`, `tile` | hashes and proofs; tiles that they are made from |
//! | `json` | strict reading |
//! | `fault` | every reason with its code |

mod acceptance;
mod bundle;
mod checkpoint;
mod envelope;
mod fault;
mod json;
mod key;
mod list;
mod log_key;
mod manifest;
mod memory;
mod root;
mod tile;
pub mod tree;
mod version;

pub use self::acceptance::{AcceptedRelease, AcceptedReleases, DEFAULT_MAX_LIST_AGE_MS, ReleaseKey};
pub use self::bundle::{Bundle, Entry, MAX_BUNDLE_LEN};
pub use self::checkpoint::{Checkpoint, MAX_NOTE_LEN, Note};
pub use self::envelope::{Envelope, MAX_ENVELOPE_LEN};
pub use self::fault::ReleaseFault;
pub use self::json::{Hex, strict_json};
pub use self::key::{KeyIds, PublicKey, Role};
pub use self::list::{LIST_PAYLOAD_TYPE, List, ListedRelease, MAX_RELEASES};
pub use self::log_key::LogKey;
pub use self::manifest::{
    Digests, Manifest, PREDICATE_TYPE, Predicate, STATEMENT_PAYLOAD_TYPE, STATEMENT_TYPE, Source, Subject,
};
pub use self::memory::{MAX_MEMORY_LEN, Memory};
pub use self::root::{Log, ROOT_PAYLOAD_TYPE, Root};
pub use self::tile::{Tile, TileSource, Tiles};
pub use self::version::Version;

impl From<ReleaseFault> for crate::Error {
    fn from(fault: ReleaseFault) -> Self {
        Self::Release(fault)
    }
}

/// The fingerprint of AWS's root: what makes a root document one for production.
fn aws_root() -> [u8; 32] {
    crate::TrustAnchor::aws_nitro().fingerprint()
}
