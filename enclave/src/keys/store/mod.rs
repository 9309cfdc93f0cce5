//! The key store: keys are live until used, destroyed or expired, and then tombstones without secrets, for a
//! while.
//!
//! No I/O, and no clock: every call takes the time as an argument. A call that runs early or late does not
//! change which call wins. A key's end is decided under the lock of its shard. Elliptic-curve work and wiping
//! never run under a lock. Work in progress holds the private key until it is done, and can no longer commit
//! once the key has ended.
//!
//! | module | holds |
//! |---|---|
//! | `shard` | some of the keys under one lock: what ends a key, and its tombstone |
//! | `expiry_queue` | what is due when, on both clocks |
//! | `capacity` | how many keys there may be, and when a full store will have room |
//! | `forecast` | how many events fall due when, readable without a lock |
//! | `reservation` | room for keys that are being made, and keys that no caller has received yet |

mod capacity;
mod expiry_queue;
mod forecast;
mod reservation;
mod shard;
mod sync;

pub use capacity::{FullReason, StoreFull};
pub use reservation::{InsertError, Reservation};
pub use sync::AtomicUsize;

use crate::{
    keys::crypto::{HpkeMessage, PrivateKey},
    platform::{
        clock::{ClockError, TimePoint},
        memory::wipe::wipe,
    },
};
use capacity::NextDue;
use forecast::Forecast;
use ok2cry_protocol::{Hash, ids::KeyId, rpc::KeyState, suite::PublicKey};
use shard::{Deferred, EndReason, Event, Known, LiveKey, Shard, ShardSettings, UsedRequest};
use std::{marker::PhantomData, sync::Arc};
use sync::{Mutex, Ordering};
use zeroize::Zeroizing;

/// How long a tombstone is kept, in milliseconds.
pub const RETAIN_MS: u64 = 600_000;
/// How long a sealed reply is kept at least, in milliseconds.
pub const KEEP_REPLY_MS: u64 = 30_000;
/// How many messages may fail to open under a key before it is destroyed.
pub const MAX_FAILED_OPENS: u32 = 256;

/// An estimate of how long keys are reserved, in milliseconds, for refusals while the store is full of
/// reservations.
const RESERVED_MS: u64 = 1000;

/// How many locks the keys are spread over.
const SHARDS: usize = if cfg!(ok2cry_loom) { 2 } else { 64 };
/// How many due events are handled before the shard's lock is released.
const DUE_PER_LOCK: usize = 16;

/// The limits of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most live keys, reserved ones included.
    pub capacity: usize,
    /// The most tombstones while `capacity` keys live. Fewer keys leave room for more tombstones.
    pub max_tombstones: usize,
    /// How long a tombstone is kept, in milliseconds: [`RETAIN_MS`], except in benchmarks.
    pub retain_ms: u64,
}

impl Limits {
    /// These limits, with tombstones kept for [`RETAIN_MS`].
    pub const fn new(capacity: usize, max_tombstones: usize) -> Self {
        Self { capacity, max_tombstones, retain_ms: RETAIN_MS }
    }
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no such key, or its tombstone is gone.
    #[error("the key is unknown")]
    Unknown,
    /// It was used, by another request or by one whose reply is not kept.
    #[error("the key was used")]
    Used,
    /// Its deadline has passed.
    #[error("the key has expired")]
    Expired,
    /// It was destroyed.
    #[error("the key was destroyed")]
    Destroyed,
}

/// Why a commit did not end a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// There is no trusted time.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The key has ended.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// All keys of this boot, and the replies `R` of used ones.
pub struct Store<R> {
    limits: Limits,
    shards: Box<[Mutex<Shard<R>>]>,
    /// When each shard has something due.
    next_due: Box<[NextDue]>,
    /// Events of all shards.
    forecast: Arc<Forecast>,
    /// Keys that are reserved and not inserted yet.
    reserved: AtomicUsize,
    /// Live keys and reserved ones.
    live: Arc<AtomicUsize>,
    /// The same, and tombstones.
    all: AtomicUsize,
}

/// A key to be inserted.
pub struct NewKey {
    /// The key's id.
    pub id: KeyId,
    /// Opens messages.
    pub private: Arc<dyn PrivateKey>,
    /// The descriptor's bytes.
    pub descriptor: Arc<[u8]>,
    /// From then on the key opens nothing.
    pub deadline: TimePoint,
}

/// Names one open request: the descriptor's hash, and the digest over descriptor and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// H(descriptor).
    pub descriptor: Hash,
    /// [`ok2cry_protocol::reply::DigestInput::request_digest`].
    pub digest: Hash,
}

/// What an open finds.
pub enum Found<R> {
    /// A live key to try.
    Live(Ticket),
    /// A used key.
    Used(Used<R>),
}

/// Permission to try to open one message. Only [`Store::commit`] ends the key.
///
/// It holds a private key outside the store. It is not `Send`, so it is never held across an `await`: it
/// lives for one computation.
pub struct Ticket {
    key: LiveKey,
    _not_send: PhantomData<*const ()>,
}

impl Ticket {
    /// Opens a message with the private key ([`PrivateKey::open`]). `public` is its public half, from the
    /// descriptor.
    pub fn open(&self, public: &PublicKey, message: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>> {
        Arc::clone(&self.key.private).open(public, message)
    }

    /// The scalar, for the test that searches memory for it.
    #[cfg(test)]
    pub(crate) fn scalar(&self) -> Option<[u8; 48]> {
        self.key.private.scalar()
    }

    /// The descriptor's bytes.
    pub fn descriptor(&self) -> &[u8] {
        &self.key.descriptor
    }
}

/// A used key, and the reply for retries of its request, if it is still kept.
pub struct Used<R>(Option<(OpenRequest, Arc<R>)>);

impl<R> Used<R> {
    /// Returns the kept reply if this is the same request. `digest_of` computes the request's digest from the
    /// descriptor's hash.
    ///
    /// # Errors
    ///
    /// [`KeyError::Used`] for any other request.
    pub fn replay(self, digest_of: impl FnOnce(&Hash) -> Hash) -> Result<Arc<R>, KeyError> {
        self.0
            .filter(|(request, _)| request.digest == digest_of(&request.descriptor))
            .map(|(_, reply)| reply)
            .ok_or(KeyError::Used)
    }
}

impl<R> Store<R> {
    /// An empty store.
    ///
    /// Address space for its whole capacity is reserved now, and memory is used as keys come: a shard that
    /// had to grow would hold its lock for milliseconds, and all would grow at the same time.
    pub fn new(limits: Limits) -> Self {
        Self::counting_in(limits, Arc::default())
    }

    /// The same, which counts live and reserved keys in `live`. `live` must be 0.
    pub fn counting_in(limits: Limits, live: Arc<AtomicUsize>) -> Self {
        // Ids are random, so shards fill evenly: a sixteenth more is many standard deviations.
        let each = limits.capacity.saturating_add(limits.max_tombstones) / SHARDS;
        let capacity = each.saturating_add(each / 16).saturating_add(64);
        // Spread over a second, so that no two shards sort what is due in the next second at the same time.
        let shifts_ms = (0_u16..1000).step_by(1000 / SHARDS).take(SHARDS);
        let forecast = Arc::new(Forecast::new());
        let shard = |shift_ms| {
            let settings = ShardSettings { capacity, shift_ms, retain_ms: limits.retain_ms };
            Mutex::new(Shard::new(settings, Arc::clone(&forecast)))
        };
        let shards = shifts_ms.map(shard).collect();
        let next_due = (0..SHARDS).map(|_| NextDue::never()).collect();
        let [reserved, all] = [0; 2].map(AtomicUsize::new);
        Self { limits, shards, next_due, forecast, reserved, live, all }
    }

    /// Finds what an open needs. Changes nothing.
    pub fn find(&self, id: KeyId, now: TimePoint) -> Result<Found<R>, KeyError> {
        self.locked(id, now, |shard, _| match shard.known(id)? {
            Known::Live(key) => Ok(Found::Live(Ticket { key: key.clone(), _not_send: PhantomData })),
            Known::Used(used) => {
                Ok(Found::Used(Used(used.map(|used| (used.request, Arc::clone(&used.reply))))))
            }
        })
    }

    /// Ends a key by use, if it is still live. Of several opens, the first to commit wins.
    ///
    /// `clock` is read under the lock, so that no later moment decides. `reply` is kept for retries of
    /// `request`; `None` (caller mode) keeps nothing. Returns the reply to send: the given one, or the
    /// winner's for the same request.
    pub fn commit(
        &self,
        id: KeyId,
        clock: impl FnOnce() -> Result<TimePoint, ClockError>,
        request: OpenRequest,
        reply: Option<R>,
    ) -> Result<Option<Arc<R>>, CommitError> {
        self.on_shard(Self::shard_of(id), |shard, deferred| {
            let now = clock()?;
            shard.catch_up(id, now, deferred);
            shard.run_due(now, DUE_PER_LOCK, deferred);
            match shard.known(id)? {
                Known::Live(_) => {
                    let reply = reply.map(Arc::new);
                    let used = reply.clone().map(|reply| {
                        let until = shard.keep_reply_until(id, now);
                        Box::new(UsedRequest { request, reply, until })
                    });
                    shard.end(id, EndReason::Used(used), now, deferred);
                    Ok(reply)
                }
                Known::Used(used) => used
                    .filter(|used| used.request.digest == request.digest)
                    .map(|used| Some(Arc::clone(&used.reply)))
                    .ok_or(CommitError::Key(KeyError::Used)),
            }
        })
    }

    /// Counts a message that reached the ECDH and did not open. The key ends at [`MAX_FAILED_OPENS`].
    pub fn count_failed_open(&self, id: KeyId, now: TimePoint) {
        self.locked(id, now, |shard, deferred| shard.count_failed_open(id, now, deferred));
    }

    /// Ends a live key by request. Returns the state that the key is in now.
    pub fn destroy(&self, id: KeyId, now: TimePoint) -> KeyState {
        self.locked(id, now, |shard, deferred| {
            if shard.state(id) == KeyState::Live {
                shard.end(id, EndReason::Destroyed, now, deferred);
            }
            shard.state(id)
        })
    }

    /// The state of a key.
    pub fn state(&self, id: KeyId, now: TimePoint) -> KeyState {
        self.locked(id, now, |shard, _| shard.state(id))
    }

    /// Handles everything that is due: erases expired keys, drops replies, removes tombstones. Returns in how
    /// many milliseconds to call again, if anything is left.
    pub fn run_due(&self, now: TimePoint) -> Option<u64> {
        loop {
            let next = self.run_round(now);
            if next != Some(0) {
                return next;
            }
        }
    }

    /// Handles some of what is due in each shard, expired keys first, so that no shard waits for all the work
    /// of another. Returns the same as [`Store::run_due`], and 0 if anything is left that is due now.
    pub fn run_round(&self, now: TimePoint) -> Option<u64> {
        (0..SHARDS).filter_map(|shard| self.run_some(shard, now)).min()
    }

    /// In how many milliseconds, 1 at least, the first kept reply is dropped. Takes no lock.
    pub fn wait_for_reply_room(&self, now: TimePoint) -> Option<u64> {
        self.forecast.wait_ms(Event::DropReply, 1, now).map(|wait| wait.max(1))
    }

    /// The numbers of live keys and of tombstones.
    pub fn counts(&self) -> (usize, usize) {
        let live = self.live.load(Ordering::Relaxed);
        let tombstones = self.all.load(Ordering::Relaxed).saturating_sub(live);
        (live.saturating_sub(self.reserved.load(Ordering::Relaxed)), tombstones)
    }

    /// Inserts a key that room is reserved for. `false` if its id is taken.
    fn insert(&self, key: NewKey, now: TimePoint) -> bool {
        let inserted = self.locked(key.id, now, |shard, _| shard.insert(key));
        if inserted {
            self.reserved.fetch_sub(1, Ordering::Relaxed);
        }
        inserted
    }

    fn take_back(&self, id: KeyId) {
        self.on_shard(Self::shard_of(id), |shard, deferred| shard.take_back(id, deferred));
    }

    /// Handles some of what is due in one shard. Returns the same as [`Store::run_round`].
    fn run_some(&self, shard: usize, now: TimePoint) -> Option<u64> {
        self.on_shard(shard, |shard, deferred| {
            shard.run_due(now, DUE_PER_LOCK, deferred);
            shard.next_wait(now)
        })
    }

    /// Works on the shard of `id`, after some of what is due there.
    fn locked<T>(
        &self,
        id: KeyId,
        now: TimePoint,
        work: impl FnOnce(&mut Shard<R>, &mut Deferred) -> T,
    ) -> T {
        self.on_shard(Self::shard_of(id), |shard, deferred| {
            shard.catch_up(id, now, deferred);
            shard.run_due(now, DUE_PER_LOCK, deferred);
            work(shard, deferred)
        })
    }

    /// Works on a shard under its lock, and then runs the deferred work without it.
    #[expect(clippy::indexing_slicing, reason = "a remainder of the length, or below it")]
    fn on_shard<T>(&self, shard: usize, work: impl FnOnce(&mut Shard<R>, &mut Deferred) -> T) -> T {
        let mut deferred = Deferred::default();
        let result = {
            let mut locked = sync::lock(&self.shards[shard]);
            let result = work(&mut locked, &mut deferred);
            self.next_due[shard].set(locked.next_due());
            result
        };
        self.run_deferred(deferred);
        result
    }

    /// Wipes ended keys and updates the counters. Needs no lock.
    fn run_deferred(&self, Deferred { ended, vacated }: Deferred) {
        self.live.fetch_sub(ended.len(), Ordering::Relaxed);
        self.all.fetch_sub(vacated, Ordering::Relaxed);
        wipe(ended);
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
