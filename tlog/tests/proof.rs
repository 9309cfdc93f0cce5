//! Notes, cosignatures, entry bundles and tlog-proofs: what is written is read again, and everything else is
//! refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code over logs of its own")]

use ok2cry_attest_forge::release::Log;
use ok2cry_tlog::bundle::{append_entry, decode_entries, encode_entries};
use ok2cry_tlog::merkle::leaf_hash;
use ok2cry_tlog::{Checkpoint, LogProof, Note, NoteSigner, Tile, Tiles};

const ORIGIN: &str = "log.example/test";

fn signer() -> NoteSigner {
    NoteSigner::log(ORIGIN, &[7; 32]).unwrap()
}

/// A log of this size, and the proof of its entry at `index`.
fn proof(size: usize, index: u64) -> (Log, LogProof) {
    let log = Log((0..size).map(|i| format!("entry {i}").into_bytes()).collect());
    let tiles: std::collections::HashMap<_, _> = log.tiles().into_iter().collect();
    let source = |tile: &Tile| tiles.get(&tile.path()).cloned();
    let path = Tiles::new(&source, size as u64).inclusion_proof(index).unwrap();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: size as u64, root: log.root(size) };
    let note = signer().sign(&checkpoint.to_text()).unwrap();
    (log, LogProof::new(index, path, note).unwrap())
}

#[test]
fn proofs_are_written_read_and_verified() {
    for (size, index) in [(1, 0), (2, 1), (7, 4), (300, 0), (300, 255), (300, 299)] {
        let (log, proof) = proof(size, index);
        assert_eq!(LogProof::decode(proof.encode().as_bytes()).unwrap(), proof);
        let leaf = leaf_hash(&log.0[usize::try_from(index).unwrap()]);
        let checkpoint = proof.verify(&leaf, signer().verifier_key()).unwrap();
        assert_eq!(checkpoint.size, size as u64);
        assert_eq!(proof.verify(&[0; 32], signer().verifier_key()).unwrap_err().code(), "not_in_log");
        let other = NoteSigner::log("other.example", &[8; 32]).unwrap();
        let refused = proof.verify(&leaf, other.verifier_key()).unwrap_err();
        assert_eq!(refused.code(), "checkpoint_unsigned");
    }
}

#[test]
fn a_proof_has_the_text_of_the_specification() {
    let (log, proof) = proof(2, 0);
    let text = proof.encode();
    let lines: Vec<_> = text.split('\n').collect();
    assert_eq!(lines[..2], ["c2sp.org/tlog-proof@v1", "index 0"]);
    assert_eq!((lines[2].len(), lines[3], lines[4], lines[5]), (44, "", ORIGIN, "2"));
    let with_extra = text.replace("\nindex", "\nextra AAEC\nindex");
    let read = LogProof::decode(with_extra.as_bytes()).unwrap();
    assert_eq!(read.unverified_extra(), Some(&[0, 1, 2][..]));
    assert_eq!(read.encode(), with_extra);
    read.verify(&leaf_hash(&log.0[0]), signer().verifier_key()).unwrap();
}

#[test]
fn other_spellings_of_a_proof_are_refused() {
    let text = proof(300, 5).1.encode();
    let hash = text.split('\n').nth(2).unwrap().to_owned();
    let many = format!("index 5\n{}", format!("{hash}\n").repeat(64));
    for (from, to) in [
        ("proof@v1", "proof@v2"),
        ("c2sp", " c2sp"),
        ("\nindex 5", "\nindex 05"),
        ("\nindex 5", "\nindex +5"),
        ("\nindex 5", "\nindex -5"),
        ("\nindex 5", "\nindex 281474976710656"),
        ("\nindex 5", "\nindex 18446744073709551616"),
        ("\nindex 5", "\nindex"),
        ("\nindex 5", "\nIndex 5"),
        ("\nindex 5", ""),
        ("\nindex 5", "\nindex 5\nindex 5"),
        ("\nindex 5", "\nindex 5\nextra AAEC"),
        ("\nindex 5", "\nextra AAEC\nextra AAEC\nindex 5"),
        ("\nindex 5", "\nextra \nindex 5"),
        ("\nindex 5", "\nextra AAE\nindex 5"),
        ("\nindex 5", "\r\nindex 5"),
        (hash.as_str(), hash.trim_end_matches('=')),
        (hash.as_str(), &format!("{hash} ")),
        (hash.as_str(), "AAAA"),
        ("index 5\n", many.as_str()),
    ] {
        let bad = text.replacen(from, to, 1);
        assert_ne!(bad, text, "{from:?}");
        assert_eq!(LogProof::decode(bad.as_bytes()).unwrap_err().code(), "tlog_proof_invalid", "{to:?}");
    }
    for (bad, code) in [
        (String::new(), "tlog_proof_invalid"),
        (text.replace("\n\n", "\n"), "tlog_proof_invalid"),
        (text.trim_end().to_owned(), "note_invalid"),
        (format!("{text}\n"), "note_invalid"),
        (text.replace("\n\n", "\n\n\n").repeat(300), "tlog_proof_invalid"),
    ] {
        assert_eq!(LogProof::decode(bad.as_bytes()).unwrap_err().code(), code, "{bad:.40}");
    }
    assert_eq!(LogProof::decode(b"\xff").unwrap_err().code(), "tlog_proof_invalid");
}

#[test]
fn signers_write_what_verifiers_accept() {
    let log = signer();
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 3, root: [9; 32] };
    let text = checkpoint.to_text();
    let note = log.sign(&text).unwrap();
    assert_eq!(
        Checkpoint::verify(&Note::parse(note.as_bytes()).unwrap(), log.verifier_key()),
        Ok(checkpoint)
    );

    let witness = NoteSigner::witness("witness.example", &[5; 32]).unwrap();
    let line = witness.cosign(&Note::parse(note.as_bytes()).unwrap(), 1_700_000_000).unwrap();
    let cosigned = format!("{note}{line}");
    let cosigned = Note::parse(cosigned.as_bytes()).unwrap();
    assert_eq!(cosigned.cosigned_at(witness.verifier_key()), Ok(Some(1_700_000_000)));
    assert_eq!(cosigned.is_signed_by(log.verifier_key()), Ok(true));
    assert_eq!(cosigned.signed_only_by([log.verifier_key()]), note);

    for text in ["", "no newline", "a\rb\n", "tab\t\n"] {
        assert_eq!(log.sign(text).unwrap_err().code(), "note_invalid", "{text:?}");
    }
    assert_eq!(witness.sign(&text).unwrap_err().code(), "note_invalid");
    assert_eq!(log.cosign(&cosigned, 1).unwrap_err().code(), "note_invalid");
    assert!(NoteSigner::log("with space", &[7; 32]).is_none() && NoteSigner::log("", &[7; 32]).is_none());
    assert!(!format!("{log:?}").contains("7, 7"), "the private key is not shown");
}

#[test]
fn entry_bundles_are_read_strictly() {
    let entries = [b"a".to_vec(), Vec::new(), vec![7; 0xffff]];
    let bytes = encode_entries(&entries).unwrap();
    assert_eq!(bytes[..3], [0, 1, b'a']);
    assert_eq!(decode_entries(&bytes, 3).unwrap(), entries);
    let code = |bytes: &[u8], width| decode_entries(bytes, width).map(drop).map_err(|error| error.code());
    for width in [0, 1, 2, 4, 256, 257, usize::MAX] {
        assert_eq!(code(&bytes, width), Err("entry_bundle_invalid"), "{width}");
    }
    for len in [0, 1, 2, 5, bytes.len() - 1] {
        assert_eq!(code(&bytes[..len], 3), Err("entry_bundle_invalid"), "{len}");
    }
    assert_eq!(encode_entries::<Vec<u8>>(&[]).unwrap_err().code(), "entry_bundle_invalid");
    assert_eq!(encode_entries(&vec![b""; 257]).unwrap_err().code(), "entry_bundle_invalid");
    assert_eq!(encode_entries(&[vec![0; 0x10000]]).unwrap_err().code(), "entry_bundle_invalid");
    assert_eq!(decode_entries(&encode_entries(&vec![b""; 256]).unwrap(), 256).unwrap().len(), 256);
}

#[test]
fn entries_of_many_bundles_are_read_one_by_one() {
    let entries = [b"a".to_vec(), Vec::new(), vec![7; 0xffff]];
    let mut bytes = Vec::new();
    entries.iter().for_each(|entry| append_entry(&mut bytes, entry).unwrap());
    assert_eq!(bytes, encode_entries(&entries).unwrap());
    let read: Result<Vec<_>, _> = ok2cry_tlog::bundle::entries(&bytes).collect();
    assert_eq!(read.unwrap(), entries);
    let mut some = ok2cry_tlog::bundle::entries(&bytes);
    assert_eq!((some.next(), some.rest().len()), (Some(Ok(&b"a"[..])), bytes.len() - 3));
    for len in [1, 2, 4, bytes.len() - 1] {
        let read: Vec<_> = ok2cry_tlog::bundle::entries(&bytes[..len]).collect();
        let code = read.last().unwrap().as_ref().unwrap_err().code();
        assert_eq!(
            (code, read.iter().filter(|entry| entry.is_err()).count()),
            ("entry_bundle_invalid", 1),
            "{len}"
        );
    }
    let before = bytes.len();
    assert_eq!(append_entry(&mut bytes, &[0; 0x10000]).unwrap_err().code(), "entry_bundle_invalid");
    assert_eq!(bytes.len(), before);
}
