//! The clock of a run, in microseconds since [`start`]. Before that it stays at 0, so that no key expires
//! while a store is filled.

use ok2cry_enclave::platform::clock::TimePoint;
use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// The first readings: round numbers, far from 0.
const BOOT_MS: u64 = 1 << 30;
const WALL_MS: u64 = 1 << 40;
static STARTED_US: AtomicU64 = AtomicU64::new(0);

/// Starts the clock at 0.
pub fn start() {
    STARTED_US.store(boot_us(), Ordering::SeqCst);
}

/// Stops the clock and sets it back to 0.
pub fn stop() {
    STARTED_US.store(0, Ordering::SeqCst);
}

/// Microseconds since [`start`].
pub fn now_us() -> u64 {
    match STARTED_US.load(Ordering::Relaxed) {
        0 => 0,
        started => boot_us().saturating_sub(started),
    }
}

/// The time in the store's type.
pub fn now() -> TimePoint {
    let ms = now_us() / 1000;
    TimePoint { boot_ms: BOOT_MS + ms, wall_ms: WALL_MS + ms }
}

/// The deadline of a key that is due this many milliseconds after [`start`].
pub fn deadline(due_ms: u64) -> TimePoint {
    TimePoint { boot_ms: BOOT_MS + due_ms, wall_ms: WALL_MS + due_ms }
}

pub fn sleep_until_us(at_us: u64) {
    thread::sleep(Duration::from_micros(at_us.saturating_sub(now_us())));
}

fn boot_us() -> u64 {
    (seconds(ClockId::Boottime) * 1e6) as u64
}

/// This thread's processor time, in seconds.
pub fn thread_s() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// This process's processor time, in seconds.
pub fn process_s() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
