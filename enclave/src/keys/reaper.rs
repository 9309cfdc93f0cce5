//! When to erase: one thread that sleeps until the first moment at which something is due.
//!
//! A thread and not a task: a task would wait for its turn behind requests, and the kernel wakes a thread that has
//! slept before those that are busy.

use std::{
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The longest sleep: nobody rings when a document says that it is later than was thought.
const LONGEST_MS: u64 = 100;

/// Wakes the eraser when something is due sooner than it planned to look.
#[derive(Debug, Default)]
pub struct Alarm {
    /// When the eraser looks again, in milliseconds since boot; 0 while it is awake and may have looked already.
    looks_at: AtomicU64,
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Alarm {
    /// Has the eraser look no later than `boot_ms` (milliseconds since boot).
    pub fn set(&self, boot_ms: u64) {
        let looks_at = self.looks_at.load(Ordering::SeqCst);
        if looks_at == 0 || boot_ms < looks_at {
            *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.bell.notify_one();
        }
    }

    /// Sleeps for `wait_ms` from `boot_ms` on, a tenth of a second at most, or until the alarm rings: whether it did.
    pub fn sleep(&self, boot_ms: u64, wait_ms: Option<u64>) -> bool {
        let wait_ms = wait_ms.unwrap_or(LONGEST_MS).min(LONGEST_MS);
        self.looks_at.store(boot_ms.saturating_add(wait_ms).max(1), Ordering::SeqCst);
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, _) = self
            .bell
            .wait_timeout_while(rung, Duration::from_millis(wait_ms), |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        self.looks_at.store(0, Ordering::SeqCst);
        std::mem::take(&mut *rung)
    }

    #[cfg(test)]
    pub(crate) fn has_rung(&self) -> bool {
        *self.rung.lock().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    #[test]
    fn an_alarm_that_was_set_before_sleep_ends_it_at_once_and_only_once() {
        let alarm = Alarm::default();
        for _ in 0..3 {
            alarm.set(LONGEST_MS);
            assert!(alarm.sleep(0, None));
            assert!(!alarm.sleep(0, Some(0)));
        }
    }

    #[test]
    fn an_earlier_moment_wakes_the_sleeper() {
        let alarm = Arc::new(Alarm::default());
        let sleeper = {
            let alarm = Arc::clone(&alarm);
            // However long it takes this test to ring: who was not woken sleeps again.
            thread::spawn(move || while !alarm.sleep(0, None) {})
        };
        while alarm.looks_at.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        alarm.set(LONGEST_MS - 1);
        sleeper.join().unwrap();
        assert_eq!(alarm.looks_at.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_later_moment_wakes_nobody() {
        let alarm = Alarm::default();
        alarm.looks_at.store(LONGEST_MS, Ordering::SeqCst);
        alarm.set(LONGEST_MS);
        assert!(!alarm.has_rung());
        alarm.set(LONGEST_MS - 1);
        assert!(alarm.has_rung());
    }
}
