//! Times that do not fit the clock or each other.

use super::Case;
use crate::{INSTANCE, LEAF, LEAF_NOT_AFTER_MS, LEAF_NOT_BEFORE_MS, NOW_MS, cbor, der};

/// Times that do not fit the clock or each other.
pub const TIME: &[Case] = &[
    ("made before the leaf", "timestamp_outside_leaf", |e| {
        e.set("timestamp", cbor::uint(LEAF_NOT_BEFORE_MS - 1));
    }),
    ("made after the leaf", "timestamp_outside_leaf", |e| {
        e.set("timestamp", cbor::uint(LEAF_NOT_AFTER_MS + 1));
    }),
    ("made a year ago", "timestamp_outside_leaf", |e| {
        e.set("timestamp", cbor::uint(NOW_MS - 31_536_000_000));
    }),
    ("made at the end of time", "timestamp_outside_leaf", |e| e.set("timestamp", cbor::uint(u64::MAX))),
    ("made in seconds", "timestamp_outside_leaf", |e| e.set("timestamp", cbor::uint(NOW_MS / 1000))),
    ("made in two minutes", "document_from_future", |e| e.set("timestamp", cbor::uint(NOW_MS + 120_000))),
    ("an expired root", "expired", |e| e.certs[0].validity.1 = der::utc_time("260101000000Z")),
    ("a root of the future", "not_yet_valid", |e| e.certs[0].validity.0 = der::utc_time("270101000000Z")),
    ("an expired regional CA", "expired", |e| e.certs[1].validity.1 = der::utc_time("260115115900Z")),
    ("a zonal CA of tomorrow", "not_yet_valid", |e| {
        e.certs[2].validity.0 = der::utc_time("260116000000Z");
    }),
    ("an expired instance CA", "expired", |e| e.certs[3].validity.1 = der::utc_time("260115115959Z")),
    ("an expired leaf", "expired", |e| e.certs[LEAF].validity.1 = der::utc_time("260115115958Z")),
    ("an expired root, and a regional CA of the future", "expired", |e| {
        e.certs[0].validity.1 = der::utc_time("260101000000Z");
        e.certs[1].validity.0 = der::utc_time("260116000000Z");
    }),
    ("a regional CA of the future, and an expired leaf", "not_yet_valid", |e| {
        e.certs[1].validity.0 = der::utc_time("260116000000Z");
        e.certs[LEAF].validity.1 = der::utc_time("260115115958Z");
    }),
    ("made after the leaf, which has expired", "timestamp_outside_leaf", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("260115115951Z");
    }),
    ("made in two minutes, under a wrong signature", "document_from_future", |e| {
        e.set("timestamp", cbor::uint(NOW_MS + 120_000));
        e.on_signature = |s| s[0] ^= 1;
    }),
    // The leeway tolerates that either is not valid yet, but a path is validated at one time.
    ("a leaf that begins after its issuer has ended, within the leeway", "path_invalid", |e| {
        e.certs[INSTANCE].validity.1 = der::utc_time("260115120010Z");
        e.certs[LEAF].validity.0 = der::utc_time("260115120030Z");
        e.set("timestamp", cbor::uint(NOW_MS + 30_000));
    }),
    ("a CA that begins a second after the leeway", "not_yet_valid", |e| {
        e.certs[1].validity.0 = der::utc_time("260115120101Z");
    }),
    ("a root that begins after the leaf's issuer has ended, within the leeway", "path_invalid", |e| {
        e.certs[0].validity.0 = der::utc_time("260115120030Z");
        e.certs[INSTANCE].validity.1 = der::utc_time("260115120010Z");
    }),
    ("validities that do not meet, and a wrong signature", "path_invalid", |e| {
        e.certs[INSTANCE].validity.1 = der::utc_time("260115120010Z");
        e.certs[1].validity.0 = der::utc_time("260115120030Z");
        e.certs[LEAF].signer = 2;
    }),
];
