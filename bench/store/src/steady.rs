//! Lag in steady state: as many issuers as there are cores, at full speed, while keys expire as fast as they are issued.

use crate::{clock, keys::Outcome, lag};
use std::{
    num::NonZero,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Until what was filled in advance has gone its way, and endings are forgotten as fast as they come.
const WARM_UP_US: u64 = 1_300_000;
/// For how long issuers go on after the window, and whoever erases after them: late keys count too.
const AFTER_US: u64 = 300_000;

/// Puts in a key that is due so many milliseconds after the clock's start.
pub type Issuer<'a> = Box<dyn FnMut(u64) -> Outcome<()> + Send + 'a>;

/// What holds keys.
pub trait Subject: Sync {
    /// What one thread issues with.
    fn issuer(&self) -> Outcome<Issuer<'_>>;

    /// How many keys it holds.
    fn live(&self) -> Outcome<usize>;

    /// How long it takes to put so many keys in, in microseconds, if time passes meanwhile.
    fn filling_us(&self, level: usize) -> u64;

    /// Erases what is due until told to stop.
    fn erase(&self, stop: &AtomicBool);

    /// Has [`Subject::erase`] look whether it should stop.
    fn wake(&self);
}

/// What was measured.
#[derive(Clone, Copy)]
pub struct Steady {
    /// The mean number of live keys.
    pub live: f64,
    /// Keys issued and expired per second, by all threads.
    pub per_second: f64,
    /// Keys issued per second of the processor that the issuers had.
    pub per_issuer_second: f64,
}

pub fn issuers() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Holds `level` keys for so many seconds. `rate` is what is expected to be issued in a second.
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

/// Puts in so many keys, on all cores; `due_ms` says when the nth is due.
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

/// Issues until after the window. Answers how many keys in the window, and in how many seconds of the processor.
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
