//! Batches: the `user_data` of documents, trees, and the places that records have and do not have in them.

use crate::{
    Result,
    fixtures::{Hex, TIME, hex},
    raw::{RawMap, Refused, bytes, text, uint},
};
use ok2cry_protocol::{
    Hash, Record, Rule,
    batch::{BatchHeader, EMPTY_LOG_ROOT, MAX_BATCH},
    ids::Nonce,
    merkle::{Tree, leaf_hash},
    statement::Statement,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    trees: Vec<TreeCase>,
    refused: Vec<Place>,
    headers: Headers,
}

#[derive(Serialize)]
struct TreeCase {
    size: u64,
    root: Hex,
    user_data: Hex,
    inclusions: Vec<Included>,
}

#[derive(Serialize)]
struct Included {
    index: u64,
    record: Hex,
    path: Vec<Hex>,
}

/// A record with a place that it does not have.
#[derive(Serialize)]
struct Place {
    name: &'static str,
    size: u64,
    root: Hex,
    index: u64,
    record: Hex,
    path: Vec<Hex>,
}

#[derive(Serialize)]
struct Headers {
    valid: Vec<Header>,
    invalid: Vec<Refused>,
}

#[derive(Serialize)]
struct Header {
    name: &'static str,
    encoding: Hex,
    root: Hex,
    size: u64,
    log_size: u64,
    log_root: Hex,
}

pub(crate) fn file() -> Result<File> {
    Ok(File {
        about: "Batches (docs/protocol.md, Batch). Record i of every tree is the statement with nonce = i \
            as a 16-byte big-endian number and time = 1800000000000 + i, so that any tree can be rebuilt.",
        trees: [1, 2, 3, 5, 8, 100, MAX_BATCH].into_iter().map(tree_case).collect::<Result<_>>()?,
        refused: refused()?,
        headers: Headers { valid: valid_headers()?, invalid: invalid_headers()? },
    })
}

fn record(i: u64) -> Result<Vec<u8>> {
    let nonce = Nonce::new(u128::from(i).to_be_bytes())?;
    Ok(Statement { nonce, time: TIME + i }.encode())
}

fn tree(size: u64) -> Result<Tree> {
    let leaves = (0..size).map(|i| record(i).map(|r| leaf_hash(&r))).collect::<Result<_>>()?;
    Tree::new(leaves).ok_or_else(|| "a tree needs leaves".into())
}

fn tree_case(size: u64) -> Result<TreeCase> {
    let tree = tree(size)?;
    // All places of small trees; of large ones the ends, and both sides of where the tree divides.
    let indices: Vec<u64> = match size {
        0..=8 => (0..size).collect(),
        100 => vec![0, 1, 63, 64, 95, 96, 98, 99],
        _ => vec![0, 1, 2047, 2048, 4094, 4095],
    };
    let inclusions = indices
        .into_iter()
        .map(|index| Ok(Included { index, record: Hex(record(index)?), path: hashes(&path(&tree, index)?) }));
    Ok(TreeCase {
        size,
        root: hex(tree.root()),
        user_data: Hex(header(tree.root(), size).encode()),
        inclusions: inclusions.collect::<Result<_>>()?,
    })
}

fn refused() -> Result<Vec<Place>> {
    let (five, eight, hundred) = (tree(5)?, tree(8)?, tree(100)?);
    let of = |name, tree: &Tree, size, index, record: Vec<u8>, path: Vec<Hash>| Place {
        name,
        size,
        root: hex(tree.root()),
        index,
        record: Hex(record),
        path: hashes(&path),
    };
    let (own, other) = (path(&eight, 3)?, path(&eight, 2)?);
    let shorter = |p: &[Hash]| p.split_last().map(|(_, rest)| rest.to_vec()).unwrap_or_default();
    let upper = own.get(1..).unwrap_or_default().to_vec();
    let longer = [own.clone(), vec![[0; 48]]].concat();
    let reversed = own.iter().rev().copied().collect();
    let zero_sibling = [vec![[0; 48]], upper.clone()].concat();
    // H(0x00 ‖ left ‖ right) is not H(0x01 ‖ left ‖ right): a node cannot stand in for a record.
    let node = [leaf_hash(&record(2)?), leaf_hash(&record(3)?)].concat();
    Ok(vec![
        of("another record", &eight, 8, 3, record(4)?, own.clone()),
        of("a record of no batch", &eight, 8, 3, record(99)?, own.clone()),
        of("a record with a byte more", &eight, 8, 3, [record(3)?, vec![0]].concat(), own.clone()),
        of("an empty record", &eight, 8, 3, Vec::new(), own.clone()),
        of("index one less", &eight, 8, 2, record(3)?, own.clone()),
        of("index one more", &eight, 8, 4, record(3)?, own.clone()),
        of("index in the other half", &eight, 8, 7, record(3)?, own.clone()),
        of("index equal to the size", &eight, 8, 8, record(3)?, own.clone()),
        of("index far above the size", &eight, 8, (1 << 53) - 1, record(3)?, own.clone()),
        of("index above the size by a power of two", &eight, 8, 11, record(3)?, own.clone()),
        of("path without its last hash", &eight, 8, 3, record(3)?, shorter(&own)),
        of("path without its first hash", &eight, 8, 3, record(3)?, upper),
        of("no path", &eight, 8, 3, record(3)?, Vec::new()),
        of("path with a hash too many", &eight, 8, 3, record(3)?, longer),
        of("path in the wrong order", &eight, 8, 3, record(3)?, reversed),
        of("path of its sibling", &eight, 8, 3, record(3)?, other),
        of("path with another sibling", &eight, 8, 3, record(3)?, zero_sibling),
        of("a node in place of a record", &eight, 4, 1, node, path(&eight, 3)?.split_off(1)),
        of("a path in a tree of one", &tree(1)?, 1, 0, record(0)?, vec![[0; 48]]),
        of("index 1 in a tree of one", &tree(1)?, 1, 1, record(0)?, Vec::new()),
        of("size 0", &tree(1)?, 0, 0, record(0)?, Vec::new()),
        of("root of another tree", &hundred, 8, 3, record(3)?, path(&eight, 3)?),
        of("size half of what it is", &eight, 4, 3, record(3)?, own.clone()),
        of("size twice what it is", &eight, 16, 3, record(3)?, own),
        of("size 4096 for a tree of five", &five, MAX_BATCH, 3, record(3)?, path(&five, 3)?),
        of("last leaf of five, in a tree of six", &five, 6, 4, record(4)?, path(&five, 4)?),
        of("last leaf of five, with the path of the first", &five, 5, 4, record(4)?, path(&five, 0)?),
        of("last leaf of a hundred, one place further", &hundred, 101, 100, record(99)?, path(&hundred, 99)?),
    ])
}

fn valid_headers() -> Result<Vec<Header>> {
    let one = header(tree(1)?.root(), 1);
    let full = header(tree(MAX_BATCH)?.root(), MAX_BATCH);
    let with_log = BatchHeader {
        log_size: (1 << 53) - 1,
        log_root: core::array::from_fn(|i| u8::try_from(i).unwrap_or_default()),
        ..one.clone()
    };
    Ok([
        ("one record, and no log yet", one),
        ("as many records as there can be", full),
        ("with a log", with_log),
    ]
    .into_iter()
    .map(|(name, h)| Header {
        name,
        encoding: Hex(h.encode()),
        root: hex(h.root),
        size: h.size,
        log_size: h.log_size,
        log_root: hex(h.log_root),
    })
    .collect())
}

fn invalid_headers() -> Result<Vec<Refused>> {
    const NAMES: &[&str] = &["type", "root", "size", "log_size", "log_root"];
    let h = header(tree(5)?.root(), 5);
    let values =
        [text("ok2cry/batch/v1"), bytes(&h.root), uint(h.size), uint(h.log_size), bytes(&h.log_root)];
    let map = RawMap::new("batch header", NAMES, values);
    if map.encode() != h.encode() {
        return Err("the batch header by hand is not the batch header".into());
    }
    let exactly = |n| Rule::Length { min: n, max: n };
    let mut all = map.structural();
    all.extend(map.typed("ok2cry/batch/v1", "ok2cry/key/v1"));
    all.extend([
        map.bad("root of SHA-256", "root", bytes(&[1; 32]), &exactly(48)),
        map.bad("root of 49 bytes", "root", bytes(&[1; 49]), &exactly(48)),
        map.bad("size 0", "size", uint(0), &Rule::Range),
        map.bad("size 4097", "size", uint(MAX_BATCH + 1), &Rule::Range),
        map.bad("size at its greatest", "size", uint(u64::MAX), &Rule::Range),
        map.bad("size longer than needed", "size", vec![0x18, 5], &Rule::NotDeterministic),
        map.bad("negative log size", "log_size", vec![0x20], &Rule::WrongType),
        map.bad("log root of SHA-384", "log_root", bytes(&[1; 48]), &exactly(32)),
        map.bad("log root of 31 bytes", "log_root", bytes(&[1; 31]), &exactly(32)),
        map.bad("log size 2^53", "log_size", uint(1 << 53), &Rule::Range),
    ]);
    Ok(all)
}

fn header(root: Hash, size: u64) -> BatchHeader {
    BatchHeader { root, size, log_size: 0, log_root: EMPTY_LOG_ROOT }
}

fn path(tree: &Tree, index: u64) -> Result<Vec<Hash>> {
    Ok(tree.path(usize::try_from(index)?))
}

fn hashes(path: &[Hash]) -> Vec<Hex> {
    path.iter().map(hex).collect()
}
