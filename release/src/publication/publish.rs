//! The next step of a product's releases.

use super::{DocumentSigner, LogSigner, PublicationFault, Site};
use crate::error::Error;
use ok2cry_attest_verify::{
    CheckTime, Error as Refusal, TrustAnchor,
    release::{
        Bundle, Checkpoint, Entry, Envelope, Hex, LIST_PAYLOAD_TYPE, List, ListedRelease, Manifest, Memory,
        ReleaseFault, ReleaseKey, Root, STATEMENT_PAYLOAD_TYPE, Version,
    },
};
use sha2::{Digest, Sha384};

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

/// Gets a checkpoint cosigned: the site, the note, the size of the log before; answers more signature lines.
pub(crate) type Cosign<'a> = &'a dyn Fn(&Site, &str, u64) -> Result<String, Error>;

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
) -> Result<List, Error> {
    let before = site.bundle().cloned();
    let old_size = site.entries().len() as u64;
    let mut roots = before.as_ref().map_or_else(Vec::new, |bundle| bundle.roots.clone());
    roots.extend(change.roots.iter().map(|root| site.append(root)));
    let newest = roots.last().ok_or(PublicationFault::NoRoot)?;
    let root = Root::decode(payload("root", &newest.envelope)?.unverified_payload())?;

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
    let list = List {
        version: last_version(site) + 1,
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
    let shown: Vec<&Entry> = roots.iter().chain(&manifests).chain([&entry]).collect();
    let tiles = site.tiles_for(&shown, old_size)?;
    let mut bundle = Bundle { list: entry, manifests, checkpoint: note, tiles, roots };
    match as_clients_do(before.as_ref(), &bundle, anchor, now_ms) {
        Err(Error::Refused(Refusal::Release(ReleaseFault::WitnessesBelowThreshold { .. }))) => {}
        checked => checked?,
    }
    // What a witness is shown is there, and stays, whatever becomes of the rest.
    site.write_log(old_size)?;
    site.replace("log/checkpoint", bundle.checkpoint.as_bytes())?;
    let cosignatures = cosign(site, &bundle.checkpoint, old_size)?;
    bundle.checkpoint += &cosignatures;
    as_clients_do(before.as_ref(), &bundle, anchor, now_ms)?;
    write(site, &bundle, &list)?;
    Ok(list)
}

/// What a client decides that has followed from the first root document on.
fn as_clients_do(
    before: Option<&Bundle>,
    bundle: &Bundle,
    anchor: &TrustAnchor,
    now_ms: u64,
) -> Result<(), Error> {
    let mut memory = Memory::default();
    if let Some(before) = before {
        let issued = list_of(before)?.issued_at;
        accept(before, anchor, &mut memory, issued)?;
    }
    accept(bundle, anchor, &mut memory, now_ms)
}

fn accept(bundle: &Bundle, anchor: &TrustAnchor, memory: &mut Memory, now_ms: u64) -> Result<(), Error> {
    let first = bundle.roots.first().ok_or(PublicationFault::NoRoot)?;
    let first = Root::decode(payload("root", &first.envelope)?.unverified_payload())?;
    let key = ReleaseKey::from_role(first.root).max_list_age_ms(u64::MAX);
    match key.check(bundle, anchor, memory, &CheckTime::at(now_ms)) {
        // A list of nothing is a list: everything is revoked.
        Ok(_) | Err(Refusal::Release(ReleaseFault::NoRelease)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sign_list(list: &List, root: &Root, signers: &[DocumentSigner]) -> Result<String, Error> {
    let mut envelope = Envelope::new(LIST_PAYLOAD_TYPE, list.encode());
    for signer in signers {
        if !root.lists.keys().contains(signer.public()) {
            return Err(PublicationFault::KeyNotNamed("list").into());
        }
        signer.sign(&mut envelope);
    }
    Ok(text(&envelope))
}

fn write(site: &Site, bundle: &Bundle, list: &List) -> Result<(), Error> {
    for entry in &bundle.roots {
        let root = Root::decode(payload("root", &entry.envelope)?.unverified_payload())?;
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
fn releases(bundle: Option<&Bundle>) -> Result<Vec<(ListedRelease, Entry)>, Error> {
    let Some(bundle) = bundle else { return Ok(Vec::new()) };
    Ok(list_of(bundle)?.releases.into_iter().zip(bundle.manifests.iter().cloned()).collect())
}

fn list_of(bundle: &Bundle) -> Result<List, Error> {
    Ok(List::decode(payload("list", &bundle.list.envelope)?.unverified_payload())?)
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

/// The version of the last list in the log, whether it was published or not: no two have the same.
fn last_version(site: &Site) -> u64 {
    let lists = site.entries().iter().filter_map(|entry| {
        let envelope =
            Envelope::decode("list", entry).ok().filter(|e| e.payload_type() == LIST_PAYLOAD_TYPE)?;
        List::decode(envelope.unverified_payload()).ok()
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
