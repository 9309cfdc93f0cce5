//! Two builders agree on a signed image, with one key or without.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::{
    ORDINARY, SIGNATURE, eif,
    engineers::{Engineers, PUBLISH, VERIFY},
    signer::{Curve, LASTING, SIGNER, Signer, payload, pem, section},
};
use ok2cry_release::{
    eif::Eif,
    measure::{Measurements, Pcr},
};
use sha2::{Digest, Sha384};
use std::fs;

fn pcr0() -> Pcr {
    Measurements::of(&Eif::parse(&eif(4, ORDINARY)).unwrap()).unwrap().pcr0
}

fn signed(section: &[u8]) -> Vec<u8> {
    eif(4, &[ORDINARY, &[(SIGNATURE, section)]].concat())
}

/// An image with this section, and the manifest of its build.
fn put(us: &Engineers, name: &str, image: &[u8]) {
    let parsed = Eif::parse(image).unwrap();
    let unsigned = parsed.without_signature();
    let measurements = Measurements::of(&Eif::parse(&unsigned).unwrap()).unwrap();
    let build = serde_json::json!({ "measurements": measurements, "kernel_release": "6.12.1" });
    fs::write(us.path(&format!("{name}.eif")), image).unwrap();
    fs::write(us.path(&format!("{name}.json")), build.to_string()).unwrap();
}

fn built(name: &str) -> Vec<String> {
    let image = format!("{name}.eif");
    let build = format!("{name}.json");
    ["--image", &image, "--build", &build, "--attestation-root", "attestation-root.pem"]
        .map(str::to_owned)
        .into()
}

/// The manifest of version 1.0.0 by the builder of `name`.
fn manifest(us: &Engineers, name: &str) -> (Option<i32>, String) {
    let commit = "0".repeat(40);
    let mut args = vec!["manifest", "--product", "test", "--version", "1.0.0", "--out", "1.0.0.json"];
    args.extend(["--repository", "https://git.example", "--commit", &commit]);
    let built = built(name);
    args.extend(built.iter().map(String::as_str));
    let (status, _, stderr) = us.run(&args);
    (status, stderr)
}

fn sign(us: &Engineers, key: &str, name: &str) -> (Option<i32>, String) {
    let built = built(name);
    let mut args = vec!["sign", "--key", key];
    args.extend(built.iter().map(String::as_str));
    args.push("1.0.0.json");
    let (status, _, stderr) = us.run(&args);
    (status, stderr)
}

/// Another valid signature by the same key over the same PCR0: `ES384` also accepts -s. The file differs.
fn signed_again() -> Vec<u8> {
    let cose = LASTING.cose(&payload(0, &pcr0().0));
    let at = cose.len() - 96;
    let signature = p384::ecdsa::Signature::from_slice(&cose[at..]).unwrap();
    let (r, s) = signature.split_scalars();
    let other = p384::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    let cose = [&cose[..at], &other.to_bytes()].concat();
    signed(&section(&pem(&LASTING.certificate()), &cose))
}

#[test]
fn two_builders_with_the_key_agree() {
    let us = Engineers::new();
    let (one, other) = (signed(&LASTING.section(&pcr0())), signed_again());
    assert_ne!(one, other);
    put(&us, "one", &one);
    put(&us, "other", &other);
    assert_eq!(manifest(&us, "one"), (Some(0), String::new()));
    assert_eq!(sign(&us, "builder-1.pem", "one"), (Some(0), String::new()));
    assert_eq!(sign(&us, "builder-2.pem", "other"), (Some(0), String::new()));

    // The digest is that of the common part.
    let shown = us.done(&["show", "1.0.0.json"]);
    let digest: String = Sha384::digest(eif(4, ORDINARY)).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(shown.contains(&digest), "{shown}");
    assert!(us.done(&["unsigned", "other.eif", "--out", "bare.eif"]).contains(&digest));
    assert_eq!(fs::read(us.path("bare.eif")).unwrap(), eif(4, ORDINARY));

    us.root();
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", "1.0.0.json"]].concat());
    let image = |name: &str| us.run(&[VERIFY, &["--image", name]].concat());
    for name in ["one.eif", "other.eif"] {
        let (status, stdout, stderr) = image(name);
        assert_eq!(status, Some(0), "{stderr}");
        assert!(stdout.contains("is release 1.0.0, signed by CN=signer of images (ES384)"), "{stdout}");
    }
    // The same image with another PCR8 or none is not accepted by clients.
    let (status, _, stderr) = image("bare.eif");
    assert_eq!(status, Some(1));
    assert!(stderr.contains("image_not_released") && stderr.contains("the image is not signed"), "{stderr}");
    put(&us, "thief", &signed(&Signer { seed: 9, ..LASTING }.section(&pcr0())));
    let (status, _, stderr) = image("thief.eif");
    assert_eq!(status, Some(1));
    assert!(stderr.contains("certificate is not the release's"), "{stderr}");
}

#[test]
fn a_builder_without_the_key_attaches_the_signature() {
    let us = Engineers::new();
    let theirs = signed(&LASTING.section(&pcr0()));
    put(&us, "theirs", &theirs);
    put(&us, "mine", &eif(4, ORDINARY));
    assert_eq!(manifest(&us, "theirs").0, Some(0));
    let (status, stderr) = sign(&us, "builder-2.pem", "mine");
    assert_eq!(status, Some(1));
    assert!(stderr.contains("PCR8, which your image lacks (`attach`"), "{stderr}");
    let said =
        us.done(&["attach", "--image", "mine.eif", "--signature-of", "theirs.eif", "--out", "attached.eif"]);
    assert!(said.contains("signed by CN=signer of images"), "{said}");
    assert_eq!(fs::read(us.path("attached.eif")).unwrap(), theirs);
    // The manifest of the build describes the unsigned image.
    fs::copy(us.path("mine.json"), us.path("attached.json")).unwrap();
    assert_eq!(sign(&us, "builder-2.pem", "attached"), (Some(0), String::new()));

    let attach = |image: &str, of: &str| {
        us.run(&["attach", "--image", image, "--signature-of", of, "--out", "no.eif"]).2
    };
    let other: Vec<_> =
        ORDINARY.iter().map(|&(kind, c)| (kind, if c == b"application" { b"other" } else { c })).collect();
    put(&us, "other", &eif(4, &other));
    assert!(attach("other.eif", "theirs.eif").starts_with("refused: eif_signature_other_image: "));
    assert!(attach("theirs.eif", "mine.eif").starts_with("refused: eif_section_missing: "));
    assert!(!us.path("no.eif").exists());
}

/// A section that is not this certificate's signature of this image cannot be released.
#[test]
fn a_wrongly_signed_image_cannot_be_released() {
    let us = Engineers::new();
    let good = payload(0, &pcr0().0);
    let of = |cose: &[u8]| signed(&section(&pem(&LASTING.certificate()), cose));
    let zero = common::signer::cose(&LASTING.protected(), &good, &[0; 96]);
    let another_key = Signer { seed: 9, ..LASTING }.cose(&good);
    let expired = Signer { not_before: "190101000000Z", not_after: "200101000000Z", ..SIGNER };
    let future = Signer { not_before: "480101000000Z", not_after: "490101000000Z", ..SIGNER };
    let p521 = Signer { curve: Curve::P521, ..LASTING };
    for (image, code) in [
        (of(&zero), "eif_signature_forged"),
        (of(&another_key), "eif_signature_forged"),
        (of(&LASTING.cose(&payload(0, &[7; 48]))), "eif_signature_other_image"),
        (signed(&expired.section(&pcr0())), "eif_certificate_expired"),
        (signed(&future.section(&pcr0())), "eif_certificate_not_yet_valid"),
        (of(&p521.cose(&good)), "eif_signature_invalid"),
    ] {
        put(&us, "bad", &image);
        put(&us, "good", &signed(&LASTING.section(&pcr0())));
        let (status, stderr) = manifest(&us, "bad");
        assert_eq!(status, Some(1), "{code}");
        assert!(stderr.starts_with(&format!("refused: {code}: ")), "{stderr}");
        assert_eq!(manifest(&us, "good").0, Some(0));
        let (status, stderr) = sign(&us, "builder-1.pem", "bad");
        assert_eq!(status, Some(1), "{code}");
        assert!(stderr.starts_with(&format!("refused: {code}: ")), "{stderr}");
        us.refused(code, &["measure", "bad.eif"]);
    }
}
