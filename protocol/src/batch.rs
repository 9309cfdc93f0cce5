//! Many records under one attestation document.
//!
//! The document's `user_data` is a batch header: the root of a Merkle tree over the records, and the head of
//! the audit log. Values that a caller chose enter the document through the leaves only.

use crate::{
    DecodeError, Hash, Record, Rule,
    cbor::{Reader, Writer},
    merkle::{Position, leaf_hash, root_of_path},
};

const TYPE: &str = "ok2cry/batch/v1";

/// The most records in one batch.
pub const MAX_BATCH: u64 = 4096;
/// The most hashes in an inclusion path: log2 of [`MAX_BATCH`].
pub const MAX_PATH: usize = 12;
/// The root of an audit log without entries: SHA-256 of nothing (RFC 9162 §2.1.1).
pub const EMPTY_LOG_ROOT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The batch header: the `user_data` of an attestation document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Root of the tree over the batch's records.
    pub root: Hash,
    /// Number of records, 1 to 4,096.
    pub size: u64,
    /// Number of entries in the boot's audit log, at most 2⁵³ − 1.
    pub log_size: u64,
    /// Root of the audit log (SHA-256).
    pub log_root: [u8; 32],
}

impl Record for BatchHeader {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(128);
        w.map(5).key(0).text(TYPE).key(1).bytes(&self.root).key(2).uint(self.size);
        w.key(3).uint(self.log_size).key(4).bytes(&self.log_root);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("batch header", bytes);
        let mut m = r.map("map")?;
        m.key(r, "type")?;
        r.record_type(TYPE)?;
        m.key(r, "root")?;
        let root = r.array_of("root")?;
        m.key(r, "size")?;
        let size = r.uint("size")?;
        if !(1..=MAX_BATCH).contains(&size) {
            return Err(r.error("size", Rule::Range));
        }
        m.key(r, "log_size")?;
        let log_size = r.safe_uint("log_size")?;
        m.key(r, "log_root")?;
        let log_root = r.array_of("log_root")?;
        m.end(r)?;
        r.end()?;
        Ok(Self { root, size, log_size, log_root })
    }
}

/// The position of a record in a batch, with its inclusion path.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Inclusion {
    /// The record's position, from 0.
    pub index: u64,
    /// The hashes from its sibling up to the root.
    pub path: Vec<Hash>,
}

impl Inclusion {
    /// Whether this path proves that `record` is at this position of the batch with this `header`.
    pub fn proves(&self, record: &[u8], header: &BatchHeader) -> bool {
        let position = Position { index: self.index, size: header.size };
        root_of_path(&leaf_hash(record), position, &self.path) == Some(header.root)
    }

    pub(crate) fn write(&self, w: &mut Writer) {
        w.array(2).uint(self.index).array(self.path.len() as u64);
        for h in &self.path {
            w.bytes(h);
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array("inclusion", 2..=2)?;
        let index = r.uint("index")?;
        let n = r.array("path", 0..=MAX_PATH)?;
        let path = (0..n).map(|_| r.array_of("path")).collect::<Result<_, _>>()?;
        Ok(Self { index, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Tree;

    #[test]
    fn a_record_is_proven_at_its_own_position_only() {
        let records: Vec<[u8; 1]> = (0..5).map(|i| [i]).collect();
        let tree = Tree::new(records.iter().map(|r| leaf_hash(r)).collect()).unwrap();
        let header = BatchHeader { root: tree.root(), size: 5, log_size: 0, log_root: EMPTY_LOG_ROOT };
        assert_eq!(BatchHeader::decode(&header.encode()), Ok(header.clone()));
        for (i, record) in records.iter().enumerate() {
            let inclusion = Inclusion { index: i as u64, path: tree.path(i) };
            assert!(inclusion.proves(record, &header));
            assert!(!inclusion.proves(&[99], &header));
            assert!(!inclusion.proves(record, &BatchHeader { size: 4096, ..header.clone() }));
        }
    }

    #[test]
    fn sizes_have_bounds() {
        for size in [0, MAX_BATCH + 1, u64::MAX] {
            let header = BatchHeader { root: [0; 48], size, log_size: 0, log_root: EMPTY_LOG_ROOT };
            assert_eq!(BatchHeader::decode(&header.encode()).unwrap_err().field, "size");
        }
    }
}
