//! Room for keys that are being made, and keys that no caller has received yet.

use super::{NewKey, Store, StoreFull};
use crate::platform::clock::TimePoint;
use ok2cry_protocol::ids::KeyId;
use std::sync::Arc;

/// Room in a store for some keys, whatever happens in between.
///
/// Keys are live from [`Reservation::insert`] on, so that a private key is in the store and nowhere else.
/// Unless [`Reservation::confirm`] says that the caller gets them, dropping the reservation removes them
/// without a tombstone.
pub struct Reservation<R> {
    store: Arc<Store<R>>,
    room: usize,
    inserted: Vec<KeyId>,
}

/// A key was not inserted: its id is taken, or the reservation is used up. The first means that the random
/// generator is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key's id is in use, or nothing is reserved for it")]
pub struct InsertError;

impl<R> Store<R> {
    /// Reserves room for `keys` live keys.
    pub fn reserve(self: &Arc<Self>, keys: usize, now: TimePoint) -> Result<Reservation<R>, StoreFull> {
        self.take_room(keys, now)?;
        Ok(Reservation { store: Arc::clone(self), room: keys, inserted: Vec::with_capacity(keys) })
    }
}

impl<R> Reservation<R> {
    /// Inserts a key into the store.
    pub fn insert(&mut self, key: NewKey, now: TimePoint) -> Result<(), InsertError> {
        let id = key.id;
        if self.room == 0 || !self.store.insert(key, now) {
            return Err(InsertError);
        }
        self.room -= 1;
        self.inserted.push(id);
        Ok(())
    }

    /// Keeps the inserted keys. Unused room is returned.
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
