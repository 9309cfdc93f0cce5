//! The bundle: all that a client needs of a release log, in one file.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use ok2cry_tlog::{Tile, TileSource};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::fault::ReleaseFault;
use crate::json;
use crate::list::MAX_RELEASES;

/// The longest bundle that is read, in bytes.
pub const MAX_BUNDLE_LEN: usize = 4 << 20;
pub(crate) const WHAT: &str = "bundle";
/// The most root documents of a bundle: one a month for 21 years.
const MAX_ROOTS: usize = 256;

/// The current signed documents, their indices in the log, the log's checkpoint, and the tiles that prove
/// them. A parent or any static host serves it as `bundle.json`. Nothing in it is trusted before
/// [`crate::ReleaseKey::check`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Root documents by ascending version, the newest last.
    pub roots: Vec<BundleEntry>,
    /// The list.
    pub list: BundleEntry,
    /// The manifest of every listed release, and no others, in the order of the list.
    pub manifests: Vec<BundleEntry>,
    /// A signed checkpoint of the log.
    pub checkpoint: String,
    /// Tiles by path, in base64: those that the inclusion proofs of all entries above are made from.
    pub tiles: BTreeMap<String, String>,
}

/// An entry of the log in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleEntry {
    /// The index in the log, from 0.
    pub index: u64,
    /// The bytes of the entry: an envelope.
    pub envelope: String,
}

impl Bundle {
    /// Reads a bundle of at most [`MAX_BUNDLE_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`ReleaseFault::TooLarge`], [`ReleaseFault::Json`] and [`ReleaseFault::Field`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bundle: Self = json::read(WHAT, bytes, MAX_BUNDLE_LEN)?;
        let refused = |field, rule| Err(ReleaseFault::Field { what: WHAT, field, rule }.into());
        if bundle.roots.len() > MAX_ROOTS {
            return refused("roots", "at most 256");
        }
        if bundle.manifests.len() > MAX_RELEASES {
            return refused("manifests", "at most 32");
        }
        Ok(bundle)
    }

    /// The bundle as JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        json::write(self)
    }
}

impl TileSource for Bundle {
    fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        Base64::decode_vec(self.tiles.get(&tile.path())?).ok()
    }
}
