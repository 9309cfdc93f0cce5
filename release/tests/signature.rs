//! Image signatures: only one by the certificate's key over PCR0 of this image is measured.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy.toml's list is for #[test]")]

mod common;

use ciborium::Value;
use common::{
    KERNEL, ORDINARY, SIGNATURE, eif,
    signer::{
        Curve, SIGNER, Signer, VALID_MS, cbor, cose, numbers, payload, pem, section, signature, tlv,
        to_be_signed,
    },
};
use ok2cry_attest_verify::CheckTime;
use ok2cry_release::{
    eif::Eif,
    error::{Error, SignatureFault},
    measure::{ImageParts, Measurements, Pcr},
    signature::{ImageSignature, SigningCertificate},
};

fn pcr0() -> Pcr {
    Measurements::of(&Eif::parse(&eif(4, ORDINARY)).unwrap()).unwrap().pcr0
}

fn image(section: &[u8]) -> Vec<u8> {
    eif(4, &[ORDINARY, &[(SIGNATURE, section)]].concat())
}

fn measured(section: &[u8]) -> Result<(Measurements, Option<SigningCertificate>), Error> {
    Measurements::with_signer(&Eif::parse(&image(section)).unwrap())
}

#[track_caller]
fn refused(section: &[u8]) -> (&'static str, SignatureFault) {
    let error = measured(section).unwrap_err();
    let code = error.code();
    match error {
        Error::Signature(fault) => (code, fault),
        other => panic!("{other}"),
    }
}

#[test]
fn each_curve_signs_and_the_certificate_is_measured() {
    for curve in [Curve::P256, Curve::P384, Curve::P521] {
        let signer = Signer { curve, ..SIGNER };
        let (measurements, by) = measured(&signer.section(&pcr0())).unwrap();
        let by = by.unwrap();
        assert_eq!(by.as_der(), signer.certificate());
        assert_eq!((by.subject(), by.issuer()), ("CN=signer of images", "CN=issuer of signers"));
        assert_eq!((by.not_before_ms(), by.not_after_ms()), (1_767_225_600_000, 1_798_761_600_000));
        assert_eq!(by.algorithm(), ["ES256", "ES384", "ES512"][curve as usize]);
        let unsigned = Measurements::of(&Eif::parse(&eif(4, ORDINARY)).unwrap()).unwrap();
        assert_eq!((unsigned.pcr8, measurements.pcr0), (None, unsigned.pcr0));
        let certificate = Some(by.as_der());
        let parts = ImageParts { kernel: b"", cmdline: b"", ramdisks: &[], certificate };
        let expected = Measurements::of_parts(&parts).pcr8;
        assert_eq!(measurements.pcr8, expected);
    }
}

#[test]
fn a_signature_by_another_key_is_forged() {
    let pem = pem(&SIGNER.certificate());
    let good = payload(0, &pcr0().0);
    let forged = |signature: &[u8]| {
        let section = section(&pem, &cose(&SIGNER.protected(), &good, signature));
        assert_eq!(refused(&section), ("eif_signature_forged", SignatureFault::Forged));
    };
    forged(&[0; 96]);
    forged(&[]);
    forged(&[1; 96]);
    let by_other = Signer { seed: 8, ..SIGNER }.sign(&to_be_signed(&SIGNER.protected(), &good));
    forged(&by_other);
    let right = SIGNER.sign(&to_be_signed(&SIGNER.protected(), &good));
    forged(&[right.as_slice(), &[0]].concat());
    for bit in (0..8 * right.len()).step_by(13) {
        let mut changed = right.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        forged(&changed);
    }
    measured(&section(&pem, &cose(&SIGNER.protected(), &good, &right))).unwrap();
}

#[test]
fn a_signature_over_another_image_or_register_is_refused() {
    let pem = pem(&SIGNER.certificate());
    let fault = |payload: &[u8]| refused(&section(&pem, &SIGNER.cose(payload)));
    let code = "eif_signature_other_image";
    assert_eq!(fault(&payload(0, &[9; 48])), (code, SignatureFault::OtherImage));
    assert_eq!(fault(&payload(0, &[])), (code, SignatureFault::OtherImage));
    assert_eq!(fault(&payload(1, &pcr0().0)), (code, SignatureFault::OtherRegister { index: 1 }));
    assert_eq!(fault(b""), (code, SignatureFault::Payload));
    assert_eq!(fault(b"PCR0"), (code, SignatureFault::Payload));
    // Another encoding is not what AWS's tools compare with.
    let swapped = cbor(&Value::Map(vec![
        (Value::Text("register_value".into()), numbers(&pcr0().0)),
        (Value::Text("register_index".into()), Value::from(0)),
    ]));
    assert_eq!(fault(&swapped), (code, SignatureFault::Payload));
    assert_eq!(fault(&[payload(0, &pcr0().0), vec![0]].concat()), (code, SignatureFault::Payload));

    // The section of another image.
    let taken = SIGNER.section(&pcr0());
    let other = [ORDINARY, &[(SIGNATURE, &taken[..])]].concat();
    let other: Vec<_> =
        other.iter().map(|&(kind, c)| (kind, if kind == KERNEL { b"other" } else { c })).collect();
    let error = Measurements::of(&Eif::parse(&eif(4, &other)).unwrap()).unwrap_err();
    assert_eq!(error.code(), code);
}

#[test]
fn the_cose_headers_say_the_keys_algorithm_and_nothing_else() {
    let (pem, good) = (pem(&SIGNER.certificate()), payload(0, &pcr0().0));
    let with = |protected: &[u8]| {
        let signature = SIGNER.sign(&to_be_signed(protected, &good));
        refused(&section(&pem, &cose(protected, &good, &signature)))
    };
    for protected in [&b""[..], &[0xa0], &[0xa1, 1, 0x26], &[0xa1, 1, 0x38, 0x23], &[0xa1, 1, 0x39, 0, 0x22]]
    {
        let expected = SignatureFault::Algorithm { expected: "ES384" };
        assert_eq!(with(protected), ("eif_signature_invalid", expected), "{protected:02x?}");
    }
    let right = SIGNER.cose(&good);
    let fault = |cose: &[u8]| refused(&section(&pem, cose)).0;
    assert_eq!(fault(&[&right[..], &[0]].concat()), "eif_signature_invalid");
    assert_eq!(fault(&right[..right.len() - 1]), "eif_signature_invalid");
    assert_eq!(fault(&[]), "eif_signature_invalid");
    assert_eq!(fault(&[&[0xd3], &right[..]].concat()), "eif_signature_invalid", "tag 19");
    measured(&section(&pem, &[&[0xd2], &right[..]].concat())).unwrap();
    // An unprotected header, which the signature does not cover.
    let mut open = right.clone();
    let at = 1 + 1 + SIGNER.protected().len();
    assert_eq!(open[at], 0xa0);
    open.splice(at..=at, [0xa1, 0x01, 0x26]);
    assert_eq!(fault(&open), "eif_signature_invalid");
}

#[test]
fn a_certificate_is_valid_from_first_to_last_second() {
    let by = measured(&SIGNER.section(&pcr0())).unwrap().1.unwrap();
    let code = |ms| by.valid_at(&CheckTime::exactly(ms)).map_err(|error| error.code());
    let (from, until) = (by.not_before_ms(), by.not_after_ms());
    assert_eq!(code(VALID_MS), Ok(()));
    assert_eq!(code(from), Ok(()));
    assert_eq!(code(from - 1), Err("eif_certificate_not_yet_valid"));
    assert_eq!(code(until + 999), Ok(()));
    assert_eq!(code(until + 1000), Err("eif_certificate_expired"));
    assert_eq!(code(0), Err("eif_certificate_not_yet_valid"));
    assert_eq!(code(u64::MAX), Err("eif_certificate_expired"));
    // The clock is a minute behind.
    assert!(by.valid_at(&CheckTime::at(from - 60_000)).is_ok());
    assert!(by.valid_at(&CheckTime::at(from - 60_001)).is_err());
    let said = by.valid_at(&CheckTime::exactly(until + 1000)).unwrap_err().to_string();
    assert!(said.contains("valid until 2027-01-01T00:00:00Z"), "{said}");
}

#[test]
fn only_the_first_certificate_of_a_chain_is_measured() {
    let issuer = Signer { seed: 8, subject: "issuer of signers", ..SIGNER };
    let chain = [pem(&SIGNER.certificate()), b"\n".to_vec(), pem(&issuer.certificate())].concat();
    let signed = SIGNER.cose(&payload(0, &pcr0().0));
    let (measurements, by) = measured(&section(&chain, &signed)).unwrap();
    let by = by.unwrap();
    assert_eq!((by.issuers(), by.as_der()), (1, &SIGNER.certificate()[..]));
    let alone = measured(&SIGNER.section(&pcr0())).unwrap().0;
    assert_eq!(measurements, alone);
    // In reverse order, the first is not the signer.
    let reversed = [pem(&issuer.certificate()), pem(&SIGNER.certificate())].concat();
    assert_eq!(refused(&section(&reversed, &signed)).1, SignatureFault::Forged);
    let long = pem(&SIGNER.certificate()).repeat(9);
    assert_eq!(refused(&section(&long, &signed)).1, SignatureFault::ChainLength);
}

#[test]
fn a_file_that_is_not_a_certificate_is_named() {
    let signed = SIGNER.cose(&payload(0, &pcr0().0));
    let fault = |pem: &[u8]| refused(&section(pem, &signed));
    let invalid = "eif_signature_invalid";
    assert_eq!(fault(b""), (invalid, SignatureFault::Pem));
    assert_eq!(fault(b"no PEM"), (invalid, SignatureFault::Pem));
    assert_eq!(fault(&SIGNER.certificate()), (invalid, SignatureFault::Pem));
    let good = pem(&SIGNER.certificate());
    assert_eq!(fault(&good[..good.len() - 10]), (invalid, SignatureFault::Pem));
    // A key in the file would be published with the image.
    let key = b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let label = SignatureFault::Label { found: "EC PRIVATE KEY".into() };
    assert_eq!(fault(&[&key[..], &good].concat()), (invalid, label.clone()));
    assert_eq!(fault(&[&good[..], key].concat()), (invalid, label));
    let der = SIGNER.certificate();
    assert_eq!(fault(&pem(&[&der[..], &[0]].concat())).1, SignatureFault::Certificate { number: 1 });
    assert_eq!(fault(&pem(&der[..der.len() - 1])).1, SignatureFault::Certificate { number: 1 });
    assert_eq!(fault(&[&good[..], &pem(&[0x30, 0])].concat()).1, SignatureFault::Certificate { number: 2 });
    let with_text = [b"Certificate:\n    Data:\n".to_vec(), good.clone(), b"and after\n".to_vec()].concat();
    measured(&section(&with_text, &signed)).unwrap();
}

#[test]
fn keys_that_cannot_sign_an_image_are_named() {
    let signed = SIGNER.cose(&payload(0, &pcr0().0));
    let fault = |algorithm: &[u8], key: &[u8]| {
        refused(&section(&pem(&SIGNER.certificate_with_key(algorithm, key)), &signed))
    };
    let rsa = [tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]), vec![5, 0]].concat();
    let (code, what) = fault(&rsa, &[0x30, 0]);
    assert_eq!(code, "eif_signature_key_unsupported");
    assert!(what.to_string().contains("the algorithm 1.2.840.113549.1.1.1"), "{what}");
    let ec = tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]);
    let secp256k1 = [ec.clone(), tlv(6, &[0x2b, 0x81, 0x04, 0x00, 0x0a])].concat();
    let (code, what) = fault(&secp256k1, &[4; 65]);
    assert_eq!(code, "eif_signature_key_unsupported");
    assert!(what.to_string().contains("the curve 1.3.132.0.10"), "{what}");
    let p384 = [ec, tlv(6, &[0x2b, 0x81, 0x04, 0x00, 0x22])].concat();
    assert_eq!(fault(&p384, &[4; 97]), ("eif_signature_invalid", SignatureFault::Point));
    assert_eq!(fault(&p384, &[0]), ("eif_signature_invalid", SignatureFault::Point));
}

#[test]
fn a_section_holds_exactly_one_signature() {
    let one = || signature(&pem(&SIGNER.certificate()), &SIGNER.cose(&payload(0, &pcr0().0)));
    let fault = |section: &[u8]| match ImageSignature::parse(section) {
        Err(Error::Signature(fault)) => fault,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(&cbor(&Value::Array(vec![]))), SignatureFault::Count);
    assert_eq!(fault(&cbor(&Value::Array(vec![one(), one()]))), SignatureFault::Count);
    let good = cbor(&Value::Array(vec![one()]));
    assert_eq!(fault(&[&good[..], &[0]].concat()), SignatureFault::Cbor);
    for length in (0..good.len()).step_by(7) {
        assert_eq!(fault(&good[..length]), SignatureFault::Cbor, "{length}");
    }
    let Value::Map(mut unknown) = one() else { panic!() };
    unknown.push((Value::Text("more".into()), Value::from(1)));
    assert_eq!(fault(&cbor(&Value::Array(vec![Value::Map(unknown)]))), SignatureFault::Cbor);
    let Value::Map(mut twice) = one() else { panic!() };
    twice.push(twice[0].clone());
    assert_eq!(fault(&cbor(&Value::Array(vec![Value::Map(twice)]))), SignatureFault::Cbor);
}

#[test]
fn names_are_escaped_before_they_reach_a_terminal() {
    let signer = Signer { subject: "a\u{1b}[2J\u{202e}b é", ..SIGNER };
    let by = measured(&signer.section(&pcr0())).unwrap().1.unwrap();
    assert!(!by.subject().contains(['\u{1b}', '\u{202e}']), "{:?}", by.subject());
    assert!(by.subject().contains('é'), "{:?}", by.subject());
}

/// The part that two builders, one of them without the key, have in common.
#[test]
fn signed_builds_differ_in_their_signatures_only() {
    let unsigned = eif(4, ORDINARY);
    let one = image(&SIGNER.section(&pcr0()));
    let other = image(&Signer { seed: 8, curve: Curve::P521, ..SIGNER }.section(&pcr0()));
    for file in [&unsigned, &one, &other] {
        assert_eq!(Eif::parse(file).unwrap().without_signature(), unsigned);
    }
    let parsed = Eif::parse(&unsigned).unwrap();
    assert_eq!(parsed.with_signature(&SIGNER.section(&pcr0())), one);
    assert_eq!(Eif::parse(&other).unwrap().with_signature(&SIGNER.section(&pcr0())), one);
    // At any place of the section.
    let signed = SIGNER.section(&pcr0());
    let first = [&[(SIGNATURE, &signed[..])], ORDINARY].concat();
    assert_eq!(Eif::parse(&eif(4, &first)).unwrap().without_signature(), unsigned);
    // The suggested memory is part of the file, and stays.
    let mut suggests = unsigned.clone();
    suggests[15] = 9;
    let suggests = common::with_crc(suggests);
    assert_eq!(Eif::parse(&suggests).unwrap().without_signature(), suggests);
}
