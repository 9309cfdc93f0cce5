//! A cache of certificate signatures that verified.
//!
//! Chains repeat: the certificates above the leaf stay the same for hours to weeks, and the leaf for up to
//! three hours. Signatures are nearly the whole cost of a verification. `verify(key, message, signature)` is
//! a function of its three arguments, and the cache holds arguments for which it returned true. **It cannot
//! change a verdict.** Everything else (time, order, every extension, algorithm identifiers) is read and
//! checked again for every document.
//!
//! An entry is the three arguments themselves, not a hash of them. A certificate with the same signed part
//! and another signature is another entry and is verified. (ECDSA is malleable: from one valid signature a
//! second one can be computed, so a certificate can take two entries, not more.)
//!
//! The number of entries is bounded. An entry has at most 1,217 bytes, besides its place in the table. Only
//! chains of fully verified documents are inserted, so filling the cache takes certificates under the trust
//! anchor.

use std::collections::HashMap;
use std::fmt;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use crate::cose::SIGNATURE_LEN;
use crate::crypto::Provider;
use crate::time::CheckTime;
use crate::x509::{self, POINT_LEN};

/// A certificate's signature, with the key and the bytes that decide whether it is valid.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) issuer_key: &'a [u8; POINT_LEN],
    pub(crate) tbs: &'a [u8],
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
}

impl Signed<'_> {
    /// The key of an entry. The two parts of fixed length come first, so no other three parts give the same
    /// bytes.
    fn to_key(self) -> Box<[u8]> {
        [&self.issuer_key[..], &self.signature[..], self.tbs].concat().into_boxed_slice()
    }
}

/// Signatures that verified. Shared between threads; the least recently used ones are evicted.
pub(crate) struct SignatureCache {
    capacity: usize,
    /// Counts lookups: the clock for eviction.
    ticks: AtomicU64,
    entries: RwLock<HashMap<Box<[u8]>, CacheEntry>>,
}

struct CacheEntry {
    /// After this time the certificate is refused before its signature is checked, so the entry is useless.
    not_after_ms: u64,
    last_used: AtomicU64,
}

impl SignatureCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, ticks: AtomicU64::new(0), entries: RwLock::default() }
    }

    pub(crate) fn contains(&self, signed: Signed<'_>) -> bool {
        if self.capacity == 0 {
            return false;
        }
        // If the lock is poisoned, the cache is empty and every signature is verified.
        let Ok(entries) = self.entries.read() else { return false };
        let Some(entry) = entries.get(&signed.to_key()) else { return false };
        entry.last_used.store(self.ticks.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// Inserts signatures **that verified**, each with its certificate's notAfter.
    pub(crate) fn insert<'a>(&self, verified: impl Iterator<Item = (Signed<'a>, u64)>, time: &CheckTime) {
        if self.capacity == 0 {
            return;
        }
        let unknown: Vec<_> = verified.filter(|(signed, _)| !self.contains(*signed)).collect();
        if unknown.is_empty() {
            return;
        }
        let Ok(mut entries) = self.entries.write() else { return };
        for (signed, not_after_ms) in unknown {
            if entries.len() >= self.capacity {
                make_room(&mut entries, time);
            }
            let last_used = AtomicU64::new(self.ticks.fetch_add(1, Ordering::Relaxed));
            entries.insert(signed.to_key(), CacheEntry { not_after_ms, last_used });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.read().map_or(0, |entries| entries.len())
    }
}

impl fmt::Debug for SignatureCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignatureCache({} of {})", self.len(), self.capacity)
    }
}

/// Evicts expired entries. If there are none, evicts the least recently used half, so that a full cache is
/// scanned once in many insertions.
fn make_room(entries: &mut HashMap<Box<[u8]>, CacheEntry>, time: &CheckTime) {
    let before = entries.len();
    entries.retain(|_, entry| time.past(entry.not_after_ms).is_none());
    if entries.len() < before {
        return;
    }
    let mut ages: Vec<_> = entries.values_mut().map(|entry| *entry.last_used.get_mut()).collect();
    let Some(middle) = ages.len().checked_sub(1).map(|last| last / 2) else { return };
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    entries.retain(|_, entry| *entry.last_used.get_mut() > median);
}

/// The only algorithm that path validation may use: looks into the cache first, then asks the provider.
#[derive(Debug)]
pub(crate) struct CachedAlgorithm<'a> {
    pub(crate) provider: Provider,
    pub(crate) cache: &'a SignatureCache,
}

impl SignatureVerificationAlgorithm for CachedAlgorithm<'_> {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA384
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let issuer_key = <&[u8; POINT_LEN]>::try_from(key).map_err(|_| InvalidSignature)?;
        let signature = x509::signature_value(signature).map_err(|_| InvalidSignature)?;
        let signed = Signed { issuer_key, tbs: message, signature: &signature };
        if self.cache.contains(signed) {
            return Ok(());
        }
        self.provider.verify(issuer_key, message, &signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; POINT_LEN] = [4; POINT_LEN];
    const SIGNATURE: [u8; SIGNATURE_LEN] = [1; SIGNATURE_LEN];

    fn signed(tbs: &[u8]) -> Signed<'_> {
        Signed { issuer_key: &KEY, tbs, signature: &SIGNATURE }
    }

    fn insert(cache: &SignatureCache, tbs: &[u8], not_after_ms: u64, now_ms: u64) {
        cache.insert([(signed(tbs), not_after_ms)].into_iter(), &CheckTime::exactly(now_ms));
    }

    #[test]
    fn another_key_message_or_signature_is_another_entry() {
        let cache = SignatureCache::new(8);
        insert(&cache, b"certificate", 10, 0);
        assert!(cache.contains(signed(b"certificate")));
        assert!(!cache.contains(signed(b"certificat")));
        let mut signature = SIGNATURE;
        signature[95] ^= 1;
        assert!(!cache.contains(Signed { signature: &signature, ..signed(b"certificate") }));
        let mut key = KEY;
        key[96] ^= 1;
        assert!(!cache.contains(Signed { issuer_key: &key, ..signed(b"certificate") }));
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_recent_entries() {
        let cache = SignatureCache::new(64);
        insert(&cache, b"in use", u64::MAX, 0);
        for number in 0_u32..10_000 {
            insert(&cache, &number.to_be_bytes(), u64::MAX, 0);
            assert!(cache.contains(signed(b"in use")), "{number}");
            assert!(cache.contains(signed(&number.to_be_bytes())), "{number}");
            assert!(cache.len() <= 64);
        }
        assert!(!cache.contains(signed(&0_u32.to_be_bytes())));
        for capacity in [1, 2, 3] {
            let cache = SignatureCache::new(capacity);
            for number in 0_u32..100 {
                insert(&cache, &number.to_be_bytes(), u64::MAX, 0);
                assert!(cache.contains(signed(&number.to_be_bytes())));
                assert!(cache.len() <= capacity);
            }
        }
    }

    #[test]
    fn expired_entries_are_evicted_first() {
        let cache = SignatureCache::new(3);
        insert(&cache, b"short", 10, 0);
        insert(&cache, b"long", 100, 0);
        insert(&cache, b"longer", 1000, 0);
        assert!(cache.contains(signed(b"short")));
        insert(&cache, b"new", 1000, 11);
        assert!(!cache.contains(signed(b"short")));
        assert!([b"long".as_slice(), b"longer", b"new"].iter().all(|tbs| cache.contains(signed(tbs))));
    }

    #[test]
    fn a_cache_of_size_0_holds_nothing() {
        let cache = SignatureCache::new(0);
        insert(&cache, b"certificate", 10, 0);
        assert!(!cache.contains(signed(b"certificate")));
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_poisoned_lock_empties_the_cache() {
        let cache = SignatureCache::new(8);
        insert(&cache, b"certificate", 10, 0);
        std::thread::scope(|scope| {
            let poisoned = scope.spawn(|| {
                let _held = cache.entries.write();
                panic!("while the lock is held");
            });
            assert!(poisoned.join().is_err());
        });
        assert!(!cache.contains(signed(b"certificate")));
        insert(&cache, b"certificate", 10, 0);
    }
}
