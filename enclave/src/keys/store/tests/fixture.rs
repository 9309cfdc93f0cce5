//! A store with room for four keys, whose keys open nothing.

use super::super::*;
use crate::keys::crypto::{CryptoProvider, HpkeMessage, PrivateKey};
use ok2cry_protocol::{ids::InstanceId, suite::PublicKey};
use std::{cell::Cell, sync::Weak};
use zeroize::Zeroizing;

pub(super) const T0: TimePoint = TimePoint { boot_ms: 5_000, wall_ms: 1_800_000_000_000 };
pub(super) const TTL: u64 = 60_000;

pub(super) struct StoreFixture {
    pub(super) store: Arc<Store<u8>>,
    issued: Cell<u32>,
}

/// A key that opens nothing, which makes no difference to the store.
struct NoKey;

impl PrivateKey for NoKey {
    fn open(self: Arc<Self>, _: &PublicKey, _: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

/// The open request with this digest.
pub(super) fn request(digest: u8) -> OpenRequest {
    OpenRequest { descriptor: [7; 48], digest: [digest; 48] }
}

impl StoreFixture {
    pub(super) fn new() -> Self {
        Self::with(Limits::new(4, 4))
    }

    pub(super) fn with(limits: Limits) -> Self {
        Self { store: Arc::new(Store::new(limits)), issued: Cell::new(0) }
    }

    /// Some of the first 32 keys are real, of each provider in turn.
    pub(super) fn new_key(&self, ttl: u64, now: TimePoint) -> NewKey {
        let key = self.cheap_key(ttl, now);
        let n = self.issued.get() as usize;
        if n >= 32 || n.is_multiple_of(2) {
            return key;
        }
        let provider = CryptoProvider::ALL[n / 2 % CryptoProvider::ALL.len()];
        NewKey { private: provider.provider().generate().unwrap().0, ..key }
    }

    pub(super) fn cheap_key(&self, ttl: u64, now: TimePoint) -> NewKey {
        let n = self.issued.get() + 1;
        self.issued.set(n);
        let mut random = [0; 16];
        random[..4].copy_from_slice(&n.to_le_bytes());
        // Like random ids, these differ in the bytes that the index uses.
        random[4..12].copy_from_slice(&(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
        random[15] = n.to_le_bytes()[0];
        let id = KeyId::new(InstanceId([1; 8]), random);
        NewKey {
            id,
            private: Arc::new(NoKey),
            descriptor: Arc::from([random[0]; 4]),
            deadline: now.plus(ttl),
        }
    }

    pub(super) fn issue(&self, now: TimePoint) -> KeyId {
        self.issue_for(TTL, now)
    }

    pub(super) fn issue_for(&self, ttl: u64, now: TimePoint) -> KeyId {
        let mut reservation = self.store.reserve(1, now).unwrap();
        let key = self.new_key(ttl, now);
        let id = key.id;
        reservation.insert(key, now).unwrap();
        reservation.confirm();
        id
    }

    /// In how many milliseconds there will be room for `keys`, of which there is not enough.
    pub(super) fn no_room(&self, keys: usize, now: TimePoint) -> u64 {
        self.full(keys, now).wait_ms
    }

    /// The error of a request for `keys` keys that finds no room.
    pub(super) fn full(&self, keys: usize, now: TimePoint) -> StoreFull {
        self.store.reserve(keys, now).err().unwrap()
    }

    pub(super) fn commit(
        &self,
        id: KeyId,
        now: TimePoint,
        digest: u8,
        reply: Option<u8>,
    ) -> Result<Option<Arc<u8>>, KeyError> {
        self.store.commit(id, || Ok(now), request(digest), reply).map_err(|error| match error {
            CommitError::Key(error) => error,
            CommitError::Clock(error) => panic!("{error}"),
        })
    }

    pub(super) fn open(&self, id: KeyId, now: TimePoint, digest: u8) -> Result<Option<Arc<u8>>, KeyError> {
        self.commit(id, now, digest, Some(digest))
    }

    pub(super) fn find(&self, id: KeyId, now: TimePoint) -> Result<Found<u8>, KeyError> {
        self.store.find(id, now)
    }

    pub(super) fn replay(&self, id: KeyId, now: TimePoint, digest: u8) -> Result<Arc<u8>, KeyError> {
        let digest_of = |descriptor: &Hash| {
            assert_eq!(*descriptor, [7; 48]);
            [digest; 48]
        };
        match self.find(id, now)? {
            Found::Used(used) => used.replay(digest_of),
            Found::Live(_) => panic!("the key is live"),
        }
    }

    /// A weak reference, which shows whether the private key of a live key still exists.
    pub(super) fn weak(&self, id: KeyId) -> Weak<dyn PrivateKey> {
        let Ok(Found::Live(ticket)) = self.find(id, T0) else { panic!("not live") };
        Arc::downgrade(&ticket.key.private)
    }
}
