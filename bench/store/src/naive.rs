//! The naive design: a map under a lock, and a task per key that sleeps until the key's deadline.

use crate::{
    clock,
    figures::{self, Effort},
    keys::{Kind, Maker, Outcome},
    lag::Due,
    steady::{self, Issuer, Subject},
};
use ok2cry_enclave::{keys::crypto::PrivateKey, keys::store::NewKey, platform::clock::TimePoint};
use ok2cry_protocol::ids::KeyId;
use std::{
    collections::HashMap,
    hint::black_box,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    thread,
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::AbortHandle,
    time::Instant,
};

const FAR: Duration = Duration::from_secs(3600);
/// The runtime's time to finish its work before processor time is read.
const CATCH_UP: Duration = Duration::from_millis(5);

pub struct Naive {
    keys: Arc<Mutex<HashMap<KeyId, Key>>>,
    maker: Maker,
    runtime: Runtime,
}

struct Key {
    private: Arc<dyn PrivateKey>,
    descriptor: Arc<[u8]>,
    timer: AbortHandle,
}

impl Naive {
    pub fn new() -> Outcome<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(steady::issuers()).enable_time().build()?;
        Ok(Self { keys: Arc::default(), maker: Maker::new(Kind::Synthetic)?, runtime })
    }

    fn issue(&self, key: NewKey, deadline: Instant) {
        let NewKey { id, private, descriptor, .. } = key;
        let keys = Arc::clone(&self.keys);
        let mut locked = lock(&self.keys);
        let task = self.runtime.spawn(async move {
            tokio::time::sleep_until(deadline).await;
            lock(&keys).remove(&id);
        });
        locked.insert(id, Key { private, descriptor, timer: task.abort_handle() });
    }

    fn open(&self, id: KeyId) -> Outcome<()> {
        let key = lock(&self.keys).remove(&id).ok_or("no key")?;
        key.timer.abort();
        black_box((&key.private, &key.descriptor));
        Ok(())
    }
}

/// Bytes per key, and rates of issues and opens at this level, by the whole process's processor time.
pub fn rates(level: usize, effort: &Effort) -> Outcome<()> {
    let naive = Naive::new()?;
    let mut maker = naive.maker.another()?;
    let mut ids = vec![KeyId([1; 24]); level];
    let before = figures::resident_bytes()?;
    let far = Instant::now() + FAR;
    let deadline = TimePoint { boot_ms: 0, wall_ms: 0 };
    for id in &mut ids {
        let key = maker.make(deadline)?;
        *id = key.id;
        naive.issue(key, far);
    }
    thread::sleep(CATCH_UP);
    figures::print("bytes", figures::grown(before, level)?);

    let (mut issues, mut opens) = (0.0, 0.0);
    let batch = ids.len().min(10_000);
    let mut first = 0;
    for _ in 0..effort.rounds * 2 {
        let ids = &mut ids[first..first + batch];
        let begun = clock::process_s();
        ids.iter().try_for_each(|id| naive.open(*id))?;
        thread::sleep(CATCH_UP);
        let opened = clock::process_s();
        for id in ids {
            let key = maker.make(deadline)?;
            *id = key.id;
            naive.issue(key, far);
        }
        thread::sleep(CATCH_UP);
        opens = f64::max(opens, batch as f64 / (opened - begun));
        issues = f64::max(issues, batch as f64 / (clock::process_s() - opened));
        first = (first + batch) % level;
    }
    figures::print("issue", issues);
    figures::print("open", opens);
    std::mem::forget(naive);
    Ok(())
}

impl Subject for Naive {
    fn issuer(&self) -> Outcome<Issuer<'_>> {
        let mut maker = self.maker.another()?;
        Ok(Box::new(move |due_ms| {
            let due_us = due_ms * 1000;
            let deadline = Instant::now() + Duration::from_micros(due_us.saturating_sub(clock::now_us()));
            let key = maker.make_due(clock::deadline(due_ms), Due::at_us(due_us))?;
            self.issue(key, deadline);
            Ok(())
        }))
    }

    fn live(&self) -> Outcome<usize> {
        Ok(lock(&self.keys).len())
    }

    /// The runtime's clock cannot be stopped.
    fn filling_us(&self, level: usize) -> u64 {
        100_000 + 6 * level as u64
    }

    fn erase(&self, _: &AtomicBool) {}

    fn wake(&self) {}
}

fn lock<T>(keys: &Mutex<T>) -> MutexGuard<'_, T> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}
