//! Ed25519 signatures that satisfy the equation and must still be refused (RFC 8032 §5.1.7, read strictly).

use base64ct::{Base64, Encoding};
use sha2::{Digest as _, Sha256, Sha512};

/// A number below 2^256, the lowest limb first.
type Number = [u64; 4];

/// The order of the group: 2^252 + 27742317777372353535851937790883648493.
const ORDER: Number = [0x5812_631a_5cf5_d3ed, 0x14de_f9de_a2f7_9cd6, 0, 0x1000_0000_0000_0000];

/// The encoding of the neutral element, whose order is 1.
const NEUTRAL: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 1;
    point
};

/// The encoding of a point of order 2: y = -1.
pub(super) const ORDER_2: [u8; 32] = {
    let mut point = [0xff; 32];
    (point[0], point[31]) = (0xec, 0x7f);
    point
};

/// The encoding of a point of order 8.
pub(super) const ORDER_8: [u8; 32] = [
    0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
    0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
];

/// The public key of the seed of 32 times 0x51, plus [`ORDER_8`].
pub(super) const MIXED: [u8; 32] = [
    0xef, 0xf9, 0xe9, 0xcf, 0xcb, 0xa6, 0x26, 0xc0, 0x67, 0x90, 0x54, 0x38, 0xf2, 0xc9, 0xe3, 0xe3, 0x79,
    0x1e, 0x35, 0x0d, 0xca, 0xd7, 0xa7, 0x0a, 0x41, 0xd7, 0xfe, 0x8e, 0xe4, 0x10, 0x40, 0x97,
];

/// The encoding whose y is the field's prime and `y` more, which is below 19.
pub(super) fn above_the_prime(y: u8) -> [u8; 32] {
    let mut point = [0xff; 32];
    (point[0], point[31]) = (0xed + y, 0x7f);
    point
}

/// A signature of the key whose seed is 32 times `secret`, with the neutral element as R: S·B = R + k·A holds.
pub(super) fn signature(secret: u8, text: &str) -> [u8; 64] {
    signature_with(&NEUTRAL, secret, text)
}

/// The same with another R, whose logarithm counts as zero.
pub(super) fn signature_with(r: &[u8; 32], secret: u8, text: &str) -> [u8; 64] {
    let k = challenge(r, &public(secret), text);
    joined(r, times(k, reduce(&scalar(secret))))
}

/// A signature of [`MIXED`], made with the seed, that verifies with the cofactor only.
pub(super) fn mixed_signature(secret: u8, text: &str) -> [u8; 64] {
    let of = |nonce: u8| {
        let r = public(nonce);
        (nonce, r, challenge(&r, &MIXED, text))
    };
    let (nonce, r, k) = (1..).map(of).find(|(.., k)| !k[0].is_multiple_of(8)).unwrap();
    joined(&r, plus(reduce(&scalar(nonce)), times(k, reduce(&scalar(secret)))))
}

fn public(secret: u8) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(&[secret; 32]).verifying_key().to_bytes()
}

fn scalar(secret: u8) -> [u8; 32] {
    let mut scalar: [u8; 32] = Sha512::digest([secret; 32])[..32].try_into().unwrap();
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    scalar
}

fn challenge(r: &[u8; 32], key: &[u8; 32], text: &str) -> Number {
    reduce(&Sha512::new().chain_update(r).chain_update(key).chain_update(text).finalize())
}

/// The same signature with S + order in the place of S.
pub(super) fn unreduced(signature: &[u8; 64]) -> [u8; 64] {
    let (r, s) = signature.split_at(32);
    let s = std::array::from_fn(|i| u64::from_le_bytes(s[8 * i..8 * i + 8].try_into().unwrap()));
    joined(r, sum(s, ORDER))
}

/// A log's verifier key that is the neutral element.
pub(super) fn vkey(name: &str) -> String {
    vkey_of(name, 1, &NEUTRAL)
}

/// The verifier key of this type and point.
pub(super) fn vkey_of(name: &str, kind: u8, point: &[u8; 32]) -> String {
    let key = [&[kind], &point[..]].concat();
    let id = Sha256::new().chain_update(name).chain_update([b'\n']).chain_update(&key).finalize();
    format!("{name}+{}+{}", super::fixture::hex(&id[..4]), Base64::encode_string(&key))
}

fn joined(r: &[u8], s: Number) -> [u8; 64] {
    let s: Vec<_> = s.into_iter().flat_map(u64::to_le_bytes).collect();
    [r, &s].concat().try_into().unwrap()
}

/// A number of any length, little-endian, modulo the order.
fn reduce(bytes: &[u8]) -> Number {
    let bits = bytes.iter().rev().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.fold([0; 4], |number, bit| plus(plus(number, number), [bit.into(), 0, 0, 0]))
}

fn times(a: Number, b: Number) -> Number {
    let bits = b.into_iter().rev().flat_map(|limb| (0..64).rev().map(move |bit| limb >> bit & 1));
    bits.fold([0; 4], |number, bit| {
        let doubled = plus(number, number);
        if bit == 1 { plus(doubled, a) } else { doubled }
    })
}

/// The sum of two numbers below the order, modulo the order.
fn plus(a: Number, b: Number) -> Number {
    let total = sum(a, b);
    match total.iter().rev().ge(ORDER.iter().rev()) {
        true => difference(total, ORDER),
        false => total,
    }
}

fn sum(a: Number, b: Number) -> Number {
    let mut carry = 0;
    std::array::from_fn(|i| {
        let limb = u128::from(a[i]) + u128::from(b[i]) + carry;
        carry = limb >> 64;
        limb as u64
    })
}

fn difference(a: Number, b: Number) -> Number {
    let mut borrow = false;
    std::array::from_fn(|i| {
        let (limb, first) = a[i].overflowing_sub(b[i]);
        let (limb, second) = limb.overflowing_sub(borrow.into());
        borrow = first || second;
        limb
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check of the equation alone accepts it, so it must be refused for the order of R.
    #[test]
    fn the_equation_holds() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[0x51; 32]).verifying_key();
        let lenient = ed25519_dalek::Signature::from_bytes(&signature(0x51, "a text\n"));
        assert!(key.verify_strict(b"a text\n", &lenient).is_err());
        ed25519_dalek::Verifier::verify(&key, b"a text\n", &lenient).unwrap();
    }
}
