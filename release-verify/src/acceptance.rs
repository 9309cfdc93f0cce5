//! From a pinned release key to the measurements that are accepted now.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ok2cry_attest_verify::support::millis;
use ok2cry_attest_verify::{CheckTime, Measurements, TrustAnchor};
use ok2cry_tlog::merkle::{leaf_hash, proves_consistency, proves_inclusion};
use ok2cry_tlog::{Checkpoint, Note, Tile, TileSource, Tiles};
use sha2::{Digest, Sha384};

use crate::bundle::{Bundle, BundleEntry};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json::{self, Hex};
use crate::key::{KeyIds, Role, SignerKey};
use crate::list::{self, ReleaseList};
use crate::manifest::{self, Manifest};
use crate::policy::ReleasePolicy;
use crate::root::{self, RootDocument};
use crate::state::{ReleaseState, Remembered};
use crate::version::Version;

/// How old a list may be unless [`ReleaseKey::with_max_list_age`] says otherwise: seven days.
pub const DEFAULT_MAX_LIST_AGE: Duration = Duration::from_hours(7 * 24);
/// The most tiles that are fetched for one check. A consistency proof needs two for each level of tiles, of which a log of
/// 2^48 entries has six; a bundle that brings the others needs no more.
const MAX_FETCHED_TILES: usize = 32;

/// What a client holds instead of measurements: the keys that sign a product's root documents, and what it insists on.
///
/// The keys may be those of any version of the root document. The client finds the document that they signed and follows
/// the versions from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseKey {
    pinned: Role,
    max_list_age_ms: u64,
    minimum_version: Version,
}

impl ReleaseKey {
    /// One key, as PEM (`PUBLIC KEY`, ECDSA P-384). Whoever holds it alone decides, whatever threshold the root document
    /// sets for its own successors: pin as many as must sign.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Field`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        Ok(Self::from_role(Role::new(1, vec![SignerKey::from_pem(pem)?])?))
    }

    /// Several keys, of which a number has to have signed. This number, and not the root document's own, is what protects this
    /// client.
    #[must_use]
    pub fn from_role(pinned: Role) -> Self {
        Self { pinned, max_list_age_ms: millis(DEFAULT_MAX_LIST_AGE), minimum_version: Version::new(0, 0, 0) }
    }

    /// Takes lists of at most this age: how long a host can withhold a revocation. Seven days unless set.
    #[must_use]
    pub fn with_max_list_age(self, max_list_age: Duration) -> Self {
        Self { max_list_age_ms: millis(max_list_age), ..self }
    }

    /// Takes no release below this, whatever is listed.
    #[must_use]
    pub fn with_minimum_version(self, minimum_version: Version) -> Self {
        Self { minimum_version, ..self }
    }

    /// Checks a bundle offline: root documents from the pinned keys on, the list, every listed manifest, and that all of
    /// them are in the log. `anchor` is the root that the enclaves' documents will be verified under. `memory` is what this
    /// client knew before, and knows better after a success, or when all that is wrong is that no release is left
    /// ([`ReleaseFault::NoRelease`]); after any other error it is as it was.
    ///
    /// # Errors
    ///
    /// [`Error::Release`], [`Error::ReleaseLog`], and [`Error::Attestation`] for a manifest with registers that nobody should trust.
    pub fn check(
        &self,
        bundle: &Bundle,
        anchor: &TrustAnchor,
        memory: &mut ReleaseState,
        time: &CheckTime,
    ) -> Result<AcceptedReleases, Error> {
        self.check_with_tiles(bundle, &|_: &Tile| None, anchor, memory, time)
    }

    /// Like [`ReleaseKey::check`]; `more` is asked for tiles that the bundle lacks. A client that remembers a checkpoint
    /// needs some when the log has grown past a full tile since.
    ///
    /// # Errors
    ///
    /// As [`ReleaseKey::check`].
    pub fn check_with_tiles(
        &self,
        bundle: &Bundle,
        more: &dyn TileSource,
        anchor: &TrustAnchor,
        memory: &mut ReleaseState,
        time: &CheckTime,
    ) -> Result<AcceptedReleases, Error> {
        let pinned = self.pinned.digest();
        let remembered = memory.of(&pinned);
        let clock_ms = time.now_ms;
        let time = &remembered.not_before(time);
        let walked = self.walk_roots(bundle, &remembered)?;
        let root = &walked.newest;
        if let Some(by_ms) = time.past(root.expires_at) {
            return Err(ReleaseFault::RootExpired { by_ms }.into());
        }
        if root.attestation_root.0 != anchor.fingerprint() {
            return Err(ReleaseFault::Anchor.into());
        }
        let note = bundle.checkpoint.as_bytes();
        let (checkpoint, cosigned) = root.log.verify_checkpoint(note, time)?;
        let tiles = CachedTiles { bundle, more, fetched: RefCell::default() };
        let log = Tiles::new(&tiles, checkpoint.size);
        check_log(&remembered, &checkpoint, &log)?;
        for entry in bundle.roots.iter().skip(walked.first) {
            is_in_log(root::WHAT, entry, &checkpoint, &log)?;
        }

        // So a list of before does not come back under a root document that would let it.
        if bundle.roots.last().is_some_and(|newest| bundle.list.index <= newest.index) {
            return Err(ReleaseFault::ListBeforeRoot.into());
        }
        let envelope = Envelope::decode(list::WHAT, bundle.list.envelope.as_bytes())?;
        let list = ReleaseList::verify(&envelope, root)?;
        let digest = sha384(envelope.unverified_payload());
        self.check_age(&list, time)?;
        // Other list keys count anew: what the old ones signed last is not to bind them.
        if walked.remembered.as_ref().is_none_or(|remembered| remembered.lists == root.lists) {
            check_list(&remembered, &list, &digest)?;
        }
        is_in_log(list::WHAT, &bundle.list, &checkpoint, &log)?;

        let releases = self.releases(bundle, root, &list, &checkpoint, &log)?;
        let threshold = root.log.witness_threshold;
        if cosigned < threshold {
            return Err(ReleaseFault::WitnessesBelowThreshold { found: cosigned, threshold }.into());
        }
        let known = Remembered {
            root_version: root.version,
            root_sha384: Some(walked.digest),
            list_version: list.version,
            list_sha384: Some(digest),
            checkpoint: Some(Note::parse(note)?.signed_only_by(root.log.keys())),
            latest_ms: Some(time.now_ms.max(list.issued_at)),
        };
        memory.set(pinned, known);
        let too_old_ms = list.issued_at.saturating_add(self.max_list_age_ms);
        let ends_ms = list.expires_at.min(root.expires_at).min(too_old_ms);
        // By the clock that the policy will be held to: it is this far behind.
        let ends_ms = ends_ms.saturating_sub(time.now_ms.saturating_sub(clock_ms));
        // Remembered even so: a list that revokes everything is not to be followed by the one before.
        match releases.is_empty() {
            true => Err(ReleaseFault::NoRelease.into()),
            false => {
                let measurements = releases.iter().map(|release| release.measurements.clone());
                let policy = ReleasePolicy::new(measurements.collect(), ends_ms)?;
                Ok(AcceptedReleases { releases, list, root: walked.newest, policy })
            }
        }
    }

    /// From the first root document that the pinned keys have signed to the newest. What is remembered must be among them:
    /// the keys that are pinned may have been stolen since they were replaced. It is never where a walk begins, because a
    /// memory can be written by others than this client: it can only ever refuse.
    fn walk_roots(&self, bundle: &Bundle, memory: &Remembered) -> Result<Walked, Error> {
        let mut walked: Option<Walked> = None;
        let mut named = KeyIds::new([]);
        for (first, entry) in bundle.roots.iter().enumerate() {
            let envelope = Envelope::decode(root::WHAT, entry.envelope.as_bytes())?;
            let digest = sha384(envelope.unverified_payload());
            let is_remembered = memory.root_sha384 == Some(digest);
            named = KeyIds::new(envelope.key_ids());
            let mut next = match walked.take() {
                None => match RootDocument::verify(&envelope, &self.pinned) {
                    Ok(newest) => Walked { first, newest, digest, remembered: None },
                    // From before the pinned keys held.
                    Err(Error::Release(
                        ReleaseFault::KeyUnknown { .. } | ReleaseFault::BelowThreshold { .. },
                    )) => continue,
                    Err(error) => return Err(error),
                },
                Some(before) => before.follow(&envelope, digest)?,
            };
            if is_remembered {
                next.remembered = Some(next.newest.clone());
            }
            walked = Some(next);
        }
        let walked =
            walked.ok_or_else(|| ReleaseFault::RootNotPinned { pinned: self.pinned.key_ids(), named })?;
        let seen = memory.root_version;
        match walked.newest.version {
            found if found < seen => Err(ReleaseFault::RootRolledBack { found, seen }.into()),
            _ if memory.root_sha384.is_some() && walked.remembered.is_none() => {
                Err(ReleaseFault::RootForked { seen }.into())
            }
            _ => Ok(walked),
        }
    }

    fn check_age(&self, list: &ReleaseList, time: &CheckTime) -> Result<(), Error> {
        if let Some(by_ms) = time.beyond_leeway(list.issued_at) {
            return Err(ReleaseFault::ListFromFuture { by_ms }.into());
        }
        if let Some(by_ms) = time.past(list.expires_at) {
            return Err(ReleaseFault::ListExpired { by_ms }.into());
        }
        match time.now_ms.saturating_sub(list.issued_at) {
            age_ms if age_ms > self.max_list_age_ms => {
                Err(ReleaseFault::ListTooOld { age_ms, max_age_ms: self.max_list_age_ms }.into())
            }
            _ => Ok(()),
        }
    }

    fn releases(
        &self,
        bundle: &Bundle,
        root: &RootDocument,
        list: &ReleaseList,
        checkpoint: &Checkpoint,
        log: &Tiles<'_>,
    ) -> Result<Vec<AcceptedRelease>, Error> {
        let mut entries = bundle.manifests.iter();
        let mut releases = Vec::new();
        for listed in &list.releases {
            let missing = || ReleaseFault::ManifestMissing { version: listed.version.to_string() };
            let entry = entries.next().ok_or_else(missing)?;
            let envelope = Envelope::decode(manifest::WHAT, entry.envelope.as_bytes())?;
            if listed.manifest_sha384 != sha384(envelope.unverified_payload()) {
                return Err(ReleaseFault::ManifestNotListed.into());
            }
            let manifest = Manifest::verify(&envelope, root)?;
            if manifest.predicate.version != listed.version {
                return Err(ReleaseFault::ManifestVersion {
                    listed: listed.version.to_string(),
                    found: manifest.predicate.version.to_string(),
                }
                .into());
            }
            is_in_log(manifest::WHAT, entry, checkpoint, log)?;
            if listed.version >= self.minimum_version {
                let measurements = manifest.measurements()?;
                releases.push(AcceptedRelease { measurements, manifest });
            }
        }
        if entries.next().is_some() {
            return Err(ReleaseFault::ManifestNotListed.into());
        }
        Ok(releases)
    }
}

struct Walked {
    /// Where in the bundle it begins.
    first: usize,
    newest: RootDocument,
    /// Of the newest's payload.
    digest: Hex<48>,
    /// The document that the client remembers, once it was met.
    remembered: Option<RootDocument>,
}

impl Walked {
    /// One version further.
    fn follow(self, envelope: &Envelope, digest: Hex<48>) -> Result<Self, Error> {
        let root = RootDocument::verify(envelope, &self.newest.root)?;
        let expected = self.newest.version.saturating_add(1);
        if root.version != expected {
            return Err(ReleaseFault::RootSequence { expected, found: root.version }.into());
        }
        if root.product != self.newest.product {
            return Err(ReleaseFault::Subject { found: json::shown(&root.product) }.into());
        }
        Ok(Self { newest: root, digest, ..self })
    }
}

/// The bundle's tiles, and others: each asked for once, and not without end.
struct CachedTiles<'a> {
    bundle: &'a Bundle,
    more: &'a dyn TileSource,
    fetched: RefCell<BTreeMap<Tile, Option<Vec<u8>>>>,
}

impl TileSource for CachedTiles<'_> {
    fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        if let Some(bytes) = self.bundle.tile(tile) {
            return Some(bytes);
        }
        let mut fetched = self.fetched.borrow_mut();
        if fetched.len() >= MAX_FETCHED_TILES && !fetched.contains_key(tile) {
            return None;
        }
        fetched.entry(*tile).or_insert_with(|| self.more.tile(tile)).clone()
    }
}

fn sha384(bytes: &[u8]) -> Hex<48> {
    Hex(Sha384::digest(bytes).into())
}

fn is_in_log(
    what: &'static str,
    entry: &BundleEntry,
    checkpoint: &Checkpoint,
    log: &Tiles<'_>,
) -> Result<(), Error> {
    let absent = || Error::from(ReleaseFault::NotInLog { what });
    if entry.index >= checkpoint.size {
        return Err(absent());
    }
    let leaf = leaf_hash(entry.envelope.as_bytes());
    let path = log.inclusion_proof(entry.index)?;
    match proves_inclusion(&leaf, entry.index, checkpoint.size, &path, &checkpoint.root) {
        true => Ok(()),
        false => Err(absent()),
    }
}

fn check_log(seen: &Remembered, now: &Checkpoint, log: &Tiles<'_>) -> Result<(), Error> {
    let Some(seen) = seen.log()? else { return Ok(()) };
    if seen.origin != now.origin {
        // Another log: only a root document can have said so.
        return Ok(());
    }
    let proof = log.consistency_proof(seen.size)?;
    match proves_consistency(seen.size, &seen.root, now.size, &now.root, &proof) {
        true => Ok(()),
        false => Err(ReleaseFault::LogForked { found: now.size, seen: seen.size }.into()),
    }
}

fn check_list(seen: &Remembered, list: &ReleaseList, digest: &Hex<48>) -> Result<(), Error> {
    if list.version < seen.list_version {
        return Err(ReleaseFault::ListRolledBack { found: list.version, seen: seen.list_version }.into());
    }
    match seen.list_sha384 {
        Some(known) if list.version == seen.list_version && known != *digest => {
            Err(ReleaseFault::ListForked { version: list.version }.into())
        }
        _ => Ok(()),
    }
}

/// Releases that were checked. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedReleases {
    releases: Vec<AcceptedRelease>,
    list: ReleaseList,
    root: RootDocument,
    policy: ReleasePolicy,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedRelease {
    measurements: Measurements,
    manifest: Manifest,
}

impl AcceptedReleases {
    /// The releases, in the order in which [`ok2cry_attest_verify::AcceptedDocument::release`] counts them.
    #[must_use]
    pub fn releases(&self) -> &[AcceptedRelease] {
        &self.releases
    }

    /// The list that they are in.
    #[must_use]
    pub fn list(&self) -> &ReleaseList {
        &self.list
    }

    /// The root document that holds.
    #[must_use]
    pub fn root(&self) -> &RootDocument {
        &self.root
    }

    /// When they end, in Unix milliseconds of the clock that they were checked by: with the list, with the root document,
    /// or when the list is older than the client takes. Earlier where that clock was behind the latest time in the memory.
    #[must_use]
    pub fn ends_ms(&self) -> u64 {
        self.policy.ends_ms()
    }

    /// Accepts enclaves that run one of them, until they end.
    #[must_use]
    pub fn policy(&self) -> ReleasePolicy {
        self.policy.clone()
    }
}

impl AcceptedRelease {
    /// Its version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.manifest.predicate.version
    }

    /// Its measurements, one set.
    #[must_use]
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// Its manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
