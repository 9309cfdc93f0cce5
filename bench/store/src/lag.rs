//! The lag of erasure, recorded when the last reference to a key is dropped.

use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Histogram bins of a 128th of their value, up to 2^40 µs. Shared by all threads by relaxed additions.
const BINS: usize = 256 * 33;
static COUNTS: [AtomicU64; BINS] = [const { AtomicU64::new(0) }; BINS];
static MAX_US: AtomicU64 = AtomicU64::new(0);
/// Keys due in this half-open interval are counted.
static WINDOW_US: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// A key's due time, in microseconds of the [`clock`]. Dropped with the key, after its secret.
pub struct Due(u64);

impl Due {
    /// A key that is due at this time.
    pub fn at_us(us: u64) -> Self {
        Self(us)
    }

    /// A key that is not counted.
    pub fn never() -> Self {
        Self(u64::MAX)
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        let [from, to] = [0, 1].map(|i| WINDOW_US[i].load(Ordering::Relaxed));
        if (from..to).contains(&self.0) {
            record(clock::now_us().saturating_sub(self.0));
        }
    }
}

/// Clears the counts, and counts keys that are due in this window from now on.
pub fn count(from_us: u64, to_us: u64) {
    COUNTS.iter().chain([&MAX_US]).for_each(|count| count.store(0, Ordering::Relaxed));
    WINDOW_US[0].store(from_us, Ordering::Relaxed);
    WINDOW_US[1].store(to_us, Ordering::Relaxed);
}

/// Counts a key, if it was due in the window.
pub fn record_due(due_us: u64) {
    drop(Due(due_us));
}

fn record(us: u64) {
    let shift = (64 - us.leading_zeros()).saturating_sub(8) as usize;
    let bin = shift * 256 + (us >> shift) as usize;
    COUNTS[bin.min(BINS - 1)].fetch_add(1, Ordering::Relaxed);
    MAX_US.fetch_max(us, Ordering::Relaxed);
}

/// How many keys were counted.
pub fn counted() -> u64 {
    COUNTS.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// The quantile of lag for this share of keys, in milliseconds.
pub fn quantile_ms(share: f64) -> f64 {
    let rank = (counted() as f64 * share) as u64;
    let mut seen = 0;
    let bin = COUNTS.iter().position(|count| {
        seen += count.load(Ordering::Relaxed);
        seen > rank
    });
    let Some(bin) = bin else { return f64::NAN };
    let (shift, within) = (bin / 256, bin % 256);
    ((within as u64) << shift) as f64 / 1e3
}

/// The greatest lag, in milliseconds.
pub fn max_ms() -> f64 {
    MAX_US.load(Ordering::Relaxed) as f64 / 1e3
}
