//! The commands around releases: keys, root documents, manifests, lists, and what clients make of them.

use crate::{
    Error,
    arguments::{Anchor, Command, Keygen, NewManifest, NewRoot, Publishing, Sign, Verify},
};
use ok2cry_attest_verify::{
    CheckTime, TrustAnchor,
    release::{
        AcceptedReleases, Bundle, Checkpoint, Envelope, Hex, LIST_PAYLOAD_TYPE, List, Log, MAX_BUNDLE_LEN,
        Manifest, Memory, Note, Predicate, PublicKey, ROOT_PAYLOAD_TYPE, ReleaseKey, Role, Root,
        STATEMENT_PAYLOAD_TYPE, Tile, TileSource as _,
    },
};
use ok2cry_release::{
    durable::{lock, replace},
    publication::{Built, Change, Described, DocumentSigner, LogSigner, PublicationFault, Site, publish},
};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The longest key, certificate or manifest that is read, in bytes.
const MAX_SMALL: u64 = 1 << 20;
/// The longest image or bill of materials.
const MAX_LARGE: u64 = ok2cry_release::eif::MAX_EIF_LEN;

pub(crate) fn run(command: &Command) -> Result<String, Error> {
    match command {
        Command::Keygen(command) => keygen(command),
        Command::Root(command) => root(command),
        Command::Manifest(command) => manifest(command),
        Command::Sign(command) => sign(command),
        Command::Show { file } => show(file),
        Command::Publish(command) => {
            let change = Change {
                roots: texts(&command.root)?,
                manifests: texts(&command.manifest)?,
                remove: command.revoke.clone(),
                ..Change::default()
            };
            command.publishing.publish(change)
        }
        Command::Revoke(command) => {
            command.publishing.publish(Change { remove: command.version.clone(), ..Change::default() })
        }
        Command::Verify(command) => verify(command),
        Command::CheckpointHash { site } => checkpoint_hash(site),
    }
}

fn keygen(command: &Keygen) -> Result<String, Error> {
    let (private, public) = match &command.log {
        Some(origin) => {
            let signer = LogSigner::generate()?;
            let public = signer.public(origin).ok_or(PublicationFault::Key("a log with such an origin"))?;
            (signer.to_pem()?, public.to_string())
        }
        None => {
            let signer = DocumentSigner::generate()?;
            (signer.to_pem()?, signer.public_pem()?.trim_end().to_owned())
        }
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&command.file);
    file.and_then(|mut file| file.write_all(private.as_bytes())).map_err(in_file(&command.file))?;
    Ok(public)
}

fn root(command: &NewRoot) -> Result<String, Error> {
    let root = Root {
        version: command.version,
        product: command.product.clone(),
        expires_at: now_ms().saturating_add(command.days.saturating_mul(86_400_000)),
        attestation_root: Hex(command.anchor.read()?.fingerprint()),
        root: Role::new(command.root_threshold, public_keys(&command.root_key)?)?,
        manifests: Role::new(command.manifest_threshold, public_keys(&command.manifest_key)?)?,
        lists: Role::new(command.list_threshold, public_keys(&command.list_key)?)?,
        log: Log {
            key: command.log_key.clone(),
            witnesses: command.witness.clone(),
            witness_threshold: command.witness_threshold,
        },
    };
    // What a client would refuse is not written.
    Root::decode(&root.encode())?;
    replace(&command.out, &Envelope::new(ROOT_PAYLOAD_TYPE, root.encode()).encode())?;
    Ok(format!("{}: root document {}, to be signed", command.out.display(), root.version))
}

fn manifest(command: &NewManifest) -> Result<String, Error> {
    let built = built(
        &command.build.image,
        command.build.build.as_deref(),
        command.build.kernel_fragment.as_deref(),
        command.build.mock_measurements.as_deref(),
        &command.build.anchor,
    )?;
    let sbom = command.sbom.as_deref().map(|path| read(path, MAX_LARGE)).transpose()?;
    let envelope = built.describe(Described {
        product: command.product.clone(),
        version: command.version,
        created_at: now_ms(),
        repository: command.repository.clone(),
        commit: command.commit,
        sbom_sha256: sbom.map(|bytes| Hex(Sha256::digest(bytes).into())),
    })?;
    replace(&command.out, &envelope.encode())?;
    Ok(format!("{}: manifest of {}, to be signed", command.out.display(), command.version))
}

fn sign(command: &Sign) -> Result<String, Error> {
    let signer = document_signer(&command.key)?;
    let bytes = read(&command.file, MAX_SMALL)?;
    let mut envelope = Envelope::decode("document", &bytes)?;
    let payload = envelope.unverified_payload();
    let (kind, what) = match envelope.payload_type() {
        ROOT_PAYLOAD_TYPE => (ROOT_PAYLOAD_TYPE, format!("root document {}", Root::decode(payload)?.version)),
        LIST_PAYLOAD_TYPE => (LIST_PAYLOAD_TYPE, format!("list {}", List::decode(payload)?.version)),
        STATEMENT_PAYLOAD_TYPE => {
            let manifest = Manifest::decode(payload)?;
            let image = command
                .image
                .as_deref()
                .ok_or(PublicationFault::NotAsBuilt("there is no --image, so everything"))?;
            let (build, fragment) = (command.build.as_deref(), command.kernel_fragment.as_deref());
            let built = built(image, build, fragment, command.mock_measurements.as_deref(), &command.anchor)?;
            built.agrees(&manifest)?;
            // What is signed is bytes: there is to be no second way to write the same.
            if manifest.encode() != payload {
                return Err(PublicationFault::NotAsBuilt("the way it is written").into());
            }
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
    replace(&command.file, &envelope.encode())?;
    Ok(format!("{}: {what}, signed by {}", command.file.display(), signer.public().id()))
}

fn show(file: &Path) -> Result<String, Error> {
    let envelope = Envelope::decode("document", &read(file, MAX_SMALL)?)?;
    let payload: serde_json::Value = serde_json::from_slice(envelope.unverified_payload())
        .map_err(|_| PublicationFault::Kind(envelope.payload_type().chars().take(100).collect()))?;
    // JSON that was written escapes what a terminal would act on.
    let mut said = serde_json::to_string_pretty(&payload).unwrap_or_default();
    for key in envelope.key_ids() {
        said += &format!("\na signature names {}", key.escape_default());
    }
    Ok(said)
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
        let list =
            publish(&mut site, &change, &signers, &log_signer, &self.anchor.read()?, now_ms(), &cosign)?;
        let releases: Vec<_> = list.releases.iter().map(|release| release.version.to_string()).collect();
        let releases = if releases.is_empty() { "nothing".into() } else { releases.join(", ") };
        Ok(format!(
            "{}: list {} of {releases}, for {} hours; {} log entries",
            self.site.display(),
            list.version,
            self.hours,
            site.entries().len()
        ))
    }

    /// Whoever does not cosign is named, and left out.
    #[cfg(feature = "witness")]
    fn cosign(&self, site: &Site, note: &str, seen: u64) -> Vec<String> {
        let ask = |url: &String| ok2cry_release::publication::cosign(url, site, note, seen);
        let said = |error: &Error| eprintln!("warning: {}: {error}", error.code());
        self.witness_url.iter().filter_map(|url| ask(url).inspect_err(said).ok()).collect()
    }

    #[cfg(not(feature = "witness"))]
    #[allow(clippy::unused_self, reason = "the feature's shape")]
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
    let _alone = command.memory.as_deref().map(lock).transpose()?;
    let mut memory = match &command.memory {
        Some(path) if path.exists() => Memory::decode(&read(path, MAX_SMALL)?)?,
        _ => Memory::default(),
    };
    let threshold = command.threshold.unwrap_or(command.key.len());
    let key = ReleaseKey::from_role(Role::new(threshold, public_keys(&command.key)?)?)
        .max_list_age_ms(command.max_list_age.saturating_mul(3_600_000))
        .minimum_version(command.minimum_version);
    if let Some(site) = &site {
        // Whatever the verdict.
        for line in entries(site, &bundle)? {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
    }
    let before = memory.clone();
    let tiles = |tile: &Tile| site.as_ref().and_then(|site| site.tile(tile));
    let anchor = command.anchor.read()?;
    let checked = key.check_with_tiles(&bundle, &tiles, &anchor, &mut memory, &CheckTime::system());
    if let Some(path) = command.memory.as_ref().filter(|_| memory != before) {
        replace(path, &memory.encode())?;
    }
    let accepted = checked?;
    let mut said = describe(&accepted);
    if let Some(site) = &site {
        said += &format!("\n{}", check_log(site, &bundle, &accepted)?);
    }
    if let Some(path) = &command.image {
        said += &format!("\n{}", which(&accepted, path)?);
    }
    Ok(said)
}

fn describe(accepted: &AcceptedReleases) -> String {
    let list = accepted.list();
    let mut lines = vec![format!(
        "{}: list {} of root document {}, for another {} minutes",
        list.product,
        list.version,
        accepted.root().version,
        accepted.ends_ms().saturating_sub(now_ms()) / 60_000
    )];
    for release in accepted.releases() {
        let predicate = &release.manifest().predicate;
        lines.push(format!("accepted {} of commit {}", release.version(), predicate.source.commit));
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

/// Every document in the log, listed or not, and whether it is signed as the newest root document asks.
fn entries(site: &Site, bundle: &Bundle) -> Result<Vec<String>, Error> {
    let newest = bundle.roots.last().ok_or(PublicationFault::NoRoot)?;
    let newest = Envelope::decode("root", newest.envelope.as_bytes())?;
    let root = Root::decode(newest.unverified_payload())?;
    let by = |envelope: &Envelope, role| match envelope.verify("entry", envelope.payload_type(), role) {
        Ok(_) => "signed by those who may sign now",
        Err(_) => "not signed by enough of those who may sign now",
    };
    let about = |entry: &Vec<u8>| -> Option<String> {
        let envelope = Envelope::decode("entry", entry).ok()?;
        let payload = envelope.unverified_payload();
        Some(match envelope.payload_type() {
            ROOT_PAYLOAD_TYPE => format!("root document {}", Root::decode(payload).ok()?.version),
            LIST_PAYLOAD_TYPE => {
                let list = List::decode(payload).ok()?;
                let versions: Vec<_> =
                    list.releases.iter().map(|release| release.version.to_string()).collect();
                format!("list {} of {}, {}", list.version, versions.join(", "), by(&envelope, &root.lists))
            }
            STATEMENT_PAYLOAD_TYPE => {
                let Predicate { version, source, .. } = Manifest::decode(payload).ok()?.predicate;
                format!("manifest of {version}, commit {}, {}", source.commit, by(&envelope, &root.manifests))
            }
            _ => return None,
        })
    };
    let lines = site.entries().iter().enumerate();
    Ok(lines
        .map(|(n, entry)| format!("entry {n}: {}", about(entry).unwrap_or_else(|| "something else".into())))
        .collect())
}

/// The whole log, as an auditor looks at it: every entry, and that bundle and checkpoint are of one log.
fn check_log(site: &Site, bundle: &Bundle, accepted: &AcceptedReleases) -> Result<String, Error> {
    let note = site.checkpoint()?.unwrap_or_default();
    Checkpoint::verify(&note, &accepted.root().log, &CheckTime::system())?;
    let shown = Checkpoint::parse(Note::parse(bundle.checkpoint.as_bytes())?.unverified_text())?;
    match site.begins_with(&shown)? {
        true => Ok(format!("the log {} holds {} entries, all there", shown.origin, site.entries().len())),
        false => Err(PublicationFault::Site("the bundle's checkpoint is of another log".into()).into()),
    }
}

/// Which of the releases an image is.
fn which(accepted: &AcceptedReleases, path: &Path) -> Result<String, Error> {
    let digest = Hex::<48>(sha2::Sha384::digest(read(path, MAX_LARGE)?).into());
    let is = |release: &&ok2cry_attest_verify::release::AcceptedRelease| {
        release.manifest().image().is_some_and(|image| image.digest.sha384 == digest)
    };
    let release = accepted.releases().iter().find(is).ok_or(PublicationFault::NoSuchImage)?;
    Ok(format!("{} is release {}", path.display(), release.version()))
}

fn checkpoint_hash(site: &Path) -> Result<String, Error> {
    let path = if site.is_dir() { site.join("log/checkpoint") } else { site.to_owned() };
    let note = read(&path, MAX_SMALL)?;
    let text = Note::parse(&note)?.unverified_text();
    let checkpoint = Checkpoint::parse(text)?;
    let hash = Hex::<32>(Sha256::digest(text).into());
    Ok(format!("sha256:{hash} {} {}", checkpoint.origin, checkpoint.size))
}

fn built(
    image: &Path,
    build: Option<&Path>,
    fragment: Option<&Path>,
    mock: Option<&Path>,
    anchor: &Anchor,
) -> Result<Built, Error> {
    let (image, anchor) = (read(image, MAX_LARGE)?, anchor.read()?);
    if let Some(mock) = mock {
        return Built::mock(image, &read(mock, MAX_SMALL)?, &anchor);
    }
    let build = build.map(|path| read(path, MAX_SMALL)).transpose()?;
    let fragment = fragment.map(|path| read(path, MAX_SMALL)).transpose()?;
    let build = build.ok_or(PublicationFault::Build("there is no --build"))?;
    Built::image(image, &build, fragment.as_deref(), &anchor)
}

impl Anchor {
    fn read(&self) -> Result<TrustAnchor, Error> {
        match &self.attestation_root {
            None => Ok(TrustAnchor::aws_nitro()),
            Some(path) => Ok(TrustAnchor::from_pem(&text(path)?)?),
        }
    }
}

fn public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Error> {
    paths.iter().map(|path| Ok(PublicKey::from_pem(&text(path)?)?)).collect()
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

fn read(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
        .map_err(in_file(path))?;
    match bytes.len() as u64 > max {
        true => Err(in_file(path)(std::io::ErrorKind::FileTooLarge.into())),
        false => Ok(bytes),
    }
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    |source| Error::Io { path, source }
}

fn now_ms() -> u64 {
    CheckTime::system().now_ms
}
