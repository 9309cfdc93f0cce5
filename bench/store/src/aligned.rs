//! The lag of keys that are all due in one millisecond.

use crate::{clock, figures, keys::Outcome, lag, steady, steady::Subject};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// The keys' deadline, in milliseconds after the clock's start, well after all preparation.
const DUE_MS: u64 = 1_500;

/// Prints the lag of `level` keys that are due at once, on an idle machine.
pub fn measure(subject: &dyn Subject, level: usize) -> Outcome<()> {
    clock::stop();
    steady::fill(subject, level, |_| DUE_MS)?;
    lag::count(0, u64::MAX);
    clock::start();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| subject.erase(&stop));
        let all = (0..600).any(|_| {
            thread::sleep(Duration::from_millis(50));
            lag::counted() >= level as u64
        });
        stop.store(true, Ordering::SeqCst);
        subject.wake();
        if all { Ok(()) } else { Err("not all were erased") }
    })?;
    clock::stop();
    figures::print("p50", lag::quantile_ms(0.5));
    figures::print("p999", lag::quantile_ms(0.999));
    figures::print("max", lag::max_ms());
    Ok(())
}
