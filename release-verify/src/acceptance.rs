//! Acceptance: from a pinned release key to the measurements that are accepted now. The order of all checks.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use ok2cry_attest_verify::support::millis;
use ok2cry_attest_verify::{CheckTime, Measurements, TrustAnchor};
use ok2cry_tlog::merkle::leaf_hash;
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
/// The most tiles that are fetched for one check. A consistency proof needs two for each of the six tile
/// levels of a log with 2^48 entries. The bundle has the others.
const MAX_FETCHED_TILES: usize = 32;

/// What a client pins instead of measurements: the keys that sign a product's root documents, and its own
/// limits.
///
/// The keys may be those of any version of the root document. The check finds the document that they signed
/// and follows the versions from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseKey {
    pinned: Role,
    max_list_age_ms: u64,
    minimum_version: Version,
}

impl ReleaseKey {
    /// One key, as PEM (`PUBLIC KEY`, ECDSA P-384). Its holder alone decides, whatever threshold the root
    /// document sets. Pin as many keys as must sign.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Field`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        Ok(Self::from_role(Role::new(1, vec![SignerKey::from_pem(pem)?])?))
    }

    /// Several keys with a threshold. This threshold protects the client, not the one in the root document.
    #[must_use]
    pub fn from_role(pinned: Role) -> Self {
        Self { pinned, max_list_age_ms: millis(DEFAULT_MAX_LIST_AGE), minimum_version: Version::new(0, 0, 0) }
    }

    /// Accepts lists of at most this age, which bounds how long a host can withhold a revocation. The default
    /// is seven days.
    #[must_use]
    pub fn with_max_list_age(self, max_list_age: Duration) -> Self {
        Self { max_list_age_ms: millis(max_list_age), ..self }
    }

    /// Accepts no release below this version, even if it is listed.
    #[must_use]
    pub fn with_minimum_version(self, minimum_version: Version) -> Self {
        Self { minimum_version, ..self }
    }

    /// Checks a bundle offline: root documents from the pinned keys on, the list, every listed manifest, and
    /// that all of them are in the log. `anchor` is the root that the enclaves' documents are verified under.
    /// `state` is what this client saw before. It is updated on success, and on [`ReleaseFault::NoRelease`];
    /// after any other error it is unchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Release`], [`Error::Log`], and [`Error::Attestation`] for a manifest with registers that no
    /// policy may hold.
    pub fn check(
        &self,
        bundle: &Bundle,
        anchor: &TrustAnchor,
        state: &mut ReleaseState,
        time: &CheckTime,
    ) -> Result<AcceptedReleases, Error> {
        self.check_with_tiles(bundle, &|_: &Tile| None, anchor, state, time)
    }

    /// Like [`ReleaseKey::check`], with a source of tiles that the bundle lacks. A client with a saved
    /// checkpoint needs some if the log has grown past a full tile since.
    ///
    /// # Errors
    ///
    /// As [`ReleaseKey::check`].
    pub fn check_with_tiles(
        &self,
        bundle: &Bundle,
        more: &dyn TileSource,
        anchor: &TrustAnchor,
        state: &mut ReleaseState,
        time: &CheckTime,
    ) -> Result<AcceptedReleases, Error> {
        let pinned = self.pinned.digest();
        let saved = state.of(&pinned);
        let clock_ms = time.now_ms;
        let time = &saved.not_before(time);
        let walked = self.walk_roots(bundle, &saved)?;
        walked.check(anchor, time)?;
        let root = &walked.newest;
        let note = bundle.checkpoint.as_bytes();
        let (checkpoint, cosigned) = root.log.verify_checkpoint(note, time)?;
        let tiles = CachedTiles { bundle, more, fetched: RefCell::default() };
        let log = CheckedLog { tiles: Tiles::new(&tiles, checkpoint.size), checkpoint };
        log.check_continues(&saved)?;
        for entry in bundle.roots.iter().skip(walked.first) {
            log.check_includes(root::WHAT, entry)?;
        }

        let (list, digest) = self.check_list(bundle, &walked, &saved, time)?;
        log.check_includes(list::WHAT, &bundle.list)?;
        let releases = self.releases(bundle, root, &list, &log)?;
        let threshold = root.log.witness_threshold;
        if cosigned < threshold {
            return Err(ReleaseFault::WitnessesBelowThreshold { found: cosigned, threshold }.into());
        }
        let seen = Remembered {
            root_version: root.version,
            root_sha384: Some(walked.digest),
            list_version: list.version,
            list_sha384: Some(digest),
            checkpoint: Some(Note::parse(note)?.signed_only_by(root.log.keys())),
            latest_ms: Some(time.now_ms.max(list.issued_at)),
        };
        state.set(pinned, seen);
        let too_old_ms = list.issued_at.saturating_add(self.max_list_age_ms);
        let ends_ms = list.expires_at.min(root.expires_at).min(too_old_ms);
        // The end by the caller's clock, which may be behind the saved time.
        let ends_ms = ends_ms.saturating_sub(time.now_ms.saturating_sub(clock_ms));
        // The state is saved even without a release: an older list must not follow one that revokes
        // everything.
        AcceptedReleases::new(releases, list, walked.newest, ends_ms)
    }

    /// Verifies the list, and returns it with the SHA-384 of its payload.
    fn check_list(
        &self,
        bundle: &Bundle,
        walked: &Walked,
        saved: &Remembered,
        time: &CheckTime,
    ) -> Result<(ReleaseList, Hex<48>), Error> {
        let root = &walked.newest;
        // An older list must not come back under a root document that would accept it.
        if bundle.roots.last().is_some_and(|newest| bundle.list.index <= newest.index) {
            return Err(ReleaseFault::ListBeforeRoot.into());
        }
        let envelope = Envelope::decode(list::WHAT, bundle.list.envelope.as_bytes())?;
        let list = ReleaseList::verify(&envelope, root)?;
        let digest = sha384(envelope.unverified_payload());
        self.check_age(&list, time)?;
        // Other list keys count anew: the last list of the old keys does not bind them.
        if walked.remembered.as_ref().is_none_or(|remembered| remembered.lists == root.lists) {
            check_not_rolled_back(saved, &list, &digest)?;
        }
        Ok((list, digest))
    }

    /// Follows root documents from the first one that the pinned keys have signed to the newest. The saved
    /// document must be among them, because pinned keys may have been stolen after they were replaced. The
    /// walk never begins at the saved document: others may be able to write the state, so it can only cause
    /// refusals.
    fn walk_roots(&self, bundle: &Bundle, saved: &Remembered) -> Result<Walked, Error> {
        let mut walked: Option<Walked> = None;
        let mut named = KeyIds::new([]);
        for (first, entry) in bundle.roots.iter().enumerate() {
            let envelope = Envelope::decode(root::WHAT, entry.envelope.as_bytes())?;
            let digest = sha384(envelope.unverified_payload());
            let is_remembered = saved.root_sha384 == Some(digest);
            named = KeyIds::new(envelope.key_ids());
            let mut next = match walked.take() {
                None => match RootDocument::verify(&envelope, &self.pinned) {
                    Ok(newest) => Walked { first, newest, digest, remembered: None },
                    // From before the pinned keys were in use.
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
        let seen = saved.root_version;
        match walked.newest.version {
            found if found < seen => Err(ReleaseFault::RootRolledBack { found, seen }.into()),
            _ if saved.root_sha384.is_some() && walked.remembered.is_none() => {
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
        log: &CheckedLog<'_>,
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
            log.check_includes(manifest::WHAT, entry)?;
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
    /// The index in the bundle where the walk begins.
    first: usize,
    newest: RootDocument,
    /// SHA-384 of the payload of the newest document.
    digest: Hex<48>,
    /// The saved document, once it was found.
    remembered: Option<RootDocument>,
}

impl Walked {
    /// Checks that the newest document has not expired, and that it is for enclaves under `anchor`.
    fn check(&self, anchor: &TrustAnchor, time: &CheckTime) -> Result<(), Error> {
        let root = &self.newest;
        if let Some(by_ms) = time.past(root.expires_at) {
            return Err(ReleaseFault::RootExpired { by_ms }.into());
        }
        if root.attestation_root.0 != anchor.fingerprint() {
            return Err(ReleaseFault::Anchor.into());
        }
        Ok(())
    }

    /// Follows to the next version.
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

/// The bundle's tiles, then those of another source: each fetched once, with a limit.
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

/// A log whose checkpoint was verified.
struct CheckedLog<'a> {
    checkpoint: Checkpoint,
    tiles: Tiles<'a>,
}

impl CheckedLog<'_> {
    /// Checks that the log has this entry at its index.
    fn check_includes(&self, what: &'static str, entry: &BundleEntry) -> Result<(), Error> {
        let absent = || Error::from(ReleaseFault::NotInLog { what });
        if entry.index >= self.checkpoint.size {
            return Err(absent());
        }
        let leaf = leaf_hash(entry.envelope.as_bytes());
        let path = self.tiles.inclusion_proof(entry.index)?;
        match self.checkpoint.head().includes(entry.index, &leaf, &path) {
            true => Ok(()),
            false => Err(absent()),
        }
    }

    /// Checks that the log continues the one of the saved checkpoint.
    fn check_continues(&self, saved: &Remembered) -> Result<(), Error> {
        let Some(seen) = saved.log()? else { return Ok(()) };
        let now = &self.checkpoint;
        if seen.origin != now.origin {
            // Another log: only a root document can have named it.
            return Ok(());
        }
        let proof = self.tiles.consistency_proof(seen.size)?;
        match now.head().continues(&seen.head(), &proof) {
            true => Ok(()),
            false => Err(ReleaseFault::LogForked { found: now.size, seen: seen.size }.into()),
        }
    }
}

fn check_not_rolled_back(seen: &Remembered, list: &ReleaseList, digest: &Hex<48>) -> Result<(), Error> {
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

/// Releases that were checked. It cannot be made in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedReleases {
    releases: Vec<AcceptedRelease>,
    list: ReleaseList,
    root: RootDocument,
    policy: ReleasePolicy,
}

/// An accepted release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedRelease {
    measurements: Measurements,
    manifest: Manifest,
}

impl AcceptedReleases {
    fn new(
        releases: Vec<AcceptedRelease>,
        list: ReleaseList,
        root: RootDocument,
        ends_ms: u64,
    ) -> Result<Self, Error> {
        if releases.is_empty() {
            return Err(ReleaseFault::NoRelease.into());
        }
        let measurements = releases.iter().map(|release| release.measurements.clone());
        let policy = ReleasePolicy::new(measurements.collect(), ends_ms)?;
        Ok(Self { releases, list, root, policy })
    }

    /// The releases, in the order of [`ok2cry_attest_verify::AcceptedDocument::release`].
    #[must_use]
    pub fn releases(&self) -> &[AcceptedRelease] {
        &self.releases
    }

    /// The list of these releases.
    #[must_use]
    pub fn list(&self) -> &ReleaseList {
        &self.list
    }

    /// The newest root document.
    #[must_use]
    pub fn root(&self) -> &RootDocument {
        &self.root
    }

    /// When they end, in Unix milliseconds of the clock of the check: with the list, with the root document,
    /// or at the maximum age of the list. Earlier if that clock was behind the latest time in the state.
    #[must_use]
    pub fn ends_ms(&self) -> u64 {
        self.policy.ends_ms()
    }

    /// A policy that accepts enclaves that run one of the releases, until they end.
    #[must_use]
    pub fn policy(&self) -> ReleasePolicy {
        self.policy.clone()
    }
}

impl AcceptedRelease {
    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.manifest.predicate.version
    }

    /// The measurements, one set.
    #[must_use]
    pub fn measurements(&self) -> &Measurements {
        &self.measurements
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
