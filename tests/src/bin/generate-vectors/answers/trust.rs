//! What callers bring: root certificates, reference values, policies.

use super::{Accepted, Expected, Refused, Verdict};
use crate::{
    Result,
    fixtures::{Hex, KeyPair, hex},
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_forge::{Cert, ECDSA_SHA256, Extension, Y_ABOVE_THE_PRIME, der, sha256};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    anchors: Vec<Anchor>,
    measurements: Vec<Measurements>,
    policies: Vec<Policy>,
    recipients: Vec<Recipient>,
    measurement_files: Vec<MeasurementFile>,
}

#[derive(Serialize)]
struct Anchor {
    name: &'static str,
    #[serde(flatten)]
    certificate: Certificate,
    expected: Expected<Hex>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Certificate {
    Der(Hex),
    Pem(String),
}

/// Index and value of each PCR, in this order.
type Pcrs = Vec<(u8, Hex)>;

#[derive(Serialize)]
struct Measurements {
    name: &'static str,
    pcrs: Pcrs,
    expected: Expected<bool>,
}

#[derive(Serialize)]
struct Policy {
    name: &'static str,
    releases: Vec<Pcrs>,
    expected: Expected<bool>,
}

#[derive(Serialize)]
struct Recipient {
    name: &'static str,
    text: String,
    expected: Expected<Hex>,
}

#[derive(Serialize)]
struct MeasurementFile {
    name: &'static str,
    text: String,
    expected: Expected<Pcrs>,
}

pub(crate) fn file() -> Result<File> {
    Ok(File {
        about: "What a caller brings: `anchors`, root certificates (DER in hexadecimal, or PEM) that are \
            taken, with their SHA-256, or refused; `measurements`, reference values of one release, index \
            and value; `policies`, the releases of a policy; `recipients`, texts of a recipient's public \
            key, and its point; `measurement_files`, what nitro-cli prints, and its PCRs. Codes: \
            docs/attestation.md.",
        anchors: ders().into_iter().chain(pems()).chain(more_ders()).chain(more_pems()).collect(),
        measurements: measurements(),
        policies: vec![
            Policy {
                name: "no release",
                releases: vec![],
                expected: Refused("policy_without_release").of(|| true),
            },
            Policy { name: "one release", releases: vec![vec![pcr(0, 1)]], expected: Accepted.of(|| true) },
            Policy {
                name: "two releases",
                releases: vec![vec![pcr(0, 1)], vec![pcr(0, 2), pcr(1, 2)]],
                expected: Accepted.of(|| true),
            },
        ],
        recipients: recipients()?,
        measurement_files: measurement_files(),
    })
}

fn anchor(name: &'static str, verdict: Verdict, change: fn(&mut Cert)) -> Anchor {
    let mut root = Cert::at(0);
    change(&mut root);
    let certificate = root.sign();
    let expected = verdict.of(|| hex(sha256(&certificate)));
    Anchor { name, certificate: Certificate::Der(Hex(certificate)), expected }
}

/// Roots that break two rules, and what is read of an extended key usage.
fn more_ders() -> Vec<Anchor> {
    fn usage(value: Vec<u8>) -> Extension {
        Extension::new(&[0x55, 0x1d, 37], false, value)
    }
    vec![
        anchor("a root that is no CA, of another issuer", Refused("anchor_not_root"), |c| {
            c.issuer = der::name("another");
            *c.extension(19) = Extension::basic_constraints(false, None);
        }),
        anchor("a root that is no CA and may not sign certificates", Refused("issuer_not_ca"), |c| {
            *c.extension(19) = Extension::basic_constraints(false, None);
            *c.extension(15) = Extension::key_usage(0x82);
        }),
        anchor("a root of version 1, of another issuer", Refused("certificate_version"), |c| {
            c.version = vec![];
            c.issuer = der::name("another");
        }),
        anchor("a root of 1,025 bytes, and a byte after it", Refused("anchor_length"), |c| {
            c.pad_to(1024);
            c.on_der = |d| [d, vec![0]].concat();
        }),
        anchor("a root whose extended key usage is of something else", Accepted, |c| {
            c.extensions.push(usage(vec![0x30, 1, 0xff]));
        }),
        anchor("a root whose extended key usage is no SEQUENCE", Refused("der_malformed"), |c| {
            c.extensions.push(usage(vec![4, 1, 0]));
        }),
        anchor("a root whose extended key usage has a byte after it", Refused("der_trailing_bytes"), |c| {
            c.extensions.push(usage(vec![0x30, 0, 0]));
        }),
        anchor("a root whose key is off the curve", Accepted, |c| c.point[96] ^= 1),
    ]
}

fn more_pems() -> Vec<Anchor> {
    let root = || pem("CERTIFICATE", &Cert::at(0).sign());
    let anchor = |name, verdict: Verdict, pem: String| Anchor {
        name,
        certificate: Certificate::Pem(pem),
        expected: verdict.of(|| hex(sha256(&Cert::at(0).sign()))),
    };
    let code = Refused("anchor_pem");
    let begin = |length: usize| format!("-----BEGIN {}-----\n", "X".repeat(length));
    let with = |character: char| root().replacen("-----\n", &format!("-----\n{character}"), 1);
    vec![
        anchor("PEM before a block whose label has 64 characters, without an end", code, root() + &begin(64)),
        anchor("PEM before a line whose label would have 65 characters", Accepted, root() + &begin(65)),
        anchor("PEM before a line whose label would be empty", Accepted, root() + &begin(0)),
        anchor("PEM that begins in the middle of a line", Accepted, format!("root: {}", root())),
        anchor("PEM that begins behind another hyphen", Accepted, format!("-{}", root())),
        anchor("PEM before a block in the middle of a line", code, format!("{}x -----BEGIN X-----", root())),
        anchor("PEM with a vertical tab in it", code, with('\u{b}')),
        anchor("PEM with a form feed in it", code, with('\u{c}')),
        anchor("PEM with a no-break space in it", code, with('\u{a0}')),
        anchor("PEM with a byte order mark in it", code, with('\u{feff}')),
        anchor("PEM with a line break of another kind in it", code, with('\u{85}')),
    ]
}

fn ders() -> Vec<Anchor> {
    let length = Refused("anchor_length");
    vec![
        anchor("a root", Accepted, |_| {}),
        anchor("a root with a pathLenConstraint", Accepted, |c| {
            *c.extension(19) = Extension::basic_constraints(true, Some(3));
        }),
        anchor("a root of exactly 1,024 bytes", Accepted, |c| c.pad_to(1024)),
        anchor("a root of 1,025 bytes", length, |c| c.pad_to(1025)),
        anchor("nothing", length, |c| c.on_der = |_| vec![]),
        anchor("a root that has expired, which the clock decides", Accepted, |c| {
            c.validity.1 = der::utc_time("200102000000Z");
        }),
        // Nothing is proven by a root's own signature: the root is trusted as it is.
        anchor("a root whose own signature is another's", Accepted, |c| c.signer = 9),
        anchor("a certificate of another issuer", Refused("anchor_not_root"), |c| {
            c.issuer = der::name("another");
        }),
        anchor("a root that is no CA", Refused("issuer_not_ca"), |c| {
            *c.extension(19) = Extension::basic_constraints(false, None);
        }),
        anchor("a root without basicConstraints", Refused("issuer_not_ca"), |c| c.without_extension(19)),
        anchor("a root without extensions", Refused("issuer_not_ca"), |c| c.extensions.clear()),
        anchor("a root without keyUsage", Refused("issuer_not_key_cert_sign"), |c| c.without_extension(15)),
        anchor("a root that may not sign certificates", Refused("issuer_not_key_cert_sign"), |c| {
            *c.extension(15) = Extension::key_usage(0x82);
        }),
        anchor("a root of version 1", Refused("certificate_version"), |c| c.version = vec![]),
        anchor("a root that is signed with SHA-256", Refused("certificate_signature_algorithm"), |c| {
            (c.inner_algorithm, c.outer_algorithm) = (ECDSA_SHA256.to_vec(), ECDSA_SHA256.to_vec());
        }),
        anchor("a root with a compressed point", Refused("certificate_key_not_p384"), |c| {
            c.point.truncate(49);
            c.point[0] = 2;
        }),
        anchor("a root with a byte after it", Refused("der_trailing_bytes"), |c| {
            c.on_der = |d| [d, vec![0]].concat();
        }),
        anchor("no certificate", Refused("der_malformed"), |c| c.on_der = |_| vec![0x30, 0x80]),
        anchor("a root with an unknown critical extension", Refused("certificate_critical_extension"), |c| {
            c.extensions.push(Extension::new(&[0x2a, 3, 4], true, vec![5, 0]));
        }),
    ]
}

fn pems() -> Vec<Anchor> {
    let root = || pem("CERTIFICATE", &Cert::at(0).sign());
    let anchor = |name, verdict: Verdict, pem: String| Anchor {
        name,
        certificate: Certificate::Pem(pem),
        expected: verdict.of(|| hex(sha256(&Cert::at(0).sign()))),
    };
    let code = Refused("anchor_pem");
    vec![
        anchor("PEM", Accepted, root()),
        anchor("PEM with the other line ends", Accepted, root().replace('\n', "\r\n")),
        anchor("two certificates in PEM", code, root().repeat(2)),
        anchor("PEM of nothing", code, String::new()),
        anchor("text that is no PEM", code, "a root certificate".into()),
        anchor("PEM that is cut off", code, root()[..200].into()),
        anchor("PEM of a public key", code, pem("PUBLIC KEY", &Cert::at(0).point)),
        anchor(
            "PEM of a certificate that is none",
            Refused("der_malformed"),
            pem("CERTIFICATE", &[0x30, 0x80]),
        ),
        anchor("PEM with a byte order mark", Accepted, format!("\u{feff}{}", root())),
        anchor("PEM with text around it", Accepted, format!("subject=x\n{}\nissuer=x", root())),
        anchor("PEM in one line", Accepted, root().replace('\n', "")),
        anchor("PEM with spaces and tabs in it", Accepted, root().replace('\n', " \t\n ")),
        anchor("PEM beside EC PARAMETERS", Accepted, pem("EC PARAMETERS", &[6, 0]) + &root()),
        anchor("PEM before two EC PARAMETERS", Accepted, root() + &pem("EC PARAMETERS", &[6, 0]).repeat(2)),
        anchor("PEM of EC PARAMETERS alone", code, pem("EC PARAMETERS", &[6, 0])),
        anchor("PEM beside a private key", code, root() + &pem("PRIVATE KEY", &[0x30, 0])),
        anchor("PEM beside a block that is empty", code, root() + "-----BEGIN X-----\n-----END X-----\n"),
        anchor("PEM before a block that has no end", code, root() + "-----BEGIN X-----\n"),
        anchor("PEM before a line that is not a block's", Accepted, root() + "-----BEGIN x-----\n"),
        anchor("PEM under a label in small letters", code, root().replace("CERTIFICATE", "certificate")),
        anchor(
            "PEM under the label of another kind",
            code,
            root().replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
        ),
        anchor("PEM whose last line has another label", code, root().replace("END CERT", "END X")),
        anchor("PEM without padding", code, padded().replace('=', "")),
        anchor("PEM with too much padding", code, root().replace("\n-----END", "=\n-----END")),
        anchor("PEM whose unused bits are set", code, {
            let text = padded();
            let at = text.find('=').unwrap() - 1;
            let next = char::from(text.as_bytes()[at] + 1);
            format!("{}{next}{}", &text[..at], &text[at + 1..])
        }),
        anchor("PEM in the URL-safe alphabet", code, root().replace('+', "-").replace('/', "_")),
        anchor("PEM with a comment in its base64", code, root().replacen("-----\n", "-----\nx: y\n", 1)),
    ]
}

/// PEM of a root certificate whose base64 ends in padding.
fn padded() -> String {
    let mut root = Cert::at(0);
    let texts = std::iter::repeat_with(|| {
        let id = [0x2a, 3, 4, u8::try_from(root.extensions.len()).unwrap()];
        root.extensions.push(Extension::new(&id, false, vec![0]));
        pem("CERTIFICATE", &root.sign())
    });
    texts.take(8).find(|text| text.contains('=')).unwrap()
}

/// Base64url of the point, PEM, or a JSON Web Key.
fn recipients() -> Result<Vec<Recipient>> {
    let key = KeyPair::of("recipient")?.public_key;
    let url = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let point = key.as_bytes().to_vec();
    let (x, y) = point[1..].split_at(48);
    let jwk = json!({"kty": "EC", "crv": "P-384", "x": url(x), "y": url(y)});
    let jwk_with = |field: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[field] = value;
        jwk.to_string()
    };
    let spki = |point: &[u8]| {
        let algorithm =
            vec![0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
        let bits = [&[3, u8::try_from(point.len() + 1).unwrap_or_default(), 0], point].concat();
        let length = u8::try_from(algorithm.len() + bits.len()).unwrap_or_default();
        pem("PUBLIC KEY", &[vec![0x30, length], algorithm, bits].concat())
    };
    let off_curve = [&[4][..], x, x].concat();
    let compressed = [&[2 + y[47] % 2][..], x].concat();
    let good = |name, text: String| Recipient { name, text, expected: Accepted.of(|| hex(&point)) };
    let bad = |name, text: String| Recipient {
        name,
        text,
        expected: Refused("recipient_key_invalid").of(|| hex(&point)),
    };
    Ok(vec![
        good("base64url", url(&point)),
        good("base64url with space around it", format!("  {}\n", url(&point))),
        good("PEM", spki(&point)),
        good("a JWK", jwk.to_string()),
        good("a JWK with a name", jwk_with("kid", "a".into())),
        bad("nothing", String::new()),
        bad("text that is no key", "a key".into()),
        bad("base64url with padding", url(&point) + "=="),
        bad("base64url of a compressed point", url(&compressed)),
        bad("base64url of a point off the curve", url(&off_curve)),
        bad("base64url of a hybrid point", url(&[&[6 + y[47] % 2][..], x, y].concat())),
        bad("base64url of the point and a byte", url(&[&point[..], &[0]].concat())),
        bad("PEM of a compressed point", spki(&compressed)),
        bad("PEM of a point off the curve", spki(&off_curve)),
        bad("PEM twice", spki(&point).repeat(2)),
        bad("PEM under another label", pem("EC PUBLIC KEY", &point)),
        bad("PEM of a private key", pem("PRIVATE KEY", &point)),
        bad("PEM of nothing", pem("PUBLIC KEY", &[])),
        bad("a JWK of another kind", jwk_with("kty", "RSA".into())),
        bad("a JWK of another curve", jwk_with("crv", "P-256".into())),
        bad("a JWK with a private half", jwk_with("d", url(x).into())),
        bad("a JWK with a private half that is null", jwk_with("d", Value::Null)),
        bad("a JWK whose x is a number", jwk_with("x", 1.into())),
        bad("a JWK whose x has 47 bytes", jwk_with("x", url(&x[1..]).into())),
        bad("a JWK whose x has 49 bytes", jwk_with("x", url(&point[..49]).into())),
        bad("a JWK off the curve", jwk_with("y", url(x).into())),
        bad("a JWK without y", json!({"kty": "EC", "crv": "P-384", "x": url(x)}).to_string()),
        bad("a JWK that names x twice", jwk.to_string().replacen('{', r#"{"x":"AA","#, 1)),
        bad("a JWK and more", jwk.to_string() + "{}"),
        good("a JWK for signatures", jwk_with("use", "sig".into())),
        good("a JWK of another algorithm", jwk_with("alg", "ES256".into())),
        good("a JWK with operations", jwk_with("key_ops", json!(["deriveBits", 1, null]))),
        bad("a JWK with a fraction among what is not looked at", {
            jwk.to_string().replacen('{', r#"{"exp":0.5,"#, 1)
        }),
        bad("a JWK whose x is padded", jwk_with("x", format!("{}=", url(x)).into())),
        bad("a JWK whose x is in base64 of the other alphabet", {
            let standard = Base64::encode_string(x);
            assert!(standard.contains(['+', '/']));
            jwk_with("x", standard.into())
        }),
        bad("a JWK whose kty is in small letters", jwk_with("kty", "ec".into())),
        bad("a JWK whose x and y are of no point", jwk_with("x", url(&[0xff; 48]).into())),
        good("a JWK with a byte order mark", format!("\u{feff}{jwk}")),
        good("a JWK with space around it", format!("\t\r\n {jwk}\n")),
        bad("a list of a JWK", format!("[{jwk}]")),
        bad("a set of JWKs", json!({"keys": [jwk]}).to_string()),
        good("base64url with a byte order mark", format!("\u{feff}{}", url(&point))),
        bad("base64url with two byte order marks", format!("\u{feff}\u{feff}{}", url(&point))),
        bad("base64url with a byte order mark at its end", format!("{}\u{feff}", url(&point))),
        bad("base64url with a space of another kind", format!("\u{a0}{}", url(&point))),
        bad("base64url with a control character at its end", format!("{}\u{85}", url(&point))),
        bad("base64url in two lines", format!("{}\n{}", &url(&point)[..64], &url(&point)[64..])),
        bad("base64 of the other alphabet", {
            let standard = Base64::encode_string(&point);
            assert!(standard.contains(['+', '/']));
            standard.trim_end_matches('=').into()
        }),
        bad("base64url whose unused bits are set", {
            let text = url(&point);
            let last = text.as_bytes()[text.len() - 1];
            format!("{}{}", &text[..text.len() - 1], char::from(last + 1))
        }),
        bad("the point in hexadecimal", point.iter().map(|byte| format!("{byte:02x}")).collect()),
        bad("base64url of a SubjectPublicKeyInfo", {
            let pem = spki(&point);
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            url(&Base64::decode_vec(&body).unwrap())
        }),
        good("PEM with a byte order mark", format!("\u{feff}{}", spki(&point))),
        good("PEM with text around it", format!("read EC key\n{}\nwritten", spki(&point))),
        good("PEM beside EC PARAMETERS", pem("EC PARAMETERS", &[6, 0]) + &spki(&point)),
        good("PEM in one line", spki(&point).replace('\n', "")),
        bad("PEM beside a certificate", spki(&point) + &pem("CERTIFICATE", &[0x30, 0])),
        bad("PEM of a certificate", pem("CERTIFICATE", &Cert::at(0).sign())),
        bad("PEM in the URL-safe alphabet", spki(&point).replace('+', "-").replace('/', "_")),
        bad("base64url of the identity", url(&[0])),
        bad(
            "base64url of a point whose x is above the prime",
            url(&crate::key_descriptor::above_the_prime()[2..]),
        ),
        bad("base64url of a point whose y is above the prime", url(&Y_ABOVE_THE_PRIME)),
        bad("PEM of a point whose y is above the prime", spki(&Y_ABOVE_THE_PRIME)),
        bad("a JWK whose y is above the prime", {
            let (x, y) = Y_ABOVE_THE_PRIME[1..].split_at(48);
            json!({"kty": "EC", "crv": "P-384", "x": url(x), "y": url(y)}).to_string()
        }),
        bad("PEM of a key of the same length that names P-521", changed_spki(&spki(&point), 19, 0x23)),
        bad("PEM of a key of the same length in an OCTET STRING", changed_spki(&spki(&point), 20, 4)),
        bad("PEM of a key of the same length of ECDH alone", changed_spki(&spki(&point), 12, 2)),
        bad("PEM of a key of the same length of a hybrid point", changed_spki(&spki(&point), 23, 6)),
    ])
}

/// PEM of a public key with another byte in its DER.
fn changed_spki(text: &str, at: usize, to: u8) -> String {
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = Base64::decode_vec(&body).unwrap();
    assert_eq!(der.len(), 120);
    der[at] = to;
    pem("PUBLIC KEY", &der)
}

/// What `nitro-cli build-enclave` and `describe-eif` print, or the inner object alone.
fn measurement_files() -> Vec<MeasurementFile> {
    let digits = |value: u8| format!("{value:02x}").repeat(48);
    let inner = format!(
        r#"{{"HashAlgorithm":"Sha384 {{ ... }}","PCR0":"{}","PCR1":"{}"}}"#,
        digits(0xa0),
        digits(0xa1)
    );
    let outer = format!(r#"{{"Measurements":{inner}}}"#);
    let file = |name, verdict: Verdict, text: String| MeasurementFile {
        name,
        text,
        expected: verdict.of(|| vec![pcr(0, 0xa0), pcr(1, 0xa1)]),
    };
    let invalid = |name, text: String| file(name, Refused("measurements_invalid"), text);
    let algorithm = |name: &str| outer.replace("Sha384 { ... }", name);
    vec![
        file("what build-enclave prints", Accepted, outer.clone()),
        file("the inner object alone", Accepted, inner.clone()),
        file(
            "what describe-eif prints",
            Accepted,
            outer.replacen('{', r#"{"EifVersion":4,"Metadata":{"a":[1,null,{}]},"#, 1),
        ),
        file("digits in capitals", Accepted, outer.replace(&digits(0xa0), &digits(0xa0).to_uppercase())),
        file("the algorithm's bare name", Accepted, algorithm("Sha384")),
        file("no algorithm", Accepted, outer.replace(r#""HashAlgorithm":"Sha384 { ... }","#, "")),
        file("a byte order mark", Accepted, format!("\u{feff}{outer}")),
        invalid("two byte order marks", format!("\u{feff}\u{feff}{outer}")),
        invalid("nothing", String::new()),
        invalid("a list", "[]".into()),
        invalid("null", "null".into()),
        invalid("a text", r#""PCR0""#.into()),
        invalid("Measurements that are a list", format!(r#"{{"Measurements":[{inner}]}}"#)),
        invalid("Measurements that are null", r#"{"Measurements":null}"#.into()),
        invalid("Measurements twice", format!(r#"{{"Measurements":{inner},"Measurements":{inner}}}"#)),
        invalid("PCR0 twice", outer.replace("PCR1", "PCR0")),
        invalid("another algorithm", algorithm("Sha256 { ... }")),
        invalid("Sha384/256", algorithm("Sha384/256")),
        invalid("an algorithm with a space after it", algorithm("Sha384 ")),
        invalid("an algorithm that is null", outer.replace(r#""Sha384 { ... }""#, "null")),
        invalid("a PCR that is a number", r#"{"Measurements":{"PCR0":0}}"#.into()),
        invalid("a PCR that is null", r#"{"Measurements":{"PCR0":null}}"#.into()),
        invalid("a PCR with a leading zero", outer.replace("PCR1", "PCR01")),
        invalid("a PCR with a sign", outer.replace("PCR1", "PCR+1")),
        invalid("a PCR in small letters", outer.replace("PCR1", "pcr1")),
        invalid("a PCR of three digits", outer.replace("PCR1", "PCR256")),
        invalid("another name", outer.replace("PCR1", "EifVersion")),
        invalid("a digit too few", outer.replacen("a1", "a", 1)),
        invalid("two digits too many", outer.replacen("a1", "a1a1", 1)),
        invalid("a sign among the digits", outer.replacen("a1", "+1", 1)),
        invalid("text after the object", outer.clone() + "{}"),
        file("a file of PCR32", Refused("measurements_index"), outer.replace("PCR1", "PCR32")),
        file("a file whose PCR0 is zero", Refused("measurements_zero"), outer.replace("a0", "00")),
        file("a file without PCR0", Refused("measurements_without_pcr0"), outer.replace("PCR0", "PCR3")),
        file("a file without PCRs", Refused("measurements_empty"), r#"{"Measurements":{}}"#.into()),
        file("an empty object", Refused("measurements_empty"), "{}".into()),
        file("the inner object alone, with a byte order mark", Accepted, format!("\u{feff}{inner}")),
        file(
            "the inner object alone, with the algorithm's bare name",
            Accepted,
            inner.replace("Sha384 { ... }", "Sha384"),
        ),
        file(
            "the inner object alone, without an algorithm",
            Accepted,
            inner.replace(r#""HashAlgorithm":"Sha384 { ... }","#, ""),
        ),
        file("white space around the object", Accepted, format!(" \r\n\t{outer}\n")),
        file("PCRs in descending order", Accepted, {
            format!(r#"{{"PCR1":"{}","PCR0":"{}"}}"#, digits(0xa1), digits(0xa0))
        }),
        invalid(
            "the inner object alone, and another algorithm",
            inner.replace("Sha384 { ... }", "Sha256 { ... }"),
        ),
        invalid(
            "the inner object alone, and a name of describe-eif",
            inner.replacen('{', r#"{"EifVersion":4,"#, 1),
        ),
        invalid("the inner object alone, and PCR0 twice", inner.replace("PCR1", "PCR0")),
        invalid("the inner object in a list", format!("[{inner}]")),
        invalid(
            "a PCR beside Measurements",
            outer.replacen('{', &format!(r#"{{"PCR8":"{}","#, digits(1)), 1),
        ),
        invalid("PCR32 beside Measurements", outer.replacen('{', r#"{"PCR32":0,"#, 1)),
        invalid("an algorithm beside Measurements", outer.replacen('{', r#"{"HashAlgorithm":"Sha384","#, 1)),
        file(
            "PCR100 beside Measurements, which is another name",
            Accepted,
            outer.replacen('{', r#"{"PCR100":0,"#, 1),
        ),
        invalid("a fraction beside Measurements", outer.replacen('{', r#"{"EifVersion":4.5,"#, 1)),
        invalid("a name twice beside Measurements", outer.replacen('{', r#"{"A":1,"A":1,"#, 1)),
        invalid("Measurements within Measurements", format!(r#"{{"Measurements":{outer}}}"#)),
        invalid("UTF-16 read as UTF-8", outer.chars().flat_map(|c| [c, '\0']).collect()),
        invalid("a PCR behind 0x", outer.replacen(&digits(0xa1), &format!("0x{}", "a1".repeat(47)), 1)),
        invalid("a PCR in base64", outer.replacen(&digits(0xa1), &Base64::encode_string(&[0xa1; 48]), 1)),
        // What is read comes before what it says, and of that the lowest PCR first.
        invalid("a PCR0 that is zero, and a PCR that is a number", {
            outer.replace("a0", "00").replacen(r#""PCR1""#, r#""PCR2":1,"PCR1""#, 1)
        }),
        file("PCR32 before a PCR1 that is zero", Refused("measurements_zero"), {
            format!(r#"{{"PCR32":"{}","PCR0":"{}","PCR1":"{}"}}"#, digits(1), digits(1), digits(0))
        }),
        file("PCR32 and no PCR0", Refused("measurements_index"), format!(r#"{{"PCR32":"{}"}}"#, digits(1))),
        file("a PCR1 that is zero, and no PCR0", Refused("measurements_zero"), {
            format!(r#"{{"PCR1":"{}"}}"#, digits(0))
        }),
    ]
}

fn measurements() -> Vec<Measurements> {
    let case = |name, verdict: Verdict, pcrs| Measurements { name, pcrs, expected: verdict.of(|| true) };
    vec![
        case("PCR0, 1 and 2", Accepted, vec![pcr(0, 1), pcr(1, 2), pcr(2, 3)]),
        case("PCR0 alone", Accepted, vec![pcr(0, 1)]),
        case("in another order", Accepted, vec![pcr(8, 4), pcr(2, 3), pcr(0, 1)]),
        case("the last PCR", Accepted, vec![pcr(0, 1), pcr(31, 1)]),
        case("a PCR8 that is zero, as of an image that is not signed", Accepted, vec![pcr(0, 1), pcr(8, 0)]),
        case("none", Refused("measurements_empty"), vec![]),
        case("PCR1 and 2 without PCR0", Refused("measurements_without_pcr0"), vec![pcr(1, 2), pcr(2, 3)]),
        case("PCR8 alone", Refused("measurements_without_pcr0"), vec![pcr(8, 4)]),
        case("PCR0 is zero", Refused("measurements_zero"), vec![pcr(0, 0), pcr(1, 2), pcr(2, 3)]),
        case("PCR1 is zero", Refused("measurements_zero"), vec![pcr(0, 1), pcr(1, 0)]),
        case("PCR2 is zero", Refused("measurements_zero"), vec![pcr(0, 1), pcr(1, 2), pcr(2, 0)]),
        case("PCR1 is zero and PCR0 is missing", Refused("measurements_zero"), vec![pcr(1, 0)]),
        case("PCR32", Refused("measurements_index"), vec![pcr(0, 1), pcr(32, 1)]),
        case("PCR255", Refused("measurements_index"), vec![pcr(0, 1), pcr(255, 1)]),
        case("PCR0 twice", Refused("measurements_duplicate"), vec![pcr(0, 1), pcr(0, 2)]),
        case(
            "PCR1 twice, the same",
            Refused("measurements_duplicate"),
            vec![pcr(0, 1), pcr(1, 2), pcr(1, 2)],
        ),
        case(
            "PCR0 twice, of which the second is zero",
            Refused("measurements_zero"),
            vec![pcr(0, 1), pcr(0, 0)],
        ),
        case("PCR8 twice, of which the second is zero", Refused("measurements_duplicate"), {
            vec![pcr(0, 1), pcr(8, 1), pcr(8, 0)]
        }),
        case("PCR0 twice before PCR32", Refused("measurements_duplicate"), {
            vec![pcr(0, 1), pcr(0, 1), pcr(32, 1)]
        }),
        case("PCR32 before PCR0 twice", Refused("measurements_index"), {
            vec![pcr(32, 1), pcr(0, 1), pcr(0, 1)]
        }),
        case("PCR32 that is zero", Refused("measurements_index"), vec![pcr(0, 1), pcr(32, 0)]),
        case("PCR32 twice, and no PCR0", Refused("measurements_index"), vec![pcr(32, 1), pcr(32, 1)]),
        case("PCR8 twice, and no PCR0", Refused("measurements_duplicate"), vec![pcr(8, 1), pcr(8, 1)]),
        case("a PCR3 that is zero", Accepted, vec![pcr(0, 1), pcr(3, 0)]),
        case("PCR0 and a PCR31 that is zero", Accepted, vec![pcr(0, 1), pcr(31, 0)]),
    ]
}

fn pcr(index: u8, value: u8) -> (u8, Hex) {
    (index, Hex(vec![value; 48]))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
