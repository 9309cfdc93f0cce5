//! One shard of the store: some of the keys, under one lock. A key's end is decided here.

use super::{
    KEEP_REPLY_MS, KeyError, MAX_FAILED_OPENS, NewKey, OpenRequest, expiry_queue::ExpiryQueue,
    forecast::Forecast,
};
use crate::{keys::crypto::PrivateKey, platform::clock::TimePoint};
use hashbrown::HashTable;
use ok2cry_protocol::{ids::KeyId, rpc::KeyState};
use slab::Slab;
use std::sync::Arc;

const AT_ONCE: TimePoint = TimePoint { boot_ms: 0, wall_ms: 0 };
pub(super) const NEVER: TimePoint = TimePoint { boot_ms: u64::MAX, wall_ms: u64::MAX };

/// Keys and tombstones, found by id and by what is due.
pub(super) struct Shard<R> {
    slots: Slab<Slot<R>>,
    /// Slots by the key's id. Ids are the enclave's own random choice, so callers cannot make them collide.
    index: HashTable<u32>,
    queues: ExpiryQueues,
    /// Counts of the same events, for all shards.
    forecast: Arc<Forecast>,
    /// Before this moment no queue has anything due.
    next_due: TimePoint,
    retain_ms: u64,
}

/// How a shard is set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardSettings {
    /// Keys and tombstones that fit without growing.
    pub(super) capacity: usize,
    /// Shards with different values (0 to 999 milliseconds) sort what is due at different times.
    pub(super) shift_ms: u16,
    /// How long a tombstone is kept, in milliseconds.
    pub(super) retain_ms: u64,
}

/// One queue for each kind of event.
struct ExpiryQueues {
    deadlines: ExpiryQueue,
    replies: ExpiryQueue,
    tombstones: ExpiryQueue,
}

/// What happens at a certain time without a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A live key expires.
    Deadline,
    /// A kept reply is dropped.
    DropReply,
    /// A tombstone is removed.
    Forget,
}

struct Slot<R> {
    id: KeyId,
    entry: Entry<R>,
}

enum Entry<R> {
    Live(Live),
    Ended(Tombstone<R>),
}

struct Live {
    key: LiveKey,
    deadline: TimePoint,
    failed_opens: u32,
}

/// What an open works with. Clones share it.
#[derive(Clone)]
pub(super) struct LiveKey {
    pub(super) private: Arc<dyn PrivateKey>,
    pub(super) descriptor: Arc<[u8]>,
}

/// What is left of an ended key: nothing secret.
struct Tombstone<R> {
    reason: EndReason<R>,
    forget_at: TimePoint,
}

pub(super) enum EndReason<R> {
    /// With the reply for retries, while it is kept.
    Used(Option<Box<UsedRequest<R>>>),
    Expired,
    Destroyed,
}

/// A kept reply, and the request that gets it again.
pub(super) struct UsedRequest<R> {
    pub(super) request: OpenRequest,
    pub(super) reply: Arc<R>,
    pub(super) until: TimePoint,
}

/// A key that can open, or repeat its reply.
pub(super) enum Known<'a, R> {
    Live(&'a LiveKey),
    Used(Option<&'a UsedRequest<R>>),
}

/// Work that changes leave for after the lock is released.
#[derive(Default)]
pub(super) struct Deferred {
    /// Secrets of keys that have ended, to be wiped.
    pub(super) ended: Vec<LiveKey>,
    /// How many slots became free.
    pub(super) vacated: usize,
}

impl<R> Shard<R> {
    /// An empty shard. Its events are counted in `forecast`.
    pub(super) fn new(settings: ShardSettings, forecast: Arc<Forecast>) -> Self {
        let ShardSettings { capacity, shift_ms, retain_ms } = settings;
        let [deadlines, replies, tombstones] = [0; 3].map(|_| ExpiryQueue::new(shift_ms));
        Self {
            slots: Slab::with_capacity(capacity),
            index: HashTable::with_capacity(capacity),
            queues: ExpiryQueues { deadlines, replies, tombstones },
            forecast,
            next_due: NEVER,
            retain_ms,
        }
    }

    /// Inserts a key. `false` if its id is taken, or all 2^32 slots are.
    pub(super) fn insert(&mut self, key: NewKey) -> bool {
        let NewKey { id, private, descriptor, deadline } = key;
        let Ok(slot) = u32::try_from(self.slots.vacant_key()) else { return false };
        if self.slot(id).is_some() {
            return false;
        }
        let live = Live { key: LiveKey { private, descriptor }, deadline, failed_opens: 0 };
        self.slots.insert(Slot { id, entry: Entry::Live(live) });
        let slots = &self.slots;
        self.index.insert_unique(hash(id), slot, |slot| {
            slots.get(*slot as usize).map_or_else(Default::default, |slot| hash(slot.id))
        });
        self.schedule(Event::Deadline, deadline, slot);
        true
    }

    /// What an open finds. [`Shard::catch_up`] comes first.
    pub(super) fn known(&self, id: KeyId) -> Result<Known<'_, R>, KeyError> {
        match self.slot(id).and_then(|slot| self.entry(slot)) {
            None => Err(KeyError::Unknown),
            Some(Entry::Live(live)) => Ok(Known::Live(&live.key)),
            Some(Entry::Ended(ended)) => match &ended.reason {
                EndReason::Expired => Err(KeyError::Expired),
                EndReason::Destroyed => Err(KeyError::Destroyed),
                EndReason::Used(used) => Ok(Known::Used(used.as_deref())),
            },
        }
    }

    /// The state of a key. [`Shard::catch_up`] comes first.
    pub(super) fn state(&self, id: KeyId) -> KeyState {
        match self.known(id) {
            Ok(Known::Live(_)) => KeyState::Live,
            Ok(Known::Used(_)) | Err(KeyError::Used) => KeyState::Used,
            Err(KeyError::Expired) => KeyState::Expired,
            Err(KeyError::Destroyed) => KeyState::Destroyed,
            Err(KeyError::Unknown) => KeyState::Unknown,
        }
    }

    /// Until when the reply to an open that commits now is kept: the deadline, or [`KEEP_REPLY_MS`] if that
    /// is later.
    pub(super) fn keep_reply_until(&self, id: KeyId, now: TimePoint) -> TimePoint {
        let least = now.plus(KEEP_REPLY_MS);
        match self.slot(id).and_then(|slot| self.entry(slot)) {
            Some(Entry::Live(live)) => least.or_later(live.deadline),
            _ => least,
        }
    }

    /// Ends a key, if it is live.
    pub(super) fn end(&mut self, id: KeyId, reason: EndReason<R>, now: TimePoint, deferred: &mut Deferred) {
        if let Some(slot) = self.slot(id) {
            self.end_slot(slot, reason, now, deferred);
        }
    }

    /// Counts a failed open of a live key, and ends the key at the limit.
    pub(super) fn count_failed_open(&mut self, id: KeyId, now: TimePoint, deferred: &mut Deferred) {
        let Some(slot) = self.slot(id) else { return };
        let Some(Entry::Live(live)) = self.entry_mut(slot) else { return };
        live.failed_opens += 1;
        if live.failed_opens >= MAX_FAILED_OPENS {
            self.end_slot(slot, EndReason::Destroyed, now, deferred);
        }
    }

    /// Removes a key without a tombstone.
    pub(super) fn take_back(&mut self, id: KeyId, deferred: &mut Deferred) {
        if let Some(slot) = self.slot(id) {
            self.vacate(slot, deferred);
        }
    }

    /// Handles what is due for one key, however much is due for others.
    pub(super) fn catch_up(&mut self, id: KeyId, now: TimePoint, deferred: &mut Deferred) {
        let Some(slot) = self.slot(id) else { return };
        if let Some(Entry::Live(live)) = self.entry(slot)
            && now.reached(live.deadline)
        {
            self.end_slot(slot, EndReason::Expired, now, deferred);
        }
        if let Some(Entry::Ended(ended)) = self.entry(slot) {
            if now.reached(ended.forget_at) {
                self.vacate(slot, deferred);
            } else if ended.reply_until().is_some_and(|until| now.reached(until)) {
                self.drop_reply(slot);
            }
        }
    }

    /// Handles what is due, `limit` events at most.
    pub(super) fn run_due(&mut self, now: TimePoint, limit: usize, deferred: &mut Deferred) {
        if !now.reached(self.next_due) {
            return;
        }
        // Secrets first: deadlines are sorted and handled before any tombstone is removed.
        let events = [Event::Deadline, Event::DropReply, Event::Forget];
        for _ in 0..limit {
            if !events.into_iter().any(|event| self.run_one(event, now, deferred)) {
                break;
            }
        }
        self.next_due = self.queues.next();
    }

    /// In how many milliseconds anything is due.
    pub(super) fn next_wait(&self, now: TimePoint) -> Option<u64> {
        let next = self.queues.next();
        (next != NEVER).then(|| next.wait_ms(now))
    }

    /// The moment before which [`Shard::run_due`] has nothing to do.
    pub(super) fn next_due(&self) -> TimePoint {
        self.next_due
    }

    /// Handles one event, if one is due, and sorts a few later ones.
    fn run_one(&mut self, event: Event, now: TimePoint, deferred: &mut Deferred) -> bool {
        let queue = self.queues.of(event);
        // Sorting and handling alternate, so that neither waits for all of the other.
        let prepared = queue.prepare(now, |slot| at(&self.slots, event, slot));
        let Some(slot) = queue.due(now) else { return prepared };
        match event {
            Event::Deadline => self.end_slot(slot, EndReason::Expired, now, deferred),
            Event::DropReply => self.drop_reply(slot),
            Event::Forget => self.vacate(slot, deferred),
        }
        true
    }

    fn schedule(&mut self, event: Event, at: TimePoint, slot: u32) {
        self.forecast.add(event, at);
        let next = self.queues.of(event).insert(at, slot);
        self.next_due = self.next_due.or_sooner(next);
    }

    fn cancel(&mut self, event: Event, at: TimePoint, slot: u32) {
        self.forecast.remove(event, at);
        let queue = self.queues.of(event);
        queue.remove(at, slot);
        if queue.needs_compaction() {
            self.next_due = AT_ONCE;
        }
    }

    /// Replaces a live key by its tombstone.
    fn end_slot(&mut self, slot: u32, reason: EndReason<R>, now: TimePoint, deferred: &mut Deferred) {
        let retain_ms = self.retain_ms;
        let Some(entry) = self.entry_mut(slot) else { return };
        let Entry::Live(Live { deadline, .. }) = entry else { return };
        let deadline = *deadline;
        // An expired key ended at its deadline, whenever that is noticed.
        let ended_at = if matches!(reason, EndReason::Expired) { deadline } else { now };
        let retained = ended_at.plus(retain_ms);
        let mut ended = Tombstone { reason, forget_at: retained };
        let reply_until = ended.reply_until();
        // A tombstone stays as long as its reply, which is found through it.
        let forget_at = reply_until.map_or(retained, |until| retained.or_later(until));
        ended.forget_at = forget_at;
        if let Entry::Live(Live { key, .. }) = std::mem::replace(entry, Entry::Ended(ended)) {
            deferred.ended.push(key);
        }
        self.cancel(Event::Deadline, deadline, slot);
        self.schedule(Event::Forget, forget_at, slot);
        if let Some(until) = reply_until {
            self.schedule(Event::DropReply, until, slot);
        }
    }

    fn drop_reply(&mut self, slot: u32) {
        let Some(Entry::Ended(Tombstone { reason: EndReason::Used(used), .. })) = self.entry_mut(slot) else {
            return;
        };
        if let Some(used) = used.take() {
            self.cancel(Event::DropReply, used.until, slot);
        }
    }

    fn vacate(&mut self, slot: u32, deferred: &mut Deferred) {
        self.drop_reply(slot);
        let Some(Slot { id, entry }) = self.slots.try_remove(slot as usize) else { return };
        if let Ok(found) = self.index.find_entry(hash(id), |other| *other == slot) {
            found.remove();
        }
        deferred.vacated += 1;
        match entry {
            Entry::Live(Live { key, deadline, .. }) => {
                self.cancel(Event::Deadline, deadline, slot);
                deferred.ended.push(key);
            }
            Entry::Ended(Tombstone { forget_at, .. }) => self.cancel(Event::Forget, forget_at, slot),
        }
    }

    fn slot(&self, id: KeyId) -> Option<u32> {
        let is_it = |slot: &u32| self.slots.get(*slot as usize).is_some_and(|slot| slot.id == id);
        self.index.find(hash(id), is_it).copied()
    }

    fn entry(&self, slot: u32) -> Option<&Entry<R>> {
        self.slots.get(slot as usize).map(|slot| &slot.entry)
    }

    fn entry_mut(&mut self, slot: u32) -> Option<&mut Entry<R>> {
        self.slots.get_mut(slot as usize).map(|slot| &mut slot.entry)
    }
}

impl ExpiryQueues {
    fn of(&mut self, event: Event) -> &mut ExpiryQueue {
        match event {
            Event::Deadline => &mut self.deadlines,
            Event::DropReply => &mut self.replies,
            Event::Forget => &mut self.tombstones,
        }
    }

    fn next(&self) -> TimePoint {
        [&self.deadlines, &self.replies, &self.tombstones]
            .map(ExpiryQueue::next)
            .into_iter()
            .fold(NEVER, TimePoint::or_sooner)
    }
}

/// When an event is scheduled for a slot, if it is.
fn at<R>(slots: &Slab<Slot<R>>, event: Event, slot: u32) -> Option<TimePoint> {
    match (&slots.get(slot as usize)?.entry, event) {
        (Entry::Live(live), Event::Deadline) => Some(live.deadline),
        (Entry::Ended(ended), Event::DropReply) => ended.reply_until(),
        (Entry::Ended(ended), Event::Forget) => Some(ended.forget_at),
        _ => None,
    }
}

impl<R> Tombstone<R> {
    fn reply_until(&self) -> Option<TimePoint> {
        match &self.reason {
            EndReason::Used(Some(used)) => Some(used.until),
            _ => None,
        }
    }
}

/// Eight of the id's random bytes, which need no hashing. [`super::Store`] chooses shards by another byte.
fn hash(id: KeyId) -> u64 {
    let [.., a, b, c, d, e, f, g, h, _] = id.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
