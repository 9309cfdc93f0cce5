//! Numbers of 384 bits, in the forms that libraries use in memory.

/// The order of the curve's group, as little-endian limbs (SEC 2 §2.5.1).
pub(super) const ORDER: [u64; 6] =
    [0xecec_196a_ccc5_2973, 0x581a_0db2_48b0_a77a, 0xc763_4d81_f437_2ddf, u64::MAX, u64::MAX, u64::MAX];
/// The prime of the curve's field, likewise.
pub(super) const PRIME: [u64; 6] =
    [0x0000_0000_ffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_fffe, u64::MAX, u64::MAX, u64::MAX];

/// Little-endian limbs of a big-endian number.
pub(super) fn limbs(bytes: &[u8; 48]) -> [u64; 6] {
    std::array::from_fn(|i| u64::from_be_bytes(bytes[40 - 8 * i..48 - 8 * i].try_into().unwrap()))
}

/// Limbs as they lie in memory.
pub(super) fn in_memory(limbs: [u64; 6]) -> Vec<u8> {
    limbs.iter().flat_map(|limb| limb.to_ne_bytes()).collect()
}

/// x · 2^384 mod m: Montgomery's form of x.
pub(super) fn montgomery(x: [u64; 6], m: &[u64; 6]) -> [u64; 6] {
    (0..384).fold(x, |x, _| double(x, m))
}

/// 2x mod m, for x < m.
fn double(x: [u64; 6], m: &[u64; 6]) -> [u64; 6] {
    let mut doubled = [0; 6];
    let mut carry = 0;
    for (to, from) in doubled.iter_mut().zip(x) {
        *to = from << 1 | carry;
        carry = from >> 63;
    }
    let (reduced, borrow) = subtract(doubled, m);
    if carry == 1 || !borrow { reduced } else { doubled }
}

fn subtract(a: [u64; 6], b: &[u64; 6]) -> ([u64; 6], bool) {
    let mut difference = [0; 6];
    let mut borrow = false;
    for ((to, a), b) in difference.iter_mut().zip(a).zip(b) {
        let (partial, first) = a.overflowing_sub(*b);
        let (whole, second) = partial.overflowing_sub(u64::from(borrow));
        (*to, borrow) = (whole, first || second);
    }
    (difference, borrow)
}

#[test]
fn the_montgomery_form_matches_its_definition() {
    let number = |n| [n, 0, 0, 0, 0, 0];
    assert_eq!(montgomery(number(0), &PRIME), number(0));
    // 2^384 mod m is 2^384 - m, because both moduli are above 2^383.
    for m in [&PRIME, &ORDER] {
        let (one, borrow) = subtract([0; 6], m);
        assert!(borrow);
        assert_eq!(montgomery(number(1), m), one);
        assert_eq!(montgomery(number(2), m), double(one, m));
    }
}
