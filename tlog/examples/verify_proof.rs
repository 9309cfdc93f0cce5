//! Verifies a tlog-proof: `cargo run --example verify_proof VKEY ENTRY-FILE PROOF.tlog-proof`.

use std::error::Error;

use ok2cry_tlog::merkle::leaf_hash;
use ok2cry_tlog::{LogProof, VerifierKey};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(vkey), Some(entry), Some(proof)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: verify_proof VKEY ENTRY-FILE PROOF".into());
    };
    let key = VerifierKey::parse(&vkey).ok_or("VKEY must be NAME+ID+BASE64 (Ed25519)")?;
    let proof = LogProof::decode(&std::fs::read(proof)?)?;
    let checkpoint = proof.verify(&leaf_hash(&std::fs::read(entry)?), &key)?;
    println!("entry {} of {}, which has {} entries", proof.index(), checkpoint.origin, checkpoint.size);
    Ok(())
}
