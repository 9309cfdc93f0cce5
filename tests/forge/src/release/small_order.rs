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

/// A signature of the key whose seed is 32 times `secret`, with the neutral element as R: S·B = R + k·A
/// holds.
pub(super) fn signature(secret: u8, text: &str) -> [u8; 64] {
    let key = ed25519_dalek::SigningKey::from_bytes(&[secret; 32]).verifying_key().to_bytes();
    let mut scalar: [u8; 32] = Sha512::digest([secret; 32])[..32].try_into().unwrap();
    scalar[0] &= 0xf8;
    scalar[31] = scalar[31] & 0x7f | 0x40;
    let k = reduce(&Sha512::new().chain_update(NEUTRAL).chain_update(key).chain_update(text).finalize());
    joined(&NEUTRAL, times(k, reduce(&scalar)))
}

/// The same signature with S + order in the place of S.
pub(super) fn unreduced(signature: &[u8; 64]) -> [u8; 64] {
    let (r, s) = signature.split_at(32);
    let s = std::array::from_fn(|i| u64::from_le_bytes(s[8 * i..8 * i + 8].try_into().unwrap()));
    joined(r, sum(s, ORDER))
}

/// A log's verifier key that is the neutral element.
pub(super) fn vkey(name: &str) -> String {
    let key = [&[1], &NEUTRAL[..]].concat();
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
