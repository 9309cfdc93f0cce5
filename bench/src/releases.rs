//! Following releases: one check of a bundle, beside the signatures that it cannot do without.

use std::time::Duration;

use ok2cry_attest_forge::NOW_MS;
use ok2cry_attest_forge::release::{ReleaseFixture, cases};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release_verify::{Bundle, ReleaseKey, ReleaseState, Role, SignerKey};
use p384::ecdsa::signature::{Signer, Verifier};
use p384::ecdsa::{DerSignature, SigningKey};

use crate::processor_time;

/// Two of the pinned keys, which are the document's own as well, one for the list, two for each of two manifests.
const SIGNATURES: u32 = 9;

/// Prints the processor time of both, medians of so many rounds.
pub fn print(rounds: usize) {
    let world = ReleaseFixture::with(|world| world.earlier = 1000);
    let text = world.bundle().to_string();
    let keys = cases()[0].pinned.iter().map(|key| SignerKey::from_der(&key.der()).expect("a key")).collect();
    let key = ReleaseKey::from_role(Role::new(2, keys).expect("a role"));
    let (anchor, time) = (TrustAnchor::aws_nitro(), CheckTime::at(NOW_MS));
    let check = || {
        let bundle = Bundle::decode(text.as_bytes()).expect("a bundle");
        key.check(&bundle, &anchor, &mut ReleaseState::default(), &time).expect("an accepted bundle");
    };
    let signing = SigningKey::from_slice(&[7; 48]).expect("a key");
    let signature: DerSignature = signing.sign(text.as_bytes());
    let limit = || {
        for _ in 0..SIGNATURES {
            signing.verifying_key().verify(text.as_bytes(), &signature).expect("a valid signature");
        }
    };
    let (mut ours, mut least) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(timed(&check));
        least.push(timed(&limit));
    }
    let (ours, least) = (median(&mut ours), median(&mut least));
    println!("\nreleases: a bundle of two releases in a log of 1,004 entries ({} bytes)\n", text.len());
    println!("| | ms | x limit |");
    println!("|---|---:|---:|");
    println!("| limit: its {SIGNATURES} signatures by p384 | {:.1} | 1.00 |", least * 1e3);
    println!("| checked from nothing | {:.1} | {:.2} |", ours * 1e3, ours / least);
}

fn timed(work: &dyn Fn()) -> f64 {
    let begun: Duration = processor_time();
    work();
    (processor_time() - begun).as_secs_f64()
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
