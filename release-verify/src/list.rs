//! The release list: every release that is accepted now. A release that is not listed is revoked.

use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json::{self, Hex};
use crate::root::RootDocument;
use crate::version::Version;

/// The payload type of a list's envelope.
pub const LIST_PAYLOAD_TYPE: &str = "application/vnd.ok2cry.release-list.v1+json";
pub(crate) const WHAT: &str = "list";
/// The most releases of a list.
pub const MAX_RELEASES: usize = 32;

/// Every release that is accepted, for a short time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseList {
    /// Increases by one with each list.
    pub version: u64,
    /// The product, as the root document calls it.
    pub product: String,
    /// When it was signed, in Unix milliseconds.
    pub issued_at: u64,
    /// When it ends, in Unix milliseconds.
    pub expires_at: u64,
    /// The list has no release below this version.
    pub minimum_version: Version,
    /// The releases: 0 to [`MAX_RELEASES`], each version and each manifest once.
    pub releases: Vec<ListedRelease>,
}

/// A release in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedRelease {
    /// The version.
    pub version: Version,
    /// SHA-384 of the manifest, which is the payload of its envelope.
    pub manifest_sha384: Hex<48>,
}

impl ReleaseList {
    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::Json`], [`ReleaseFault::Field`] or [`ReleaseFault::ListBelowMinimum`].
    pub fn decode(payload: &[u8]) -> Result<Self, Error> {
        let list: Self = json::read(WHAT, payload, crate::MAX_ENVELOPE_LEN)?;
        let refused = |field, rule| Err(ReleaseFault::Field { what: WHAT, field, rule }.into());
        if list.version == 0 {
            return refused("version", "1 or more");
        }
        if list.expires_at <= list.issued_at {
            return refused("expires_at", "after issued_at");
        }
        if list.releases.len() > MAX_RELEASES {
            return refused("releases", "at most 32");
        }
        let repeated = list.releases.iter().enumerate().any(|(i, a)| {
            let others = list.releases.iter().skip(i + 1);
            others.into_iter().any(|b| a.version == b.version || a.manifest_sha384 == b.manifest_sha384)
        });
        if repeated {
            return refused("releases", "distinct versions and manifests");
        }
        match list.releases.iter().find(|release| release.version < list.minimum_version) {
            Some(release) => Err(ReleaseFault::ListBelowMinimum {
                version: release.version.to_string(),
                minimum: list.minimum_version.to_string(),
            }
            .into()),
            None => Ok(list),
        }
    }

    /// The payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(self)
    }

    /// Verifies a list of the product of `root`, signed by its list keys.
    pub(crate) fn verify(envelope: &Envelope, root: &RootDocument) -> Result<Self, Error> {
        let list = Self::decode(envelope.verify(WHAT, LIST_PAYLOAD_TYPE, &root.lists)?)?;
        if list.product != root.product {
            return Err(ReleaseFault::Subject { found: json::shown(&list.product) }.into());
        }
        Ok(list)
    }
}
