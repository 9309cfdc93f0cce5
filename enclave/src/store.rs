//! The life of keys: live until used, destroyed or expired; then an ending without secrets, for a while.
//!
//! No I/O and no clock of its own: every call is told the time, and whether it comes early or late changes
//! nothing about who wins. A key's end is decided under one lock; elliptic-curve work is never done under it.
//! Work that is under way when a key ends holds the private key a little longer, can no longer commit, and
//! drops it.

use crate::{budget::Budget, clock::Now, contexts::Sealed, crypto::PrivateKey};
use ok2cry_protocol::{
    Encoded, Hash,
    code::Code,
    descriptor::KeyDescriptor,
    ids::KeyId,
    rpc::{KeyState, Refusal},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// For how long an ending is remembered, in milliseconds.
pub const RETAIN_MS: u64 = 600_000;
/// For how long a sealed reply is kept at least, in milliseconds.
pub const KEEP_REPLY_MS: u64 = 30_000;
/// How many messages that do not open a key bears before it is destroyed.
pub const MAX_FAILED_OPENS: u32 = 256;

/// The limits of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most live keys.
    pub capacity: usize,
    /// The most endings remembered.
    pub max_tombstones: usize,
    /// The most bytes of sealed replies.
    pub reply_budget_bytes: usize,
}

/// All keys of this boot.
pub struct Store {
    limits: Limits,
    /// What replies and their contexts hold.
    replies: Budget,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    keys: HashMap<KeyId, Entry>,
    agenda: Agenda,
    live: usize,
}

/// When something happens to a key by itself, soonest first, on either clock. One entry per key on each.
#[derive(Default)]
struct Agenda {
    by_wall: BTreeSet<(u64, KeyId)>,
    by_boot: BTreeSet<(u64, KeyId)>,
}

enum Entry {
    Live(Live),
    Ended(Ended),
}

struct Live {
    private: Arc<dyn PrivateKey>,
    descriptor: Arc<Encoded<KeyDescriptor>>,
    deadline: Now,
    failed_opens: u32,
}

/// What is left of a key: nothing secret.
struct Ended {
    how: Ending,
    forget_at: Now,
}

enum Ending {
    Used { descriptor: Hash, request_digest: Hash, reply: Option<Kept> },
    Expired,
    Destroyed,
}

struct Kept {
    sealed: Arc<Sealed>,
    until: Now,
}

/// A key on its way into the store.
pub(crate) struct NewKey {
    pub(crate) private: Arc<dyn PrivateKey>,
    pub(crate) descriptor: Arc<Encoded<KeyDescriptor>>,
    pub(crate) deadline: Now,
}

/// What an open finds.
pub(crate) enum Found {
    /// A live key to try.
    Live(Ticket),
    /// A key that has been used.
    Used(Used),
}

/// The means to try to open one message. Only [`Store::commit`] turns success into an ending.
pub(crate) struct Ticket {
    pub(crate) private: Arc<dyn PrivateKey>,
    pub(crate) descriptor: Arc<Encoded<KeyDescriptor>>,
}

/// A used key, and the reply to a repetition of its request if it is still kept.
pub(crate) struct Used {
    pub(crate) descriptor: Hash,
    request_digest: Hash,
    reply: Option<Arc<Sealed>>,
}

impl Used {
    /// The same request gets the same reply, byte for byte; any other gets `key_used`.
    pub(crate) fn replay(self, request_digest: &Hash) -> Result<Arc<Sealed>, Refusal> {
        let same = self.request_digest == *request_digest;
        self.reply.filter(|_| same).ok_or_else(|| Code::KeyUsed.into())
    }
}

impl Store {
    /// An empty store, which gives out no keys to try while `replies` hold their limit.
    pub(crate) fn new(limits: Limits, replies: Budget) -> Self {
        Self { limits, replies, inner: Mutex::default() }
    }

    /// Whether there is room for `keys` more. Nothing is set aside: [`Store::insert`] decides.
    pub(crate) fn check_room(&self, keys: usize, now: Now) -> Result<(), Refusal> {
        self.lock().check_room(keys, now, &self.limits)
    }

    /// Takes keys in, all or none.
    pub(crate) fn insert(&self, keys: Vec<NewKey>, now: Now) -> Result<(), Refusal> {
        let mut inner = self.lock();
        inner.check_room(keys.len(), now, &self.limits)?;
        for NewKey { private, descriptor, deadline } in keys {
            let id = descriptor.key_id;
            let live = Live { private, descriptor, deadline, failed_opens: 0 };
            inner.agenda.insert(deadline, id);
            inner.keys.insert(id, Entry::Live(live));
            inner.live += 1;
        }
        Ok(())
    }

    /// Takes back keys that nobody was told of.
    pub(crate) fn forget(&self, ids: impl IntoIterator<Item = KeyId>) {
        let mut inner = self.lock();
        for id in ids {
            inner.remove(id);
        }
    }

    /// Finds what an open needs. Nothing changes by it.
    pub(crate) fn find(&self, id: KeyId, now: Now) -> Result<Found, Refusal> {
        let mut inner = self.lock();
        inner.expire(id, now);
        let room_for_reply = self.replies.held() < self.limits.reply_budget_bytes;
        match inner.keys.get(&id) {
            Some(Entry::Live(live)) if !room_for_reply && live.keeps_reply() => {
                Err(Refusal::new(Code::RepliesFull).retry_after(1000))
            }
            Some(Entry::Live(live)) => Ok(Found::Live(Ticket {
                private: Arc::clone(&live.private),
                descriptor: Arc::clone(&live.descriptor),
            })),
            Some(Entry::Ended(ended)) => ended.found(now),
            None => Err(Code::UnknownKey.into()),
        }
    }

    /// Ends a key by use, if it is still live at `now`; of several opens, the first to come here wins.
    ///
    /// `reply` is kept for repetitions of the same request; `None` (caller mode) keeps nothing. Answers the
    /// reply to send: the given one, or the winner's if that was the same request.
    pub(crate) fn commit(
        &self,
        id: KeyId,
        now: Now,
        request_digest: &Hash,
        reply: Option<Sealed>,
    ) -> Result<Option<Arc<Sealed>>, Refusal> {
        let mut inner = self.lock();
        inner.expire(id, now);
        match inner.keys.get(&id) {
            Some(Entry::Live(live)) => {
                let (descriptor, deadline) = (*live.descriptor.hash(), live.deadline);
                let sealed = reply.map(Arc::new);
                let kept = sealed.clone().map(|sealed| {
                    let least = now.plus(KEEP_REPLY_MS);
                    let until = if least.wall_ms > deadline.wall_ms { least } else { deadline };
                    Kept { sealed, until }
                });
                let how = Ending::Used { descriptor, request_digest: *request_digest, reply: kept };
                inner.end(id, how, now);
                Ok(sealed)
            }
            Some(Entry::Ended(ended)) => match ended.found(now)? {
                Found::Used(used) => used.replay(request_digest).map(Some),
                Found::Live(_) => Err(Code::Internal.into()),
            },
            None => Err(Code::UnknownKey.into()),
        }
    }

    /// Counts a message that reached the ECDH and did not open; the key ends at the limit.
    pub(crate) fn count_failed_open(&self, id: KeyId, now: Now) {
        let mut inner = self.lock();
        if let Some(Entry::Live(live)) = inner.keys.get_mut(&id) {
            live.failed_opens += 1;
            if live.failed_opens >= MAX_FAILED_OPENS {
                inner.end(id, Ending::Destroyed, now);
            }
        }
    }

    /// Ends a key by request. Answers the state that it is in now; ended keys stay as they are.
    pub fn destroy(&self, id: KeyId, now: Now) -> KeyState {
        let mut inner = self.lock();
        inner.expire(id, now);
        if let Some(Entry::Live(_)) = inner.keys.get(&id) {
            inner.end(id, Ending::Destroyed, now);
        }
        inner.state(id, now)
    }

    /// What became of a key.
    pub fn state(&self, id: KeyId, now: Now) -> KeyState {
        let mut inner = self.lock();
        inner.expire(id, now);
        inner.state(id, now)
    }

    /// Does everything that is due: erases expired keys, drops replies, forgets endings. Answers in how many
    /// milliseconds to call again, if anything is left to do.
    pub fn run_agenda(&self, now: Now) -> Option<u64> {
        let mut inner = self.lock();
        inner.run_agenda(now);
        inner.agenda.wait_ms(now)
    }

    /// Live keys, and endings that are remembered.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.live, inner.keys.len().saturating_sub(inner.live))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agenda {
    fn insert(&mut self, at: Now, id: KeyId) {
        self.by_wall.insert((at.wall_ms, id));
        self.by_boot.insert((at.boot_ms, id));
    }

    fn remove(&mut self, at: Now, id: KeyId) {
        self.by_wall.remove(&(at.wall_ms, id));
        self.by_boot.remove(&(at.boot_ms, id));
    }

    /// Whatever is due on either clock.
    fn due(&self, now: Now) -> Vec<KeyId> {
        let due = |agenda: &BTreeSet<(u64, KeyId)>, now: u64| {
            agenda.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect::<Vec<_>>()
        };
        let mut ids = due(&self.by_wall, now.wall_ms);
        ids.extend(due(&self.by_boot, now.boot_ms));
        ids
    }

    /// In how many milliseconds something is due, 1 at least.
    fn wait_ms(&self, now: Now) -> Option<u64> {
        let (wall, _) = self.by_wall.first()?;
        let (boot, _) = self.by_boot.first()?;
        Some(wall.saturating_sub(now.wall_ms).min(boot.saturating_sub(now.boot_ms)).max(1))
    }
}

impl Inner {
    fn run_agenda(&mut self, now: Now) {
        for id in self.agenda.due(now) {
            self.expire(id, now);
        }
    }

    fn check_room(&mut self, keys: usize, now: Now, limits: &Limits) -> Result<(), Refusal> {
        self.run_agenda(now);
        let remembered = self.keys.len().saturating_sub(self.live);
        let live_after = self.live.saturating_add(keys);
        let all_after = remembered.saturating_add(live_after);
        if live_after > limits.capacity || all_after > limits.capacity.saturating_add(limits.max_tombstones) {
            let wait = self.agenda.wait_ms(now).unwrap_or(1);
            return Err(Refusal::new(Code::StoreFull).retry_after(wait));
        }
        Ok(())
    }

    /// Does what is due for one key.
    fn expire(&mut self, id: KeyId, now: Now) {
        match self.keys.get_mut(&id) {
            Some(Entry::Live(live)) if now.reached(live.deadline) => self.end(id, Ending::Expired, now),
            Some(Entry::Ended(ended)) if now.reached(ended.forget_at) => self.remove(id),
            Some(Entry::Ended(ended)) => {
                let at = ended.next();
                if ended.drop_reply(now) {
                    self.agenda.remove(at, id);
                    self.agenda.insert(ended.next(), id);
                }
            }
            _ => {}
        }
    }

    /// Replaces a live key, whose secret is dropped here, by its ending.
    fn end(&mut self, id: KeyId, how: Ending, now: Now) {
        self.remove(id);
        let mut forget_at = now.plus(RETAIN_MS);
        if let Ending::Used { reply: Some(kept), .. } = &how
            && kept.until.wall_ms > forget_at.wall_ms
        {
            forget_at = kept.until;
        }
        let ended = Ended { how, forget_at };
        self.agenda.insert(ended.next(), id);
        self.keys.insert(id, Entry::Ended(ended));
    }

    fn remove(&mut self, id: KeyId) {
        match self.keys.remove(&id) {
            Some(Entry::Live(live)) => {
                self.agenda.remove(live.deadline, id);
                self.live = self.live.saturating_sub(1);
            }
            Some(Entry::Ended(ended)) => self.agenda.remove(ended.next(), id),
            None => {}
        }
    }

    fn state(&self, id: KeyId, now: Now) -> KeyState {
        match self.keys.get(&id) {
            Some(Entry::Live(live)) if now.reached(live.deadline) => KeyState::Expired,
            Some(Entry::Live(_)) => KeyState::Live,
            Some(Entry::Ended(ended)) => match ended.how {
                Ending::Used { .. } => KeyState::Used,
                Ending::Expired => KeyState::Expired,
                Ending::Destroyed => KeyState::Destroyed,
            },
            None => KeyState::Unknown,
        }
    }
}

impl Live {
    fn keeps_reply(&self) -> bool {
        !matches!(self.descriptor.release_to, ok2cry_protocol::descriptor::ReleaseTo::Caller)
    }
}

impl Ended {
    fn found(&self, now: Now) -> Result<Found, Refusal> {
        match &self.how {
            Ending::Expired => Err(Code::KeyExpired.into()),
            Ending::Destroyed => Err(Code::KeyDestroyed.into()),
            Ending::Used { descriptor, request_digest, reply } => {
                let reply = reply.as_ref().filter(|kept| !now.reached(kept.until));
                Ok(Found::Used(Used {
                    descriptor: *descriptor,
                    request_digest: *request_digest,
                    reply: reply.map(|kept| Arc::clone(&kept.sealed)),
                }))
            }
        }
    }

    /// When something is next due.
    fn next(&self) -> Now {
        match &self.how {
            Ending::Used { reply: Some(kept), .. } => kept.until,
            _ => self.forget_at,
        }
    }

    /// Lets go of the reply once it need not be kept. Answers whether it did.
    fn drop_reply(&mut self, now: Now) -> bool {
        let Ending::Used { reply, .. } = &mut self.how else { return false };
        reply.take_if(|kept| now.reached(kept.until)).is_some()
    }
}

#[cfg(test)]
mod tests;
