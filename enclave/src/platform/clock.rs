//! Time that the host cannot turn back.
//!
//! Two clocks run side by side: `CLOCK_BOOTTIME`, which goes on while a machine sleeps, and *trusted time*, the
//! timestamp of the latest attestation document plus what `CLOCK_BOOTTIME` has counted since. A key has ended when
//! either says so. Trusted time never goes backwards, and it ages: without a recent document nothing is opened,
//! so a machine that was paused wakes up with its keys expired.

use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Counts the time since boot, sleep included.
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

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since boot.
    pub boot_ms: u64,
    /// Trusted time: Unix milliseconds.
    pub wall_ms: u64,
}

impl Now {
    /// The moment `ms` milliseconds later.
    pub fn plus(self, ms: u64) -> Self {
        Self { boot_ms: self.boot_ms.saturating_add(ms), wall_ms: self.wall_ms.saturating_add(ms) }
    }

    /// This moment or `other`, on each clock whichever comes later.
    pub fn or_later(self, other: Self) -> Self {
        Self { boot_ms: self.boot_ms.max(other.boot_ms), wall_ms: self.wall_ms.max(other.wall_ms) }
    }

    /// This moment or `other`, on each clock whichever comes sooner.
    pub fn or_sooner(self, other: Self) -> Self {
        Self { boot_ms: self.boot_ms.min(other.boot_ms), wall_ms: self.wall_ms.min(other.wall_ms) }
    }

    /// In how many milliseconds after `now` this moment comes, on the clock on which it comes first.
    pub fn wait_ms(self, now: Self) -> u64 {
        self.boot_ms.saturating_sub(now.boot_ms).min(self.wall_ms.saturating_sub(now.wall_ms))
    }

    /// Whether `deadline` has come on either clock.
    pub fn reached(self, deadline: Self) -> bool {
        self.boot_ms >= deadline.boot_ms || self.wall_ms >= deadline.wall_ms
    }
}

/// Why there is no trusted time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// No document has been seen yet.
    #[error("no attestation document has told the time yet")]
    NeverSet,
    /// The latest document is too old to open anything by.
    #[error("the latest attestation document is too old")]
    Stale,
    /// The latest document and the kernel's clock disagree.
    #[error("the attestation document's time is behind the enclave's own")]
    Disagrees,
}

/// How far a document may be behind what was predicted before the clocks are said to disagree, in milliseconds.
pub const TOLERANCE_MS: u64 = 5_000;
/// How old the latest document may be for keys to be opened by it.
pub const FRESH: Duration = Duration::from_secs(2);

/// Trusted time. Clones share it.
#[derive(Clone)]
pub struct TrustedTime {
    boot: Arc<dyn BootClock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The latest document: its timestamp, and when it was received and asked for.
    latest: Option<(u64, Duration, Duration)>,
    /// The greatest time ever told.
    floor_ms: u64,
    disagrees: bool,
}

impl TrustedTime {
    /// Trusted time that counts by `boot` between documents, and knows no document yet.
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

    /// Takes the timestamp of a document that was asked for at `asked` and has just been received.
    ///
    /// Between documents time counts on from the moment of receipt: a host that holds a document back makes the
    /// enclave's time late by that much at most until [`BootClock`] or the next document corrects it, and
    /// deadlines hold on both clocks.
    pub fn observe(&self, timestamp_ms: u64, asked: Duration) {
        let received = self.boot.since_boot();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let predicted = state.wall_ms(received);
        state.disagrees = predicted.is_some_and(|p| timestamp_ms.saturating_add(TOLERANCE_MS) < p);
        state.latest = Some((timestamp_ms, received, asked));
        state.floor_ms = state.floor_ms.max(timestamp_ms);
    }

    /// The time, for what may go by a document of any age: expiring keys.
    pub fn now(&self) -> Result<Now, ClockError> {
        self.read(None)
    }

    /// Whether the latest document and the enclave's own clock agree: keys are made only if they do.
    pub fn check_agreement(&self) -> Result<(), ClockError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.disagrees { Err(ClockError::Disagrees) } else { Ok(()) }
    }

    /// The time, for what needs a fresh document: opening.
    pub fn fresh_now(&self) -> Result<Now, ClockError> {
        self.read(Some(FRESH))
    }

    /// How long ago the latest document was asked for.
    pub fn age(&self) -> Option<Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.latest.map(|(_, _, asked)| self.boot.since_boot().saturating_sub(asked))
    }

    fn read(&self, max_age: Option<Duration>) -> Result<Now, ClockError> {
        let boot = self.boot.since_boot();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, _, asked)) = state.latest else { return Err(ClockError::NeverSet) };
        if let Some(max_age) = max_age {
            if state.disagrees {
                return Err(ClockError::Disagrees);
            }
            if boot.saturating_sub(asked) > max_age {
                return Err(ClockError::Stale);
            }
        }
        let wall_ms = state.wall_ms(boot).ok_or(ClockError::NeverSet)?;
        state.floor_ms = wall_ms;
        Ok(Now { boot_ms: millis(boot), wall_ms })
    }
}

impl State {
    fn wall_ms(&self, boot: Duration) -> Option<u64> {
        let (timestamp, received, _) = self.latest?;
        let elapsed = millis(boot.saturating_sub(received));
        Some(timestamp.saturating_add(elapsed).max(self.floor_ms))
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// A boot clock that stands still until it is told to move, for tests.
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
    fn time_counts_on_between_documents_and_goes_stale() {
        let (time, clock) = at(T0);
        clock.advance(Duration::from_millis(1999));
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 1999);
        clock.advance(Duration::from_millis(2));
        assert_eq!(time.fresh_now(), Err(ClockError::Stale));
        assert_eq!(time.now().unwrap().wall_ms, T0 + 2001);
    }

    #[test]
    fn a_document_that_was_long_under_way_is_not_fresh() {
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
    fn a_clock_that_runs_slightly_fast_is_held_until_documents_catch_up() {
        let (time, clock) = at(T0);
        clock.advance(Duration::from_millis(1001));
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 1001);
        time.observe(T0 + 1000, clock.since_boot());
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 1001);
        clock.advance(Duration::from_millis(1000));
        assert_eq!(time.fresh_now().unwrap().wall_ms, T0 + 2000);
    }
}
