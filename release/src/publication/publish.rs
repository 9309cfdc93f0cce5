//! Publishes the next list of a product's releases.

use super::{DocumentSigner, LogSigner, PublicationFault, Site};
use crate::error::Error;
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release_verify::{
    Bundle, BundleEntry, Envelope, Error as Refusal, Hex, LIST_PAYLOAD_TYPE, ListedRelease, Manifest,
    ReleaseFault, ReleaseKey, ReleaseList, ReleaseLog, ReleaseState, RootDocument, STATEMENT_PAYLOAD_TYPE,
    Version,
};
use ok2cry_tlog::{Checkpoint, Note};
use sha2::{Digest, Sha384};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The changes of one publication. An empty change lists the same releases for another period.
#[derive(Default)]
pub struct Change {
    /// New root documents, the oldest first: envelopes.
    pub roots: Vec<String>,
    /// Manifests of releases to list: envelopes.
    pub manifests: Vec<String>,
    /// Releases to remove from the list.
    pub remove: Vec<Version>,
    /// The minimum version; unchanged if `None`.
    pub minimum_version: Option<Version>,
    /// The list's validity, in milliseconds.
    pub valid_ms: u64,
}

/// Requests cosignatures of a checkpoint: takes the site, the note, and the log's previous size. Returns the
/// signature lines of the witnesses that cosigned; the root document says how many are needed.
pub type Cosign<'a> = &'a dyn Fn(&Site, &str, u64) -> Vec<String>;

/// Signs and publishes changes.
pub struct Publisher<'a> {
    /// The keys that sign lists.
    pub list_signers: &'a [DocumentSigner],
    /// The key that signs checkpoints.
    pub log_signer: &'a LogSigner,
    /// The root certificate under which enclaves attest.
    pub anchor: &'a TrustAnchor,
    /// The current time, in Unix milliseconds.
    pub now_ms: u64,
    /// Requests cosignatures.
    pub cosign: Cosign<'a>,
}

/// Releases with the log entries of their manifests.
type Listed = Vec<(ListedRelease, BundleEntry)>;

impl Publisher<'_> {
    /// Publishes a change: signs the next list, appends everything to the log, signs its checkpoint, and
    /// writes the folder, after an existing client's checks have accepted the result.
    ///
    /// On an error, nothing that clients read has changed. If too few witnesses cosigned, the log has grown,
    /// and the next attempt continues from there.
    ///
    /// # Errors
    ///
    /// [`PublicationFault`], and every refusal by a client's checks.
    pub fn publish(&self, site: &mut Site, change: &Change) -> Result<ReleaseList, Error> {
        if !site.is_locked() {
            return Err(PublicationFault::Busy.into());
        }
        let started = Instant::now();
        let now = || {
            let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            CheckTime::at(self.now_ms.saturating_add(elapsed))
        };
        let before = site.bundle().cloned();
        let old_size = site.entries().len() as u64;
        let mut roots = before.as_ref().map_or_else(Vec::new, |bundle| bundle.roots.clone());
        roots.extend(change.roots.iter().map(|root| site.append(root)));
        let newest = roots.last().ok_or(PublicationFault::NoRoot)?;
        let root = RootDocument::decode(payload("root", &newest.envelope)?.unverified_payload())?;
        check_log_key(site, before.as_ref(), &root, &now())?;

        let (releases, manifests) = next_releases(site, before.as_ref(), change)?.into_iter().unzip();
        let list = self.next_list(site, &root, change, releases)?;
        let entry = site.append(&self.sign_list(&list, &root)?);
        let checkpoint = self.sign_checkpoint(site, &root)?;
        let mut bundle = Bundle { list: entry, manifests, checkpoint, tiles: BTreeMap::new(), roots };
        let shown: Vec<_> = bundle.roots.iter().chain(&bundle.manifests).chain([&bundle.list]).collect();
        let published = before.as_ref().map(size_of).transpose()?.unwrap_or(0);
        bundle.tiles = site.tiles_for(&shown, &[published, old_size])?;
        match as_clients_do(site, before.as_ref(), &bundle, self.anchor, &now()) {
            // Valid except for the cosignatures, which follow.
            Err(Error::Refused(Refusal::Release(ReleaseFault::WitnessesBelowThreshold { .. }))) => {}
            checked => checked?,
        }
        // Write the log first: what a witness has seen must stay, even if a later step fails.
        site.write_log(old_size)?;
        site.replace("log/checkpoint", bundle.checkpoint.as_bytes())?;
        for lines in (self.cosign)(site, &bundle.checkpoint, old_size) {
            add_cosignatures(&mut bundle.checkpoint, &lines, &root.log, &now());
        }
        as_clients_do(site, before.as_ref(), &bundle, self.anchor, &now())?;
        write(site, &bundle, &list)?;
        Ok(list)
    }

    /// The next list: its version is one above the last that the present list keys signed.
    fn next_list(
        &self,
        site: &Site,
        root: &RootDocument,
        change: &Change,
        releases: Vec<ListedRelease>,
    ) -> Result<ReleaseList, Error> {
        let last = site.bundle().map(list_of).transpose()?;
        let minimum = last.as_ref().map_or(Version::new(0, 0, 0), |last| last.minimum_version);
        let list = ReleaseList {
            version: last_version(site, root).checked_add(1).ok_or(PublicationFault::NoVersionLeft)?,
            product: root.product.clone(),
            issued_at: self.now_ms,
            expires_at: self.now_ms.saturating_add(change.valid_ms),
            minimum_version: change.minimum_version.unwrap_or(minimum),
            releases,
        };
        if list.expires_at > root.expires_at {
            return Err(PublicationFault::Outlives.into());
        }
        Ok(list)
    }

    fn sign_list(&self, list: &ReleaseList, root: &RootDocument) -> Result<String, Error> {
        let mut envelope = Envelope::new(LIST_PAYLOAD_TYPE, list.encode());
        for signer in self.list_signers {
            if !root.lists.keys().contains(signer.public()) {
                return Err(PublicationFault::KeyNotNamed("list").into());
            }
            signer.sign(&mut envelope);
        }
        Ok(text(&envelope))
    }

    /// A signed checkpoint of all entries of the log.
    fn sign_checkpoint(&self, site: &Site, root: &RootDocument) -> Result<String, Error> {
        let key = self.log_signer.public(root.log.key.name()).filter(|key| *key == root.log.key);
        let key = key.ok_or(PublicationFault::KeyNotNamed("log"))?;
        let checkpoint = Checkpoint {
            origin: key.name().to_owned(),
            size: site.entries().len() as u64,
            root: site.root()?,
        };
        Ok(self.log_signer.note(&key, &checkpoint.to_text()))
    }
}

/// Refuses a log whose checkpoint is signed neither by the published root document's log key nor by the new
/// one's. The new key can have signed if an attempt that replaced the key was interrupted.
fn check_log_key(
    site: &Site,
    before: Option<&Bundle>,
    root: &RootDocument,
    now: &CheckTime,
) -> Result<(), Error> {
    let Some(note) = site.checkpoint()? else { return Ok(()) };
    let published = before.map(root_of).transpose()?;
    let logs = published.iter().chain([root]).map(|root| &root.log);
    let verified: Vec<_> = logs.map(|log| log.verify_checkpoint(&note, now)).collect();
    if verified.iter().all(Result::is_err) {
        verified.into_iter().next().transpose()?;
    }
    Ok(())
}

/// The releases of the next list in order of their versions. Appends new manifests to the log.
fn next_releases(site: &mut Site, before: Option<&Bundle>, change: &Change) -> Result<Listed, Error> {
    let mut listed = releases(before)?;
    for version in &change.remove {
        let count = listed.len();
        listed.retain(|(release, _)| release.version != *version);
        if listed.len() == count {
            return Err(PublicationFault::NotListed(version.to_string()).into());
        }
    }
    for manifest in &change.manifests {
        let envelope = payload("manifest", manifest)?;
        let version = Manifest::decode(envelope.unverified_payload())?.predicate.version;
        if listed.iter().any(|(release, _)| release.version == version) {
            return Err(PublicationFault::Listed(version.to_string()).into());
        }
        if other_manifest(site, version, envelope.unverified_payload()) {
            return Err(PublicationFault::VersionTaken(version.to_string()).into());
        }
        let manifest_sha384 = Hex(Sha384::digest(envelope.unverified_payload()).into());
        listed.push((ListedRelease { version, manifest_sha384 }, site.append(manifest)));
    }
    listed.sort_by_key(|(release, _)| release.version);
    Ok(listed)
}

/// Adds the lines that are cosignatures of known witnesses. Clients have no use for others.
fn add_cosignatures(note: &mut String, lines: &str, log: &ReleaseLog, time: &CheckTime) {
    let cosigned =
        |note: &str| log.verify_checkpoint(note.as_bytes(), time).map_or(0, |(_, cosigned)| cosigned);
    for line in lines.split_inclusive('\n') {
        let with = format!("{note}{line}");
        if cosigned(&with) > cosigned(note) {
            *note = with;
        }
    }
}

/// Runs the checks of a client that has followed the releases from the first root document on.
fn as_clients_do(
    site: &Site,
    before: Option<&Bundle>,
    bundle: &Bundle,
    anchor: &TrustAnchor,
    now: &CheckTime,
) -> Result<(), Error> {
    // Decoded as a client does, with all limits.
    let bundle = Bundle::decode(&bundle.encode())?;
    let mut memory = ReleaseState::default();
    if let Some(before) = before {
        // Such a client accepted the previous bundle while it was valid.
        let list = list_of(before)?;
        // This clock may have been ahead then, or may be behind now.
        let then = CheckTime::at(now.now_ms.max(list.issued_at).min(list.expires_at));
        accept(site, before, anchor, &mut memory, &then)?;
    }
    accept(site, &bundle, anchor, &mut memory, now)
}

fn accept(
    site: &Site,
    bundle: &Bundle,
    anchor: &TrustAnchor,
    memory: &mut ReleaseState,
    time: &CheckTime,
) -> Result<(), Error> {
    let first = bundle.roots.first().ok_or(PublicationFault::NoRoot)?;
    let first = RootDocument::decode(payload("root", &first.envelope)?.unverified_payload())?;
    let key = ReleaseKey::from_role(first.root).with_max_list_age(Duration::MAX);
    match key.check_with_tiles(bundle, site, anchor, memory, time) {
        // An empty list is valid: everything is revoked.
        Ok(_) | Err(Refusal::Release(ReleaseFault::NoRelease)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn write(site: &Site, bundle: &Bundle, list: &ReleaseList) -> Result<(), Error> {
    for entry in &bundle.roots {
        let root = RootDocument::decode(payload("root", &entry.envelope)?.unverified_payload())?;
        site.write_once(&format!("root/{}.json", root.version), entry.envelope.as_bytes())?;
    }
    for (release, entry) in list.releases.iter().zip(&bundle.manifests) {
        site.replace(&format!("manifests/{}.json", release.version), entry.envelope.as_bytes())?;
    }
    site.replace("log/checkpoint", bundle.checkpoint.as_bytes())?;
    site.replace("list.json", bundle.list.envelope.as_bytes())?;
    site.replace("bundle.json", &bundle.encode())
}

/// The listed releases, each with its manifest.
fn releases(bundle: Option<&Bundle>) -> Result<Listed, Error> {
    let Some(bundle) = bundle else { return Ok(Vec::new()) };
    Ok(list_of(bundle)?.releases.into_iter().zip(bundle.manifests.iter().cloned()).collect())
}

fn size_of(bundle: &Bundle) -> Result<u64, Error> {
    Ok(Checkpoint::parse(Note::parse(bundle.checkpoint.as_bytes())?.unverified_text())?.size)
}

fn root_of(bundle: &Bundle) -> Result<RootDocument, Error> {
    let newest = bundle.roots.last().ok_or(PublicationFault::NoRoot)?;
    Ok(RootDocument::decode(payload("root", &newest.envelope)?.unverified_payload())?)
}

fn list_of(bundle: &Bundle) -> Result<ReleaseList, Error> {
    Ok(ReleaseList::decode(payload("list", &bundle.list.envelope)?.unverified_payload())?)
}

/// Whether the log has another manifest of this version. A version always means one image.
fn other_manifest(site: &Site, version: Version, payload: &[u8]) -> bool {
    site.entries().iter().any(|entry| {
        let envelope =
            Envelope::decode("manifest", entry).ok().filter(|e| e.payload_type() == STATEMENT_PAYLOAD_TYPE);
        envelope.is_some_and(|envelope| {
            let there = envelope.unverified_payload();
            there != payload && Manifest::decode(there).is_ok_and(|there| there.predicate.version == version)
        })
    })
}

/// The highest version of a list in the log that the present list keys have signed, published or not, so that
/// no two lists have the same version. Lists by replaced keys do not count.
fn last_version(site: &Site, root: &RootDocument) -> u64 {
    let lists = site.entries().iter().filter_map(|entry| {
        let envelope = Envelope::decode("list", entry).ok()?;
        ReleaseList::decode(envelope.verify("list", LIST_PAYLOAD_TYPE, &root.lists).ok()?).ok()
    });
    lists.map(|list| list.version).max().unwrap_or(0)
}

fn payload(what: &'static str, envelope: &str) -> Result<Envelope, Error> {
    Ok(Envelope::decode(what, envelope.as_bytes())?)
}

/// An envelope as text. Its encoding is JSON.
fn text(envelope: &Envelope) -> String {
    String::from_utf8(envelope.encode()).unwrap_or_default()
}
