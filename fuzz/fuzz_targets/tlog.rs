//! C2SP logs: any bytes as a tlog-proof, as an entry bundle, and as steps of a growing tree. The first byte chooses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ok2cry_tlog::bundle::{decode_entries, encode_entries};
use ok2cry_tlog::merkle::leaf_hash;
use ok2cry_tlog::{Frontier, LogProof, TreeHead};

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 3 {
        0 => {
            if let Ok(proof) = LogProof::decode(bytes) {
                assert_eq!(proof.encode().as_bytes(), bytes, "a proof has one spelling");
            }
        }
        1 => {
            let Some((width, bytes)) = bytes.split_first() else { return };
            if let Ok(entries) = decode_entries(bytes, usize::from(*width) + 1) {
                assert_eq!(encode_entries(&entries).as_deref(), Ok(bytes), "a bundle has one spelling");
            }
        }
        // Hashes as a path, for a head and an index of any size.
        _ => {
            let Some((numbers, path)) = bytes.split_first_chunk::<16>() else { return };
            let number = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| numbers[at + i]));
            let path: Vec<_> = path.as_chunks::<32>().0.to_vec();
            let mut frontier: Frontier = Frontier::new();
            path.iter().for_each(|hash| drop(frontier.append(leaf_hash(hash))));
            let head: TreeHead = TreeHead { size: number(0), root: frontier.head().root };
            assert!(!head.includes(number(8), &[0; 32], &path), "the root was not computed from this path");
            let _ = head.continues(&TreeHead { size: number(8), root: [0; 32] }, &path);
        }
    }
});
