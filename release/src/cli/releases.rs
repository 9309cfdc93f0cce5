//! The commands around releases: keys, root documents, manifests, lists, and what clients make of them.

use crate::Error;
use clap::{Args, Subcommand};
use ok2cry_attest_verify::{
    CheckTime, TrustAnchor,
    release::{
        AcceptedReleases, Bundle, Checkpoint, DEFAULT_MAX_LIST_AGE_MS, Envelope, Hex, LIST_PAYLOAD_TYPE,
        List, Log, LogKey, MAX_BUNDLE_LEN, Manifest, Memory, Note, Predicate, PublicKey, ROOT_PAYLOAD_TYPE,
        ReleaseKey, Role, Root, STATEMENT_PAYLOAD_TYPE, Tile, TileSource as _, Version,
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

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key and print its public half: PEM, or a log's verifier key.
    Keygen(Keygen),
    /// Write a root document for `sign`: which keys sign what, and which log it is all in.
    Root(NewRoot),
    /// Write the manifest of an image for `sign`.
    Manifest(NewManifest),
    /// Add a signature to a root document, a manifest or a list. A manifest is held to your own build first.
    Sign(Sign),
    /// Print what a document says, and which keys its signatures name: look before you sign.
    Show {
        /// A root document, manifest or list.
        file: PathBuf,
    },
    /// Publish new manifests or root documents, or the same list for another while.
    Publish(Publish),
    /// Take releases off the list, and publish that.
    Revoke(Revoke),
    /// Decide as a client does, and say what is accepted.
    Verify(Verify),
    /// Print one line about the log's checkpoint, to be anchored elsewhere: its hash, origin and size.
    CheckpointHash {
        /// The published folder, or a checkpoint.
        site: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct Keygen {
    /// Make the key of a log with this origin (Ed25519) instead of one that signs documents (ECDSA P-384).
    #[arg(long, value_name = "ORIGIN")]
    log: Option<String>,
    /// Where to write the private key (PKCS #8 PEM, for its owner only). Nothing is overwritten.
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct NewRoot {
    /// What is released.
    #[arg(long)]
    product: String,
    /// 1 for the first, and one more each time.
    #[arg(long)]
    version: u64,
    /// For how long it holds, in days.
    #[arg(long, default_value_t = 365)]
    days: u64,
    #[command(flatten)]
    anchor: Anchor,
    /// Who signs root documents: public keys (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    root_key: Vec<PathBuf>,
    /// How many of them must.
    #[arg(long, default_value_t = 1)]
    root_threshold: usize,
    /// Who signs manifests: the builders' public keys (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    manifest_key: Vec<PathBuf>,
    /// How many of them must.
    #[arg(long, default_value_t = 1)]
    manifest_threshold: usize,
    /// Who signs lists: public keys (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    list_key: Vec<PathBuf>,
    /// How many of them must.
    #[arg(long, default_value_t = 1)]
    list_threshold: usize,
    /// The log's verifier key, as `keygen --log` prints it.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    log_key: LogKey,
    /// Verifier keys of witnesses.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    witness: Vec<LogKey>,
    /// How many of them must cosign.
    #[arg(long, default_value_t = 0)]
    witness_threshold: usize,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Args)]
pub(crate) struct NewManifest {
    #[command(flatten)]
    build: Build,
    /// What is released, as the root document calls it.
    #[arg(long)]
    product: String,
    /// The release's version.
    #[arg(long, value_parser = version)]
    version: Version,
    /// The repository's address.
    #[arg(long)]
    repository: String,
    /// The commit, 40 digits.
    #[arg(long, value_parser = commit)]
    commit: Hex<20>,
    /// The bill of materials (`CycloneDX`, JSON).
    #[arg(long, value_name = "FILE")]
    sbom: Option<PathBuf>,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// An image as this machine has built it.
#[derive(Args)]
pub(crate) struct Build {
    /// The image; for a mock, its program.
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// The manifest that the build wrote beside it.
    #[arg(long, value_name = "FILE", required_unless_present = "mock_measurements")]
    build: Option<PathBuf>,
    /// The kernel's configuration fragment (image/kernel/fragment).
    #[arg(long, value_name = "FILE", requires = "build")]
    kernel_fragment: Option<PathBuf>,
    /// What a mock NSM pretends to have measured, instead of a measurement. Never under AWS's root.
    #[arg(long, value_name = "FILE", conflicts_with = "build")]
    mock_measurements: Option<PathBuf>,
    #[command(flatten)]
    anchor: Anchor,
}

#[derive(Args)]
pub(crate) struct Anchor {
    /// The certificate (PEM) under which enclaves attest; AWS's if left out.
    #[arg(long, value_name = "PEM")]
    attestation_root: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Sign {
    /// The private key.
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// For a manifest: your own image of the same commit. It must be the one that the manifest describes.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The manifest that your build wrote beside it.
    #[arg(long, value_name = "FILE", requires = "image")]
    build: Option<PathBuf>,
    /// The kernel's configuration fragment.
    #[arg(long, value_name = "FILE", requires = "build")]
    kernel_fragment: Option<PathBuf>,
    /// For a mock: what its NSM pretends to have measured.
    #[arg(long, value_name = "FILE", requires = "image", conflicts_with = "build")]
    mock_measurements: Option<PathBuf>,
    #[command(flatten)]
    anchor: Anchor,
    /// What to sign. The signature is added to the file.
    file: PathBuf,
}

#[derive(Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    publishing: Publishing,
    /// A signed manifest to list.
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// A signed root document.
    #[arg(long, value_name = "FILE")]
    root: Vec<PathBuf>,
    /// A release to take off the list at the same time.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    revoke: Vec<Version>,
}

#[derive(Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    publishing: Publishing,
    /// The releases.
    #[arg(required = true, value_parser = version)]
    version: Vec<Version>,
}

#[derive(Args)]
struct Publishing {
    /// The folder to publish in.
    #[arg(long)]
    site: PathBuf,
    /// A private key that signs lists.
    #[arg(long, required = true, value_name = "PEM")]
    list_key: Vec<PathBuf>,
    /// The log's private key.
    #[arg(long, value_name = "PEM")]
    log_key: PathBuf,
    /// For how long the list holds, in hours.
    #[arg(long, default_value_t = 24 * 7)]
    hours: u64,
    /// The lowest version that may be listed; what it was if left out.
    #[arg(long, value_parser = version)]
    minimum_version: Option<Version>,
    #[command(flatten)]
    anchor: Anchor,
    /// A witness to ask for a cosignature: its address up to `/add-checkpoint`.
    #[cfg(feature = "witness")]
    #[arg(long, value_name = "URL")]
    witness_url: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Verify {
    /// A key that signs root documents: what clients pin (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    key: Vec<PathBuf>,
    /// How many of the keys must have signed; all of them if left out.
    #[arg(long)]
    threshold: Option<usize>,
    /// The oldest list to take, in hours.
    #[arg(long, default_value_t = DEFAULT_MAX_LIST_AGE_MS / 3_600_000)]
    max_list_age: u64,
    /// The lowest version to take.
    #[arg(long, default_value = "0.0.0", value_parser = version)]
    minimum_version: Version,
    /// Remember here what was accepted, and take nothing older.
    #[arg(long, value_name = "FILE")]
    memory: Option<PathBuf>,
    /// Say also whether this image is one of the releases.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    anchor: Anchor,
    /// The published folder, or a bundle. Of a folder, every entry of the log is checked too.
    site: PathBuf,
}

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

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| "a version is three numbers, as in 1.20.3".into())
}

fn commit(text: &str) -> Result<Hex<20>, String> {
    Hex::parse(text).ok_or_else(|| "a commit is 40 lower-case hexadecimal digits".into())
}

fn log_key(text: &str) -> Result<LogKey, String> {
    LogKey::parse(text).ok_or_else(|| "a verifier key is NAME+ID+BASE64 (Ed25519)".into())
}

fn now_ms() -> u64 {
    CheckTime::system().now_ms
}
