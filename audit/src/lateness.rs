//! How long after their deadlines keys were found expired: a histogram of bounded size.

/// Counts of latenesses in milliseconds, exact up to 127 and within 1/64 above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lateness {
    buckets: Vec<u64>,
    count: u64,
    max_ms: u64,
}

/// Buckets of one power of two.
const STEPS: u64 = 64;
const BUCKETS: usize = 64 * 64;

impl Default for Lateness {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max_ms: 0 }
    }
}

impl Lateness {
    /// Counts one key.
    pub(crate) fn add(&mut self, ms: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(ms)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max_ms = self.max_ms.max(ms);
    }

    /// How many keys were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest lateness, in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> u64 {
        self.max_ms
    }

    /// The lateness in milliseconds that `per_mille` of the keys do not exceed: 0 if none was counted.
    #[must_use]
    pub fn percentile_ms(&self, per_mille: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(per_mille)).div_ceil(1000).max(1);
        let mut seen = 0_u128;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return end_of(bucket).min(self.max_ms);
            }
        }
        self.max_ms
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below the number of buckets")]
fn bucket_of(ms: u64) -> usize {
    if ms < 2 * STEPS {
        return ms as usize;
    }
    // The highest bit says which power of two, the six below it which step.
    let power = u64::from(ms.ilog2());
    let step = (ms >> (power - 6)) - STEPS;
    ((power - 5) * STEPS + step) as usize
}

/// The greatest lateness of a bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let (power, step) = (bucket / STEPS + 5, bucket % STEPS);
    ((STEPS + step) << (power - 6)) + ((1 << (power - 6)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_number_once_and_closely() {
        let mut last = 0;
        for ms in (0..100_000).chain([1 << 20, (1 << 40) + 12_345, u64::MAX]) {
            let bucket = bucket_of(ms);
            assert!(bucket < BUCKETS && (bucket == last || bucket == last + 1 || ms >= 100_000), "{ms}");
            assert!(
                end_of(bucket) >= ms && end_of(bucket) - ms <= ms / 64,
                "{ms} ends at {}",
                end_of(bucket)
            );
            last = bucket;
        }
    }

    #[test]
    fn percentiles_are_those_of_the_numbers() {
        let mut lateness = Lateness::default();
        assert_eq!((lateness.percentile_ms(500), lateness.max_ms()), (0, 0));
        (0..=100).for_each(|ms| lateness.add(ms));
        assert_eq!(
            (lateness.percentile_ms(500), lateness.percentile_ms(990), lateness.max_ms()),
            (50, 99, 100)
        );
        assert_eq!(lateness.count(), 101);
    }
}
