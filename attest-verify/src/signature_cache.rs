//! What a verifier remembers: certificate signatures that it has verified before.
//!
//! Chains repeat. The certificates above the leaf are the same for hours to weeks, and the leaf itself for up to three
//! hours, while signatures are nearly all that a verification costs. So signatures that verified are remembered, and
//! nothing else is: `verify(key, message, signature)` is a function of its three arguments, and this module remembers some
//! of its arguments for which it said yes. **A verdict cannot change by it.** Whatever else a verdict depends on, the time,
//! the order, every extension, the algorithm identifiers, is read and checked again for every document.
//!
//! An entry is the three arguments themselves and not a hash of them. The signature is one of the three: a certificate with
//! the same signed part and another signature is another certificate, valid or not, and goes through verification. (Whoever
//! has a certificate can make its second valid signature, so a certificate can take two places here; not more.)
//!
//! Memory is bounded by the number of entries, each of which is at most 1,217 bytes and its place in the table. Only chains
//! of documents that were verified to the end get in, so that nobody fills it without certificates under the trust anchor.

use std::collections::HashMap;
use std::fmt;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

use crate::cose::SIGNATURE_LEN;
use crate::crypto::Provider;
use crate::time::CheckTime;
use crate::x509::{self, POINT_LEN};

/// A certificate's signature together with what decides about it.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) issuer_key: &'a [u8; POINT_LEN],
    pub(crate) tbs: &'a [u8],
    pub(crate) signature: &'a [u8; SIGNATURE_LEN],
}

impl Signed<'_> {
    /// All three, the two of fixed length first, so that no other three have the same bytes.
    fn to_key(self) -> Box<[u8]> {
        [&self.issuer_key[..], &self.signature[..], self.tbs].concat().into_boxed_slice()
    }
}

/// Signatures that verified. Shared between threads.
pub(crate) struct SignatureCache {
    capacity: usize,
    /// Counts lookups, as the time by which the least recently used entry is found.
    ticks: AtomicU64,
    entries: RwLock<HashMap<Box<[u8]>, CacheEntry>>,
}

struct CacheEntry {
    /// After this the certificate is refused before its signature is asked for, so that the entry is of no use.
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
        // After a panic of another thread nothing is remembered any more, and everything is still verified.
        let Ok(entries) = self.entries.read() else { return false };
        let Some(entry) = entries.get(&signed.to_key()) else { return false };
        entry.last_used.store(self.ticks.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        true
    }

    /// Remembers signatures **that verified**, each with its certificate's notAfter.
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

/// Forgets what has expired and, if that is nothing, the half that was not used for the longest time: in halves, so that a
/// full memory is looked through once in many insertions and not at each.
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

/// The one algorithm that path validation gets to know: a provider's, asked only about what is not remembered.
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
    fn it_is_bounded_and_keeps_what_is_used() {
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
    fn what_has_expired_makes_room_first() {
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
    fn without_capacity_nothing_is_remembered() {
        let cache = SignatureCache::new(0);
        insert(&cache, b"certificate", 10, 0);
        assert!(!cache.contains(signed(b"certificate")));
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_panic_elsewhere_makes_it_forget_and_not_fail() {
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
