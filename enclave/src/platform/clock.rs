//! Time that the host cannot turn back.
//!
//! There are two clocks: `CLOCK_BOOTTIME`, which continues while a machine sleeps, and *trusted time*, the
//! timestamp of the latest attestation document plus what `CLOCK_BOOTTIME` has counted since. A key has
//! expired when either clock says so. Trusted time never goes backwards. It also ages: nothing is opened
//! without a recent document, so that a machine that was paused resumes with its keys expired.

use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A clock that counts the time since boot, sleep included.
pub trait BootClock: Send + Sync + 'static {
    /// Time since boot.
    fn since_boot(&self) -> Duration;
}

/// The kernel's `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelClock;

impl BootClock for KernelClock {
    fn since_boot(&self) -> Duration {
        let t = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(t.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(t.tv_nsec).unwrap_or_default())
    }
}

/// One moment on both clocks, for the present and for deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePoint {
    /// Milliseconds since boot.
    pub boot_ms: u64,
    /// Trusted time: Unix milliseconds.
    pub wall_ms: u64,
}

impl TimePoint {
    /// The moment `ms` milliseconds later.
    pub fn plus(self, ms: u64) -> Self {
        Self { boot_ms: self.boot_ms.saturating_add(ms), wall_ms: self.wall_ms.saturating_add(ms) }
    }

    /// This moment or `other`, the later one on each clock.
    pub fn or_later(self, other: Self) -> Self {
        Self { boot_ms: self.boot_ms.max(other.boot_ms), wall_ms: self.wall_ms.max(other.wall_ms) }
    }

    /// This moment or `other`, the sooner one on each clock.
    pub fn or_sooner(self, other: Self) -> Self {
        Self { boot_ms: self.boot_ms.min(other.boot_ms), wall_ms: self.wall_ms.min(other.wall_ms) }
    }

    /// In how many milliseconds after `now` the first of the clocks reaches this moment.
    pub fn wait_ms(self, now: Self) -> u64 {
        self.boot_ms.saturating_sub(now.boot_ms).min(self.wall_ms.saturating_sub(now.wall_ms))
    }

    /// Whether either clock has reached `deadline`.
    pub fn reached(self, deadline: Self) -> bool {
        self.boot_ms >= deadline.boot_ms || self.wall_ms >= deadline.wall_ms
    }
}

/// Why there is no trusted time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// There was no document yet.
    #[error("no attestation document has set the time yet")]
    NeverSet,
    /// The latest document is too old for opening.
    #[error("the latest attestation document is too old")]
    Stale,
    /// The latest document and the kernel's clock disagree.
    #[error("the attestation document's time is behind the enclave's own")]
    Disagrees,
}

/// How many milliseconds a document may be behind the predicted time before the clocks disagree.
pub const TOLERANCE_MS: u64 = 5_000;
/// How old the latest document may be for opening.
pub const FRESH: Duration = Duration::from_secs(2);

/// Trusted time. Clones share it.
#[derive(Clone)]
pub struct TrustedTime {
    boot: Arc<dyn BootClock>,
    state: Arc<Mutex<ClockState>>,
}

/// The latest document. The last two are times since boot.
#[derive(Clone, Copy)]
struct Observation {
    timestamp_ms: u64,
    received: Duration,
    requested: Duration,
}

#[derive(Default)]
struct ClockState {
    latest: Option<Observation>,
    /// The latest trusted time that was ever returned.
    latest_ms: u64,
    disagrees: bool,
}

impl TrustedTime {
    /// Trusted time without any document yet. `boot` counts between documents.
    pub fn new(boot: Arc<dyn BootClock>) -> Self {
        Self { boot, state: Arc::default() }
    }

    /// Time since boot.
    pub fn since_boot(&self) -> Duration {
        self.boot.since_boot()
    }

    /// Milliseconds since boot.
    pub fn boot_ms(&self) -> u64 {
        millis(self.boot.since_boot())
    }

    /// Takes the timestamp of a document that was requested at `requested` and has just been received.
    ///
    /// Between documents, time counts from the moment of receipt. A host that delays a document makes the
    /// enclave's time late by the delay, until the next document. Deadlines hold on both clocks, and the boot
    /// clock is not delayed.
    pub fn observe(&self, timestamp_ms: u64, requested: Duration) {
        let received = self.boot.since_boot();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let predicted = state.wall_ms(received);
        state.disagrees = predicted.is_some_and(|p| timestamp_ms.saturating_add(TOLERANCE_MS) < p);
        state.latest = Some(Observation { timestamp_ms, received, requested });
        state.latest_ms = state.latest_ms.max(timestamp_ms);
    }

    /// The time, by a document of any age: for expiry.
    pub fn now(&self) -> Result<TimePoint, ClockError> {
        self.read(None)
    }

    /// Checks that the latest document and the enclave's own clock agree. Keys are made only if they do.
    pub fn check_agreement(&self) -> Result<(), ClockError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.disagrees { Err(ClockError::Disagrees) } else { Ok(()) }
    }

    /// The time, by a document that is no older than [`FRESH`]: for opening.
    pub fn fresh_now(&self) -> Result<TimePoint, ClockError> {
        self.read(Some(FRESH))
    }

    /// How long ago the latest document was requested.
    pub fn age(&self) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.latest.map(|latest| self.boot.since_boot().saturating_sub(latest.requested))
    }

    fn read(&self, max_age: Option<Duration>) -> Result<TimePoint, ClockError> {
        let boot = self.boot.since_boot();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Observation { requested, .. }) = state.latest else { return Err(ClockError::NeverSet) };
        if let Some(max_age) = max_age {
            if state.disagrees {
                return Err(ClockError::Disagrees);
            }
            if boot.saturating_sub(requested) > max_age {
                return Err(ClockError::Stale);
            }
        }
        let wall_ms = state.wall_ms(boot).ok_or(ClockError::NeverSet)?;
        state.latest_ms = wall_ms;
        Ok(TimePoint { boot_ms: millis(boot), wall_ms })
    }
}

impl ClockState {
    fn wall_ms(&self, boot: Duration) -> Option<u64> {
        let Observation { timestamp_ms, received, .. } = self.latest?;
        let elapsed = millis(boot.saturating_sub(received));
        Some(timestamp_ms.saturating_add(elapsed).max(self.latest_ms))
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// A boot clock that only moves by [`ManualClock::advance`], for tests.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Mutex<Duration>>);

impl ManualClock {
    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl BootClock for ManualClock {
    fn since_boot(&self) -> Duration {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_800_000_000_000;

    fn at(timestamp_ms: u64) -> (TrustedTime, ManualClock) {
        let clock = ManualClock::default();
        let time = TrustedTime::new(Arc::new(clock.clone()));
        time.observe(timestamp_ms, clock.since_boot());
        (time, clock)
    }

    #[test]
    fn without_a_document_there_is_no_time() {
        let time = TrustedTime::new(Arc::new(ManualClock::default()));
        assert_eq!(time.now(), Err(ClockError::NeverSet));
        assert_eq!(time.fresh_now(), Err(ClockError::NeverSet));
    }

    #[test]
    fn time_counts_between_documents_and_becomes_stale() {
        let (time, clock) = at(T0);
        clock.advance(Duration::from_millis(1999));
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 1999);
        clock.advance(Duration::from_millis(2));
        assert_eq!(time.fresh_now(), Err(ClockError::Stale));
        assert_eq!(time.now().unwrap().wall_ms, T0 + 2001);
    }

    #[test]
    fn a_delayed_document_is_not_fresh() {
        let clock = ManualClock::default();
        let time = TrustedTime::new(Arc::new(clock.clone()));
        let asked = clock.since_boot();
        clock.advance(Duration::from_secs(3));
        time.observe(T0, asked);
        assert_eq!(time.fresh_now(), Err(ClockError::Stale));
    }

    #[test]
    fn time_jumps_forwards_with_a_document_and_never_backwards() {
        let (time, clock) = at(T0);
        time.observe(T0 + 3_600_000, clock.since_boot());
        assert_eq!(time.now().unwrap().wall_ms, T0 + 3_600_000);
        time.observe(T0, clock.since_boot());
        assert_eq!(time.now().unwrap().wall_ms, T0 + 3_600_000);
        assert_eq!(time.fresh_now(), Err(ClockError::Disagrees));
    }

    #[test]
    fn a_fast_clock_is_held_until_documents_catch_up() {
        let (time, clock) = at(T0);
        clock.advance(Duration::from_millis(1001));
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 1001);
        time.observe(T0 + 1000, clock.since_boot());
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 1001);
        clock.advance(Duration::from_millis(1000));
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 2000);
    }
}
