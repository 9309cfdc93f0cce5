//! Verifies a document file as of its own time and prints what it says: `cargo run --example verify_document
//! FILE`.
//!
//! A program that decides about an enclave calls `Verifier::verify` with the current time, and a `Policy`
//! with measurements.

use std::error::Error;

use ok2cry_attest_verify::{CheckTime, Policy, TrustAnchor, Verifier};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: verify_document FILE")?;
    let bytes = std::fs::read(path)?;

    let verifier = Verifier::new(TrustAnchor::aws_nitro());
    let document = verifier.verify_historical(&bytes)?;
    let time = CheckTime::exactly(document.timestamp_ms());
    let document = Policy::insecure_without_pcrs().appraise(document, &time)?;

    println!("{} at {} ms", document.module_id().escape_debug(), document.timestamp_ms());
    for (index, value) in document.pcrs().iter().filter(|(_, value)| **value != [0; 48]) {
        println!("PCR{index} {}", value.map(|byte| format!("{byte:02x}")).concat());
    }
    Ok(())
}
