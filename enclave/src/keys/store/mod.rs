//! The life of keys: live until used, destroyed or expired; then an ending without secrets, for a while.
//!
//! No I/O and no clock of its own: every call is told the time, and whether it comes early or late changes
//! nothing about who wins. A key's end is decided under the lock of its shard; elliptic-curve work is never done
//! under one, and neither is erasing. Work that is under way when a key ends holds the private key until it is
//! done and can no longer commit.
//!
//! | module | holds |
//! |---|---|
//! | `shard` | keys whose ids end alike, under one lock: what ends a key, and what that leaves |
//! | `agenda` | what is due when, on both clocks |
//! | `room` | how many keys there may be, and what is told when there are as many |
//! | `forecast` | how many moments come when, to be read without a lock |
//! | `reservation` | room for keys that are being made, and keys that nobody was told of yet |

mod capacity;
mod expiry_queue;
mod forecast;
mod reservation;
mod shard;
mod sync;

pub use reservation::Reservation;

use crate::{keys::crypto::PrivateKey, platform::clock::Now, platform::memory::wipe::erase};
use capacity::Next;
use forecast::Forecast;
use ok2cry_protocol::{
    Hash,
    code::Code,
    ids::KeyId,
    rpc::{KeyState, Refusal},
    suite::PublicKey,
};
use shard::{Aftermath, Ending, Kept, Known, LiveKey, Moment, Shard};
use std::{marker::PhantomData, sync::Arc};
pub use sync::AtomicUsize;
use sync::{Mutex, Ordering};
use zeroize::Zeroizing;

/// For how long an ending is remembered, in milliseconds.
pub const RETAIN_MS: u64 = 600_000;
/// For how long a sealed reply is kept at least, in milliseconds.
pub const KEEP_REPLY_MS: u64 = 30_000;
/// How many messages that do not open a key bears before it is destroyed.
pub const MAX_FAILED_OPENS: u32 = 256;

/// For how long keys are in the making, at a guess, in milliseconds: what is told to who finds the store full of them.
const RESERVED_MS: u64 = 1000;

/// How many locks the keys are spread over.
const SHARDS: usize = if cfg!(ok2cry_loom) { 2 } else { 64 };
/// How much of what is due in a shard is done before others get its lock.
const DUE_PER_LOCK: usize = 16;

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most live keys, those that are being made included.
    pub capacity: usize,
    /// The most endings remembered, when `capacity` keys live; fewer keys leave room for more endings.
    pub max_tombstones: usize,
    /// For how long an ending is remembered, in milliseconds: [`RETAIN_MS`], but where somebody measures and cannot wait.
    pub retain_ms: u64,
}

impl Limits {
    /// These limits, and endings remembered for [`RETAIN_MS`].
    pub const fn new(capacity: usize, max_tombstones: usize) -> Self {
        Self { capacity, max_tombstones, retain_ms: RETAIN_MS }
    }
}

/// All keys of this boot, and the replies `R` of those that were used.
pub struct Store<R> {
    limits: Limits,
    shards: Box<[Mutex<Shard<R>>]>,
    /// Where something is due: as many as shards.
    next: Box<[Next]>,
    /// What comes when in all of them.
    forecast: Arc<Forecast>,
    /// Room for keys that are being made.
    reserved: AtomicUsize,
    /// Live keys, and that room.
    live: Arc<AtomicUsize>,
    /// The same, and endings.
    all: AtomicUsize,
}

/// A key on its way into the store.
pub struct NewKey {
    /// The key's name.
    pub id: KeyId,
    /// What opens messages.
    pub private: Arc<dyn PrivateKey>,
    /// The descriptor's bytes.
    pub descriptor: Arc<[u8]>,
    /// From when on it opens nothing.
    pub deadline: Now,
}

/// What an open finds.
pub enum Found<R> {
    /// A live key to try.
    Live(Ticket),
    /// A key that has been used.
    Used(Used<R>),
}

/// The means to try to open one message. Only [`Store::commit`] turns success into an ending.
///
/// It holds a private key beyond the store's reach, so it cannot be sent to another thread, and therefore is
/// never held across an `await`: it lives for the time of one computation and no longer.
pub struct Ticket {
    key: LiveKey,
    _not_send: PhantomData<*const ()>,
}

impl Ticket {
    /// Opens a message with the private key ([`PrivateKey::open`]). `public` is its public half, which the descriptor has.
    pub fn open(
        &self,
        public: &PublicKey,
        enc: &PublicKey,
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        Arc::clone(&self.key.private).open(public, enc, info, aad, ciphertext)
    }

    /// The scalar, for the test that looks for it.
    #[cfg(test)]
    pub(crate) fn scalar(&self) -> Option<[u8; 48]> {
        self.key.private.scalar()
    }

    /// The descriptor's bytes.
    pub fn descriptor(&self) -> &[u8] {
        &self.key.descriptor
    }
}

/// A used key, and the reply to a repetition of its request if it is still kept.
pub struct Used<R>(Option<Repeat<R>>);

struct Repeat<R> {
    descriptor: Hash,
    request_digest: Hash,
    reply: Arc<R>,
}

impl<R> Used<R> {
    /// The same request gets the same reply; any other gets `key_used`. `digest_of` computes the request's digest,
    /// given the descriptor's hash.
    pub fn replay(self, digest_of: impl FnOnce(&Hash) -> Hash) -> Result<Arc<R>, Refusal> {
        self.0
            .filter(|repeat| repeat.request_digest == digest_of(&repeat.descriptor))
            .map(|repeat| repeat.reply)
            .ok_or_else(|| Code::KeyUsed.into())
    }
}

impl<R> Store<R> {
    /// An empty store. Address space for all that it may ever hold is taken now, and memory when it is used: a
    /// shard that grows holds its lock for milliseconds, and all would grow at the same time.
    pub fn new(limits: Limits) -> Self {
        Self::counting_in(limits, Arc::default())
    }

    /// The same, counting in `live`, which is 0, the keys that live or are being made.
    pub fn counting_in(limits: Limits, live: Arc<AtomicUsize>) -> Self {
        // Ids are random, so shards fill alike: a sixteenth more is many standard deviations.
        let each = limits.capacity.saturating_add(limits.max_tombstones) / SHARDS;
        let room = each.saturating_add(each / 16).saturating_add(64);
        // Spread over a second, so that no two shards put in order at the same time what is due in the next.
        let shifts_ms = (0_u16..1000).step_by(1000 / SHARDS).take(SHARDS);
        let forecast = Arc::new(Forecast::new());
        let shard = |shift_ms| {
            let shard = Shard::with_room_for(room, shift_ms, limits.retain_ms, Arc::clone(&forecast));
            Mutex::new(shard)
        };
        let shards = shifts_ms.map(shard).collect();
        let next = (0..SHARDS).map(|_| Next::never()).collect();
        let [reserved, all] = [0; 2].map(AtomicUsize::new);
        Self { limits, shards, next, forecast, reserved, live, all }
    }

    /// Finds what an open needs. Nothing changes by it.
    pub fn find(&self, id: KeyId, now: Now) -> Result<Found<R>, Refusal> {
        self.locked(id, now, |shard, _| match shard.known(id)? {
            Known::Live(key) => Ok(Found::Live(Ticket { key: key.clone(), _not_send: PhantomData })),
            Known::Used(kept) => Ok(Found::Used(Used(kept.map(|kept| Repeat {
                descriptor: kept.descriptor,
                request_digest: kept.request_digest,
                reply: Arc::clone(&kept.reply),
            })))),
        })
    }

    /// Ends a key by use, if it is still live; of several opens, the first to come here wins.
    ///
    /// `clock` is asked under the lock: no later moment decides. `reply` is kept for repetitions of the same
    /// request; `None` (caller mode) keeps nothing. Answers the reply to send: the given one, or the winner's if
    /// that was the same request.
    pub fn commit(
        &self,
        id: KeyId,
        clock: impl FnOnce() -> Result<Now, Refusal>,
        descriptor: &Hash,
        request_digest: &Hash,
        reply: Option<R>,
    ) -> Result<Option<Arc<R>>, Refusal> {
        self.on_shard(Self::shard_of(id), |shard, after| {
            let now = clock()?;
            shard.catch_up(id, now, after);
            shard.run_agenda(now, DUE_PER_LOCK, after);
            match shard.known(id)? {
                Known::Live(_) => {
                    let reply = reply.map(Arc::new);
                    let kept = reply.clone().map(|reply| {
                        let until = shard.keep_reply_until(id, now);
                        let (descriptor, request_digest) = (*descriptor, *request_digest);
                        Box::new(Kept { descriptor, request_digest, reply, until })
                    });
                    shard.end(id, Ending::Used(kept), now, after);
                    Ok(reply)
                }
                Known::Used(kept) => kept
                    .filter(|kept| kept.request_digest == *request_digest)
                    .map(|kept| Some(Arc::clone(&kept.reply)))
                    .ok_or_else(|| Code::KeyUsed.into()),
            }
        })
    }

    /// Counts a message that reached the ECDH and did not open; the key ends at the limit.
    pub fn count_failed_open(&self, id: KeyId, now: Now) {
        self.locked(id, now, |shard, after| shard.count_failed_open(id, now, after));
    }

    /// Ends a key by request. Answers the state that it is in now; ended keys stay as they are.
    pub fn destroy(&self, id: KeyId, now: Now) -> KeyState {
        self.locked(id, now, |shard, after| {
            if shard.state(id) == KeyState::Live {
                shard.end(id, Ending::Destroyed, now, after);
            }
            shard.state(id)
        })
    }

    /// What became of a key.
    pub fn state(&self, id: KeyId, now: Now) -> KeyState {
        self.locked(id, now, |shard, _| shard.state(id))
    }

    /// Does everything that is due: erases expired keys, drops replies, forgets endings. Answers in how many
    /// milliseconds to call again, if anything is left to do.
    pub fn run_agenda(&self, now: Now) -> Option<u64> {
        loop {
            let next = self.run_round(now);
            if next != Some(0) {
                return next;
            }
        }
    }

    /// Does some of what is due in each shard, expired keys first: none waits until all is done in another. Answers as
    /// [`Store::run_agenda`] does: 0 if anything is left that is due by now.
    pub fn run_round(&self, now: Now) -> Option<u64> {
        (0..SHARDS).filter_map(|shard| self.run_some(shard, now)).min()
    }

    /// In how many milliseconds, 1 at least, the first kept reply is dropped. Takes no lock.
    pub fn wait_for_reply_room(&self, now: Now) -> Option<u64> {
        self.forecast.wait_ms(Moment::Reply, 1, now).map(|wait| wait.max(1))
    }

    /// Live keys, and endings that are remembered.
    pub fn counts(&self) -> (usize, usize) {
        let live = self.live.load(Ordering::Relaxed);
        let endings = self.all.load(Ordering::Relaxed).saturating_sub(live);
        (live.saturating_sub(self.reserved.load(Ordering::Relaxed)), endings)
    }

    /// Puts in a key that room was taken for. `false` if its id is taken.
    fn insert(&self, key: NewKey, now: Now) -> bool {
        let inserted = self.locked(key.id, now, |shard, _| shard.insert(key));
        if inserted {
            self.reserved.fetch_sub(1, Ordering::Relaxed);
        }
        inserted
    }

    fn take_back(&self, id: KeyId) {
        self.on_shard(Self::shard_of(id), |shard, after| shard.take_back(id, after));
    }

    /// Does some of what is due in one shard. Answers as [`Store::run_round`] does.
    fn run_some(&self, shard: usize, now: Now) -> Option<u64> {
        self.on_shard(shard, |shard, after| {
            shard.run_agenda(now, DUE_PER_LOCK, after);
            shard.next_wait(now)
        })
    }

    /// Works on the shard of `id`, and does what is due there on the way.
    fn locked<T>(&self, id: KeyId, now: Now, work: impl FnOnce(&mut Shard<R>, &mut Aftermath) -> T) -> T {
        self.on_shard(Self::shard_of(id), |shard, after| {
            shard.catch_up(id, now, after);
            shard.run_agenda(now, DUE_PER_LOCK, after);
            work(shard, after)
        })
    }

    /// Works on a shard under its lock, and then does what that leaves.
    #[expect(clippy::indexing_slicing, reason = "a remainder of the length, or below it")]
    fn on_shard<T>(&self, shard: usize, work: impl FnOnce(&mut Shard<R>, &mut Aftermath) -> T) -> T {
        let mut after = Aftermath::default();
        let result = {
            let mut locked = sync::lock(&self.shards[shard]);
            let result = work(&mut locked, &mut after);
            self.next[shard].set(locked.next());
            result
        };
        self.settle(after);
        result
    }

    /// What is left to do without a lock: erases, and counts.
    fn settle(&self, Aftermath { erased, vacated }: Aftermath) {
        self.live.fetch_sub(erased.len(), Ordering::Relaxed);
        self.all.fetch_sub(vacated, Ordering::Relaxed);
        erase(erased);
    }

    fn shard_of(id: KeyId) -> usize {
        let [.., last] = id.0;
        usize::from(last) % SHARDS
    }
}

#[cfg(all(test, ok2cry_loom))]
mod interleavings;
#[cfg(all(test, not(ok2cry_loom)))]
mod tests;
