//! Waiting for conditions. Nothing here sleeps for a time that is hoped to be enough.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test fails: long enough for a machine that is busy with other things.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks `probe` until it answers, and fails with `what` after [`DEADLINE`].
///
/// # Panics
///
/// When the deadline has passed.
#[allow(clippy::panic, reason = "what never comes true fails the test that waits for it")]
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
