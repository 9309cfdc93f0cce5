//! Append and proofs, compared with the forge's tree, which computes every hash from all entries.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code over logs of its own")]

use ok2cry_attest_forge::release::Log;
use ok2cry_tlog::merkle::{MAX_SIZE, Sha256, Sha384, TreeHash, leaf_hash, node_hash};
use ok2cry_tlog::{Frontier, TreeHead};

fn entries(count: usize) -> Log {
    Log((0..count).map(|i| format!("entry {i}").into_bytes()).collect())
}

#[test]
fn a_frontier_has_the_root_of_every_size() {
    let log = entries(300);
    let mut frontier = Frontier::<Sha256>::new();
    assert_eq!(frontier.head().root, log.root(0));
    for (index, entry) in (0..).zip(&log.0) {
        assert_eq!(frontier.append(leaf_hash(entry)).unwrap(), index);
        let size = frontier.size();
        assert_eq!(frontier.head(), TreeHead { size, root: log.root(usize::try_from(size).unwrap()) });
        assert_eq!(frontier.peaks().len(), size.count_ones() as usize);
        let again = Frontier::<Sha256>::from_peaks(size, frontier.peaks().to_vec()).unwrap();
        assert_eq!(again.head(), frontier.head());
    }
}

#[test]
fn a_subtree_is_appended_only_where_it_fits() {
    let log = entries(24);
    let frontier = |range: std::ops::Range<usize>| {
        let mut frontier = Frontier::<Sha256>::new();
        for entry in &log.0[range] {
            frontier.append(leaf_hash(entry)).unwrap();
        }
        frontier
    };
    let mut by_eight = Frontier::<Sha256>::new();
    for begin in [0, 8, 16] {
        by_eight.append_subtree(frontier(begin..begin + 8).head().root, 3).unwrap();
    }
    assert_eq!((by_eight.head(), by_eight.peaks()), (frontier(0..24).head(), frontier(0..24).peaks()));
    for (size, height, code) in [
        (4, 3, "frontier_invalid"),
        (1, 1, "frontier_invalid"),
        (0, 49, "log_full"),
        (0, 64, "log_full"),
        (2, 48, "log_full"),
    ] {
        let mut frontier = frontier(0..size);
        let before = frontier.head();
        assert_eq!(frontier.append_subtree([1; 32], height).unwrap_err().code(), code, "{size}, {height}");
        assert_eq!(frontier.head(), before);
    }
}

#[test]
fn peaks_must_fit_the_size() {
    let code =
        |size, peaks: usize| Frontier::<Sha256>::from_peaks(size, vec![[0; 32]; peaks]).map_err(|e| e.code());
    for (size, peaks) in [(0, 1), (1, 0), (1, 2), (5, 1), (5, 3), (MAX_SIZE + 1, 2), (u64::MAX, 64)] {
        assert_eq!(code(size, peaks).unwrap_err(), "frontier_invalid", "{size}, {peaks}");
    }
    let mut full = Frontier::<Sha256>::from_peaks(MAX_SIZE, vec![[0; 32]]).unwrap();
    assert_eq!(full.append([1; 32]).unwrap_err().code(), "log_full");
    assert_eq!(full.size(), MAX_SIZE);
    let mut last = Frontier::<Sha256>::from_peaks(MAX_SIZE - 1, vec![[0; 32]; 48]).unwrap();
    assert_eq!(last.append([1; 32]).unwrap(), MAX_SIZE - 1);
    assert_eq!(last.peaks().len(), 1);
}

/// The same tree with SHA-384, whose proofs are made by hand: a tree of three.
#[test]
fn the_hash_is_a_parameter() {
    let leaves = [b"a", b"b", b"c"].map(|entry| Sha384::leaf(entry));
    let pair = Sha384::node(&leaves[0], &leaves[1]);
    let head: TreeHead<Sha384> = TreeHead { size: 3, root: Sha384::node(&pair, &leaves[2]) };
    let mut frontier = Frontier::<Sha384>::new();
    assert_eq!(frontier.head().root, Sha384::empty());
    leaves.iter().for_each(|leaf| drop(frontier.append(*leaf)));
    assert_eq!(frontier.head(), head);
    assert!(head.includes(0, &leaves[0], &[leaves[1], leaves[2]]));
    assert!(head.includes(2, &leaves[2], &[pair]));
    assert!(head.continues(&TreeHead { size: 2, root: pair }, &[leaves[2]]));
    assert!(head.continues(&TreeHead { size: 1, root: leaves[0] }, &[leaves[1], leaves[2]]));
}

/// The tamper classes of other implementations: index, size, hashes, and the length of the path.
#[test]
fn tampered_inclusion_proofs_are_refused() {
    let leaves: Vec<_> = entries(7).0.iter().map(|entry| leaf_hash(entry)).collect();
    let (ab, cd, ef) = (
        node_hash(&leaves[0], &leaves[1]),
        node_hash(&leaves[2], &leaves[3]),
        node_hash(&leaves[4], &leaves[5]),
    );
    let (left, right) = (node_hash(&ab, &cd), node_hash(&ef, &leaves[6]));
    let head: TreeHead = TreeHead { size: 7, root: node_hash(&left, &right) };
    let path = [leaves[5], leaves[6], left];
    assert!(head.includes(4, &leaves[4], &path));
    for index in (0..20).chain([u64::MAX, 4 ^ 1, 4 << 1]).filter(|index| *index != 4) {
        assert!(!head.includes(index, &leaves[4], &path), "index {index}");
    }
    // In a tree of 8 the path of entry 4 has the same shape. The signed head binds size and root.
    for size in (0..20).chain([1 << 48, u64::MAX]).filter(|size| !matches!(size, 7 | 8)) {
        let other: TreeHead = TreeHead { size, root: head.root };
        assert!(!other.includes(4, &leaves[4], &path), "size {size}");
    }
    for bit in 0..3 * 256 {
        let mut bad = path;
        bad[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
        assert!(!head.includes(4, &leaves[4], &bad), "bit {bit}");
    }
    for at in 0..=3 {
        let mut longer = path.to_vec();
        longer.insert(at, head.root);
        assert!(!head.includes(4, &leaves[4], &longer), "inserted at {at}");
    }
    for at in 0..3 {
        let mut shorter = path.to_vec();
        shorter.remove(at);
        assert!(!head.includes(4, &leaves[4], &shorter), "removed {at}");
    }
    assert!(!head.includes(4, &head.root, &[]) && !head.includes(4, &leaves[3], &path));
    assert!(!head.includes(u64::MAX, &leaves[4], &[[0; 32]; 64]));
    let huge: TreeHead = TreeHead { size: u64::MAX, root: head.root };
    assert!(!huge.includes(1 << 63, &leaves[4], &[[0; 32]; 64]));
    assert!(!huge.continues(&TreeHead { size: u64::MAX - 1, root: head.root }, &[[0; 32]; 64]));
}
