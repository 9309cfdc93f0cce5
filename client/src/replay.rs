use ok2cry_protocol::Hash;
use std::{collections::HashMap, convert::Infallible};

/// Records for which keys a reply was accepted, so that a repeated reply does not act twice.
///
/// It must keep its entries across restarts if the effects of a reply do.
pub trait ReplayGuard {
    /// Why an entry could not be stored, for example an I/O error.
    type Error;

    /// Stores the entry unless its `descriptor_hash` is stored already. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// If the entry could not be stored. The reply is then not accepted.
    fn insert(&mut self, entry: &ReplayEntry) -> Result<bool, Self::Error>;
}

/// An accepted reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayEntry {
    /// H of the key's descriptor. It identifies the key, and with it the reply.
    pub descriptor_hash: Hash,
    /// From then on no reply for the key is accepted, and the entry may be dropped. In Unix milliseconds.
    pub forget_at_ms: u64,
    /// The time of the call, in Unix milliseconds.
    pub now_ms: u64,
}

/// A [`ReplayGuard`] in memory.
#[derive(Debug, Default)]
pub struct ReplaySet {
    forget_at_ms: HashMap<Hash, u64>,
    /// The size from which expired entries are dropped next.
    sweep_at_len: usize,
}

impl ReplayGuard for ReplaySet {
    type Error = Infallible;

    fn insert(&mut self, entry: &ReplayEntry) -> Result<bool, Infallible> {
        if self.forget_at_ms.len() >= self.sweep_at_len.max(1024) {
            self.forget_at_ms.retain(|_, forget_at_ms| *forget_at_ms > entry.now_ms);
            self.sweep_at_len = self.forget_at_ms.len().saturating_mul(2);
        }
        Ok(self.forget_at_ms.insert(entry.descriptor_hash, entry.forget_at_ms).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_until_their_replies_are_refused() {
        let mut set = ReplaySet::default();
        let mut insert = |descriptor_hash, forget_at_ms, now_ms| {
            let entry = ReplayEntry { descriptor_hash, forget_at_ms, now_ms };
            let Ok(is_new) = set.insert(&entry);
            (is_new, set.forget_at_ms.len())
        };
        assert!(insert([1; 48], 100, 0).0);
        assert!(!insert([1; 48], 100, 99).0);
        let hash = |n: u32| ok2cry_protocol::hash(&[&n.to_be_bytes()]);
        let mut kept = 0;
        for n in 0..10_000 {
            let (is_new, len) = insert(hash(n), u64::from(n) + 10, u64::from(n));
            assert!(is_new);
            kept = len;
        }
        assert!(kept < 2500, "{kept}");
    }
}
