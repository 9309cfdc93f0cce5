//! The enclave's store: memory per key, rates of issues and opens, and lag of erasure.

use crate::{
    clock,
    figures::{self, Effort},
    keys::{Kind, Maker, Message, Outcome},
    lag::Due,
    steady::{self, Issuer, Subject},
};
use ok2cry_enclave::{
    keys::reaper::WakeTimer,
    keys::{
        crypto::HpkeMessage,
        store::{Found, Limits, OpenRequest, RETAIN_MS, Store},
    },
    platform::clock::TimePoint,
};
use ok2cry_protocol::{
    Encoded,
    descriptor::KeyDescriptor,
    ids::KeyId,
    reply::DigestInput,
    rpc::KeyState,
    suite::seal_info,
};
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

type KeyStore = Store<Vec<u8>>;

/// A sealed reply of a PIN: the bytes that the service charges for it, and the bytes that it keeps.
const REPLY_BYTES: usize = 640;
/// The limit of tombstones while rates are measured.
const TOMBSTONES: usize = 10_000;
/// A deadline after the end of every run.
const FAR_MS: u64 = 1 << 41;
/// Coprime to powers of ten, so that steps visit every key once.
pub const STRIDE: usize = 7_368_787;

/// A store as a configuration for this many keys and tombstones makes it.
fn new(capacity: usize, max_tombstones: usize) -> Arc<KeyStore> {
    Arc::new(Store::new(Limits::new(capacity, max_tombstones)))
}

/// Issues one key as the service does, without the document.
fn issue(store: &Arc<KeyStore>, maker: &mut Maker, now: TimePoint, deadline: TimePoint) -> Outcome<KeyId> {
    let mut reservation = store.reserve(1, now)?;
    let key = maker.make(deadline)?;
    let id = key.id;
    reservation.insert(key, now)?;
    reservation.confirm();
    Ok(id)
}

/// Opens one message as the service does, without sealing the reply. Without a message, the store's part
/// only.
fn open(
    store: &KeyStore,
    id: KeyId,
    now: TimePoint,
    message: Option<&Message>,
    reply: Option<Vec<u8>>,
) -> Outcome<()> {
    let Found::Live(ticket) = store.find(id, now)? else { return Err("the key was used".into()) };
    let (descriptor, digest) = match message {
        None => ([2; 48], [3; 48]),
        Some(Message { enc, aad, ciphertext }) => {
            let descriptor = Encoded::<KeyDescriptor>::decode(ticket.descriptor())?;
            let digest = DigestInput { descriptor: descriptor.hash(), enc, aad, ciphertext }.request_digest();
            let info = seal_info(descriptor.hash());
            let message = HpkeMessage { enc, info: &info, aad, ciphertext };
            let opened = ticket.open(&descriptor.public_key, &message);
            black_box(opened.ok_or("it does not open")?);
            (*descriptor.hash(), digest)
        }
    };
    black_box(store.commit(id, || Ok(now), OpenRequest { descriptor, digest }, reply)?);
    Ok(())
}

/// Bytes per key, and with `rates` the rates of issues and opens at this level.
pub fn rates(kind: Kind, level: usize, rates: bool, effort: &Effort) -> Outcome<()> {
    let maker = Maker::new(kind)?;
    let mut ids = vec![KeyId([1; 24]); level];
    let before = figures::resident_bytes()?;
    let store = new(level, TOMBSTONES);
    fill(&store, &maker, &mut ids)?;
    figures::print("bytes", figures::grown(before, level)?);
    if !rates {
        return Ok(());
    }
    let mut rounds =
        StoreRounds { store, maker, kind, ids, next: 0, now: clock::now(), issued: level as u64 };
    let (mut issues, mut opens, mut keeping) = (0.0, 0.0, 0.0);
    for _ in 0..effort.rounds {
        let (issue, open) = rounds.round(effort.round_s, None)?;
        issues = f64::max(issues, issue);
        opens = f64::max(opens, open);
    }
    // Kept replies stay until their keys' deadlines, in the place of tombstones, so there are fewer.
    for _ in 0..effort.rounds {
        keeping = f64::max(keeping, rounds.round(effort.round_s, Some(vec![5; REPLY_BYTES]))?.1);
    }
    figures::print("issue", issues);
    figures::print("open", opens);
    figures::print("keeping", keeping);
    // Not dropped: freeing a million keys takes long, and the process ends here.
    std::mem::forget(rounds);
    Ok(())
}

/// Bytes per tombstone.
pub fn endings(level: usize) -> Outcome<()> {
    let mut maker = Maker::new(Kind::Synthetic)?;
    let before = figures::resident_bytes()?;
    let (store, now) = (new(1, level), clock::now());
    for i in 0..level {
        let id = issue(&store, &mut maker, now, far(i))?;
        if store.destroy(id, now.plus(i as u64 / 1000)) != KeyState::Destroyed {
            return Err("not destroyed".into());
        }
    }
    figures::print("bytes", figures::grown(before, level)?);
    std::mem::forget(store);
    Ok(())
}

/// Deadlines in the order of issue, several to a millisecond.
pub fn far(n: usize) -> TimePoint {
    TimePoint { boot_ms: FAR_MS, wall_ms: FAR_MS }.plus(n as u64 / 50)
}

/// Fills on all cores, as in a service; few keys on one core, for a precise measure.
fn fill(store: &Arc<KeyStore>, maker: &Maker, ids: &mut [KeyId]) -> Outcome<()> {
    let threads = if ids.len() > 10_000 { steady::issuers() } else { 1 };
    let now = clock::now();
    thread::scope(|scope| {
        let share = ids.len().div_ceil(threads);
        let fillers: Vec<_> = ids
            .chunks_mut(share)
            .map(|ids| {
                let maker = maker.another();
                scope.spawn(move || {
                    let mut maker = maker?;
                    for (i, id) in ids.iter_mut().enumerate() {
                        *id = issue(store, &mut maker, now, far(i * threads))?;
                    }
                    Ok(())
                })
            })
            .collect();
        fillers.into_iter().try_for_each(steady::join)
    })
}

/// Opens keys at scattered places, and issues as many new ones.
struct StoreRounds {
    store: Arc<KeyStore>,
    maker: Maker,
    kind: Kind,
    ids: Vec<KeyId>,
    next: usize,
    now: TimePoint,
    issued: u64,
}

impl StoreRounds {
    /// Issues and opens per second of processor time.
    fn round(&mut self, seconds: f64, reply: Option<Vec<u8>>) -> Outcome<(f64, f64)> {
        let batch = match self.kind {
            Kind::Synthetic => 250,
            Kind::Real(_) => 25,
        };
        let (mut issuing, mut opening, mut done) = (0.0, 0.0, 0.0);
        let most = if reply.is_some() { TOMBSTONES / (2 * Effort::FULL.rounds) } else { usize::MAX };
        while issuing + opening < seconds && (done as usize) < most {
            let places: Vec<_> = (0..batch).map(|i| (self.next + i * STRIDE) % self.ids.len()).collect();
            self.next = (self.next + batch * STRIDE) % self.ids.len();
            let messages = places.iter().map(|place| self.message(self.ids[*place]));
            let messages = messages.collect::<Outcome<Vec<_>>>()?;
            let replies: Vec<_> = places.iter().map(|_| reply.clone()).collect();

            let begun = clock::thread_s();
            for ((place, message), reply) in places.iter().zip(&messages).zip(replies) {
                open(&self.store, self.ids[*place], self.now, message.as_ref(), reply)?;
            }
            let opened = clock::thread_s();
            // Tombstones of these opens expire while others are issued, so the two figures cover a key's
            // whole life.
            self.now = self.now.plus(RETAIN_MS);
            for place in places {
                self.issued += 1;
                let deadline = far(self.issued as usize);
                self.ids[place] = issue(&self.store, &mut self.maker, self.now, deadline)?;
            }
            opening += opened - begun;
            issuing += clock::thread_s() - opened;
            done += batch as f64;
        }
        Ok((done / issuing, done / opening))
    }

    fn message(&self, id: KeyId) -> Outcome<Option<Message>> {
        if self.kind == Kind::Synthetic {
            return Ok(None);
        }
        let Found::Live(ticket) = self.store.find(id, self.now)? else { return Err("no key".into()) };
        Message::seal(ticket.descriptor()).map(Some)
    }
}

/// The store with its erasing thread, as in the service.
pub struct StoreSubject {
    store: Arc<KeyStore>,
    maker: Maker,
    wake_timer: WakeTimer,
}

impl StoreSubject {
    pub fn new(kind: Kind) -> Outcome<Self> {
        // Tombstones are kept for a second, so that a run covers whole lives of keys.
        let limits = Limits { retain_ms: 1000, ..Limits::new(4_000_000, 4_000_000) };
        Ok(Self {
            store: Arc::new(Store::new(limits)),
            maker: Maker::new(kind)?,
            wake_timer: WakeTimer::default(),
        })
    }
}

impl Subject for StoreSubject {
    fn issuer(&self) -> Outcome<Issuer<'_>> {
        let mut maker = self.maker.another()?;
        Ok(Box::new(move |due_ms| {
            let (now, deadline) = (clock::now(), clock::deadline(due_ms));
            let mut reservation = self.store.reserve(1, now)?;
            let key = maker.make_due(deadline, Due::at_us(due_ms * 1000))?;
            reservation.insert(key, now)?;
            self.wake_timer.set(deadline.boot_ms);
            reservation.confirm();
            Ok(())
        }))
    }

    fn live(&self) -> Outcome<usize> {
        Ok(self.store.counts().0)
    }

    fn filling_us(&self, _: usize) -> u64 {
        0
    }

    fn erase(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            let begun = clock::now();
            let next = self.store.run_round(begun);
            // The next deadline is relative to the round's start, and the round took time.
            let done = clock::now().boot_ms;
            self.wake_timer.sleep(done, next.map(|wait| wait.saturating_sub(done - begun.boot_ms)));
        }
    }

    fn wake(&self) {
        self.wake_timer.set(0);
    }
}
