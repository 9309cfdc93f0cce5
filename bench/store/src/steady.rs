//! Lag in steady state: one issuer per core at full speed, while keys expire as fast as they are issued.

use crate::{clock, keys::Outcome, lag};
use std::{
    num::NonZero,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// The warm-up: until the keys of the filling have expired, and tombstones are removed as fast as they are
/// made.
const WARM_UP_US: u64 = 1_300_000;
/// How long issuers run after the window, and erasure after them, so that late keys are counted.
const AFTER_US: u64 = 300_000;

/// Issues a key that is due this many milliseconds after the clock's start.
pub type Issuer<'a> = Box<dyn FnMut(u64) -> Outcome<()> + Send + 'a>;

/// A store under test.
pub trait Subject: Sync {
    /// An issuer for one thread.
    fn issuer(&self) -> Outcome<Issuer<'_>>;

    /// The number of live keys.
    fn live(&self) -> Outcome<usize>;

    /// The time to fill in this many keys, in microseconds, if its clock runs meanwhile.
    fn filling_us(&self, level: usize) -> u64;

    /// Erases due keys until `stop`.
    fn erase(&self, stop: &AtomicBool);

    /// Wakes [`Subject::erase`], so that it checks `stop`.
    fn wake(&self);
}

/// The results.
#[derive(Clone, Copy)]
pub struct Steady {
    /// The mean number of live keys.
    pub live: f64,
    /// Keys issued and expired per second, by all threads.
    pub per_second: f64,
    /// Keys issued per second of the issuers' processor time.
    pub per_issuer_second: f64,
}

pub fn issuers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Holds `level` keys for `seconds`. `rate` is the expected number of issues per second.
pub fn hold(subject: &dyn Subject, level: usize, rate: f64, seconds: f64) -> Outcome<Steady> {
    clock::stop();
    let filling_us = subject.filling_us(level);
    if filling_us > 0 {
        clock::start();
    }
    let begin_ms = filling_us / 1000 + 1;
    fill(subject, level, |n| begin_ms + (n as f64 * 1000.0 / rate) as u64)?;
    if filling_us == 0 {
        clock::start();
    }
    clock::sleep_until_us(filling_us);

    let ttl_ms = ((level as f64 * 1000.0 / rate) as u64).max(1);
    let from_us = begin_ms * 1000 + WARM_UP_US;
    let to_us = from_us + (seconds * 1e6) as u64;
    lag::count(from_us, to_us);
    let stop = AtomicBool::new(false);
    let held = thread::scope(|scope| {
        scope.spawn(|| subject.erase(&stop));
        let issuers: Vec<_> =
            (0..issuers()).map(|_| scope.spawn(|| issue(subject, ttl_ms, from_us, to_us))).collect();
        let live = mean_live(subject, from_us, to_us);
        let issued: Vec<_> = issuers.into_iter().map(join).collect();
        clock::sleep_until_us(to_us + 2 * AFTER_US);
        stop.store(true, Ordering::SeqCst);
        subject.wake();
        let issued = issued.into_iter().collect::<Outcome<Vec<_>>>()?;
        let keys: f64 = issued.iter().map(|(keys, _)| keys).sum();
        let per_issuer_second = keys / issued.iter().map(|(_, spent)| spent).sum::<f64>();
        Ok(Steady { live: live?, per_second: keys / seconds, per_issuer_second })
    });
    clock::stop();
    held
}

/// Fills in this many keys on all cores. `due_ms` gives the nth key's due time.
pub fn fill(subject: &dyn Subject, level: usize, due_ms: impl Fn(usize) -> u64 + Sync) -> Outcome<()> {
    let threads = issuers();
    thread::scope(|scope| {
        let due_ms = &due_ms;
        let fillers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    let mut issue = subject.issuer()?;
                    (first..level).step_by(threads).try_for_each(|n| issue(due_ms(n)))
                })
            })
            .collect();
        fillers.into_iter().try_for_each(join)
    })
}

/// Issues until after the window. Returns the keys issued in the window, and the processor time in seconds.
fn issue(subject: &dyn Subject, ttl_ms: u64, from_us: u64, to_us: u64) -> Outcome<(f64, f64)> {
    let mut issue = subject.issuer()?;
    let until = |us, issue: &mut Issuer<'_>| {
        let mut keys = 0_u64;
        loop {
            let now_us = clock::now_us();
            if now_us >= us {
                return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(keys as f64);
            }
            issue(now_us / 1000 + ttl_ms)?;
            keys += 1;
        }
    };
    until(from_us, &mut issue)?;
    let begun = clock::thread_s();
    let keys = until(to_us, &mut issue)?;
    let spent = clock::thread_s() - begun;
    until(to_us + AFTER_US, &mut issue)?;
    Ok((keys, spent))
}

fn mean_live(subject: &dyn Subject, from_us: u64, to_us: u64) -> Outcome<f64> {
    clock::sleep_until_us(from_us);
    let (mut sum, mut samples) = (0.0, 0.0);
    while clock::now_us() < to_us {
        sum += subject.live()? as f64;
        samples += 1.0;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(sum / f64::max(samples, 1.0))
}

pub fn join<T>(thread: thread::ScopedJoinHandle<'_, Outcome<T>>) -> Outcome<T> {
    thread.join().unwrap_or_else(|_| Err("a thread ended badly".into()))
}
