//! Memory that is held for others' convenience, counted where it is held and given back when it is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many bytes may be held, and how many are. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    most: usize,
    held: Arc<AtomicUsize>,
}

impl Budget {
    /// Room for `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, held: Arc::default() }
    }

    /// Counts `bytes` until the charge is dropped, if there is room for them.
    pub(crate) fn charge(&self, bytes: usize) -> Option<Charge> {
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        Some(Charge { bytes, held: Arc::clone(&self.held) })
    }
}

/// Bytes that are counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    held: Arc<AtomicUsize>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_never_exceeds_the_budget_and_comes_back() {
        let budget = Budget::new(100);
        let first = budget.charge(60).unwrap();
        assert!(budget.charge(41).is_none());
        let second = budget.clone().charge(40).unwrap();
        assert!(budget.charge(1).is_none());
        drop(first);
        assert!(budget.charge(usize::MAX).is_none());
        assert!(budget.charge(60).is_some());
        drop(second);
    }
}
