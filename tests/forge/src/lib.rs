//! A test module: its PKI and its signer. Every byte can be changed before it is signed.
//!
//! [`Enclave::new`] is a document like those of real modules; [`Enclave::with`] changes any part. [`cases`]
//! are the changes that must be refused, and those that must be accepted. Every run gives the same bytes: the
//! keys are fixed, and signatures follow RFC 6979.
//!
//! The encoders share no code with the verifier, and libraries refuse to write invalid input. A test of the
//! verifier checks this signer with other decoders. **Not for production**: the keys are public and the code
//! panics. It is a dependency of tests, vectors and fuzz targets only.
#![allow(
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test equipment, which fails by panicking"
)]

mod batch;
pub mod cases;
pub mod cbor;
mod certificate;
pub mod der;
mod enclave;
pub mod release;

pub use batch::{Batch, Hash};
pub use certificate::{Cert, EC_P256, EC_P384, ECDSA_SHA256, ECDSA_SHA384, Extension, INSTANCE, LEAF, key};
pub use enclave::Enclave;

/// 2026-01-15T12:00:00Z, in Unix milliseconds.
pub const NOW_MS: u64 = 1_768_478_400_000;
/// The leaf of [`Enclave::new`] becomes valid at 11:59:50 and the document is made five seconds later.
pub const LEAF_NOT_BEFORE_MS: u64 = NOW_MS - 10_000;
/// Three hours after [`NOW_MS`].
pub const LEAF_NOT_AFTER_MS: u64 = NOW_MS + 3 * 60 * 60 * 1000;
/// When the document of [`Enclave::new`] was made.
pub const TIMESTAMP_MS: u64 = NOW_MS - 5_000;

/// The order of P-384, big-endian: r and s are below it.
pub const ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a,
    0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// A point of P-384 whose y is 1, with 1 more than the field's prime in its place.
pub const Y_ABOVE_THE_PRIME: [u8; 97] = [
    0x04, 0x22, 0x61, 0xb2, 0xbf, 0x60, 0x5c, 0x22, 0xf2, 0xf3, 0xae, 0xf6, 0x33, 0x87, 0x19, 0xb2, 0xc4,
    0x86, 0x38, 0x8a, 0xd5, 0x24, 0x07, 0x19, 0xa5, 0x25, 0x73, 0x15, 0x96, 0x9e, 0xf0, 0x1b, 0xa2, 0x7f,
    0x0a, 0x10, 0x4c, 0x89, 0x70, 0x47, 0x73, 0xa8, 0x1f, 0xda, 0xbe, 0xe6, 0xab, 0x5c, 0x78, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
];

/// The PCR values of the enclave: PCR0 is 48 times 0xa0, and so on; from PCR5 on they are zero.
#[must_use]
pub fn pcr(index: u8) -> [u8; 48] {
    if index < 5 { [0xa0 + index; 48] } else { [0; 48] }
}

/// SHA-256 of bytes, which identifies root certificates.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// `ORDER - s`: the other valid s of an ECDSA signature.
#[must_use]
pub fn other_s(s: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 48];
    let mut borrow = 0;
    for index in (0..48).rev() {
        let from_end = 47 - index;
        let digit = s.len().checked_sub(from_end + 1).map_or(0, |at| i32::from(s[at]));
        let difference = i32::from(ORDER[index]) - digit - borrow;
        borrow = i32::from(difference < 0);
        out[index] = difference.rem_euclid(256) as u8;
    }
    out
}
