//! A bare map: the cost of finding, removing and freeing one of many keys, without deadlines, tombstones,
//! locks or bounds. It is the lower limit for any store, and shows the effect of processor caches.

use crate::{
    clock,
    figures::{self, Effort},
    keys::{Kind, Maker, Outcome},
    store::{STRIDE, far},
};
use ok2cry_enclave::{keys::crypto::PrivateKey, keys::store::NewKey, platform::clock::TimePoint};
use ok2cry_protocol::ids::KeyId;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    hint::black_box,
    sync::Arc,
};

const BATCH: usize = 250;

type KeyMap = HashMap<KeyId, (Arc<dyn PrivateKey>, Arc<[u8]>, TimePoint), BuildHasherDefault<RandomHasher>>;

/// Hashes an id by its last bytes, which are random.
#[derive(Default)]
struct RandomHasher(u64);

impl Hasher for RandomHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_le_bytes(*last);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

pub fn rates(level: usize, effort: &Effort) -> Outcome<()> {
    let mut maker = Maker::new(Kind::Synthetic)?;
    let before = figures::resident_bytes()?;
    let mut keys = KeyMap::with_capacity_and_hasher(level, BuildHasherDefault::default());
    let issue = |keys: &mut KeyMap, maker: &mut Maker, n| {
        let NewKey { id, private, descriptor, deadline } = maker.make(far(n))?;
        keys.insert(id, (private, descriptor, deadline));
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(id)
    };
    let mut ids = (0..level).map(|n| issue(&mut keys, &mut maker, n)).collect::<Outcome<Vec<_>>>()?;
    figures::print("bytes", figures::grown(before, level)?);
    let (mut issues, mut opens, mut next) = (0.0, 0.0, 0);
    for _ in 0..effort.rounds {
        let (mut issuing, mut opening, mut done) = (0.0, 0.0, 0.0);
        while issuing + opening < effort.round_s {
            let places: Vec<_> = (0..BATCH).map(|i| (next + i * STRIDE) % level).collect();
            next = (next + BATCH * STRIDE) % level;
            let begun = clock::thread_s();
            for place in &places {
                black_box(keys.get(&ids[*place]).ok_or("no key")?.clone());
                black_box(keys.remove(&ids[*place]));
            }
            let opened = clock::thread_s();
            for place in places {
                ids[place] = issue(&mut keys, &mut maker, place)?;
            }
            opening += opened - begun;
            issuing += clock::thread_s() - opened;
            done += BATCH as f64;
        }
        issues = f64::max(issues, done / issuing);
        opens = f64::max(opens, done / opening);
    }
    figures::print("issue", issues);
    figures::print("open", opens);
    std::mem::forget(keys);
    Ok(())
}
