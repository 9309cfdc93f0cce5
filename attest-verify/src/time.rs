//! The time that a document is checked at. It is a parameter: the checks read no clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// The default leeway of a [`CheckTime`]: one minute, in milliseconds.
pub const DEFAULT_LEEWAY_MS: u64 = 60_000;

/// The current time, and how far that clock may be behind.
///
/// Leaf certificates are made seconds before the document that they sign and are not backdated. A clock that
/// is slightly behind sees a certificate that is not valid yet, or a document from the future. `leeway_ms`
/// tolerates exactly that: the beginning of every validity and the document's timestamp may lie up to
/// `leeway_ms` after `now_ms`. It never extends anything: the end of a validity and the maximum age are
/// compared with `now_ms` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckTime {
    /// The time, in Unix milliseconds.
    pub now_ms: u64,
    /// How far the clock may be behind, in milliseconds.
    pub leeway_ms: u64,
}

impl CheckTime {
    /// This time, in Unix milliseconds, with a leeway of [`DEFAULT_LEEWAY_MS`].
    #[must_use]
    pub const fn at(now_ms: u64) -> Self {
        Self { now_ms, leeway_ms: DEFAULT_LEEWAY_MS }
    }

    /// Exactly this time, in Unix milliseconds, without leeway.
    #[must_use]
    pub const fn exactly(now_ms: u64) -> Self {
        Self { now_ms, leeway_ms: 0 }
    }

    /// The system's time, with a leeway of [`DEFAULT_LEEWAY_MS`]. A clock before 1970 counts as 1970, when no
    /// certificate is valid.
    ///
    /// # Panics
    ///
    /// On targets without a system clock (`wasm32-unknown-unknown`). Use [`CheckTime::at`] there.
    #[must_use]
    pub fn system() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// How far `instant_ms` lies in the future, in milliseconds, if that is beyond the leeway.
    #[must_use]
    pub fn beyond_leeway(&self, instant_ms: u64) -> Option<u64> {
        instant_ms.checked_sub(self.now_ms).filter(|by_ms| *by_ms > self.leeway_ms)
    }

    /// How long ago `instant_ms` was, in milliseconds, if it lies in the past.
    #[must_use]
    pub fn past(&self, instant_ms: u64) -> Option<u64> {
        self.now_ms.checked_sub(instant_ms).filter(|by_ms| *by_ms > 0)
    }
}
