//! Room for keys that are being made, and keys that nobody was told of yet.

use super::{NewKey, Store};
use crate::platform::clock::Now;
use ok2cry_protocol::{code::Code, ids::KeyId, rpc::Refusal};
use std::sync::Arc;

/// Room in a store for some keys. Whatever comes in between, it is there.
///
/// Keys are live from [`Reservation::insert`] on, so that a private key is nowhere but in the store; but unless
/// [`Reservation::confirm`] says that somebody was told of them, they go with the reservation and leave no trace.
pub struct Reservation<R> {
    store: Arc<Store<R>>,
    room: usize,
    inserted: Vec<KeyId>,
}

impl<R> Store<R> {
    /// Takes room for `keys` live keys. When there is none, the refusal says in how many milliseconds there may be.
    pub fn reserve(self: &Arc<Self>, keys: usize, now: Now) -> Result<Reservation<R>, Refusal> {
        self.take_room(keys, now)?;
        Ok(Reservation { store: Arc::clone(self), room: keys, inserted: Vec::with_capacity(keys) })
    }
}

impl<R> Reservation<R> {
    /// Puts a key into the store.
    pub fn insert(&mut self, key: NewKey, now: Now) -> Result<(), Refusal> {
        let id = key.id;
        // An id that is taken means that the random generator is broken.
        if self.room == 0 || !self.store.insert(key, now) {
            return Err(Code::Internal.into());
        }
        self.room -= 1;
        self.inserted.push(id);
        Ok(())
    }

    /// Leaves the keys to their life. Room that was not needed is given back.
    pub fn confirm(mut self) {
        self.inserted.clear();
    }
}

impl<R> Drop for Reservation<R> {
    fn drop(&mut self) {
        for id in self.inserted.drain(..) {
            self.store.take_back(id);
        }
        self.store.give_room_back(self.room);
    }
}
