//! A transparency log without optimisation: every hash is computed from all entries.

use sha2::{Digest, Sha256};

/// Entries of a log, in order.
#[derive(Clone, Debug, Default)]
pub struct Log(pub Vec<Vec<u8>>);

impl Log {
    /// The tree hash of the first `size` entries (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self, size: usize) -> [u8; 32] {
        tree_hash(&self.0[..size])
    }

    /// Path and bytes of every tile of the log.
    #[must_use]
    pub fn tiles(&self) -> Vec<(String, Vec<u8>)> {
        let mut tiles = Vec::new();
        for level in 0_u32.. {
            // The number of entries below one hash of this level.
            let span = 256_usize.pow(level);
            let hashes: Vec<_> = self.0.chunks_exact(span).map(tree_hash).collect();
            if hashes.is_empty() {
                return tiles;
            }
            for (number, row) in hashes.chunks(256).enumerate() {
                assert!(number < 1000, "a log of this size is not for here");
                let partial = if row.len() < 256 { format!(".p/{}", row.len()) } else { String::new() };
                tiles.push((format!("tile/{level}/{number:03}{partial}"), row.concat()));
            }
        }
        unreachable!("levels end where hashes do")
    }
}

fn tree_hash(entries: &[Vec<u8>]) -> [u8; 32] {
    match entries {
        [] => Sha256::digest([]).into(),
        [entry] => Sha256::new().chain_update([0]).chain_update(entry).finalize().into(),
        _ => {
            let mut middle = 1;
            while middle * 2 < entries.len() {
                middle *= 2;
            }
            let (left, right) = (tree_hash(&entries[..middle]), tree_hash(&entries[middle..]));
            Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
        }
    }
}
