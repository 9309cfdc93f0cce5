//! Merkle trees (RFC 9162 §2.1) with SHA-384.

use crate::{Hash, hash};

/// The hash of a leaf: H(0x00 ‖ record).
pub fn leaf_hash(record: &[u8]) -> Hash {
    hash(&[&[0], record])
}

/// A Merkle tree. It keeps every level, so that a path needs no hashing.
pub struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Builds the tree. `None` without leaves.
    ///
    /// RFC 9162 splits at the largest power of two below the size. Pairing neighbours, and moving an odd last
    /// node up unchanged, gives the same tree.
    pub fn new(leaves: Vec<Hash>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let next = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node_hash(left, right),
                    [alone, ..] => *alone,
                    [] => [0; 48],
                })
                .collect();
            levels.push(next);
        }
        Some(Self { levels })
    }

    /// The root hash.
    pub fn root(&self) -> Hash {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or([0; 48])
    }

    /// The inclusion path of leaf `index` (RFC 9162 §2.1.3.1), nearest sibling first. Empty if there is no
    /// such leaf.
    pub fn path(&self, index: usize) -> Vec<Hash> {
        let siblings = self.levels.iter().enumerate().filter_map(|(height, level)| {
            let sibling = (index >> height) ^ 1;
            level.get(sibling).copied()
        });
        match self.levels.first() {
            Some(leaves) if index < leaves.len() => siblings.collect(),
            _ => Vec::new(),
        }
    }
}

/// The position of a leaf in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The leaf's index, from 0.
    pub index: u64,
    /// The number of leaves in the tree.
    pub size: u64,
}

/// Computes the root from `leaf`, its position and its inclusion path (RFC 9162 §2.1.3.2).
///
/// `None` if the index is outside the tree, or the path is too short or too long.
pub fn root_of_path(leaf: &Hash, position: Position, path: &[Hash]) -> Option<Hash> {
    let Position { index, size } = position;
    if index >= size {
        return None;
    }
    let (mut node, mut last, mut root) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            root = node_hash(sibling, &root);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    /// MTH, as RFC 9162 §2.1.1 defines it.
    fn mth(leaves: &[Hash]) -> Hash {
        if let [one] = leaves {
            return *one;
        }
        let split = leaves.len().next_power_of_two() / 2;
        node_hash(&mth(&leaves[..split]), &mth(&leaves[split..]))
    }

    #[test]
    fn the_tree_is_the_one_of_the_rfc() {
        for n in 1..130 {
            assert_eq!(Tree::new(leaves(n)).unwrap().root(), mth(&leaves(n)), "{n}");
        }
        assert!(Tree::new(Vec::new()).is_none());
    }

    #[test]
    fn a_leaf_is_proven_by_its_own_path_only() {
        for n in 1..70 {
            let leaves = leaves(n);
            let tree = Tree::new(leaves.clone()).unwrap();
            for (i, leaf) in leaves.iter().enumerate() {
                let path = tree.path(i);
                let root =
                    |leaf, index, size, path: &[Hash]| root_of_path(leaf, Position { index, size }, path);
                let (i, n) = (i as u64, n as u64);
                assert_eq!(root(leaf, i, n, &path), Some(tree.root()));
                assert_ne!(root(leaf, (i + 1) % (n + 1), n, &path), Some(tree.root()));
                assert_ne!(root(leaf, i, n, &[&path[..], &[[0; 48]]].concat()), Some(tree.root()));
                if let Some((_, shorter)) = path.split_last() {
                    assert_eq!(root(leaf, i, n, &path[..shorter.len()]), None);
                }
                assert_ne!(root(&[1; 48], i, n, &path), Some(tree.root()));
            }
            assert!(tree.path(n).is_empty());
        }
    }

    #[test]
    fn paths_of_the_largest_batch_have_twelve_hashes() {
        let tree = Tree::new(leaves(4096)).unwrap();
        assert_eq!(tree.path(4095).len(), 12);
    }

    #[test]
    fn huge_claims_end_quickly() {
        let position = Position { index: u64::MAX - 1, size: u64::MAX };
        assert_eq!(root_of_path(&[0; 48], position, &[]), None);
        assert_eq!(root_of_path(&[0; 48], Position { index: 0, size: 0 }, &[]), None);
    }
}
