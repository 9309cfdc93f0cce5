//! The payload: its CBOR, its keys, the type and limits of each field.

use super::Case;
use crate::cbor;

/// The payload: its CBOR, its keys, the type and limits of each field.
pub const PAYLOAD: &[Case] = &[
    ("an array", "cbor_wrong_type", |e| e.on_payload = |_| vec![0x80]),
    ("an empty map", "missing_field", |e| e.on_payload = |_| vec![0xa0]),
    ("bytes after it", "cbor_trailing_bytes", |e| e.on_payload = |p| [p, vec![0]].concat()),
    ("a second break", "cbor_trailing_bytes", |e| e.on_payload = |p| [p, vec![0xff]].concat()),
    ("no break", "cbor_truncated", |e| {
        e.on_payload = |mut p| {
            p.pop();
            p
        };
    }),
    ("a break for a value", "cbor_malformed", |e| e.set("timestamp", vec![0xff])),
    ("an entry less than claimed", "cbor_truncated", |e| {
        e.on_payload = |p| [&[0xaa], &p[1..p.len() - 1]].concat();
    }),
    ("2^64 - 1 entries claimed", "cbor_truncated", |e| {
        e.on_payload = |p| [&[0xbb][..], &[0xff; 8], &p[1..p.len() - 1]].concat();
    }),
    ("a tagged map", "cbor_wrong_type", |e| e.on_payload = |p| [vec![0xd8, 55], p].concat()),
    ("an integer key", "cbor_wrong_type", |e| e.fields.push((vec![0x01], vec![0x01]))),
    ("a byte-string key", "cbor_wrong_type", |e| e.fields.push((cbor::bytes(b"nonce"), vec![0xf6]))),
    ("a key in pieces", "cbor_indefinite_length", |e| {
        e.fields[0].0 = [vec![0x7f], cbor::text("module_id"), vec![0xff]].concat();
    }),
    ("a key in a long form", "cbor_non_minimal", |e| {
        e.fields[1].0 = [&[0x78, 6][..], b"digest"].concat();
    }),
    ("a key that is not UTF-8", "cbor_not_utf8", |e| e.fields.push((vec![0x61, 0xff], vec![0xf6]))),
    ("an unknown key", "unknown_key", |e| e.fields.push((cbor::text("extra"), vec![0xf6]))),
    ("a key in capitals", "unknown_key", |e| e.fields.push((cbor::text("Nonce"), vec![0xf6]))),
    ("an empty key", "unknown_key", |e| e.fields.push((cbor::text(""), vec![0xf6]))),
    ("a NitroTPM document", "nitrotpm_document", |e| {
        let pcrs = e.fields[3].1.clone();
        e.remove("pcrs");
        e.fields.push((cbor::text("nitrotpm_pcrs"), pcrs));
    }),
    ("a NitroTPM document with pcrs", "nitrotpm_document", |e| {
        e.fields.push((cbor::text("nitrotpm_pcrs"), vec![0xa0]));
    }),
    ("two timestamps", "duplicate_key", |e| e.fields.push(e.fields[2].clone())),
    ("two pcrs", "duplicate_key", |e| e.fields.push(e.fields[3].clone())),
    ("two certificates", "duplicate_key", |e| e.fields.push(e.fields[4].clone())),
    ("two unset public keys", "duplicate_key", |e| e.fields.push(e.fields[6].clone())),
    ("no module_id", "missing_field", |e| e.remove("module_id")),
    ("no digest", "missing_field", |e| e.remove("digest")),
    ("no timestamp", "missing_field", |e| e.remove("timestamp")),
    ("no pcrs", "missing_field", |e| e.remove("pcrs")),
    ("no certificate", "missing_field", |e| e.remove("certificate")),
    ("no cabundle", "missing_field", |e| e.remove("cabundle")),
    ("an empty module_id", "module_id_empty", |e| e.set("module_id", cbor::text(""))),
    ("a module_id of bytes", "cbor_wrong_type", |e| e.set("module_id", cbor::bytes(b"i-0"))),
    ("SHA256", "digest_not_sha384", |e| e.set("digest", cbor::text("SHA256"))),
    ("sha384 in small letters", "digest_not_sha384", |e| e.set("digest", cbor::text("sha384"))),
    ("a null digest", "cbor_wrong_type", |e| e.set("digest", vec![0xf6])),
    ("timestamp 0", "timestamp_zero", |e| e.set("timestamp", vec![0])),
    ("a negative timestamp", "cbor_wrong_type", |e| e.set("timestamp", vec![0x20])),
    ("a floating timestamp", "cbor_wrong_type", |e| {
        e.set("timestamp", vec![0xfb, 0x42, 0x79, 0, 0, 0, 0, 0, 0]);
    }),
    ("a tagged timestamp", "cbor_wrong_type", |e| e.set("timestamp", vec![0xc1, 0x01])),
    ("a timestamp in a long form", "cbor_non_minimal", |e| {
        e.set("timestamp", vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 1]);
    }),
    ("a timestamp in reserved form", "cbor_malformed", |e| e.set("timestamp", vec![0x1c])),
    ("an empty certificate", "certificate_length", |e| e.on_certificate = |_| vec![]),
    ("a certificate of 1,025 bytes", "certificate_length", |e| e.on_certificate = |_| vec![0x30; 1025]),
    ("a null certificate", "cbor_wrong_type", |e| e.set("certificate", vec![0xf6])),
    ("an empty cabundle", "cabundle_count", |e| e.on_cabundle = Vec::clear),
    ("a cabundle of seven", "cabundle_count", |e| e.on_cabundle = |b| b.resize(7, vec![0x30])),
    ("a cabundle of 2^63", "cabundle_count", |e| {
        e.set("cabundle", vec![0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    }),
    ("an indefinite cabundle", "cbor_indefinite_length", |e| e.set("cabundle", vec![0x9f, 0xff])),
    ("a cabundle of text", "cbor_wrong_type", |e| e.set("cabundle", cbor::array(&[cbor::text("root")]))),
    ("an empty entry", "cabundle_entry_length", |e| e.on_cabundle = |b| b[1].clear()),
    ("an entry of 1,025 bytes", "cabundle_entry_length", |e| e.on_cabundle = |b| b[3] = vec![0x30; 1025]),
    ("public_key of 1,025 bytes", "public_key_length", |e| e.set("public_key", cbor::bytes(&[1; 1025]))),
    ("user_data of 1,025 bytes", "user_data_length", |e| e.set("user_data", cbor::bytes(&[1; 1025]))),
    ("nonce of 1,025 bytes", "nonce_length", |e| e.set("nonce", cbor::bytes(&[1; 1025]))),
    ("a text nonce", "cbor_wrong_type", |e| e.set("nonce", cbor::text("nonce"))),
    ("an undefined nonce", "cbor_wrong_type", |e| e.set("nonce", vec![0xf7])),
    ("a false nonce", "cbor_wrong_type", |e| e.set("nonce", vec![0xf4])),
    ("user_data in pieces", "cbor_indefinite_length", |e| e.set("user_data", vec![0x5f, 0x41, 0, 0xff])),
    ("user_data of claimed 2^64 - 1 bytes", "cbor_truncated", |e| {
        e.set("user_data", [&[0x5b][..], &[0xff; 8]].concat());
    }),
    ("a public key of claimed 2^31 bytes", "cbor_truncated", |e| {
        e.set("public_key", vec![0x5a, 0x80, 0, 0, 0]);
    }),
    ("a null module_id", "cbor_wrong_type", |e| e.set("module_id", vec![0xf6])),
    ("a null timestamp", "cbor_wrong_type", |e| e.set("timestamp", vec![0xf6])),
    ("null pcrs", "cbor_wrong_type", |e| e.set("pcrs", vec![0xf6])),
    ("a null cabundle", "cbor_wrong_type", |e| e.set("cabundle", vec![0xf6])),
    ("a cabundle of seven, whose first entry is text", "cabundle_count", |e| {
        e.set("cabundle", cbor::array(&vec![cbor::text("root"); 7]));
    }),
    ("an empty certificate, and no cabundle", "certificate_length", |e| {
        e.on_certificate = |_| vec![];
        e.remove("cabundle");
    }),
    ("two timestamps, of which the second is text", "duplicate_key", |e| {
        e.fields.push((cbor::text("timestamp"), cbor::text("now")));
    }),
    ("an unknown key whose value is not CBOR", "unknown_key", |e| {
        e.fields.push((cbor::text("extra"), vec![0xff]));
    }),
    ("bytes after it, and no digest", "cbor_trailing_bytes", |e| {
        e.remove("digest");
        e.on_payload = |p| [p, vec![0]].concat();
    }),
    ("a null of two bytes", "cbor_non_minimal", |e| e.set("nonce", vec![0xf8, 22])),
    ("a simple value of two bytes below 24", "cbor_non_minimal", |e| e.set("nonce", vec![0xf8, 0])),
    ("the simple value 23 in two bytes", "cbor_non_minimal", |e| e.set("nonce", vec![0xf8, 23])),
    ("the simple value 24, which there is not", "cbor_wrong_type", |e| e.set("nonce", vec![0xf8, 24])),
    ("the simple value 31, which there is not", "cbor_wrong_type", |e| e.set("nonce", vec![0xf8, 31])),
    ("the simple value 32", "cbor_wrong_type", |e| e.set("nonce", vec![0xf8, 32])),
    ("a simple value that is cut off", "cbor_wrong_type", |e| e.set("nonce", vec![0xf8, 0x65])),
    ("a half-precision zero", "cbor_non_minimal", |e| e.set("timestamp", vec![0xf9, 0, 0])),
    ("a half-precision one", "cbor_wrong_type", |e| e.set("timestamp", vec![0xf9, 0x3c, 0])),
    ("a single-precision number whose bits are few", "cbor_non_minimal", |e| {
        e.set("timestamp", vec![0xfa, 0, 0, 0xff, 0xff]);
    }),
    ("a byte string in a long form in the place of a number", "cbor_non_minimal", |e| {
        e.set("timestamp", vec![0x58, 1, 0]);
    }),
    ("text of claimed 2^64 - 1 bytes in the place of a byte string", "cbor_wrong_type", |e| {
        e.set("user_data", [&[0x7b][..], &[0xff; 8]].concat());
    }),
    ("indefinite text in the place of a number", "cbor_wrong_type", |e| e.set("timestamp", vec![0x7f, 0xff])),
    ("an indefinite number", "cbor_malformed", |e| e.set("timestamp", vec![0x1f])),
    ("a reserved length of another type", "cbor_malformed", |e| e.set("timestamp", vec![0x5d])),
    ("an indefinite tag", "cbor_malformed", |e| e.set("timestamp", vec![0xdf])),
    ("a timestamp of 2^64 - 1", "timestamp_outside_leaf", |e| {
        e.set("timestamp", [&[0x1b][..], &[0xff; 8]].concat());
    }),
    ("a NitroTPM document with pcrs that are text", "cbor_wrong_type", |e| {
        e.set("pcrs", cbor::text("pcrs"));
        e.fields.push((cbor::text("nitrotpm_pcrs"), vec![0xa0]));
    }),
    ("a map's head that is cut off", "cbor_truncated", |e| e.on_payload = |_| vec![0xb8]),
    ("a map's head that is cut within its argument", "cbor_truncated", |e| {
        e.on_payload = |_| vec![0xbb, 0, 0, 0];
    }),
    ("a text's head that is cut within its argument", "cbor_truncated", |e| {
        e.on_payload = |_| [vec![0xa1], cbor::text("module_id"), vec![0x79, 1]].concat();
    }),
    ("a number's head that is cut off", "cbor_truncated", |e| {
        e.on_payload = |_| [vec![0xa1], cbor::text("timestamp"), vec![0x1b]].concat();
    }),
];
