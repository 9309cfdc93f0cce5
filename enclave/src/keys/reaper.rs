//! The reaper: a thread that erases what is due, and sleeps until the next moment at which something is.
//!
//! It is a thread and not a task. A task would queue behind requests, while the kernel prefers a thread that
//! has slept.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::sync::oneshot;

/// The longest sleep. A document can advance trusted time without waking this thread, so the sleep is
/// bounded.
const MAX_SLEEP_MS: u64 = 100;

/// Wakes the reaper when something is due sooner than it planned to wake up.
#[derive(Debug, Default)]
pub struct WakeTimer {
    /// When the reaper wakes up, in milliseconds since boot; 0 while it is awake and may have looked already.
    wakes_at: AtomicU64,
    woken: Mutex<bool>,
    changed: Condvar,
}

impl WakeTimer {
    /// Has the reaper wake up no later than `boot_ms` (milliseconds since boot).
    pub fn set(&self, boot_ms: u64) {
        let wakes_at = self.wakes_at.load(Ordering::SeqCst);
        if wakes_at == 0 || boot_ms < wakes_at {
            *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.changed.notify_one();
        }
    }

    /// Sleeps for `wait_ms` from `boot_ms` on, 100 ms at most, or until [`WakeTimer::set`] ends the sleep.
    /// Returns whether it did.
    pub fn sleep(&self, boot_ms: u64, wait_ms: Option<u64>) -> bool {
        let wait_ms = wait_ms.unwrap_or(MAX_SLEEP_MS).min(MAX_SLEEP_MS);
        self.wakes_at.store(boot_ms.saturating_add(wait_ms).max(1), Ordering::SeqCst);
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut woken, _) = self
            .changed
            .wait_timeout_while(woken, Duration::from_millis(wait_ms), |woken| !*woken)
            .unwrap_or_else(PoisonError::into_inner);
        self.wakes_at.store(0, Ordering::SeqCst);
        std::mem::take(&mut *woken)
    }

    #[cfg(test)]
    pub(crate) fn is_woken(&self) -> bool {
        *self.woken.lock().unwrap()
    }
}

/// Calls `reap` again and again on a thread of its own, until every other reference to `owner` is dropped.
/// `reap` sleeps between rounds. The returned channel closes when the thread ends.
pub(crate) fn start<T: Send + Sync + 'static>(
    owner: &Arc<T>,
    reap: impl Fn(&T) + Send + 'static,
) -> io::Result<oneshot::Receiver<()>> {
    let (alive, ended) = oneshot::channel();
    let owner = Arc::downgrade(owner);
    thread::Builder::new().name("reaper".into()).spawn(move || {
        while let Some(owner) = owner.upgrade() {
            reap(&owner);
        }
        drop(alive);
    })?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn a_timer_set_before_a_sleep_ends_that_sleep_only() {
        let timer = WakeTimer::default();
        for _ in 0..3 {
            timer.set(MAX_SLEEP_MS);
            assert!(timer.sleep(0, None));
            assert!(!timer.sleep(0, Some(0)));
        }
    }

    #[test]
    fn an_earlier_moment_wakes_the_reaper() {
        let timer = Arc::new(WakeTimer::default());
        let sleeper = {
            let timer = Arc::clone(&timer);
            // A sleep that times out before the timer is set is repeated.
            thread::spawn(move || while !timer.sleep(0, None) {})
        };
        while timer.wakes_at.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        timer.set(MAX_SLEEP_MS - 1);
        sleeper.join().unwrap();
        assert_eq!(timer.wakes_at.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_later_moment_does_not_wake_the_reaper() {
        let timer = WakeTimer::default();
        timer.wakes_at.store(MAX_SLEEP_MS, Ordering::SeqCst);
        timer.set(MAX_SLEEP_MS);
        assert!(!timer.is_woken());
        timer.set(MAX_SLEEP_MS - 1);
        assert!(timer.is_woken());
    }
}
