//! P-384 keys in files and arguments. Each kind of key has one accepted encoding; an error names what was
//! found instead, and the command that converts it.
//!
//! Platforms differ in other encodings: a private key without its public half, or with a compressed one, can
//! be read on some of them only.

use crate::{
    Error,
    answer::{Object, Text},
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::{PemBlock, PemFault};
use ok2cry_protocol::suite::PublicKey;
use zeroize::Zeroizing;

/// The DER of a P-384 private key (RFC 5958, RFC 5915) up to its scalar, as OpenSSL, WebCrypto and Go write
/// it.
const PRIVATE_PREFIX: [u8; 35] = [
    0x30, 0x81, 0xb6, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x04, 0x81, 0x9e, 0x30, 0x81, 0x9b, 0x02, 0x01, 0x01, 0x04,
    0x30,
];
/// Between the scalar, 48 bytes, and the point, 97 bytes.
const PRIVATE_MIDDLE: [u8; 5] = [0xa1, 0x64, 0x03, 0x62, 0x00];
/// The DER of a P-384 `SubjectPublicKeyInfo` (RFC 5480) up to its point.
const PUBLIC_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];

const CONVERT: &str = "`openssl ec -in FILE -param_enc named_curve -conv_form uncompressed | \
                       openssl pkey -out NEW` converts it";
const MAKE_ONE: &str = "expected a P-384 key: make one with `ok2cry recipient new FILE`";
const CONVERT_JWK: &str = concat!(
    r#"`node -e 'const c=require("crypto");console.log(c.createPrivateKey({key:JSON.parse(require("fs")"#,
    r#".readFileSync(0)),format:"jwk"}).export({type:"pkcs8",format:"pem"}))' <FILE >NEW` converts it"#
);
const CONVERT_PUBLIC: &str = "`openssl pkey -pubin -in FILE -ec_conv_form uncompressed \
                              -ec_param_enc named_curve -out NEW` converts it";

/// A private key's scalar, and the point in its file.
pub(crate) type PrivateHalf = (Zeroizing<[u8; 48]>, [u8; PublicKey::LEN]);

/// Reads the PEM (`PRIVATE KEY`) of a P-384 key: PKCS #8, the named curve, an uncompressed public half. It
/// does not check that the halves belong together.
///
/// # Errors
///
/// [`Error::PrivateKey`] names what was found instead.
pub(crate) fn read_private(pem: &str) -> Result<PrivateHalf, Error> {
    let block = PemBlock::only(pem).map_err(|fault| refused_private(without_block(pem, fault)))?;
    if block.label != "PRIVATE KEY" || block.body.contains("ENCRYPTED") {
        return Err(refused_private(private_label(&block)));
    }
    let der = decode(&block).ok_or_else(|| refused_private("its base64 is damaged".into()))?;
    private_half(&der).ok_or_else(|| refused_private(private_encoding(&der)))
}

/// Reads the public key of a recipient: base64url of its point (130 characters), PEM (`PUBLIC KEY`), or a
/// JWK.
///
/// # Errors
///
/// [`Error::RecipientKey`] names what was found instead.
pub fn recipient_public_key(text: &str) -> Result<PublicKey, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_matches([' ', '\t', '\r', '\n']);
    let point = match () {
        () if text.starts_with('{') => jwk_point(text)?,
        () if text.contains("-----BEGIN") => pem_point(text)?,
        () => Base64UrlUnpadded::decode_vec(text).map_err(|_| {
            refused_public("expected 130 characters of base64url, PEM or a JSON Web Key".into())
        })?,
    };
    match PublicKey::new(&point) {
        Ok(key) => Ok(key),
        Err(_) if point.len() == PublicKey::LEN => Err(refused_public("its point is not on P-384".into())),
        Err(_) => Err(refused_public(format!(
            "it has {} bytes, and an uncompressed point on P-384 has {}",
            point.len(),
            PublicKey::LEN
        ))),
    }
}

fn pem_point(text: &str) -> Result<Vec<u8>, Error> {
    let block = PemBlock::only(text).map_err(|fault| refused_public(fault.to_string()))?;
    match block.label {
        "PUBLIC KEY" => {}
        "CERTIFICATE" => {
            let why = "it is a certificate; `openssl x509 -in FILE -noout -pubkey` prints its key";
            return Err(refused_public(why.into()));
        }
        label if label.ends_with("PRIVATE KEY") => {
            let why = "it is a private key, which must stay secret; `ok2cry recipient show FILE` prints its \
                       public half";
            return Err(refused_public(why.into()));
        }
        label => return Err(refused_public(format!("expected a PEM of PUBLIC KEY, found {label}"))),
    }
    let der = decode(&block).ok_or_else(|| refused_public("its base64 is damaged".into()))?;
    if let Some(point) = der.strip_prefix(&PUBLIC_PREFIX).filter(|point| point.len() == PublicKey::LEN) {
        return Ok(point.to_vec());
    }
    Err(refused_public(match algorithm(&der) {
        Some(P384) => {
            format!("it is a P-384 key in another encoding (a compressed point?); {CONVERT_PUBLIC}")
        }
        Some(EXPLICIT) => format!("it has explicit curve parameters; if they are P-384's, {CONVERT_PUBLIC}"),
        Some(other) => format!("expected a P-384 key, found a key for {other}"),
        None => "expected a P-384 key, found an unknown kind".into(),
    }))
}

fn jwk_point(text: &str) -> Result<Vec<u8>, Error> {
    let rule = |why: &str| refused_public(format!("as a JSON Web Key: {why}"));
    let json = Text::read(text.as_bytes()).map_err(|_| rule("it is not strict JSON"))?;
    let jwk = Object::open(&json.0, "a JWK").map_err(|_| rule("it is not an object"))?;
    if jwk.has("d") {
        return Err(rule("it has a private half (d), which must stay secret"));
    }
    let is = |field: &str, value: &str| jwk.text(field).is_ok_and(|found| found == value);
    if !is("kty", "EC") || !is("crv", "P-384") {
        return Err(rule("kty must be \"EC\" and crv \"P-384\""));
    }
    let coordinate = |field: &str| {
        let bytes = jwk.bytes(field).ok().map(|bytes| bytes.0).filter(|bytes| bytes.len() == 48);
        bytes.ok_or_else(|| rule("x and y must each be base64url of 48 bytes"))
    };
    Ok([vec![4], coordinate("x")?, coordinate("y")?].concat())
}

fn private_half(der: &[u8]) -> Option<PrivateHalf> {
    let rest = der.strip_prefix(&PRIVATE_PREFIX)?;
    let (scalar, rest) = rest.split_first_chunk::<48>()?;
    let point = rest.strip_prefix(&PRIVATE_MIDDLE)?.try_into().ok()?;
    Some((Zeroizing::new(*scalar), point))
}

/// The fault of PKCS #8 in another encoding, or of another kind of key.
fn private_encoding(der: &[u8]) -> String {
    match algorithm(der) {
        Some(P384) => format!(
            "it is a P-384 key in another encoding (without its public half, or with a compressed one); \
             {CONVERT}"
        ),
        Some(EXPLICIT) => format!("it has explicit curve parameters; if they are P-384's, {CONVERT}"),
        Some(other) => format!("it is a key for {other}; {MAKE_ONE}"),
        None => format!("it is not a known kind of key; {MAKE_ONE}"),
    }
}

fn private_label(block: &PemBlock<'_>) -> String {
    match block.label {
        "ENCRYPTED PRIVATE KEY" => format!("it is encrypted; {CONVERT}, and asks for the passphrase"),
        _ if block.body.contains("ENCRYPTED") => {
            format!("it is encrypted; {CONVERT}, and asks for the passphrase")
        }
        "EC PRIVATE KEY" => format!("expected PKCS #8, found SEC 1 (EC PRIVATE KEY); {CONVERT}"),
        "EC PARAMETERS" => "it has the parameters of a curve and no key".into(),
        "PUBLIC KEY" => "it is a public key; expected the private half".into(),
        "CERTIFICATE" => "it is a certificate, which holds a public key; expected the private half".into(),
        "RSA PRIVATE KEY" => format!("it is an RSA key; {MAKE_ONE}"),
        "OPENSSH PRIVATE KEY" => format!("it is an OpenSSH key; {MAKE_ONE}"),
        label => format!("expected a PEM of PRIVATE KEY, found {label}"),
    }
}

fn without_block(text: &str, fault: PemFault) -> String {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    match fault {
        PemFault::None if start.starts_with('{') => {
            format!("it is JSON; if it is a JSON Web Key, {CONVERT_JWK}")
        }
        PemFault::None if start.starts_with("MI") => {
            "it is base64 without its PEM lines; `openssl base64 -d -A -in FILE | \
             openssl pkey -inform DER -out NEW` converts it"
                .into()
        }
        PemFault::None if start.starts_with("ecdsa-sha2-") || start.starts_with("ssh-") => {
            "it is an OpenSSH public key; expected the private half".into()
        }
        fault => fault.to_string(),
    }
}

const P384: &str = "P-384";
const EXPLICIT: &str = "explicit curve parameters";

/// The name of the algorithm at the beginning of a key.
fn algorithm(der: &[u8]) -> Option<&'static str> {
    const NAMED: [(&[u8], &str); 10] = [
        (&[0x2b, 0x81, 0x04, 0x00, 0x22], P384),
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], "P-256"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
        (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01], "RSA"),
        (&[0x2b, 0x65, 0x70], "Ed25519"),
        (&[0x2b, 0x65, 0x71], "Ed448"),
        (&[0x2b, 0x65, 0x6e], "X25519"),
        (&[0x2b, 0x65, 0x6f], "X448"),
        // An elliptic curve with explicit parameters.
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x30], EXPLICIT),
    ];
    let head = der.get(..der.len().min(32))?;
    let holds = |oid: &[u8]| head.windows(oid.len()).any(|window| window == oid);
    NAMED.iter().find(|(oid, _)| holds(oid)).map(|(_, name)| *name)
}

fn decode(block: &PemBlock<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(block.body.len()));
    base64.extend(block.base64());
    let mut der = Zeroizing::new(vec![0; base64.len()]);
    let length = Base64::decode(&base64, &mut der).ok()?.len();
    der.truncate(length);
    Some(der)
}

fn refused_private(why: String) -> Error {
    Error::PrivateKey(why)
}

fn refused_public(why: String) -> Error {
    Error::RecipientKey(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecipientKey;

    /// A key's DER, 185 bytes.
    fn der(key: &RecipientKey) -> Vec<u8> {
        let pem = key.to_pem().unwrap();
        decode(&PemBlock::only(&pem).unwrap()).unwrap().to_vec()
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", Base64::encode_string(der))
    }

    fn private_fault(text: &str) -> String {
        let error = RecipientKey::from_pem(text).unwrap_err();
        assert_eq!(error.code(), "private_key_invalid", "{text}");
        error.to_string()
    }

    #[test]
    fn a_private_key_is_read_with_any_line_breaks() {
        let key = RecipientKey::generate().unwrap();
        let der = der(&key);
        assert_eq!((der.len(), &der[..35]), (185, &PRIVATE_PREFIX[..]));
        let one_line = pem("PRIVATE KEY", &der);
        for text in [
            one_line.clone(),
            format!("\u{feff}{one_line}"),
            format!("Bag Attributes\n    localKeyID: 01\n{one_line}\nafter"),
            one_line.replace('\n', "\r\n"),
            one_line.replace('\n', ""),
        ] {
            assert_eq!(RecipientKey::from_pem(&text).unwrap().public_key(), key.public_key(), "{text}");
        }
    }

    #[test]
    fn errors_name_what_is_not_a_private_key() {
        let (key, other) = (RecipientKey::generate().unwrap(), RecipientKey::generate().unwrap());
        let der = der(&key);
        let sec1 = &der[27..];
        let curve = |oid: &[u8]| [&[0x30, 0x20, 2, 1, 0, 0x30, 0x13, 6, 7], oid, &[4, 2, 0, 0]].concat();
        let ec = [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        let of = |der: &[u8]| pem("PRIVATE KEY", der);
        for (text, named) in [
            (pem("EC PRIVATE KEY", sec1), "SEC 1"),
            (pem("EC PARAMETERS", &[6, 0]) + &pem("EC PRIVATE KEY", sec1), "SEC 1"),
            (pem("ENCRYPTED PRIVATE KEY", &[0]), "encrypted"),
            (
                "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA\n-----END EC PRIVATE KEY-----"
                    .into(),
                "encrypted",
            ),
            (of(&curve(&[&ec[..], &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]].concat())), "P-256"),
            (of(&curve(&[&ec[..], &[6, 5, 0x2b, 0x81, 4, 0, 0x23]].concat())), "P-521"),
            (of(&curve(&[&ec[..], &[0x30, 0x82, 1, 1, 2, 1, 1]].concat())), "explicit"),
            (of(&curve(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 1, 1])), "RSA"),
            (of(&curve(&[0x2b, 0x65, 0x6e])), "X25519"),
            (of(&der[..184]), "another encoding"),
            (of(&[&der[..], &[0]].concat()), "another encoding"),
            (
                of(&[&[0x30, 0x4e], &der[3..24], &[4, 0x37, 0x30, 0x35], &der[30..83]].concat()),
                "another encoding",
            ),
            (of(b"not DER"), "not a known kind"),
            (pem("PUBLIC KEY", &der), "public key"),
            (pem("CERTIFICATE", &der), "certificate"),
            (pem("OPENSSH PRIVATE KEY", &der), "OpenSSH"),
            (of(&der).replace("M", "*"), "base64"),
            (of(&der).repeat(2), "found 2"),
            (r#"{"kty":"EC","crv":"P-384","d":"AA"}"#.into(), "JSON Web Key"),
            (Base64::encode_string(&der), "without its PEM lines"),
            ("ecdsa-sha2-nistp384 AAAA".into(), "OpenSSH"),
            (String::new(), "found none"),
            (of(&[&der[..88], other.public_key().as_bytes()].concat()), "public half"),
            (of(&[&der[..35], &[0; 48], &der[83..]].concat()), "scalar"),
            (of(&[&der[..35], &[0xff; 48], &der[83..]].concat()), "scalar"),
        ] {
            let fault = private_fault(&text);
            assert!(fault.contains(named), "{named}: {fault}");
        }
    }

    #[test]
    fn a_public_key_is_read_in_three_forms() {
        let key = *RecipientKey::generate().unwrap().public_key();
        let (x, y) = key.coordinates();
        let base64 = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
        let jwk =
            format!(r#"{{"kid":"a","crv":"P-384","kty":"EC","x":"{}","y":"{}"}}"#, base64(x), base64(y));
        let pem = key.to_pem();
        for text in [
            base64(key.as_bytes()),
            pem.clone(),
            jwk.clone(),
            format!("\u{feff}x\n{pem}"),
            pem.replace('\n', ""),
        ] {
            assert_eq!(recipient_public_key(&text).unwrap(), key, "{text}");
            assert_eq!(recipient_public_key(&format!(" {text}\n")).unwrap(), key, "{text}");
        }
        let compressed = [&[3], x].concat();
        let spki = |point: &[u8]| {
            let head = [&[0x30, 0x46], &PUBLIC_PREFIX[2..20], &[3, 0x32, 0]].concat();
            self::pem("PUBLIC KEY", &[head, point.to_vec()].concat())
        };
        for (text, named) in [
            (base64(&compressed), "49 bytes"),
            (base64(key.as_bytes()).replace('B', "!"), "expected 130"),
            (base64(&[&[4], x, x].concat()), "not on P-384"),
            (spki(&compressed), "compressed"),
            (pem.replace("PUBLIC", "PRIVATE"), "private key"),
            (pem.replace("PUBLIC KEY", "CERTIFICATE"), "openssl x509"),
            (pem.repeat(2), "found 2"),
            (jwk.replace("P-384", "P-256"), "P-384"),
            (jwk.replace("\"kid\":\"a\"", "\"d\":\"a\""), "private"),
            (jwk.replace("\"kid\":\"a\"", "\"x\":\"AA\""), "strict"),
            (jwk.replace("\"y\"", "\"z\""), "48 bytes"),
            (jwk.replace(&base64(y), &base64(x)), "not on P-384"),
        ] {
            let error = recipient_public_key(&text).unwrap_err();
            assert_eq!(error.code(), "recipient_key_invalid", "{text}");
            assert!(error.to_string().contains(named), "{named}: {error}");
        }
    }
}
