//! Checks a bundle against a pinned key and prints the accepted releases:
//! `cargo run --example check_bundle KEY.pem bundle.json`.
//!
//! A client would also save the state, and appraise documents by `AcceptedReleases::policy`.

use std::error::Error;

use ok2cry_release_verify::attest_verify::{CheckTime, TrustAnchor};
use ok2cry_release_verify::{Bundle, ReleaseKey, ReleaseState};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(key), Some(bundle)) = (args.next(), args.next()) else {
        return Err("usage: check_bundle KEY.pem bundle.json".into());
    };
    let key = ReleaseKey::from_pem(&std::fs::read_to_string(key)?)?;
    let bundle = Bundle::decode(&std::fs::read(bundle)?)?;

    let mut state = ReleaseState::default();
    let releases = key.check(&bundle, &TrustAnchor::aws_nitro(), &mut state, &CheckTime::system())?;

    println!("{}, until {} ms", releases.root().product, releases.ends_ms());
    for release in releases.releases() {
        println!("{} {:?}", release.version(), release.measurements());
    }
    Ok(())
}
