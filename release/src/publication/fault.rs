//! Refusals to sign or to publish. `docs/release-guide.md` lists their codes.

use crate::error::codes;

/// The rule that forbids signing or publishing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationFault {
    /// A file that does not hold a private key of the expected kind.
    #[error("PKCS #8 PEM of {expected} was expected, and the file holds {found}")]
    Key {
        /// The expected kind of key.
        expected: &'static str,
        /// What the file holds.
        found: &'static str,
    },
    /// A name that a log or witness cannot have.
    #[error("{0:?} cannot name a log or a witness: at most 255 characters, no space, no plus sign")]
    KeyName(String),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    Randomness,
    /// An envelope that is not one of a release.
    #[error("a root document, manifest or list was expected, and the file's payloadType is {0:?}")]
    Kind(String),
    /// A key that has already signed the file.
    #[error("this key has already signed the file")]
    SignedAlready,
    /// The manifest differs from this machine's build.
    #[error("the manifest does not describe your own build: {0} differs")]
    NotAsBuilt(&'static str),
    /// The manifest of a build is missing or malformed.
    #[error("the build's manifest is not valid: {0}")]
    Build(&'static str),
    /// A mock's measurements under AWS's root.
    #[error("measurements that were not computed from an image are for mocks, and never under AWS's root")]
    Unmeasured,
    /// A version that is already listed.
    #[error("release {0} is already listed")]
    Listed(String),
    /// A version with another manifest in the log.
    #[error("release {0} has another manifest in the log: a version always means one image")]
    VersionTaken(String),
    /// A version that is not listed.
    #[error("release {0} is not listed")]
    NotListed(String),
    /// The published folder differs from what its log gives.
    #[error("the published folder is damaged: {0}")]
    Site(String),
    /// Another process is publishing in the folder.
    #[error("another process is publishing in this folder")]
    Busy,
    /// The first publication has no root document.
    #[error("there is no root document: publish one with the first list")]
    NoRoot,
    /// A key that the root document does not name.
    #[error("the root document does not name this {0} key")]
    KeyNotNamed(&'static str),
    /// The list keys have signed the highest possible version.
    #[error("the list's version cannot be raised any more: replace the list keys")]
    NoVersionLeft,
    /// A list that expires after its root document.
    #[error("a list must expire before its root document does")]
    Outlives,
    /// An image that is not an accepted release.
    #[error("the image is not one of the accepted releases")]
    NoSuchImage,
    /// An image that differs from an accepted release in its signer only, so that its PCR8 differs.
    #[error("the image differs from release {0} in its signer: {1}")]
    OtherSigner(String, &'static str),
    /// A witness did not cosign.
    #[error("the witness at {url} did not cosign: {why}")]
    Witness {
        /// The witness's address.
        url: String,
        /// The reason.
        why: String,
    },
}

codes!(PublicationFault {
    Self::Key { .. } => "key_invalid",
    Self::KeyName(_) => "key_name_invalid",
    Self::Randomness => "no_randomness",
    Self::Kind(_) => "document_unknown",
    Self::SignedAlready => "signed_already",
    Self::NotAsBuilt(_) => "manifest_not_as_built",
    Self::Build(_) => "build_manifest_invalid",
    Self::Unmeasured => "measurements_not_computed",
    Self::Listed(_) => "release_listed_already",
    Self::VersionTaken(_) => "release_version_taken",
    Self::NotListed(_) => "release_not_there",
    Self::Site(_) => "site_damaged",
    Self::Busy => "site_busy",
    Self::NoRoot => "root_missing",
    Self::KeyNotNamed(_) => "key_not_in_root",
    Self::NoVersionLeft => "list_version_exhausted",
    Self::Outlives => "list_outlives_root",
    Self::NoSuchImage | Self::OtherSigner(..) => "image_not_released",
    Self::Witness { .. } => "witness_refused",
});
