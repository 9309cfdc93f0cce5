//! Records of ok2cry under one document: a Merkle tree, its header, and an enclave that attests it.

use sha2::{Digest as _, Sha384};

use crate::{Enclave, cbor};

/// A hash of the tree.
pub type Hash = [u8; 48];

/// The records of one document, and the fields of its header.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Root of the tree over the records.
    pub root: Hash,
    /// The number of records.
    pub size: u64,
    /// The size of the audit log.
    pub log_size: u64,
    /// Root of the audit log, 32 bytes.
    pub log_root: Vec<u8>,
    leaves: Vec<Hash>,
}

impl Batch {
    /// A batch of at least one record, under an empty audit log.
    #[must_use]
    pub fn of(records: &[Vec<u8>]) -> Self {
        let leaves: Vec<_> = records.iter().map(|record| hash(&[&[0], record])).collect();
        Self {
            root: root_of(&leaves),
            size: leaves.len() as u64,
            log_size: 0,
            log_root: sha2::Sha256::digest(b"").to_vec(),
            leaves,
        }
    }

    /// The inclusion proof of the record at `index`, leaf's sibling first (RFC 9162 §2.1.3.1).
    #[must_use]
    pub fn path(&self, index: usize) -> Vec<Hash> {
        path_of(&self.leaves, index)
    }

    /// The header, which is a document's `user_data`.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        cbor::map(&[
            (cbor::uint(0), cbor::text("ok2cry/batch/v1")),
            (cbor::uint(1), cbor::bytes(&self.root)),
            (cbor::uint(2), cbor::uint(self.size)),
            (cbor::uint(3), cbor::uint(self.log_size)),
            (cbor::uint(4), cbor::bytes(&self.log_root)),
        ])
    }
}

impl Enclave {
    /// An enclave with this log key (DER), whose document attests a batch with this header.
    #[must_use]
    pub fn attesting(header: &[u8], log_key: &[u8]) -> Self {
        Self::with(|e| {
            e.set("user_data", cbor::bytes(header));
            e.set("public_key", cbor::bytes(log_key));
            e.set("nonce", cbor::NULL.to_vec());
        })
    }
}

fn hash(parts: &[&[u8]]) -> Hash {
    parts.iter().fold(Sha384::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            hash(&[&[1], &root_of(left), &root_of(right)])
        }
    }
}

fn path_of(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() == 1 {
        return vec![];
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = match index.checked_sub(left.len()) {
        None => (path_of(left, index), root_of(right)),
        Some(index) => (path_of(right, index), root_of(left)),
    };
    path.push(sibling);
    path
}

/// The largest power of two below `count`, which is 2 or more.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}
