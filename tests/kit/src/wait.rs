//! Waiting for conditions, with a deadline. No test relies on a fixed sleep.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for a condition before it fails. Generous, for busy machines.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Calls `probe` until it returns a value, and panics with `what` after [`DEADLINE`].
///
/// # Panics
///
/// When the deadline has passed.
#[allow(clippy::panic, reason = "a condition that never holds fails its test")]
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        if Instant::now() > until {
            panic!("{what}: not within {} s", DEADLINE.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    }
}
