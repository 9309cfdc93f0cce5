//! One shard of the store: the keys whose ids end alike, under one lock. Here a key's end is decided.

use super::{KEEP_REPLY_MS, MAX_FAILED_OPENS, NewKey, expiry_queue::Agenda, forecast::Forecast};
use crate::{keys::crypto::PrivateKey, platform::clock::Now};
use hashbrown::HashTable;
use ok2cry_protocol::{Hash, code::Code, ids::KeyId, rpc::KeyState};
use slab::Slab;
use std::sync::Arc;

const AT_ONCE: Now = Now { boot_ms: 0, wall_ms: 0 };
pub(super) const NEVER: Now = Now { boot_ms: u64::MAX, wall_ms: u64::MAX };

/// Keys and endings, found by id and by what is due.
pub(super) struct Shard<R> {
    slots: Slab<Slot<R>>,
    /// Slots by the key's id. Ids are the enclave's own random choice: nobody can make them collide.
    index: HashTable<u32>,
    agendas: Agendas,
    /// The same for all shards, in numbers.
    forecast: Arc<Forecast>,
    /// Before this moment no agenda has anything to do.
    next: Now,
    /// For how long an ending is remembered.
    retain_ms: u64,
}

/// One for each kind of moment.
struct Agendas {
    deadlines: Agenda,
    replies: Agenda,
    endings: Agenda,
}

/// The kinds of moments at which something happens by itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// A live key expires.
    Deadline,
    /// A reply is kept no longer.
    Reply,
    /// An ending is forgotten.
    Ending,
}

struct Slot<R> {
    id: KeyId,
    entry: Entry<R>,
}

enum Entry<R> {
    Live(Live),
    Ended(Ended<R>),
}

struct Live {
    key: LiveKey,
    deadline: Now,
    failed_opens: u32,
}

/// What an open works with. A clone shares it.
#[derive(Clone)]
pub(super) struct LiveKey {
    pub(super) private: Arc<dyn PrivateKey>,
    pub(super) descriptor: Arc<[u8]>,
}

/// What is left of a key: nothing secret.
struct Ended<R> {
    how: Ending<R>,
    forget_at: Now,
}

pub(super) enum Ending<R> {
    Used(Option<Box<Kept<R>>>),
    Expired,
    Destroyed,
}

/// A reply, and the request that gets it again.
pub(super) struct Kept<R> {
    pub(super) descriptor: Hash,
    pub(super) request_digest: Hash,
    pub(super) reply: Arc<R>,
    pub(super) until: Now,
}

/// What is known of a key.
pub(super) enum Known<'a, R> {
    Live(&'a LiveKey),
    Used(Option<&'a Kept<R>>),
}

/// What changes leave to be done once the lock is given back.
#[derive(Default)]
pub(super) struct Aftermath {
    /// Secrets of keys that are live no more: dropping them overwrites them.
    pub(super) erased: Vec<LiveKey>,
    /// How many slots became free.
    pub(super) vacated: usize,
}

impl<R> Shard<R> {
    /// An empty shard that need not grow up to `keys` keys and endings. Shards with another `shift_ms` (milliseconds)
    /// put in order what is due at other times. What comes when is counted in `forecast`.
    pub(super) fn with_room_for(keys: usize, shift_ms: u16, retain_ms: u64, forecast: Arc<Forecast>) -> Self {
        let [deadlines, replies, endings] = [0; 3].map(|_| Agenda::new(shift_ms));
        Self {
            slots: Slab::with_capacity(keys),
            index: HashTable::with_capacity(keys),
            agendas: Agendas { deadlines, replies, endings },
            forecast,
            next: NEVER,
            retain_ms,
        }
    }

    /// Takes a key in. `false` if its id is taken, or the shard has as many slots as it can number.
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
        self.put_down(Moment::Deadline, deadline, slot);
        true
    }

    /// What an open can go by, or the refusal, once [`Shard::catch_up`] has done what is due.
    pub(super) fn known(&self, id: KeyId) -> Result<Known<'_, R>, Code> {
        match self.slot(id).and_then(|slot| self.entry(slot)) {
            None => Err(Code::UnknownKey),
            Some(Entry::Live(live)) => Ok(Known::Live(&live.key)),
            Some(Entry::Ended(ended)) => match &ended.how {
                Ending::Expired => Err(Code::KeyExpired),
                Ending::Destroyed => Err(Code::KeyDestroyed),
                Ending::Used(kept) => Ok(Known::Used(kept.as_deref())),
            },
        }
    }

    /// What became of a key, once [`Shard::catch_up`] has done what is due.
    pub(super) fn state(&self, id: KeyId) -> KeyState {
        match self.known(id) {
            Ok(Known::Live(_)) => KeyState::Live,
            Ok(Known::Used(_)) => KeyState::Used,
            Err(Code::KeyExpired) => KeyState::Expired,
            Err(Code::KeyDestroyed) => KeyState::Destroyed,
            Err(_) => KeyState::Unknown,
        }
    }

    /// Until when the reply to an open that succeeds now is kept: the key's deadline, or half a minute.
    pub(super) fn keep_reply_until(&self, id: KeyId, now: Now) -> Now {
        let least = now.plus(KEEP_REPLY_MS);
        match self.slot(id).and_then(|slot| self.entry(slot)) {
            Some(Entry::Live(live)) => least.or_later(live.deadline),
            _ => least,
        }
    }

    /// Ends a key, if it is live.
    pub(super) fn end(&mut self, id: KeyId, how: Ending<R>, now: Now, after: &mut Aftermath) {
        if let Some(slot) = self.slot(id) {
            self.end_slot(slot, how, now, after);
        }
    }

    /// Counts a failed open of a live key, which ends at the limit.
    pub(super) fn count_failed_open(&mut self, id: KeyId, now: Now, after: &mut Aftermath) {
        let Some(slot) = self.slot(id) else { return };
        let Some(Entry::Live(live)) = self.entry_mut(slot) else { return };
        live.failed_opens += 1;
        if live.failed_opens >= MAX_FAILED_OPENS {
            self.end_slot(slot, Ending::Destroyed, now, after);
        }
    }

    /// Takes out whatever is known of a key, without a trace.
    pub(super) fn take_back(&mut self, id: KeyId, after: &mut Aftermath) {
        if let Some(slot) = self.slot(id) {
            self.vacate(slot, after);
        }
    }

    /// Does what is due for one key, however much is due for others.
    pub(super) fn catch_up(&mut self, id: KeyId, now: Now, after: &mut Aftermath) {
        let Some(slot) = self.slot(id) else { return };
        if let Some(Entry::Live(live)) = self.entry(slot)
            && now.reached(live.deadline)
        {
            self.end_slot(slot, Ending::Expired, now, after);
        }
        if let Some(Entry::Ended(ended)) = self.entry(slot) {
            if now.reached(ended.forget_at) {
                self.vacate(slot, after);
            } else if ended.reply_until().is_some_and(|until| now.reached(until)) {
                self.drop_reply(slot);
            }
        }
    }

    /// Does what is due, `most` things at most.
    pub(super) fn run_agenda(&mut self, now: Now, most: usize, after: &mut Aftermath) {
        if !now.reached(self.next) {
            return;
        }
        // Secrets before what is kept for others' convenience: a page of deadlines is turned before any ending goes.
        let kinds = [Moment::Deadline, Moment::Reply, Moment::Ending];
        for _ in 0..most {
            if !kinds.into_iter().any(|moment| self.run_one(moment, now, after)) {
                break;
            }
        }
        self.next = self.agendas.next();
    }

    /// In how many milliseconds there is anything to do.
    pub(super) fn next_wait(&self, now: Now) -> Option<u64> {
        let next = self.agendas.next();
        (next != NEVER).then(|| next.wait_ms(now))
    }

    /// The moment before which [`Shard::run_agenda`] has nothing to do.
    pub(super) fn next(&self) -> Now {
        self.next
    }

    /// Does one thing of a kind, if there is one, and prepares another.
    fn run_one(&mut self, moment: Moment, now: Now, after: &mut Aftermath) -> bool {
        let agenda = self.agendas.of(moment);
        // A little of what comes next, and what is due: neither waits until all of the other is done.
        let prepared = agenda.prepare(now, |slot| at(&self.slots, moment, slot));
        let Some(slot) = agenda.due(now) else { return prepared };
        match moment {
            Moment::Deadline => self.end_slot(slot, Ending::Expired, now, after),
            Moment::Reply => self.drop_reply(slot),
            Moment::Ending => self.vacate(slot, after),
        }
        true
    }

    fn put_down(&mut self, moment: Moment, at: Now, slot: u32) {
        self.forecast.add(moment, at);
        let next = self.agendas.of(moment).insert(at, slot);
        self.next = self.next.or_sooner(next);
    }

    fn cross_out(&mut self, moment: Moment, at: Now, slot: u32) {
        self.forecast.remove(moment, at);
        let agenda = self.agendas.of(moment);
        agenda.remove(at, slot);
        if agenda.is_cluttered() {
            self.next = AT_ONCE;
        }
    }

    /// Replaces a live key by its ending.
    fn end_slot(&mut self, slot: u32, how: Ending<R>, now: Now, after: &mut Aftermath) {
        let retain_ms = self.retain_ms;
        let Some(entry) = self.entry_mut(slot) else { return };
        let Entry::Live(Live { deadline, .. }) = entry else { return };
        let deadline = *deadline;
        // A key that expired did so at its deadline, whenever it is noticed.
        let ended_at = if matches!(how, Ending::Expired) { deadline } else { now };
        let remembered = ended_at.plus(retain_ms);
        let mut ended = Ended { how, forget_at: remembered };
        let reply_until = ended.reply_until();
        // A reply may be kept longer than an ending is remembered, and is found by its ending.
        let forget_at = reply_until.map_or(remembered, |until| remembered.or_later(until));
        ended.forget_at = forget_at;
        if let Entry::Live(Live { key, .. }) = std::mem::replace(entry, Entry::Ended(ended)) {
            after.erased.push(key);
        }
        self.cross_out(Moment::Deadline, deadline, slot);
        self.put_down(Moment::Ending, forget_at, slot);
        if let Some(until) = reply_until {
            self.put_down(Moment::Reply, until, slot);
        }
    }

    fn drop_reply(&mut self, slot: u32) {
        let Some(Entry::Ended(Ended { how: Ending::Used(kept), .. })) = self.entry_mut(slot) else { return };
        if let Some(kept) = kept.take() {
            self.cross_out(Moment::Reply, kept.until, slot);
        }
    }

    fn vacate(&mut self, slot: u32, after: &mut Aftermath) {
        self.drop_reply(slot);
        let Some(Slot { id, entry }) = self.slots.try_remove(slot as usize) else { return };
        if let Ok(found) = self.index.find_entry(hash(id), |other| *other == slot) {
            found.remove();
        }
        after.vacated += 1;
        match entry {
            Entry::Live(Live { key, deadline, .. }) => {
                self.cross_out(Moment::Deadline, deadline, slot);
                after.erased.push(key);
            }
            Entry::Ended(Ended { forget_at, .. }) => self.cross_out(Moment::Ending, forget_at, slot),
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

impl Agendas {
    fn of(&mut self, moment: Moment) -> &mut Agenda {
        match moment {
            Moment::Deadline => &mut self.deadlines,
            Moment::Reply => &mut self.replies,
            Moment::Ending => &mut self.endings,
        }
    }

    fn next(&self) -> Now {
        [&self.deadlines, &self.replies, &self.endings]
            .map(Agenda::next)
            .into_iter()
            .fold(NEVER, Now::or_sooner)
    }
}

/// When a moment of this kind comes for a slot, if it does.
fn at<R>(slots: &Slab<Slot<R>>, moment: Moment, slot: u32) -> Option<Now> {
    match (&slots.get(slot as usize)?.entry, moment) {
        (Entry::Live(live), Moment::Deadline) => Some(live.deadline),
        (Entry::Ended(ended), Moment::Reply) => ended.reply_until(),
        (Entry::Ended(ended), Moment::Ending) => Some(ended.forget_at),
        _ => None,
    }
}

impl<R> Ended<R> {
    fn reply_until(&self) -> Option<Now> {
        match &self.how {
            Ending::Used(Some(kept)) => Some(kept.until),
            _ => None,
        }
    }
}

/// Eight of the id's random bytes: random already. [`super::Store`] chooses shards by another byte.
fn hash(id: KeyId) -> u64 {
    let [.., a, b, c, d, e, f, g, h, _] = id.0;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
