//! [c2sp.org/tlog-tiles](https://c2sp.org/tlog-tiles): tiles, their paths, and proofs computed from them.

use crate::error::Error;
use crate::merkle::{Hash, node_hash};

/// Levels of the tree in a tile.
const HEIGHT: u32 = 8;
/// Hashes in a full tile.
const WIDTH: u64 = 1 << HEIGHT;

/// The coordinates of a tile: level, number within the level, and width in hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u32,
    number: u64,
    width: u64,
}

impl Tile {
    /// The tile with this level and number in a log of `size` entries, if it exists.
    #[must_use]
    pub fn of(level: u32, number: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(HEIGHT.checked_mul(level)?).unwrap_or(0);
        let width = hashes.checked_sub(number.checked_mul(WIDTH)?)?.min(WIDTH);
        (width > 0).then_some(Self { level, number, width })
    }

    /// Every tile of a log of `size` entries, from level 0 on.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        (0..8).flat_map(move |level| (0..).map_while(move |number| Self::of(level, number, size)))
    }

    /// The number of hashes: 256, or fewer at the end of the log.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.width
    }

    /// The level: level 0 holds the hashes of entries.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.level
    }

    /// The number within the level.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The path below the log's prefix: `tile/0/x001/234.p/56`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, self.place())
    }

    /// The path of the entry bundle that belongs to this tile of level 0: `tile/entries/x001/234.p/56`.
    #[must_use]
    pub fn entries_path(&self) -> String {
        format!("tile/entries/{}", self.place())
    }

    fn place(&self) -> String {
        let mut path = format!("{:03}", self.number % 1000);
        let mut above = self.number / 1000;
        while above > 0 {
            path = format!("x{:03}/{path}", above % 1000);
            above /= 1000;
        }
        if self.width < WIDTH {
            path += &format!(".p/{}", self.width);
        }
        path
    }
}

/// A source of tiles. It is not trusted: proofs are checked against a signed root.
pub trait TileSource {
    /// The bytes of a tile, or `None` if it is not available.
    fn tile(&self, tile: &Tile) -> Option<Vec<u8>>;
}

impl<F: Fn(&Tile) -> Option<Vec<u8>>> TileSource for F {
    fn tile(&self, tile: &Tile) -> Option<Vec<u8>> {
        self(tile)
    }
}

/// Reads a log of a given size through its tiles.
pub struct Tiles<'a> {
    source: &'a dyn TileSource,
    size: u64,
}

impl<'a> Tiles<'a> {
    /// A log of `size` entries.
    #[must_use]
    pub fn new(source: &'a dyn TileSource, size: u64) -> Self {
        Self { source, size }
    }

    /// The root of the tree (RFC 6962 §2.1). For an empty log it is the hash of the empty string.
    ///
    /// # Errors
    ///
    /// [`Error::TileMissing`] and [`Error::TileLength`].
    pub fn root(&self) -> Result<Hash, Error> {
        self.range(0, self.size)
    }

    /// The proof that the tree has its entry at `index` (RFC 6962 §2.1.1).
    ///
    /// # Errors
    ///
    /// As [`Tiles::root`], and [`Error::NotInLog`] for an index beyond the end.
    pub fn inclusion_proof(&self, index: u64) -> Result<Vec<Hash>, Error> {
        if index >= self.size {
            return Err(Error::NotInLog { index, size: self.size });
        }
        let (mut begin, mut end, mut path) = (0, self.size, Vec::new());
        // From the root down: the siblings of the path.
        while end - begin > 1 {
            let middle = begin + split(end - begin);
            if index < middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(begin, middle)?);
                begin = middle;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// The proof that the tree begins with the first `old_size` entries (RFC 6962 §2.1.2).
    ///
    /// # Errors
    ///
    /// As [`Tiles::root`], and [`Error::Smaller`] if it is smaller than that.
    pub fn consistency_proof(&self, old_size: u64) -> Result<Vec<Hash>, Error> {
        if old_size > self.size {
            return Err(Error::Smaller { found: self.size, seen: old_size });
        }
        let mut path = Vec::new();
        if old_size == 0 || old_size == self.size {
            return Ok(path);
        }
        let (mut begin, mut end) = (0, self.size);
        // Whether the remaining subtree begins at entry 0: then the verifier knows its hash.
        let mut whole = true;
        while end != old_size {
            let middle = begin + split(end - begin);
            if old_size <= middle {
                path.push(self.range(middle, end)?);
                end = middle;
            } else {
                path.push(self.range(begin, middle)?);
                begin = middle;
                whole = false;
            }
        }
        if !whole {
            path.push(self.range(begin, end)?);
        }
        path.reverse();
        Ok(path)
    }

    /// The tree hash of the entries from `begin` to `end`. `begin` must be aligned for such a subtree.
    fn range(&self, begin: u64, end: u64) -> Result<Hash, Error> {
        let count = end - begin;
        if count == 0 {
            use sha2::Digest;
            return Ok(sha2::Sha256::digest([]).into());
        }
        if count.is_power_of_two() {
            let height = count.trailing_zeros();
            return self.node(height, begin >> height);
        }
        let middle = begin + split(count);
        Ok(node_hash(&self.range(begin, middle)?, &self.range(middle, end)?))
    }

    /// The hash of the complete subtree with this number among those of `2^height` entries.
    fn node(&self, height: u32, number: u64) -> Result<Hash, Error> {
        let (level, above) = (height / HEIGHT, height % HEIGHT);
        // The first hash in the tile's lowest row below the node, and their count.
        let (first, count) = (number << above, 1_u64 << above);
        let missing = || Error::TileMissing { path: format!("tile/{level}, hash {first}") };
        let tile = Tile::of(level, first / WIDTH, self.size).ok_or_else(missing)?;
        let bytes = self.source.tile(&tile).ok_or_else(|| Error::TileMissing { path: tile.path() })?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() as u64 != tile.width || !rest.is_empty() {
            let expected = usize::try_from(tile.width * 32).unwrap_or(usize::MAX);
            return Err(Error::TileLength { path: tile.path(), found: bytes.len(), expected });
        }
        let row = hashes.iter().skip(usize::try_from(first % WIDTH).unwrap_or(usize::MAX));
        let mut row: Vec<Hash> = row.take(usize::try_from(count).unwrap_or(0)).copied().collect();
        while row.len() > 1 {
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        row.first().copied().ok_or_else(missing)
    }
}

/// The split of a tree of `count` entries, 2 or more: the largest power of two below `count`.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}
