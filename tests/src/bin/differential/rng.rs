//! Random choices, determined by a seed.

/// `SplitMix64`.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Makes one change: a bit, a byte, a length, or a piece removed or repeated.
    pub(crate) fn change(&mut self, bytes: &mut Vec<u8>) {
        const BYTES: &[u8] = &[
            0, 1, 2, 3, 4, 5, 6, 0x0c, 0x13, 0x17, 0x18, 0x1f, 0x20, 0x30, 0x31, 0x40, 0x58, 0x5f, 0x60,
            0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa3, 0xbf, 0xc0, 0xd2, 0xf5, 0xf6, 0xf7, 0xff,
        ];
        let at = self.below(bytes.len() + 1);
        let value = *self.of(BYTES);
        match self.below(7) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 if at < bytes.len() => bytes[at] = value,
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => bytes.insert(at, value),
            5 => bytes.truncate(at),
            _ => {
                let piece: Vec<_> = bytes[at..].iter().copied().take(1 + self.below(8)).collect();
                bytes.splice(at..at, piece);
            }
        }
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
