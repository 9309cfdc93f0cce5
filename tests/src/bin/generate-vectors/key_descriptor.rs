//! Key descriptors: what they say, and the encodings that must be refused.

use crate::{
    Result,
    fixtures::{self, Hex, KeyPair, ReleaseToJson, SUITE, TIME, hex},
    raw::{RawMap, Refused, array, bytes, text, uint},
};
use ok2cry_attest_forge::Y_ABOVE_THE_PRIME;
use ok2cry_protocol::{
    Encoded, Record, Rule,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::{Nonce, Purpose},
    suite::PublicKey,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    valid: Vec<Valid>,
    invalid: Vec<Refused>,
}

#[derive(Serialize)]
struct Valid {
    name: &'static str,
    encoding: Hex,
    hash: Hex,
    fields: Fields,
    /// What a client derives once it has verified the key.
    derived: Derived,
}

#[derive(Serialize)]
struct Fields {
    key_id: Hex,
    suite: [u16; 3],
    public_key: Hex,
    issued_at: u64,
    expires_at: u64,
    purpose: String,
    release_to: ReleaseToJson,
    client_nonce: Hex,
}

#[derive(Serialize)]
struct Derived {
    key_id: String,
    instance_id: String,
    public_key_pem: String,
    info: Hex,
}

pub(crate) fn file() -> Result<File> {
    let base = fixtures::descriptor()?;
    let caller =
        KeyDescriptor { deliver_to: DeliverTo::Caller, purpose: Purpose::new("open-box")?, ..base.clone() };
    let shortest = KeyDescriptor {
        issued_at: 0,
        expires_at: 1,
        purpose: Purpose::new("a")?,
        client_nonce: Nonce::new([0; 16])?,
        ..caller.clone()
    };
    let longest = KeyDescriptor {
        issued_at: (1 << 53) - 2,
        expires_at: (1 << 53) - 1,
        purpose: Purpose::new("abcdefghijklmnopqrstuvwxyz.0123456789_abcdefghijklmnopqrstuvwxyz")?,
        client_nonce: Nonce::new([0xff; 64])?,
        ..base.clone()
    };
    let one_of_several = KeyDescriptor { client_nonce: base.client_nonce.for_key(1, 3), ..base.clone() };
    Ok(File {
        about: "Key descriptors (docs/protocol.md, Key descriptor). hash is SHA-384 of encoding.",
        valid: vec![
            valid("released to a recipient", base.clone()),
            valid("released to the caller", caller),
            valid("the shortest", shortest),
            valid("the longest, with times at 2^53 - 1", longest),
            valid("the second of three keys that one request asked for", one_of_several),
        ],
        invalid: invalid(&base)?,
    })
}

fn valid(name: &'static str, descriptor: KeyDescriptor) -> Valid {
    let encoded = Encoded::new(descriptor);
    Valid {
        name,
        encoding: hex(encoded.bytes()),
        hash: hex(encoded.hash()),
        fields: Fields {
            key_id: hex(encoded.key_id.0),
            suite: SUITE,
            public_key: hex(encoded.public_key.as_bytes()),
            issued_at: encoded.issued_at,
            expires_at: encoded.expires_at,
            purpose: encoded.purpose.to_string(),
            release_to: (&encoded.deliver_to).into(),
            client_nonce: hex(encoded.client_nonce.as_bytes()),
        },
        derived: Derived {
            key_id: encoded.key_id.to_base64url(),
            instance_id: encoded.key_id.instance().to_string(),
            public_key_pem: encoded.public_key.to_pem(),
            info: hex(ok2cry_protocol::suite::seal_info(encoded.hash())),
        },
    }
}

fn invalid(base: &KeyDescriptor) -> Result<Vec<Refused>> {
    let map = map(base);
    if map.encode() != base.encode() {
        return Err("the descriptor by hand is not the descriptor".into());
    }
    let mut all = map.structural();
    all.extend(map.typed("ok2cry/key/v1", "ok2cry/reply-context/v1"));
    all.extend(ids_and_times(&map));
    all.extend(suites(&map));
    all.extend(points(&map, &base.public_key));
    all.extend(purposes_and_nonces(&map));
    all.extend(releases(&map)?);
    all.extend(map.renumbered());
    // As above_the_prime: a coordinate has one spelling.
    all.push(map.bad(
        "x above the prime, on the curve modulo it",
        "public_key",
        above_the_prime(),
        &Rule::NotOnCurve,
    ));
    let recipient = array(&[uint(1), array(&[uint(0x11), uint(2), uint(2)]), above_the_prime()]);
    all.push(map.bad("recipient's x above the prime", "release_to", recipient, &Rule::NotOnCurve));
    all.push(map.bad("issued at 2^64 - 1", "issued_at", uint(u64::MAX), &Rule::Range));
    let y_above = bytes(&Y_ABOVE_THE_PRIME);
    let recipient = array(&[uint(1), array(&[uint(0x11), uint(2), uint(2)]), y_above.clone()]);
    all.push(map.bad("y above the prime, on the curve modulo it", "public_key", y_above, &Rule::NotOnCurve));
    all.push(map.bad("recipient's y above the prime", "release_to", recipient, &Rule::NotOnCurve));
    Ok(all)
}

fn ids_and_times(map: &RawMap) -> Vec<Refused> {
    let exactly_24 = Rule::Length { min: 24, max: 24 };
    vec![
        map.bad("key id of 23 bytes", "key_id", bytes(&[1; 23]), &exactly_24),
        map.bad("key id of 25 bytes", "key_id", bytes(&[1; 25]), &exactly_24),
        map.bad(
            "key id that says it is longer than memory",
            "key_id",
            [&[0x5b][..], &[0xff; 8]].concat(),
            &exactly_24,
        ),
        map.bad("negative time", "issued_at", vec![0x20], &Rule::WrongType),
        map.bad("time as a float", "issued_at", [&[0xfb][..], &[0; 8]].concat(), &Rule::WrongType),
        map.bad("time as a big number", "issued_at", vec![0xc2, 0x41, 0x01], &Rule::WrongType),
        map.bad(
            "time longer than needed",
            "issued_at",
            vec![0x1b, 0, 0, 0, 0, 1, 2, 3, 4],
            &Rule::NotDeterministic,
        ),
        map.bad("issued after 2^53 - 1", "issued_at", uint(1 << 53), &Rule::Range),
        map.bad("expires after 2^53 - 1", "expires_at", uint(1 << 53), &Rule::Range),
        map.bad("expires when it is issued", "expires_at", uint(TIME), &Rule::Range),
        map.bad("expires before it is issued", "expires_at", uint(TIME - 1), &Rule::Range),
    ]
}

fn suites(map: &RawMap) -> Vec<Refused> {
    let suite = |numbers: &[u64]| array(&numbers.iter().map(|n| uint(*n)).collect::<Vec<_>>());
    let exactly_3 = Rule::Length { min: 3, max: 3 };
    vec![
        map.bad("suite of P-256", "suite", suite(&[0x10, 1, 1]), &Rule::UnsupportedSuite),
        map.bad("suite with another KEM", "suite", suite(&[0x12, 2, 2]), &Rule::UnsupportedSuite),
        map.bad("suite with another KDF", "suite", suite(&[0x11, 3, 2]), &Rule::UnsupportedSuite),
        map.bad("suite with another AEAD", "suite", suite(&[0x11, 2, 3]), &Rule::UnsupportedSuite),
        map.bad("suite for export only", "suite", suite(&[0x11, 2, 0xffff]), &Rule::UnsupportedSuite),
        map.bad("suite number above 65535", "suite", suite(&[0x1_0011, 2, 2]), &Rule::Range),
        map.bad("suite of two numbers", "suite", suite(&[0x11, 2]), &exactly_3),
        // What stands in the array is right, and its head counts otherwise.
        map.bad("suite of three numbers that says two", "suite", vec![0x82, 0x11, 2, 2], &exactly_3),
        map.bad("suite of three numbers that says four", "suite", vec![0x84, 0x11, 2, 2], &exactly_3),
        map.bad("suite of four numbers", "suite", suite(&[0x11, 2, 2, 2]), &exactly_3),
        map.bad("suite of indefinite length", "suite", vec![0x9f, 0x11, 2, 2, 0xff], &Rule::NotDeterministic),
        map.bad(
            "suite number longer than needed",
            "suite",
            vec![0x83, 0x18, 0x11, 2, 2],
            &Rule::NotDeterministic,
        ),
        map.bad("suite as text", "suite", text("P-384"), &Rule::WrongType),
    ]
}

fn points(map: &RawMap, good: &PublicKey) -> Vec<Refused> {
    let exactly_97 = Rule::Length { min: 97, max: 97 };
    let (x, y) = good.coordinates();
    let last_bit = |y: &[u8]| y.iter().enumerate().map(|(i, b)| b ^ u8::from(i == 47)).collect::<Vec<u8>>();
    let point = |parts: &[&[u8]]| bytes(&parts.concat());
    vec![
        map.bad("compressed point", "public_key", point(&[&[2], x]), &exactly_97),
        map.bad("the identity", "public_key", bytes(&[0]), &exactly_97),
        map.bad("point without its first byte", "public_key", point(&[x, y]), &exactly_97),
        map.bad("point and one byte more", "public_key", point(&[&[4], x, y, &[0]]), &exactly_97),
        map.bad("the identity, padded", "public_key", bytes(&[0; 97]), &Rule::NotOnCurve),
        map.bad("point (0, 0)", "public_key", point(&[&[4], &[0; 96]]), &Rule::NotOnCurve),
        map.bad("point off the curve", "public_key", point(&[&[4], x, &last_bit(y)]), &Rule::NotOnCurve),
        map.bad("hybrid point", "public_key", point(&[&[6], x, y]), &Rule::NotOnCurve),
        map.bad("compressed point, padded", "public_key", point(&[&[2], x, &[0; 48]]), &Rule::NotOnCurve),
        map.bad("coordinates above the prime", "public_key", point(&[&[4], &[0xff; 96]]), &Rule::NotOnCurve),
        map.bad("coordinates exchanged", "public_key", point(&[&[4], y, x]), &Rule::NotOnCurve),
    ]
}

/// The point whose x is 0, with the field's prime in its place.
pub(crate) fn above_the_prime() -> Vec<u8> {
    let mut point = vec![4];
    point.extend([0xff; 31]);
    point.extend([
        0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff,
    ]);
    point.extend([
        0xc3, 0x06, 0x61, 0x0f, 0xb0, 0xae, 0x5a, 0x15, 0x9c, 0xf4, 0x5c, 0x06, 0x06, 0x9f, 0x22, 0xa6, 0xc5,
        0xeb, 0x36, 0x41, 0xc6, 0x02, 0xd4, 0x2d, 0xea, 0x2c, 0x4b, 0x4f, 0x75, 0x55, 0x07, 0x93, 0x40, 0x6d,
        0x80, 0xd2, 0xb9, 0x1a, 0xd5, 0x4f, 0x90, 0x48, 0xbd, 0x48, 0x7a, 0xf1, 0xad, 0xe1,
    ]);
    bytes(&point)
}

fn purposes_and_nonces(map: &RawMap) -> Vec<Refused> {
    let length = Rule::Length { min: 1, max: 64 };
    let nonce_length = Rule::Length { min: 16, max: 64 };
    vec![
        map.bad("empty purpose", "purpose", text(""), &length),
        map.bad("purpose of 65 characters", "purpose", text(&"a".repeat(65)), &length),
        map.bad("purpose with a capital", "purpose", text("Card-pin"), &Rule::Charset),
        map.bad("purpose with a space", "purpose", text("card pin"), &Rule::Charset),
        map.bad("purpose with a slash", "purpose", text("card/pin"), &Rule::Charset),
        map.bad("purpose with a letter outside ASCII", "purpose", text("kärte"), &Rule::Charset),
        map.bad("purpose with a zero byte", "purpose", text("card\0"), &Rule::Charset),
        map.bad("purpose that is not UTF-8", "purpose", vec![0x62, 0xc3, 0x28], &Rule::NotUtf8),
        map.bad("purpose as bytes", "purpose", bytes(b"card-pin"), &Rule::WrongType),
        map.bad("nonce of 15 bytes", "client_nonce", bytes(&[1; 15]), &nonce_length),
        map.bad("nonce of 65 bytes", "client_nonce", bytes(&[1; 65]), &nonce_length),
        map.bad("empty nonce", "client_nonce", bytes(&[]), &nonce_length),
        map.bad("nonce as text", "client_nonce", text("0123456789abcdef"), &Rule::WrongType),
    ]
}

fn releases(map: &RawMap) -> Result<Vec<Refused>> {
    const FIELD: &str = "release_to";
    let key = bytes(KeyPair::of("recipient")?.public_key.as_bytes());
    let suite = array(&[uint(0x11), uint(2), uint(2)]);
    let off_curve = bytes(&[&[4][..], &[1; 96]].concat());
    let other = map.with(FIELD, array(&[uint(1), array(&[uint(0x10), uint(1), uint(1)]), key.clone()]));
    let length = |min, max| Rule::Length { min, max };
    Ok(vec![
        map.bad("released to nobody", FIELD, array(&[]), &length(1, 3)),
        map.bad("released to the caller and more", FIELD, array(&[uint(0), uint(0)]), &length(1, 1)),
        map.bad("released to the caller in an array that says none", FIELD, vec![0x80, 0], &length(1, 3)),
        map.bad("released to the caller in an array that says two", FIELD, vec![0x82, 0], &length(1, 1)),
        map.bad(
            "recipient in an array that says two",
            FIELD,
            [&[0x82, 1][..], &suite, &key].concat(),
            &length(3, 3),
        ),
        map.bad(
            "released to the caller with a key",
            FIELD,
            array(&[uint(0), suite.clone(), key.clone()]),
            &length(1, 1),
        ),
        map.bad("recipient without a key", FIELD, array(&[uint(1)]), &length(3, 3)),
        map.bad("recipient without a suite", FIELD, array(&[uint(1), key.clone()]), &length(3, 3)),
        map.bad(
            "recipient and more",
            FIELD,
            array(&[uint(1), suite.clone(), key.clone(), uint(0)]),
            &length(1, 3),
        ),
        map.bad("unknown way to release", FIELD, array(&[uint(2)]), &Rule::UnknownValue),
        map.bad(
            "unknown way to release, with a key",
            FIELD,
            array(&[uint(2), suite.clone(), key]),
            &Rule::UnknownValue,
        ),
        map.bad("way to release as text", FIELD, array(&[text("caller")]), &Rule::WrongType),
        map.bad("released to a number", FIELD, uint(0), &Rule::WrongType),
        map.refused("recipient of another suite", other.encode(), "suite", &Rule::UnsupportedSuite),
        map.bad(
            "recipient off the curve",
            FIELD,
            array(&[uint(1), suite.clone(), off_curve]),
            &Rule::NotOnCurve,
        ),
        map.bad("recipient the identity", FIELD, array(&[uint(1), suite, bytes(&[0])]), &length(97, 97)),
    ])
}

const NAMES: &[&str] = &[
    "type",
    "key_id",
    "suite",
    "public_key",
    "issued_at",
    "expires_at",
    "purpose",
    "release_to",
    "client_nonce",
];

fn map(d: &KeyDescriptor) -> RawMap {
    let suite = array(&[uint(0x11), uint(2), uint(2)]);
    let release_to = match &d.deliver_to {
        DeliverTo::Caller => array(&[uint(0)]),
        DeliverTo::Recipient(key) => array(&[uint(1), suite.clone(), bytes(key.as_bytes())]),
    };
    RawMap::new(
        "key descriptor",
        NAMES,
        [
            text("ok2cry/key/v1"),
            bytes(&d.key_id.0),
            suite,
            bytes(d.public_key.as_bytes()),
            uint(d.issued_at),
            uint(d.expires_at),
            text(d.purpose.as_str()),
            release_to,
            bytes(d.client_nonce.as_bytes()),
        ],
    )
}
