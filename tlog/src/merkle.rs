//! The Merkle tree of RFC 6962 §2.1, generic over the hash: hashes, heads, the verification of proofs (RFC
//! 9162 §2.1.3 and §2.1.4), and append.
//!
//! C2SP logs use SHA-256, which is the default everywhere.

pub use sha2::{Sha256, Sha384};

use std::fmt;

use sha2::Digest;

use crate::error::Error;

/// A hash of a C2SP log's tree: SHA-256.
pub type Hash = [u8; 32];

/// The largest tree size that is accepted. It keeps all arithmetic far from overflow.
pub const MAX_SIZE: u64 = 1 << 48;

/// The hash function of a tree.
pub trait TreeHash {
    /// The hash value.
    type Hash: Copy + Eq + fmt::Debug;

    /// The root of an empty tree.
    fn empty() -> Self::Hash;

    /// The hash of an entry.
    fn leaf(entry: &[u8]) -> Self::Hash;

    /// The hash of a node.
    fn node(left: &Self::Hash, right: &Self::Hash) -> Self::Hash;
}

macro_rules! tree_hash {
    ($digest:ident, $len:literal) => {
        impl TreeHash for $digest {
            type Hash = [u8; $len];

            fn empty() -> Self::Hash {
                $digest::digest([]).into()
            }

            fn leaf(entry: &[u8]) -> Self::Hash {
                $digest::new().chain_update([0]).chain_update(entry).finalize().into()
            }

            fn node(left: &Self::Hash, right: &Self::Hash) -> Self::Hash {
                $digest::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
            }
        }
    };
}

tree_hash!(Sha256, 32);
tree_hash!(Sha384, 48);

/// The SHA-256 hash of an entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::leaf(entry)
}

/// The SHA-256 hash of a node.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::node(left, right)
}

/// Size and root of a tree.
pub struct TreeHead<H: TreeHash = Sha256> {
    /// The number of entries.
    pub size: u64,
    /// The tree hash of all entries.
    pub root: H::Hash,
}

impl<H: TreeHash> TreeHead<H> {
    /// Whether `path` proves that the entry with hash `leaf` is at `index` of this tree (RFC 9162 §2.1.3.2).
    /// The leaf's sibling comes first.
    #[must_use]
    pub fn includes(&self, index: u64, leaf: &H::Hash, path: &[H::Hash]) -> bool {
        if index >= self.size {
            return false;
        }
        let mut walk = Walk { node: index, last: self.size - 1 };
        let mut hash = *leaf;
        for sibling in path {
            hash = match walk.up() {
                None => return false,
                Some(Side::Left) => H::node(sibling, &hash),
                Some(Side::Right) => H::node(&hash, sibling),
            };
        }
        walk.last == 0 && hash == self.root
    }

    /// Whether `proof` proves that this tree begins with the entries of `old` (RFC 9162 §2.1.4.2).
    ///
    /// An empty tree is consistent with every tree; equal sizes need equal roots and an empty proof.
    #[must_use]
    pub fn continues(&self, old: &Self, proof: &[H::Hash]) -> bool {
        if old.size == 0 || old.size == self.size {
            return old.size <= self.size && proof.is_empty() && (old.size == 0 || old.root == self.root);
        }
        if old.size > self.size {
            return false;
        }
        // The hash of a complete subtree is known and omitted from the proof.
        let (first, rest) = match (old.size.is_power_of_two(), proof) {
            (true, proof) => (&old.root, proof),
            (false, [first, rest @ ..]) => (first, rest),
            (false, []) => return false,
        };
        let complete = (old.size - 1).trailing_ones();
        let mut walk = Walk { node: (old.size - 1) >> complete, last: (self.size - 1) >> complete };
        let (mut old_hash, mut hash) = (*first, *first);
        for sibling in rest {
            match walk.up() {
                None => return false,
                Some(Side::Left) => {
                    old_hash = H::node(sibling, &old_hash);
                    hash = H::node(sibling, &hash);
                }
                Some(Side::Right) => hash = H::node(&hash, sibling),
            }
        }
        walk.last == 0 && old_hash == old.root && hash == self.root
    }
}

impl<H: TreeHash> Clone for TreeHead<H> {
    fn clone(&self) -> Self {
        Self { size: self.size, root: self.root }
    }
}

impl<H: TreeHash> PartialEq for TreeHead<H> {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size && self.root == other.root
    }
}

impl<H: TreeHash> Eq for TreeHead<H> {}

impl<H: TreeHash> fmt::Debug for TreeHead<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeHead").field("size", &self.size).field("root", &self.root).finish()
    }
}

/// The side of the next sibling of a path.
enum Side {
    Left,
    Right,
}

/// A walk from a node to the root: the node's number in its level, and the number of the level's last node.
struct Walk {
    node: u64,
    last: u64,
}

impl Walk {
    /// Goes up to the parent that has a sibling. `None` at the root.
    fn up(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = match self.node & 1 == 1 || self.node == self.last {
            true => Side::Left,
            false => Side::Right,
        };
        // The last node of a level may have no sibling for several levels.
        let skipped = match side {
            Side::Left => self.node.trailing_zeros(),
            Side::Right => 0,
        };
        self.node = self.node.checked_shr(skipped + 1).unwrap_or(0);
        self.last = self.last.checked_shr(skipped + 1).unwrap_or(0);
        Some(side)
    }
}

/// The right edge of a tree: what is needed to append entries and to know the root. At most 48 hashes.
pub struct Frontier<H: TreeHash = Sha256> {
    size: u64,
    /// The roots of the complete subtrees, the largest first: one per bit of the size.
    peaks: Vec<H::Hash>,
}

impl<H: TreeHash> Frontier<H> {
    /// The frontier of an empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// The frontier of a tree of `size` entries with these complete subtrees, the largest first: what
    /// [`Frontier::peaks`] returned.
    ///
    /// # Errors
    ///
    /// [`Error::Frontier`] for another number of subtrees than `size` has, and for more than [`MAX_SIZE`]
    /// entries.
    pub fn from_peaks(size: u64, peaks: Vec<H::Hash>) -> Result<Self, Error> {
        match size <= MAX_SIZE && u32::try_from(peaks.len()) == Ok(size.count_ones()) {
            true => Ok(Self { size, peaks }),
            false => Err(Error::Frontier { size, subtrees: peaks.len() }),
        }
    }

    /// Appends the entry with this hash and returns its index.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] at [`MAX_SIZE`] entries. The tree is unchanged then.
    pub fn append(&mut self, leaf: H::Hash) -> Result<u64, Error> {
        if self.size >= MAX_SIZE {
            return Err(Error::Full);
        }
        let index = self.size;
        self.push(leaf, 0);
        Ok(index)
    }

    /// Appends `2^height` entries by the root of the complete subtree that they form.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if the tree would have more than [`MAX_SIZE`] entries, and [`Error::Frontier`] unless its
    /// size is a multiple of `2^height`: such a subtree is nowhere else. The tree is unchanged then.
    pub fn append_subtree(&mut self, root: H::Hash, height: u32) -> Result<(), Error> {
        let count =
            1_u64.checked_shl(height).filter(|count| *count <= MAX_SIZE - self.size).ok_or(Error::Full)?;
        if !self.size.is_multiple_of(count) {
            return Err(Error::Frontier { size: self.size, subtrees: self.peaks.len() });
        }
        self.push(root, height);
        Ok(())
    }

    fn push(&mut self, root: H::Hash, height: u32) {
        // Each one bit from there on is a subtree that becomes complete.
        let complete = usize::try_from((self.size >> height).trailing_ones()).unwrap_or(usize::MAX);
        let kept = self.peaks.len().saturating_sub(complete);
        let hash = self.peaks.drain(kept..).rev().fold(root, |hash, peak| H::node(&peak, &hash));
        self.peaks.push(hash);
        self.size += 1 << height;
    }

    /// The number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[H::Hash] {
        &self.peaks
    }

    /// Size and root of the tree.
    #[must_use]
    pub fn head(&self) -> TreeHead<H> {
        let mut peaks = self.peaks.iter().rev();
        let root = match peaks.next() {
            None => H::empty(),
            Some(smallest) => peaks.fold(*smallest, |hash, peak| H::node(peak, &hash)),
        };
        TreeHead { size: self.size, root }
    }
}

impl<H: TreeHash> Default for Frontier<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: TreeHash> Clone for Frontier<H> {
    fn clone(&self) -> Self {
        Self { size: self.size, peaks: self.peaks.clone() }
    }
}

impl<H: TreeHash> fmt::Debug for Frontier<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frontier").field("head", &self.head()).finish_non_exhaustive()
    }
}
