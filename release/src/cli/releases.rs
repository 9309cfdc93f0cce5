//! The commands for releases: keys, root documents, manifests, lists, and verification as by a client.

use crate::{
    Error,
    arguments::{
        Anchor, KeyKind, Keygen, NewManifest, NewRoot, Public, Publishing, ReleaseCommand, Sign, Verify,
    },
    images::{read, read_image, signed_by},
    inspect,
    output::{Report, say},
};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release::{
    durable::{Readers, create_private, lock, replace},
    eif::Eif,
    measure::Measurements,
    moment,
    publication::{
        BuildOutput, Built, Change, Described, DocumentSigner, Finding, LogSigner, PublicationFault,
        Publisher, Site, Weight,
    },
};
use ok2cry_release_verify::{
    AcceptedRelease, AcceptedReleases, Bundle, Envelope, Hex, LIST_PAYLOAD_TYPE, MAX_BUNDLE_LEN, Manifest,
    ROOT_PAYLOAD_TYPE, ReleaseKey, ReleaseList, ReleaseLog, ReleaseState, Role, RootDocument,
    STATEMENT_PAYLOAD_TYPE, SignerKey,
};
use ok2cry_tlog::{Checkpoint, Note, Tile, TileSource as _};
use sha2::{Digest, Sha256, Sha384};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The longest key, certificate or manifest that is read, in bytes.
const MAX_SMALL: u64 = 1 << 20;
/// The longest image or bill of materials.
const MAX_LARGE: u64 = ok2cry_release::eif::MAX_EIF_LEN;

pub(crate) fn run(command: &ReleaseCommand) -> Result<Report, Error> {
    let done = match command {
        ReleaseCommand::Keygen(command) => return keygen(command),
        ReleaseCommand::Public(command) => public(command),
        ReleaseCommand::Root(command) => root(command),
        ReleaseCommand::Manifest(command) => manifest(command),
        ReleaseCommand::Sign(command) => sign(command),
        ReleaseCommand::Show { file, root } => show(file, root.as_deref()),
        ReleaseCommand::Publish(command) => {
            let change = Change {
                roots: texts(&command.root)?,
                manifests: texts(&command.manifest)?,
                remove: command.revoke.clone(),
                ..Change::default()
            };
            command.publishing.publish(change)
        }
        ReleaseCommand::Revoke(command) => {
            command.publishing.publish(Change { remove: command.version.clone(), ..Change::default() })
        }
        ReleaseCommand::Verify(command) => verify(command),
        ReleaseCommand::CheckpointHash { site } => checkpoint_hash(site),
    };
    done.map(Report::from)
}

fn keygen(command: &Keygen) -> Result<Report, Error> {
    let (private, public) = match command.kind.is_of_note() {
        true => {
            let signer = LogSigner::generate()?;
            (signer.to_pem()?, command.kind.verifier_key(&signer)?)
        }
        false => {
            let signer = DocumentSigner::generate()?;
            (signer.to_pem()?, signer.public_pem()?.trim_end().to_owned())
        }
    };
    create_private(&command.file, private.as_bytes())?;
    let file = command.file.display();
    let if_lost = format!("the key is in {file}, and `ok2cry-release public` prints its public half again");
    Ok(Report { text: public, if_lost: Some(if_lost), ..Report::default() })
}

fn public(command: &Public) -> Result<String, Error> {
    let pem = text(&command.file)?;
    if command.kind.is_of_note() {
        return command.kind.verifier_key(&LogSigner::from_pem(&pem)?);
    }
    match DocumentSigner::from_pem(&pem) {
        Ok(signer) => Ok(signer.public_pem()?.trim_end().to_owned()),
        Err(_) if LogSigner::from_pem(&pem).is_ok() => Err(PublicationFault::Key {
            expected: "an ECDSA P-384 key",
            found: "an Ed25519 key of a log or a witness: add --log ORIGIN or --witness NAME",
        }
        .into()),
        Err(error) => Err(error),
    }
}

impl KeyKind {
    /// Whether the key signs notes: a log's or a witness's.
    fn is_of_note(&self) -> bool {
        self.log.is_some() || self.witness.is_some()
    }

    fn verifier_key(&self, signer: &LogSigner) -> Result<String, Error> {
        let name = self.log.as_ref().or(self.witness.as_ref()).cloned().unwrap_or_default();
        let key = if self.log.is_some() { signer.public(&name) } else { signer.witness(&name) };
        Ok(key.ok_or(PublicationFault::KeyName(name))?.to_string())
    }
}

fn root(command: &NewRoot) -> Result<String, Error> {
    let root = RootDocument {
        version: command.version,
        product: command.product.clone(),
        expires_at: now_ms().saturating_add(command.days.saturating_mul(86_400_000)),
        attestation_root: Hex(command.anchor.read()?.fingerprint()),
        root: Role::new(command.root_threshold, public_keys(&command.root_key)?)?,
        manifests: Role::new(command.manifest_threshold, public_keys(&command.manifest_key)?)?,
        lists: Role::new(command.list_threshold, public_keys(&command.list_key)?)?,
        log: ReleaseLog {
            key: command.log_key.clone(),
            witnesses: command.witness.clone(),
            witness_threshold: command.witness_threshold,
        },
    };
    // Do not write a document that a client would refuse.
    RootDocument::decode(&root.encode())?;
    replace(&command.out, &Envelope::new(ROOT_PAYLOAD_TYPE, root.encode()).encode(), Readers::All)?;
    let until = moment::shown(root.expires_at);
    Ok(format!("{}: root document {}, until {until}, to be signed", command.out.display(), root.version))
}

fn manifest(command: &NewManifest) -> Result<String, Error> {
    let files = BuildFiles {
        image: &command.build.image,
        manifest: command.build.build.as_deref(),
        kernel_fragment: command.build.kernel_fragment.as_deref(),
        mock_measurements: command.build.mock_measurements.as_deref(),
        anchor: &command.build.anchor,
    };
    let built = files.read()?;
    let sbom = command.sbom.as_deref().map(|path| read(path, MAX_LARGE)).transpose()?;
    let envelope = built.describe(Described {
        product: command.product.clone(),
        version: command.version,
        created_at: now_ms(),
        repository: command.repository.clone(),
        commit: command.commit,
        sbom_sha256: sbom.map(|bytes| Hex(Sha256::digest(bytes).into())),
    })?;
    replace(&command.out, &envelope.encode(), Readers::All)?;
    Ok(format!("{}: manifest of {}, to be signed", command.out.display(), command.version))
}

fn sign(command: &Sign) -> Result<String, Error> {
    let signer = document_signer(&command.key)?;
    let bytes = read(&command.file, MAX_SMALL)?;
    let mut envelope = Envelope::decode("document", &bytes)?;
    let payload = envelope.unverified_payload();
    let (kind, what) = match envelope.payload_type() {
        ROOT_PAYLOAD_TYPE => {
            (ROOT_PAYLOAD_TYPE, format!("root document {}", RootDocument::decode(payload)?.version))
        }
        LIST_PAYLOAD_TYPE => (LIST_PAYLOAD_TYPE, format!("list {}", ReleaseList::decode(payload)?.version)),
        STATEMENT_PAYLOAD_TYPE => {
            let manifest = Manifest::decode(payload)?;
            check_as_built(command, &manifest, payload)?;
            let source = &manifest.predicate.source;
            let what = format!("manifest of {} of commit {}", manifest.predicate.version, source.commit);
            (STATEMENT_PAYLOAD_TYPE, what)
        }
        other => return Err(PublicationFault::Kind(other.chars().take(100).collect()).into()),
    };
    let only = Role::new(1, vec![signer.public().clone()])?;
    if envelope.verify("document", kind, &only).is_ok() {
        return Err(PublicationFault::SignedAlready.into());
    }
    signer.sign(&mut envelope);
    replace(&command.file, &envelope.encode(), Readers::All)?;
    Ok(format!("{}: {what}, signed by {}", command.file.display(), signer.public().id()))
}

/// Compares a manifest, and its bytes, with the image that this machine has built.
fn check_as_built(command: &Sign, manifest: &Manifest, payload: &[u8]) -> Result<(), Error> {
    let image = command.image.as_deref();
    let files = BuildFiles {
        image: image.ok_or(PublicationFault::NotAsBuilt("there is no --image, so everything"))?,
        manifest: command.build.as_deref(),
        kernel_fragment: command.kernel_fragment.as_deref(),
        mock_measurements: command.mock_measurements.as_deref(),
        anchor: &command.anchor,
    };
    files.read()?.agrees(manifest)?;
    // The signature is over bytes, so only one encoding is accepted.
    match manifest.encode() == payload {
        true => Ok(()),
        false => Err(PublicationFault::NotAsBuilt("the way it is written").into()),
    }
}

fn show(file: &Path, root: Option<&Path>) -> Result<String, Error> {
    let envelope = Envelope::decode("document", &read(file, MAX_SMALL)?)?;
    let root = root.map(|path| read(path, MAX_SMALL)).transpose()?;
    let root = root.map(|bytes| RootDocument::decode(Envelope::decode("root", &bytes)?.unverified_payload()));
    inspect::document(&envelope, root.transpose()?.as_ref(), now_ms())
}

impl Publishing {
    fn publish(&self, change: Change) -> Result<String, Error> {
        let change = Change {
            valid_ms: self.hours.saturating_mul(3_600_000),
            minimum_version: self.minimum_version,
            ..change
        };
        let mut site = Site::open_to_publish(&self.site)?;
        let signers =
            self.list_key.iter().map(|path| document_signer(path)).collect::<Result<Vec<_>, _>>()?;
        let log_signer = LogSigner::from_pem(&text(&self.log_key)?)?;
        let cosign = |site: &Site, note: &str, seen: u64| self.cosign(site, note, seen);
        let publisher = Publisher {
            list_signers: &signers,
            log_signer: &log_signer,
            anchor: &self.anchor.read()?,
            now_ms: now_ms(),
            cosign: &cosign,
        };
        let list = publisher.publish(&mut site, &change)?;
        let releases: Vec<_> = list.releases.iter().map(|release| release.version.to_string()).collect();
        let releases = if releases.is_empty() { "nothing".into() } else { releases.join(", ") };
        Ok(format!(
            "{}: list {} of {releases}, for {} hours, until {}; {} log entries",
            self.site.display(),
            list.version,
            self.hours,
            moment::shown(list.expires_at),
            site.entries().len()
        ))
    }

    /// Prints a warning for each witness that does not cosign.
    #[cfg(feature = "witness")]
    fn cosign(&self, site: &Site, note: &str, seen: u64) -> Vec<String> {
        let ask = |url: &String| ok2cry_release::publication::cosign(url, site, note, seen);
        let said = |error: &Error| crate::output::note(&format!("warning: {}: {error}", error.code()));
        self.witness_url.iter().filter_map(|url| ask(url).inspect_err(said).ok()).collect()
    }

    #[cfg(not(feature = "witness"))]
    #[allow(clippy::unused_self, reason = "the same signature as with the feature")]
    fn cosign(&self, _: &Site, _: &str, _: u64) -> Vec<String> {
        Vec::new()
    }
}

fn verify(command: &Verify) -> Result<String, Error> {
    let site = command.site.is_dir().then(|| Site::open(&command.site)).transpose()?;
    let bundle = match &site {
        Some(site) => site.bundle().cloned().ok_or(PublicationFault::NoRoot)?,
        None => Bundle::decode(&read(&command.site, MAX_BUNDLE_LEN as u64)?)?,
    };
    let _locked = command.memory.as_deref().map(lock).transpose()?;
    let mut memory = match &command.memory {
        Some(path) if path.exists() => ReleaseState::decode(&read(path, MAX_SMALL)?)?,
        _ => ReleaseState::default(),
    };
    let threshold = command.threshold.unwrap_or(command.key.len());
    let key = ReleaseKey::from_role(Role::new(threshold, public_keys(&command.key)?)?)
        .with_max_list_age(Duration::from_secs(command.max_list_age.saturating_mul(3600)))
        .with_minimum_version(command.minimum_version);
    // Print the findings before the verdict.
    let findings = site.as_ref().map(|site| print_contents(site, &bundle)).transpose()?.unwrap_or_default();
    let before = memory.clone();
    let tiles = |tile: &Tile| site.as_ref().and_then(|site| site.tile(tile));
    let anchor = command.anchor.read()?;
    let checked = key.check_with_tiles(&bundle, &tiles, &anchor, &mut memory, &CheckTime::system());
    if let Some(path) = command.memory.as_ref().filter(|_| memory != before) {
        replace(path, &memory.encode(), Readers::Owner)?;
    }
    let accepted = checked?;
    let mut said = describe(&accepted);
    if let Some(site) = &site {
        said += &format!("\n{}", check_log(site, &findings, &accepted)?);
    }
    if let Some(path) = &command.image {
        said += &format!("\n{}", which(&accepted, path)?);
    }
    Ok(said)
}

/// Prints the findings about the folder's files, and every document in the log.
fn print_contents(site: &Site, bundle: &Bundle) -> Result<Vec<Finding>, Error> {
    let findings = site.audit()?;
    for finding in &findings {
        let weight = if finding.weight == Weight::Note { "note" } else { "DAMAGED" };
        say(&format!("{weight}: {finding}"))?;
    }
    for line in inspect::entries(site, bundle)? {
        say(&line)?;
    }
    Ok(findings)
}

fn describe(accepted: &AcceptedReleases) -> String {
    let list = accepted.list();
    let mut lines = vec![format!(
        "{}: list {} of root document {}, until {} (another {})",
        list.product,
        list.version,
        accepted.root().version,
        moment::shown(accepted.ends_ms()),
        moment::length(accepted.ends_ms().saturating_sub(now_ms()))
    )];
    for release in accepted.releases() {
        let predicate = &release.manifest().predicate;
        let created = moment::shown(predicate.created_at);
        let commit = predicate.source.commit;
        lines.push(format!("accepted {} of commit {commit}, made {created}", release.version()));
        lines.extend(
            predicate
                .measurements
                .iter()
                .filter(|(name, _)| name.starts_with("PCR"))
                .map(|(name, value)| format!("  {name} {value}")),
        );
    }
    lines.join("\n")
}

/// Checks the whole log as an auditor does: the checkpoint's signatures, and the findings about the folder's
/// files.
fn check_log(site: &Site, findings: &[Finding], accepted: &AcceptedReleases) -> Result<String, Error> {
    let note = site.checkpoint()?.unwrap_or_default();
    let (checkpoint, witnesses) = accepted.root().log.verify_checkpoint(&note, &CheckTime::system())?;
    let damage: Vec<_> = findings.iter().filter(|finding| finding.weight != Weight::Note).collect();
    if let Some(first) = damage.first() {
        let more = match damage.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        return Err(PublicationFault::Site(format!("{first}{more}")).into());
    }
    let witnessed = match accepted.root().log.witnesses.len() {
        0 => String::new(),
        of => format!(", cosigned by {witnesses} of {of} witnesses"),
    };
    Ok(format!(
        "the log {} holds {} entries{witnessed}, all present, and every file of the folder matches them",
        checkpoint.origin,
        site.entries().len()
    ))
}

/// Finds the release that an image is. A release's digests are of the image without its signature, so the
/// signer is compared by PCR8.
fn which(accepted: &AcceptedReleases, path: &Path) -> Result<String, Error> {
    let is = |digest: Hex<48>| {
        move |release: &&AcceptedRelease| {
            release.manifest().image().is_some_and(|image| image.digest.sha384 == digest)
        }
    };
    let sha384 = |bytes: &[u8]| Hex::<48>(Sha384::digest(bytes).into());
    if !is_eif(path)? {
        let digest = sha384(&read(path, MAX_LARGE)?);
        let release = accepted.releases().iter().find(is(digest)).ok_or(PublicationFault::NoSuchImage)?;
        return Ok(format!("{} is release {}", path.display(), release.version()));
    }
    let bytes = read_image(path)?;
    let eif = Eif::parse(&bytes)?;
    let (measurements, signer) = Measurements::with_signer(&eif)?;
    signer.as_ref().map(|signer| signer.valid_at(&CheckTime::system())).transpose()?;
    let digest = sha384(&eif.without_signature());
    let release = accepted.releases().iter().find(is(digest)).ok_or(PublicationFault::NoSuchImage)?;
    let due = release.manifest().predicate.measurements.get("PCR8").map(String::as_str);
    let found = measurements.pcr8.map(|pcr| pcr.to_string());
    let other = |how| Err(PublicationFault::OtherSigner(release.version().to_string(), how).into());
    match (due, found.as_deref()) {
        (due, found) if due == found => {}
        (Some(_), None) => return other("the image is not signed, and the release is"),
        (None, _) => return other("the image is signed, and the release is not"),
        (Some(_), Some(_)) => return other("the image's certificate is not the release's"),
    }
    let signed = signer.as_ref().map_or_else(|| "not signed".into(), signed_by);
    Ok(format!("{} is release {}, {signed}", path.display(), release.version()))
}

fn is_eif(path: &Path) -> Result<bool, Error> {
    use std::io::Read as _;
    let mut magic = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut magic))
        .map_err(|source| Error::Io { path: path.display().to_string(), source })?;
    Ok(magic == b".eif")
}

fn checkpoint_hash(site: &Path) -> Result<String, Error> {
    let path = if site.is_dir() { site.join("log/checkpoint") } else { site.to_owned() };
    let note = read(&path, MAX_SMALL)?;
    let text = Note::parse(&note)?.unverified_text();
    let checkpoint = Checkpoint::parse(text)?;
    let hash = Hex::<32>(Sha256::digest(text).into());
    Ok(format!("sha256:{hash} {} {}", checkpoint.origin, checkpoint.size))
}

/// The files of a build, as the command line names them.
struct BuildFiles<'a> {
    image: &'a Path,
    manifest: Option<&'a Path>,
    kernel_fragment: Option<&'a Path>,
    mock_measurements: Option<&'a Path>,
    anchor: &'a Anchor,
}

impl BuildFiles<'_> {
    fn read(&self) -> Result<Built, Error> {
        let anchor = self.anchor.read()?;
        if let Some(mock) = self.mock_measurements {
            return Built::mock(read(self.image, MAX_LARGE)?, &read(mock, MAX_SMALL)?, &anchor);
        }
        let manifest = self.manifest.map(|path| read(path, MAX_SMALL)).transpose()?;
        let fragment = self.kernel_fragment.map(|path| read(path, MAX_SMALL)).transpose()?;
        let output = BuildOutput {
            manifest: &manifest.ok_or(PublicationFault::Build("--build is required"))?,
            image: &read_image(self.image)?,
            kernel_fragment: fragment.as_deref(),
        };
        Built::image(&output, &anchor, &CheckTime::system())
    }
}

impl Anchor {
    fn read(&self) -> Result<TrustAnchor, Error> {
        match &self.attestation_root {
            None => Ok(TrustAnchor::aws_nitro()),
            Some(path) => Ok(TrustAnchor::from_pem(&text(path)?)?),
        }
    }
}

fn public_keys(paths: &[PathBuf]) -> Result<Vec<SignerKey>, Error> {
    paths.iter().map(|path| Ok(SignerKey::from_pem(&text(path)?)?)).collect()
}

fn document_signer(path: &Path) -> Result<DocumentSigner, Error> {
    DocumentSigner::from_pem(&text(path)?)
}

fn texts(paths: &[PathBuf]) -> Result<Vec<String>, Error> {
    paths.iter().map(|path| text(path).map(|text| text.to_string())).collect()
}

fn text(path: &Path) -> Result<zeroize::Zeroizing<String>, Error> {
    let bytes = read(path, MAX_SMALL)?;
    String::from_utf8(bytes)
        .map(Into::into)
        .map_err(|_| in_file(path)(std::io::ErrorKind::InvalidData.into()))
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    |source| Error::Io { path, source }
}

fn now_ms() -> u64 {
    CheckTime::system().now_ms
}
