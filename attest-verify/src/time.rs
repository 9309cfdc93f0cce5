//! The clock that a document is checked against: a parameter, never asked for by the checks themselves.

use std::time::{SystemTime, UNIX_EPOCH};

/// How far behind the checking clock may be unless the caller says otherwise: one minute, in milliseconds.
pub const DEFAULT_LEEWAY_MS: u64 = 60_000;

/// What time it is, and how far that clock may be behind.
///
/// Leaf certificates are made seconds before the document that they sign and are not backdated. So a clock that is a
/// little behind sees a certificate that is not valid yet, or a document from the future. `leeway_ms` forgives exactly
/// that: the beginning of every validity and the document's timestamp may lie up to `leeway_ms` after `now_ms`. It never
/// prolongs anything: the end of a validity and the maximum age are held to `now_ms` itself.
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

    /// What the system's clock says, with a leeway of [`DEFAULT_LEEWAY_MS`]. A clock before 1970 counts as 1970, where
    /// nothing is valid yet.
    ///
    /// # Panics
    ///
    /// Where Rust has no system clock (`wasm32-unknown-unknown`): use [`CheckTime::at`] there.
    #[must_use]
    pub fn system() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::at(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// How far `instant_ms` lies in the future, when that is beyond the leeway.
    #[must_use]
    pub fn beyond_leeway(&self, instant_ms: u64) -> Option<u64> {
        instant_ms.checked_sub(self.now_ms).filter(|by_ms| *by_ms > self.leeway_ms)
    }

    /// How long ago `instant_ms` was, when it lies in the past.
    #[must_use]
    pub fn past(&self, instant_ms: u64) -> Option<u64> {
        self.now_ms.checked_sub(instant_ms).filter(|by_ms| *by_ms > 0)
    }
}
