//! The next step of a product's releases.

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
use std::time::{Duration, Instant};

/// What is to be different from now on. Without anything in it, the same releases are listed for another while.
#[derive(Default)]
pub struct Change {
    /// Root documents that are new, the oldest first: envelopes.
    pub roots: Vec<String>,
    /// Manifests of releases to list: envelopes.
    pub manifests: Vec<String>,
    /// Releases to take off the list.
    pub remove: Vec<Version>,
    /// The minimum version; what it was unless given.
    pub minimum_version: Option<Version>,
    /// How long the list holds, in milliseconds.
    pub valid_ms: u64,
}

/// Gets a checkpoint cosigned: the site, the note, the size of the log before. Answers signature lines of as many witnesses
/// as did; whether that is enough, the root document says.
pub(crate) type Cosign<'a> = &'a dyn Fn(&Site, &str, u64) -> Vec<String>;

/// Publishes a change: signs the next list, puts everything into the log, signs its checkpoint, and writes the folder, after
/// a client of before has accepted it all. On an error nothing that clients read has changed; if it was a witness's, the log
/// has grown, and the next attempt goes on from there.
///
/// # Errors
///
/// [`PublicationFault`], and whatever a client says of what would be published.
pub fn publish(
    site: &mut Site,
    change: &Change,
    list_signers: &[DocumentSigner],
    log_signer: &LogSigner,
    anchor: &TrustAnchor,
    now_ms: u64,
    cosign: Cosign<'_>,
) -> Result<ReleaseList, Error> {
    let started = Instant::now();
    let now = || {
        CheckTime::at(now_ms.saturating_add(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)))
    };
    if !site.is_locked() {
        return Err(PublicationFault::Busy.into());
    }
    let before = site.bundle().cloned();
    let old_size = site.entries().len() as u64;
    let mut roots = before.as_ref().map_or_else(Vec::new, |bundle| bundle.roots.clone());
    roots.extend(change.roots.iter().map(|root| site.append(root)));
    let newest = roots.last().ok_or(PublicationFault::NoRoot)?;
    let root = RootDocument::decode(payload("root", &newest.envelope)?.unverified_payload())?;
    // Nothing is added to a log that its own key has not signed so far: the one that is published, or the one of an attempt
    // that exchanged it and ended early.
    if let Some(note) = site.checkpoint()? {
        let published = before.as_ref().map(root_of).transpose()?;
        let logs = published.iter().chain([&root]).map(|root| &root.log);
        let verified: Vec<_> = logs.map(|log| log.verify_checkpoint(&note, &now())).collect();
        if verified.iter().all(Result::is_err) {
            verified.into_iter().next().transpose()?;
        }
    }

    let mut listed = releases(before.as_ref())?;
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
    let (releases, manifests): (Vec<_>, Vec<_>) = listed.into_iter().unzip();

    let last = before.as_ref().map(list_of).transpose()?;
    let minimum = last.as_ref().map_or(Version::new(0, 0, 0), |last| last.minimum_version);
    let list = ReleaseList {
        version: last_version(site, &root).checked_add(1).ok_or(PublicationFault::NoVersionLeft)?,
        product: root.product.clone(),
        issued_at: now_ms,
        expires_at: now_ms.saturating_add(change.valid_ms),
        minimum_version: change.minimum_version.unwrap_or(minimum),
        releases,
    };
    if list.expires_at > root.expires_at {
        return Err(PublicationFault::Outlives.into());
    }
    let signed = sign_list(&list, &root, list_signers)?;
    let entry = site.append(&signed);

    let log_key = log_signer.public(root.log.key.name()).filter(|key| *key == root.log.key);
    let log_key = log_key.ok_or(PublicationFault::KeyNotNamed("log"))?;
    let checkpoint = Checkpoint {
        origin: log_key.name().to_owned(),
        size: site.entries().len() as u64,
        root: site.root()?,
    };
    let note = log_signer.note(&log_key, &checkpoint.to_text());
    let shown: Vec<&BundleEntry> = roots.iter().chain(&manifests).chain([&entry]).collect();
    let published = before.as_ref().map(size_of).transpose()?.unwrap_or(0);
    let tiles = site.tiles_for(&shown, &[published, old_size])?;
    let mut bundle = Bundle { list: entry, manifests, checkpoint: note, tiles, roots };
    match as_clients_do(site, before.as_ref(), &bundle, anchor, &now()) {
        // All is well but for the cosignatures, which are to come.
        Err(Error::Refused(Refusal::Release(ReleaseFault::WitnessesBelowThreshold { .. }))) => {}
        checked => checked?,
    }
    // What a witness is shown is there, and stays, whatever becomes of the rest.
    site.write_log(old_size)?;
    site.replace("log/checkpoint", bundle.checkpoint.as_bytes())?;
    for lines in cosign(site, &bundle.checkpoint, old_size) {
        add_cosignatures(&mut bundle.checkpoint, &lines, &root.log, &now());
    }
    as_clients_do(site, before.as_ref(), &bundle, anchor, &now())?;
    write(site, &bundle, &list)?;
    Ok(list)
}

/// Adds those lines that are cosignatures of known witnesses. Others would only be in the way of clients.
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

/// What a client decides that has followed from the first root document on.
fn as_clients_do(
    site: &Site,
    before: Option<&Bundle>,
    bundle: &Bundle,
    anchor: &TrustAnchor,
    now: &CheckTime,
) -> Result<(), Error> {
    // As they read it, with all limits.
    let bundle = Bundle::decode(&bundle.encode())?;
    let mut memory = ReleaseState::default();
    if let Some(before) = before {
        // Whoever has followed accepted it while it held.
        let list = list_of(before)?;
        // Also if the clock was ahead then, or is behind now.
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
        // A list of nothing is a list: everything is revoked.
        Ok(_) | Err(Refusal::Release(ReleaseFault::NoRelease)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sign_list(list: &ReleaseList, root: &RootDocument, signers: &[DocumentSigner]) -> Result<String, Error> {
    let mut envelope = Envelope::new(LIST_PAYLOAD_TYPE, list.encode());
    for signer in signers {
        if !root.lists.keys().contains(signer.public()) {
            return Err(PublicationFault::KeyNotNamed("list").into());
        }
        signer.sign(&mut envelope);
    }
    Ok(text(&envelope))
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

/// What is listed now, each with its manifest.
fn releases(bundle: Option<&Bundle>) -> Result<Vec<(ListedRelease, BundleEntry)>, Error> {
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

/// Whether the log has another manifest of this version. A version means one image, for ever.
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

/// The version of the last list in the log that the present list keys have signed, whether it was published or not: no two
/// have the same. What keys that were replaced have signed does not count.
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

/// An envelope as text: JSON is.
fn text(envelope: &Envelope) -> String {
    String::from_utf8(envelope.encode()).unwrap_or_default()
}
