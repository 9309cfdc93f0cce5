//! The whole verification on any bytes, under AWS's root or the forge's. The first byte chooses.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ok2cry_attest_forge::{Enclave, NOW_MS};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_fuzz::one_verdict;

static ROOTS: LazyLock<[TrustAnchor; 2]> = LazyLock::new(|| {
    [TrustAnchor::from_der(&Enclave::new().root()).expect("the root of the forge"), TrustAnchor::aws_nitro()]
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    let root = &ROOTS[usize::from(choice & 1)];
    let time = (choice & 2 == 0).then(|| CheckTime::at(NOW_MS));
    let _ = one_verdict(root, bytes, time.as_ref(), choice & 4 != 0, choice & 0x18 == 0);
});
