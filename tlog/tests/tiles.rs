//! Tiles and the proofs computed from them, compared with the forge's tree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::indexing_slicing, reason = "test code over logs of its own")]

use std::collections::BTreeSet;

use ok2cry_attest_forge::release::Log;
use ok2cry_tlog::merkle::leaf_hash;
use ok2cry_tlog::{Tile, Tiles, TreeHead};

/// Proofs computed from tiles verify, for every entry and every earlier size.
#[test]
fn tiles_give_the_proofs_of_the_tree() {
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 511, 513, 700] {
        let log = Log((0..size).map(|i| format!("entry {i}").into_bytes()).collect());
        let tiles: std::collections::HashMap<_, _> = log.tiles().into_iter().collect();
        let source = |tile: &Tile| tiles.get(&tile.path()).cloned();
        let size = size as u64;
        let reader = Tiles::new(&source, size);
        let root = log.root(log.0.len());
        assert_eq!(reader.root().unwrap(), root, "{size}");

        let named: BTreeSet<_> = Tile::all(size).map(|tile| tile.path()).collect();
        assert_eq!(named, tiles.keys().cloned().collect(), "{size}");

        let head: TreeHead = TreeHead { size, root };
        for index in (0..size).step_by(if size > 300 { 17 } else { 1 }) {
            let leaf = leaf_hash(&log.0[usize::try_from(index).unwrap()]);
            let path = reader.inclusion_proof(index).unwrap();
            assert!(head.includes(index, &leaf, &path), "{index} of {size}");
            assert!(!head.includes(index + 1, &leaf, &path), "{index} + 1 of {size}");
            assert!(!head.includes(index, &leaf, &[&path[..], &[[0; 32]]].concat()));
            assert!(path.is_empty() || !head.includes(index, &leaf, &path[1..]));
        }
        for old_size in (0..=size).step_by(if size > 300 { 13 } else { 1 }) {
            let old: TreeHead =
                TreeHead { size: old_size, root: log.root(usize::try_from(old_size).unwrap()) };
            let proof = reader.consistency_proof(old_size).unwrap();
            assert!(head.continues(&old, &proof), "{old_size} to {size}");
            if old_size > 0 {
                let other = |size| TreeHead { size, root: [7; 32] };
                assert!(!head.continues(&other(old_size), &proof), "{old_size} to {size}");
                assert!(!other(size).continues(&old, &proof), "{old_size} to {size}");
            }
            assert!(!head.continues(&old, &[&proof[..], &[[0; 32]]].concat()), "{old_size} to {size}");
            assert!(proof.is_empty() || !head.continues(&old, &proof[1..]));
        }
        assert_eq!(reader.consistency_proof(size + 1).unwrap_err().code(), "log_rolled_back");
        assert_eq!(reader.inclusion_proof(size).unwrap_err().code(), "not_in_log");
    }
}

#[test]
fn tiles_are_where_the_specification_says() {
    let path = |level, number, size| Tile::of(level, number, size).unwrap().path();
    assert_eq!(path(0, 1_234_067, 256 * 1_234_068), "tile/0/x001/x234/067");
    // The specification's own example: a tree of 70,000.
    assert_eq!(path(0, 273, 70_000), "tile/0/273.p/112");
    assert_eq!(path(1, 1, 70_000), "tile/1/001.p/17");
    assert_eq!(path(2, 0, 70_000), "tile/2/000.p/1");
    assert_eq!(Tile::of(3, 0, 70_000), None);
    assert_eq!(path(1, 0, 256), "tile/1/000.p/1");
    assert_eq!(Tile::of(0, 1, 256), None);
    assert_eq!(Tile::of(0, 0, 0), None);
    assert_eq!(Tile::of(63, u64::MAX, u64::MAX), None);
}
