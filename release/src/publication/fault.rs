//! Why something was not signed or not published.

/// The rule that stands against signing or publishing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicationFault {
    /// A private key that is not one.
    #[error("PKCS #8 PEM of {expected} is due, and the file holds {found}")]
    Key {
        /// What is due.
        expected: &'static str,
        /// What is there instead.
        found: &'static str,
    },
    /// A name that no log and no witness can have.
    #[error("{0:?} cannot name a log or a witness: at most 255 characters, no space, no plus sign")]
    KeyName(String),
    /// Randomness is not to be had.
    #[error("the system has no randomness")]
    Randomness,
    /// An envelope of a kind that nothing here signs.
    #[error("the file is no root document, manifest or list: its payloadType is {0:?}")]
    Kind(String),
    /// A key that has signed already.
    #[error("this key has signed already")]
    SignedAlready,
    /// The manifest is not what this machine's own build gives.
    #[error("the manifest is not what your own build gives: {0} differs")]
    NotAsBuilt(&'static str),
    /// Something about a build is missing or not understood.
    #[error("the build's manifest is not understood: {0}")]
    Build(&'static str),
    /// Measurements that nothing measured, for a production root.
    #[error("measurements that were not computed from an image are for mocks, and never under AWS's root")]
    Unmeasured,
    /// A version that is out already.
    #[error("release {0} is listed already")]
    Listed(String),
    /// A version that another manifest has.
    #[error("release {0} has another manifest in the log: a version means one image, for ever")]
    VersionTaken(String),
    /// A version that is not listed.
    #[error("release {0} is not listed")]
    NotListed(String),
    /// The published folder does not hold what its checkpoint says.
    #[error("the published folder is damaged: {0}")]
    Site(String),
    /// Somebody else is publishing there.
    #[error("somebody else is publishing in this folder")]
    Busy,
    /// There is no root document to begin with.
    #[error("there is no root document: publish one with the first list")]
    NoRoot,
    /// A key that the root document does not name.
    #[error("the root document does not name this {0} key")]
    KeyNotNamed(&'static str),
    /// A list key has signed the last version that there is.
    #[error("the list's version cannot be raised any more: exchange the list keys")]
    NoVersionLeft,
    /// A list without end.
    #[error("a list must end before its root document does")]
    Outlives,
    /// An image that is no accepted release.
    #[error("the image is none of the accepted releases")]
    NoSuchImage,
    /// An image that is an accepted release's but for its signature, so that it runs with another PCR8.
    #[error("the image is release {0} but for who signed it: {1}")]
    OtherSigner(String, &'static str),
    /// A witness did not cosign.
    #[error("the witness at {url} did not cosign: {why}")]
    Witness {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
}

impl PublicationFault {
    /// The stable, machine-readable reason. `docs/releases.md` lists all of them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
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
        }
    }
}
