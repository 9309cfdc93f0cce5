//! The arguments of the commands for releases.

use clap::{Args, Subcommand};
use ok2cry_release_verify::{DEFAULT_MAX_LIST_AGE, Hex, Version};
use ok2cry_tlog::VerifierKey;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Make a key and print its public half: PEM, or a log's verifier key.
    Keygen(Keygen),
    /// Print the public half of a private key again, as `keygen` did.
    Public(Public),
    /// Write a root document for `sign`: which keys sign what, and which log holds it.
    Root(NewRoot),
    /// Write the manifest of an image for `sign`.
    Manifest(NewManifest),
    /// Add a signature to a root document, a manifest or a list. A manifest is compared with your own build
    /// first.
    Sign(Sign),
    /// Print a document with times, named keys and its signatures, to read before you sign.
    Show {
        /// A root document, manifest or list.
        file: PathBuf,
        /// The root document that names the keys of builders and lists. It is not checked.
        #[arg(long, value_name = "FILE")]
        root: Option<PathBuf>,
    },
    /// Publish new manifests or root documents, or renew the list.
    Publish(Publish),
    /// Remove releases from the list, and publish that.
    Revoke(Revoke),
    /// Verify as a client does, and print what is accepted.
    Verify(Verify),
    /// Print the hash, origin and size of the log's checkpoint, as one line to anchor elsewhere.
    CheckpointHash {
        /// The published folder, or a checkpoint.
        site: PathBuf,
    },
}

#[derive(Args)]
pub(super) struct Keygen {
    #[command(flatten)]
    pub(super) kind: KeyKind,
    /// Where to write the private key (PKCS #8 PEM, mode 0600). An existing file is not overwritten.
    pub(super) file: PathBuf,
}

#[derive(Args)]
pub(super) struct Public {
    #[command(flatten)]
    pub(super) kind: KeyKind,
    /// The private key, as `keygen` wrote it.
    pub(super) file: PathBuf,
}

/// The use of a key other than signing documents (ECDSA P-384).
#[derive(Args)]
pub(super) struct KeyKind {
    /// The key of a log with this origin (Ed25519).
    #[arg(long, value_name = "ORIGIN", conflicts_with = "witness")]
    pub(super) log: Option<String>,
    /// The key of a witness with this name (Ed25519).
    #[arg(long, value_name = "NAME")]
    pub(super) witness: Option<String>,
}

#[derive(Args)]
pub(super) struct NewRoot {
    /// The product.
    #[arg(long)]
    pub(super) product: String,
    /// 1 for the first root document, then one more each time.
    #[arg(long)]
    pub(super) version: u64,
    /// The validity, in days.
    #[arg(long, default_value_t = 365)]
    pub(super) days: u64,
    #[command(flatten)]
    pub(super) anchor: Anchor,
    /// Public keys that sign root documents (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    pub(super) root_key: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    pub(super) root_threshold: usize,
    /// The builders' public keys, which sign manifests (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    pub(super) manifest_key: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    pub(super) manifest_threshold: usize,
    /// Public keys that sign lists (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    pub(super) list_key: Vec<PathBuf>,
    /// How many of them must sign.
    #[arg(long, default_value_t = 1)]
    pub(super) list_threshold: usize,
    /// The log's verifier key, as `keygen --log` prints it.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    pub(super) log_key: VerifierKey,
    /// Verifier keys of witnesses.
    #[arg(long, value_name = "VKEY", value_parser = log_key)]
    pub(super) witness: Vec<VerifierKey>,
    /// How many of the witnesses must cosign.
    #[arg(long, default_value_t = 0)]
    pub(super) witness_threshold: usize,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

#[derive(Args)]
pub(super) struct NewManifest {
    #[command(flatten)]
    pub(super) build: Build,
    /// The product, as in the root document.
    #[arg(long)]
    pub(super) product: String,
    /// The release's version.
    #[arg(long, value_parser = version)]
    pub(super) version: Version,
    /// The repository's address.
    #[arg(long)]
    pub(super) repository: String,
    /// The commit, 40 digits.
    #[arg(long, value_parser = commit)]
    pub(super) commit: Hex<20>,
    /// The bill of materials (`CycloneDX`, JSON).
    #[arg(long, value_name = "FILE")]
    pub(super) sbom: Option<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

/// An image as this machine has built it.
#[derive(Args)]
pub(super) struct Build {
    /// The image; for a mock, its program.
    #[arg(long, value_name = "FILE")]
    pub(super) image: PathBuf,
    /// The manifest that the build wrote beside it.
    #[arg(long, value_name = "FILE", required_unless_present = "mock_measurements")]
    pub(super) build: Option<PathBuf>,
    /// The kernel's configuration fragment (image/kernel/fragment).
    #[arg(long, value_name = "FILE", requires = "build")]
    pub(super) kernel_fragment: Option<PathBuf>,
    /// The measurements that a mock NSM reports, instead of an image's. Never under AWS's root.
    #[arg(long, value_name = "FILE", conflicts_with = "build")]
    pub(super) mock_measurements: Option<PathBuf>,
    #[command(flatten)]
    pub(super) anchor: Anchor,
}

#[derive(Args)]
pub(super) struct Anchor {
    /// The certificate (PEM) under which enclaves attest; the default is AWS's.
    #[arg(long, value_name = "PEM")]
    pub(super) attestation_root: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Sign {
    /// The private key.
    #[arg(long, value_name = "PEM")]
    pub(super) key: PathBuf,
    /// For a manifest: your own image of the same commit, which the manifest must describe.
    #[arg(long, value_name = "FILE")]
    pub(super) image: Option<PathBuf>,
    /// The manifest that your build wrote beside it.
    #[arg(long, value_name = "FILE", requires = "image")]
    pub(super) build: Option<PathBuf>,
    /// The kernel's configuration fragment.
    #[arg(long, value_name = "FILE", requires = "build")]
    pub(super) kernel_fragment: Option<PathBuf>,
    /// For a mock: the measurements that its NSM reports.
    #[arg(long, value_name = "FILE", requires = "image", conflicts_with = "build")]
    pub(super) mock_measurements: Option<PathBuf>,
    #[command(flatten)]
    pub(super) anchor: Anchor,
    /// The file to sign. The signature is added to it.
    pub(super) file: PathBuf,
}

#[derive(Args)]
pub(super) struct Publish {
    #[command(flatten)]
    pub(super) publishing: Publishing,
    /// A signed manifest to list.
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Vec<PathBuf>,
    /// A signed root document.
    #[arg(long, value_name = "FILE")]
    pub(super) root: Vec<PathBuf>,
    /// A release to remove from the list at the same time.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(super) revoke: Vec<Version>,
}

#[derive(Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    pub(super) publishing: Publishing,
    /// The releases.
    #[arg(required = true, value_parser = version)]
    pub(super) version: Vec<Version>,
}

#[derive(Args)]
pub(super) struct Publishing {
    /// The folder to publish in.
    #[arg(long)]
    pub(super) site: PathBuf,
    /// A private key that signs lists.
    #[arg(long, required = true, value_name = "PEM")]
    pub(super) list_key: Vec<PathBuf>,
    /// The log's private key.
    #[arg(long, value_name = "PEM")]
    pub(super) log_key: PathBuf,
    /// The list's validity, in hours.
    #[arg(long, default_value_t = 24 * 7)]
    pub(super) hours: u64,
    /// The lowest version that may be listed; unchanged by default.
    #[arg(long, value_parser = version)]
    pub(super) minimum_version: Option<Version>,
    #[command(flatten)]
    pub(super) anchor: Anchor,
    /// The address of a witness that should cosign, without `/add-checkpoint`.
    #[cfg(feature = "witness")]
    #[arg(long, value_name = "URL")]
    pub(super) witness_url: Vec<String>,
}

#[derive(Args)]
pub(super) struct Verify {
    /// A key that signs root documents, as clients pin it (PEM).
    #[arg(long, required = true, value_name = "PEM")]
    pub(super) key: Vec<PathBuf>,
    /// How many of the keys must have signed; all by default.
    #[arg(long)]
    pub(super) threshold: Option<usize>,
    /// The age of the oldest accepted list, in hours.
    #[arg(long, default_value_t = DEFAULT_MAX_LIST_AGE.as_secs() / 3600)]
    pub(super) max_list_age: u64,
    /// The lowest accepted version.
    #[arg(long, default_value = "0.0.0", value_parser = version)]
    pub(super) minimum_version: Version,
    /// The file of the saved state: nothing older than what it records is accepted.
    #[arg(long, value_name = "FILE")]
    pub(super) memory: Option<PathBuf>,
    /// Also check that this image is one of the releases, with the same signer.
    #[arg(long, value_name = "FILE")]
    pub(super) image: Option<PathBuf>,
    #[command(flatten)]
    pub(super) anchor: Anchor,
    /// The published folder, or a bundle. In a folder, every file is checked.
    pub(super) site: PathBuf,
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| "a version is three numbers, as in 1.20.3".into())
}

fn commit(text: &str) -> Result<Hex<20>, String> {
    Hex::parse(text).ok_or_else(|| "a commit is 40 lower-case hexadecimal digits".into())
}

fn log_key(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text).ok_or_else(|| "a verifier key is NAME+ID+BASE64 (Ed25519)".into())
}
