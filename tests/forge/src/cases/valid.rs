//! Documents that must be accepted: every form that real modules use, and every limit from inside.

use super::certificates::CLIENT_AUTH;
use crate::{
    Cert, Enclave, Extension, INSTANCE, LEAF, LEAF_NOT_AFTER_MS, LEAF_NOT_BEFORE_MS, NOW_MS, TIMESTAMP_MS,
    cbor, der, other_s,
};

/// A document that is accepted, or whose verdict depends on the clock or on the debug escape.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The name, for people.
    pub name: &'static str,
    /// The expected code, or `None` if it must be accepted.
    pub code: Option<&'static str>,
    /// The time of the check, in Unix milliseconds.
    pub now_ms: u64,
    /// How far that clock may be behind, in milliseconds.
    pub leeway_ms: u64,
    /// Whether debug enclaves are accepted.
    pub allow_debug: bool,
    /// The change to [`Enclave::new`].
    pub change: fn(&mut Enclave),
}

const LEEWAY_MS: u64 = 60_000;

const fn valid(name: &'static str, change: fn(&mut Enclave)) -> Judged {
    Judged { name, code: None, now_ms: NOW_MS, leeway_ms: LEEWAY_MS, allow_debug: false, change }
}

const fn at(name: &'static str, code: Option<&'static str>, now_ms: u64, leeway_ms: u64) -> Judged {
    Judged { name, code, now_ms, leeway_ms, allow_debug: false, change: |_| {} }
}

const fn debug(name: &'static str, code: Option<&'static str>, change: fn(&mut Enclave)) -> Judged {
    Judged { name, code, now_ms: NOW_MS, leeway_ms: LEEWAY_MS, allow_debug: true, change }
}

/// Forms and limits that are allowed.
pub const VALID: &[Judged] = &[
    valid("as modules make it since 2025", |_| {}),
    valid("as modules made it before: a map of definite length", |e| e.indefinite = false),
    valid("tag 18", |e| e.prefix = vec![0xd2, 0x84]),
    valid("keys in another order", |e| e.fields.reverse()),
    valid("optional fields absent", |e| OPTIONAL.iter().for_each(|field| e.remove(field))),
    valid("optional fields null", |e| set_all(e, cbor::NULL)),
    valid("optional fields empty", |e| set_all(e, &cbor::bytes(&[]))),
    valid("optional fields of 1,024 bytes", |e| set_all(e, &cbor::bytes(&[7; 1024]))),
    valid("32 PCRs", |e| e.set_pcrs((0..32).map(|index| (index, vec![1; 48])))),
    valid("PCR0 to 2 alone", |e| e.set_pcrs((0..3).map(|index| (index, vec![1; 48])))),
    valid("PCRs in descending order", |e| e.set_pcrs((0..16).rev().map(|index| (index, vec![1; 48])))),
    valid("a cabundle of the root alone", |e| {
        let leaf = Cert { issuer: Cert::at(0).subject, signer: 0, ..Cert::at(LEAF) };
        e.certs = vec![Cert::at(0), leaf];
    }),
    valid("a cabundle of six", |e| {
        for (place, name) in [(3, "another"), (4, "yet another")] {
            let above = e.certs[place - 1].clone();
            let mut extra =
                Cert { issuer: above.subject, subject: der::name(name), signer: place - 1, ..Cert::at(3) };
            extra.point = crate::key(place).verifying_key().to_sec1_point(false).as_bytes().to_vec();
            e.certs.insert(place, extra);
        }
        for (place, cert) in e.certs.iter_mut().enumerate().skip(1) {
            cert.point = crate::key(place).verifying_key().to_sec1_point(false).as_bytes().to_vec();
            cert.signer = place - 1;
        }
        for cert in &mut e.certs[1..6] {
            *cert.extension(19) = Extension::basic_constraints(true, None);
        }
        e.certs[5].issuer = der::name("yet another");
        e.certs[5].subject = der::name("instance");
        e.signer = 6;
    }),
    valid("a leaf without basicConstraints", |e| e.certs[LEAF].without_extension(19)),
    valid("a leaf's keyUsage that is not critical", |e| e.certs[LEAF].extension(15).critical = vec![]),
    valid("a leaf with an unknown extension", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x2a, 3, 4], false, vec![5, 0]));
    }),
    valid("CAs without pathLenConstraint", |e| {
        for place in 1..=3 {
            *e.certs[place].extension(19) = Extension::basic_constraints(true, None);
        }
    }),
    valid("a root that is valid beyond 2049", |e| {
        e.certs[0].validity.1 = der::tlv(0x18, b"20500101000000Z");
    }),
    // ECDSA is malleable. The other s is valid, whether or not the first is cached.
    valid("the other s of the document's signature", |e| {
        e.on_signature = |signature| {
            let s = other_s(&signature[48..]);
            signature[48..].copy_from_slice(&s);
        };
    }),
    valid("the other s of a CA's signature", |e| e.certs[2].on_signature = with_other_s),
    valid("the other s of the leaf's signature", |e| e.certs[LEAF].on_signature = with_other_s),
    valid("made at the leaf's first millisecond", |e| e.set("timestamp", cbor::uint(LEAF_NOT_BEFORE_MS))),
    Judged {
        now_ms: LEAF_NOT_AFTER_MS,
        ..valid("made at the leaf's last millisecond", |e| e.set("timestamp", cbor::uint(LEAF_NOT_AFTER_MS)))
    },
    Judged {
        now_ms: TIMESTAMP_MS,
        ..valid("a leaf that is valid for one instant", |e| {
            e.certs[LEAF].validity = (der::utc_time("260115115955Z"), der::utc_time("260115115955Z"));
        })
    },
    valid("a leaf that begins when its issuer ends, within the leeway", |e| {
        e.certs[INSTANCE].validity.1 = der::utc_time("260115120030Z");
        e.certs[LEAF].validity.0 = der::utc_time("260115120030Z");
        e.set("timestamp", cbor::uint(NOW_MS + 30_000));
    }),
    valid("a leaf of 1,024 bytes", |e| e.certs[LEAF].pad_to(1024)),
    valid("a CA of 1,024 bytes", |e| e.certs[2].pad_to(1024)),
    valid("a root of 1,024 bytes", |e| e.certs[0].pad_to(1024)),
    valid("a payload of 16,384 bytes", |e| {
        e.set("module_id", cbor::text(&"i".repeat(10_000)));
        // Prefix, headers, the payload's head and the signature have 108 bytes.
        let missing = 16_384 - (e.document().len() - 108);
        e.set("module_id", cbor::text(&"i".repeat(10_000 + missing)));
    }),
    valid("elements of 128 and 256 bytes", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x2a, 3, 4], false, vec![0; 128]));
        e.certs[LEAF].extensions.push(Extension::new(&[0x2a, 3, 5], false, vec![0; 256]));
    }),
    valid("sixteen extensions", |e| {
        e.certs[LEAF].extensions.extend((0..14).map(|i| Extension::new(&[0x2a, 3, i], false, vec![5, 0])));
    }),
    valid("a root with a pathLenConstraint that suffices", |e| {
        *e.certs[0].extension(19) = Extension::basic_constraints(true, Some(3));
    }),
    valid("a CA with the largest pathLenConstraint", |e| {
        *e.certs[1].extension(19) = Extension::basic_constraints(true, Some(255));
    }),
    valid("a leaf whose basicConstraints are empty", |e| e.certs[LEAF].extension(19).value = der::seq(&[])),
    valid("a leaf with keyUsage of digitalSignature alone", |e| {
        *e.certs[LEAF].extension(15) = Extension::key_usage(0x80);
    }),
    valid("a leaf with decipherOnly", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(7, &[0xc8, 0x80]);
    }),
    valid("a leaf for clients", |e| e.certs[LEAF].extensions.push(client_auth())),
    valid("a CA for clients", |e| e.certs[2].extensions.push(client_auth())),
    valid("a leaf for servers and clients", |e| {
        let server_auth = der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        let value = der::seq(&[&server_auth, CLIENT_AUTH]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, value));
    }),
    // Path validation begins below the root and ignores its extended key usage.
    valid("a root for servers", |e| {
        let server_auth = der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        e.certs[0].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[&server_auth])));
    }),
    valid("a root whose own signature is another's", |e| e.certs[0].signer = 9),
    valid("serial numbers of zero and below", |e| {
        e.certs[2].serial = der::tlv(2, &[0]);
        e.certs[LEAF].serial = der::tlv(2, &[0x80]);
    }),
    valid("a serial number of 40 bytes", |e| e.certs[LEAF].serial = der::tlv(2, &[0x7f; 40])),
    valid("a CA that has been valid since 1970", |e| e.certs[1].validity.0 = der::utc_time("700101000000Z")),
    valid("a name of every kind of string", |e| {
        let attribute = |tag, value: &[u8]| der::seq(&[&der::tlv(6, &[0x55, 4, 10]), &der::tlv(tag, value)]);
        let one = der::tlv(0x31, &[attribute(0x13, b"(*)\x7f"), attribute(0x16, b"a@b")].concat());
        let two = der::tlv(0x31, &attribute(0x0c, "é".as_bytes()));
        // TeletexString and BMPString are accepted without decoding.
        let three = der::tlv(0x31, &[attribute(0x14, &[0xff]), attribute(0x1e, &[0, 0x61])].concat());
        e.certs[LEAF].subject = der::seq(&[&one, &two, &three]);
    }),
    valid("a name whose SET is not in order", |e| {
        let attribute = |value: &[u8]| der::seq(&[&der::tlv(6, &[0x55, 4, 10]), &der::tlv(0x0c, value)]);
        let set = der::tlv(0x31, &[attribute(b"b"), attribute(b"a"), attribute(b"a")].concat());
        e.certs[LEAF].subject = der::seq(&[&set]);
    }),
    valid("a CA that begins at the end of the leeway", |e| {
        e.certs[1].validity.0 = der::utc_time("260115120100Z");
    }),
    valid("a leaf that begins after the root has ended, within the leeway", |e| {
        e.certs[0].validity.1 = der::utc_time("260115120010Z");
        e.certs[LEAF].validity.0 = der::utc_time("260115120030Z");
        e.set("timestamp", cbor::uint(NOW_MS + 30_000));
    }),
    valid("an extended key usage for clients, and then something else", |e| {
        let value = der::seq(&[CLIENT_AUTH, &[4, 1, 0, 0x30]]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, value));
    }),
    valid("a root whose extended key usage is of something else", |e| {
        e.certs[0].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[&[0xff]])));
    }),
    valid("an extension with an empty OID", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[], false, vec![]));
    }),
    valid("February 29th of a leap year, and the first second of 2050", |e| {
        e.certs[1].validity.0 = der::utc_time("240229000000Z");
        e.certs[0].validity.1 = der::tlv(0x18, b"20500101000000Z");
    }),
];

fn client_auth() -> Extension {
    Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[CLIENT_AUTH]))
}

/// The same document under different clocks.
pub const CLOCK: &[Judged] = &[
    at("at the document's own time", None, TIMESTAMP_MS, 0),
    at("a millisecond before the document's own time", Some("document_from_future"), TIMESTAMP_MS - 1, 0),
    at("a clock that is behind by the leeway", None, TIMESTAMP_MS - LEEWAY_MS, LEEWAY_MS),
    at(
        "a clock that is behind by more than the leeway",
        Some("document_from_future"),
        TIMESTAMP_MS - LEEWAY_MS - 1,
        LEEWAY_MS,
    ),
    at(
        "a clock from before the leaf and the leeway",
        Some("not_yet_valid"),
        LEAF_NOT_BEFORE_MS - LEEWAY_MS - 1,
        LEEWAY_MS,
    ),
    at("a clock from before the leaf, without leeway", Some("not_yet_valid"), LEAF_NOT_BEFORE_MS - 1, 0),
    at("at the leaf's last millisecond", None, LEAF_NOT_AFTER_MS, LEEWAY_MS),
    at("a millisecond after the leaf", Some("expired"), LEAF_NOT_AFTER_MS + 1, LEEWAY_MS),
    at("a day later", Some("expired"), NOW_MS + 86_400_000, LEEWAY_MS),
    at("ten years later", Some("expired"), NOW_MS + 315_360_000_000, LEEWAY_MS),
    at("in 1970", Some("not_yet_valid"), 0, LEEWAY_MS),
    at("at the largest time that JSON can hold", Some("expired"), 9_007_199_254_740_991, LEEWAY_MS),
];

/// Debug enclaves, verified with the escape.
pub const DEBUG: &[Judged] = &[
    debug("a debug enclave that is let through", None, |e| zero(e, |index| index <= 2)),
    debug("no debug enclave where they are let through", None, |_| {}),
    debug("PCR0 alone is zero: no escape", Some("pcr_zero"), |e| zero(e, |index| index == 0)),
    debug("PCR2 alone is zero: no escape", Some("pcr_zero"), |e| zero(e, |index| index == 2)),
];

const OPTIONAL: [&str; 3] = ["public_key", "user_data", "nonce"];

fn set_all(e: &mut Enclave, value: &[u8]) {
    OPTIONAL.iter().for_each(|field| e.set(field, value.to_vec()));
}

fn zero(e: &mut Enclave, is_zero: fn(u64) -> bool) {
    e.set_pcrs((0..16).map(|index| (index, vec![u8::from(!is_zero(index)); 48])));
}

fn with_other_s(signature: Vec<u8>) -> Vec<u8> {
    let r = &signature[2..4 + usize::from(signature[3])];
    let s = &signature[2 + r.len() + 2..];
    der::seq(&[r, &der::uint(&other_s(s))])
}
