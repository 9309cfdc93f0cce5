//! The decoder on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ok2cry_attest_verify::{MAX_CABUNDLE_LEN, MAX_DOCUMENT_LEN, decode};

fuzz_target!(|bytes: &[u8]| {
    let Ok(document) = decode(bytes) else { return };
    assert!(bytes.len() <= MAX_DOCUMENT_LEN);
    assert!(!document.module_id().is_empty() && document.timestamp_ms() > 0);
    assert!((0..=2).all(|index| document.pcr(index).is_some()));
    assert!((1..=1024).contains(&document.certificate().len()));
    assert!((1..=MAX_CABUNDLE_LEN).contains(&document.cabundle().len()));
    assert!(document.cabundle().iter().all(|der| (1..=1024).contains(&der.len())));
    assert!(document.public_key().is_none_or(|key| (1..=1024).contains(&key.len())));
    assert!([document.user_data(), document.nonce()].iter().flatten().all(|value| value.len() <= 1024));

    // Neither a byte less nor a byte more is accepted.
    let code = |bytes: &[u8]| decode(bytes).map(|_| ()).map_err(|error| error.code());
    assert_eq!(code(&bytes[..bytes.len() - 1]), Err("cbor_truncated"));
    let longer = [bytes, &[0]].concat();
    let expected = if longer.len() > MAX_DOCUMENT_LEN { "document_too_large" } else { "cbor_trailing_bytes" };
    assert_eq!(code(&longer), Err(expected));
});
