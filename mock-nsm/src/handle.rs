//! The handle by which a test controls a module that the enclave owns.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Answer, Faults, MockConfig, TimeSource};

/// Controls and observes a running [`MockNsm`](crate::MockNsm). Clones control the same module.
///
/// A change applies to calls that begin after it. A held call sees the faults and the clock at its release.
#[derive(Clone, Debug)]
pub struct MockHandle {
    shared: Arc<Shared>,
}

impl MockHandle {
    /// Sets how long a call takes, signing included.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.lock().latency = latency;
    }

    /// Sets how far the module's clock is ahead of its [`TimeSource`], in milliseconds.
    ///
    /// Certificates and timestamps follow. Nothing verifies at times more than an hour before the root was
    /// made.
    pub fn set_time_offset_ms(&self, offset_ms: i64) {
        self.shared.lock().time_offset_ms = offset_ms;
    }

    /// The module's clock: milliseconds since the Unix epoch, offset included.
    pub fn now_ms(&self) -> u64 {
        self.shared.lock().now_ms()
    }

    /// The number of calls, failed and held ones included. A call counts when it begins.
    pub fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    /// The current faults. `fail_next` counts down.
    pub fn faults(&self) -> Faults {
        self.shared.lock().faults.clone()
    }

    /// Replaces all faults. Held calls continue unless `faults.hang` is set.
    pub fn set_faults(&self, faults: Faults) {
        self.change_faults(|current| *current = faults);
    }

    /// Clears all faults. Held calls continue.
    pub fn clear_faults(&self) {
        self.set_faults(Faults::default());
    }

    /// Makes the next `calls` calls fail.
    pub fn fail_next(&self, calls: u32) {
        self.change_faults(|faults| faults.fail_next = calls);
    }

    /// Makes every call fail, or none.
    pub fn fail_always(&self, fail: bool) {
        self.change_faults(|faults| faults.fail_always = fail);
    }

    /// Holds calls until [`release`](Self::release).
    pub fn hang(&self) {
        self.change_faults(|faults| faults.hang = true);
    }

    /// Releases held calls and holds no more.
    pub fn release(&self) {
        self.change_faults(|faults| faults.hang = false);
    }

    /// Sets the answer of calls.
    pub fn set_answer(&self, answer: Answer) {
        self.change_faults(|faults| faults.answer = answer);
    }

    /// Sets what is added to the timestamp in documents, in milliseconds. The module's clock does not change.
    pub fn set_timestamp_offset_ms(&self, offset_ms: i64) {
        self.change_faults(|faults| faults.timestamp_offset_ms = offset_ms);
    }

    fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.lock().faults);
        self.shared.changed.notify_all();
    }

    pub(crate) fn new(config: &MockConfig) -> Self {
        let state = State {
            latency: config.latency,
            faults: config.faults.clone(),
            time: config.time,
            time_offset_ms: 0,
            calls: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Counts a call and returns its plan. Blocks while calls are held.
    pub(crate) fn begin_call(&self) -> CallPlan {
        let mut state = self.shared.lock();
        state.calls += 1;
        let mut state = self
            .shared
            .changed
            .wait_while(state, |state| state.faults.hang)
            .unwrap_or_else(PoisonError::into_inner);
        let fails = state.faults.fail_always || state.faults.fail_next > 0;
        state.faults.fail_next = state.faults.fail_next.saturating_sub(1);
        CallPlan {
            fails,
            answer: state.faults.answer,
            timestamp_offset_ms: state.faults.timestamp_offset_ms,
            now_ms: state.now_ms(),
            latency: state.latency,
        }
    }
}

/// How one call proceeds.
pub(crate) struct CallPlan {
    pub(crate) fails: bool,
    pub(crate) answer: Answer,
    pub(crate) timestamp_offset_ms: i64,
    pub(crate) now_ms: u64,
    pub(crate) latency: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    /// Locks, and ignores poisoning: every change of the state is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct State {
    latency: Duration,
    faults: Faults,
    time: TimeSource,
    time_offset_ms: i64,
    calls: u64,
}

impl State {
    fn now_ms(&self) -> u64 {
        self.time.now_ms().saturating_add_signed(self.time_offset_ms)
    }
}
