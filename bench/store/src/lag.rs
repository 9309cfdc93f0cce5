//! How late keys are erased: counted where it happens, when the last reference to a key is dropped.

use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bins of a 128th of their value, up to 2^40 µs. Shared by all threads: a relaxed addition, mostly to different bins.
const BINS: usize = 256 * 33;
static COUNTS: [AtomicU64; BINS] = [const { AtomicU64::new(0) }; BINS];
static MAX_US: AtomicU64 = AtomicU64::new(0);
/// Keys due from the first moment on and before the second are counted.
static WINDOW_US: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// When a key is due, in microseconds on the [`clock`]. Dropped with the key, after what it stands for.
pub struct Due(u64);

impl Due {
    /// A key that counts as due with this moment.
    pub fn at_us(us: u64) -> Self {
        Self(us)
    }

    /// A key that does not count.
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

/// Counts keys that are due in this window, and forgets what was counted before.
pub fn count(from_us: u64, to_us: u64) {
    COUNTS.iter().chain([&MAX_US]).for_each(|count| count.store(0, Ordering::Relaxed));
    WINDOW_US[0].store(from_us, Ordering::Relaxed);
    WINDOW_US[1].store(to_us, Ordering::Relaxed);
}

/// Counts one, if it was due in the window.
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

/// The lag that this share of the keys did not exceed, in milliseconds.
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
