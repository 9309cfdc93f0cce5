//! Memory that is held so that a reply can be asked for again: counted where it is held, and given back when it is dropped.
//!
//! Recipients share it. An eighth is for those that hold little, however many others there are. Of the rest one may hold three
//! times what is free: alone two thirds of all, and always a part is left for who comes next. Nothing that is held is ever
//! taken away.

use ok2cry_protocol::suite::PublicKey;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// How many times what is free one recipient may hold, of what is not kept for those that hold little.
const SHARE: usize = 3;
/// Which part of all is kept for those.
const KEPT: usize = 8;
/// Which part of all is little.
const LITTLE: usize = 2048;
/// Accounts are looked through for those that are empty when there are twice as many as the last time, and these more.
const MORE: usize = 64;

/// How many bytes may be held, and how many are, by recipient. Clones count together.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Shared>);

struct Shared {
    most: usize,
    little: usize,
    held: AtomicUsize,
    accounts: Mutex<Accounts>,
}

struct Accounts {
    held_for: HashMap<PublicKey, Arc<AtomicUsize>>,
    look_through_at: usize,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All is held.
    All,
    /// The recipient has its part.
    Share,
}

impl Budget {
    /// Room for `most` bytes. Each recipient needs `least` to be served at all.
    pub(crate) fn new(most: usize, least: usize) -> Self {
        let accounts = Mutex::new(Accounts { held_for: HashMap::new(), look_through_at: MORE });
        let (little, held) = ((most / LITTLE).max(least), AtomicUsize::new(0));
        Self(Arc::new(Shared { most, little, held, accounts }))
    }

    /// Counts `bytes` that are held for `recipient` until the charge is dropped, if there is room for them.
    pub(crate) fn charge(&self, recipient: &PublicKey, bytes: usize) -> Result<Charge, Full> {
        let mut accounts = self.lock();
        let known = accounts.held_for.get(recipient);
        self.check_room(known, bytes)?;
        let account = match known {
            Some(account) => Arc::clone(account),
            None => accounts.open(*recipient),
        };
        // Charges that are dropped meanwhile make room; others wait for the lock.
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
        account.fetch_add(bytes, Ordering::Relaxed);
        Ok(Charge { bytes, shared: Arc::clone(&self.0), account })
    }

    /// Whether there is room now, for work that is not worth beginning without.
    pub(crate) fn check(&self, recipient: &PublicKey, bytes: usize) -> Result<(), Full> {
        self.check_room(self.lock().held_for.get(recipient), bytes)
    }

    fn check_room(&self, account: Option<&Arc<AtomicUsize>>, bytes: usize) -> Result<(), Full> {
        let Shared { most, little, held, .. } = &*self.0;
        let free = most.saturating_sub(held.load(Ordering::Relaxed));
        if bytes > free {
            return Err(Full::All);
        }
        let own = account.map_or(0, |account| account.load(Ordering::Relaxed)).saturating_add(bytes);
        let share = free.saturating_sub(most / KEPT).saturating_mul(SHARE);
        if own <= share.max(*little) { Ok(()) } else { Err(Full::Share) }
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    fn open(&mut self, recipient: PublicKey) -> Arc<AtomicUsize> {
        if self.held_for.len() >= self.look_through_at {
            // Whoever holds anything for a recipient holds its account.
            self.held_for.retain(|_, account| Arc::strong_count(account) > 1);
            self.look_through_at = 2 * self.held_for.len() + MORE;
        }
        let account = Arc::<AtomicUsize>::default();
        self.held_for.insert(recipient, Arc::clone(&account));
        account
    }
}

/// Bytes that are counted for as long as this lives.
pub(crate) struct Charge {
    bytes: usize,
    shared: Arc<Shared>,
    account: Arc<AtomicUsize>,
}

impl Charge {
    /// Counts `bytes` from now on, if that is less.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        self.give_back(self.bytes.saturating_sub(bytes));
        self.bytes = self.bytes.min(bytes);
    }

    fn give_back(&self, bytes: usize) {
        self.account.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

impl std::fmt::Debug for Charge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Charge").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p384::elliptic_curve::sec1::ToSec1Point as _;

    fn recipient(n: u16) -> PublicKey {
        let mut scalar = [1; 48];
        scalar[46..].copy_from_slice(&n.to_be_bytes());
        let key = p384::SecretKey::from_slice(&scalar).unwrap().public_key();
        PublicKey::new(key.to_sec1_point(false).as_bytes()).unwrap()
    }

    fn fill(budget: &Budget, recipient: &PublicKey, bytes: usize) -> (Vec<Charge>, Full) {
        let mut charges = Vec::new();
        loop {
            match budget.charge(recipient, bytes) {
                Ok(charge) => charges.push(charge),
                Err(full) => return (charges, full),
            }
        }
    }

    #[test]
    fn what_is_held_never_exceeds_the_budget_and_comes_back() {
        let (budget, one, other) = (Budget::new(100, 100), recipient(1), recipient(2));
        let first = budget.charge(&one, 60).unwrap();
        assert_eq!(budget.charge(&other, 41).unwrap_err(), Full::All);
        let second = budget.clone().charge(&other, 40).unwrap();
        assert_eq!(budget.charge(&one, 1).unwrap_err(), Full::All);
        drop(first);
        assert_eq!(budget.charge(&one, usize::MAX).unwrap_err(), Full::All);
        let mut first = budget.charge(&one, 60).unwrap();
        first.shrink_to(20);
        first.shrink_to(1000);
        assert_eq!(budget.check(&other, 41), Err(Full::All));
        assert_eq!(budget.check(&other, 40), Ok(()));
        drop((first, second));
        assert_eq!(budget.0.held.load(Ordering::Relaxed), 0);
        assert!(budget.charge(&one, 100).is_ok());
    }

    #[test]
    fn one_recipient_leaves_a_third_to_others() {
        let (budget, greedy) = (Budget::new(1_000_000, 1000), recipient(1));
        let (held, full) = fill(&budget, &greedy, 100);
        assert_eq!(full, Full::Share);
        assert!((6500..=6600).contains(&held.len()), "{}", held.len());
        // Who comes later gets in, and leaves something too.
        let (others, full) = fill(&budget, &recipient(2), 100);
        assert_eq!(full, Full::Share);
        assert!(others.len() >= 1600, "{}", others.len());
        assert!(budget.charge(&recipient(3), 40_000).is_ok());
        // What is given back can be had again.
        drop(held);
        assert!(budget.charge(&greedy, 100).is_ok());
    }

    #[test]
    fn a_hundred_greedy_recipients_leave_room_for_one_more() {
        let budget = Budget::new(1_000_000, 1000);
        let held: Vec<_> = (1..=100).map(|n| fill(&budget, &recipient(n), 100)).collect();
        assert!(held.iter().all(|(held, full)| held.len() >= 10 && *full == Full::Share));
        assert!(budget.charge(&recipient(101), 1000).is_ok());
    }

    #[test]
    fn accounts_that_are_empty_do_not_pile_up() {
        let budget = Budget::new(1_000_000, 1000);
        let kept = budget.charge(&recipient(0), 10).unwrap();
        for n in 1..1000 {
            drop(budget.charge(&recipient(n), 10).unwrap());
            assert!(budget.lock().held_for.len() <= 2 * MORE + 2);
        }
        assert!(budget.lock().held_for.contains_key(&recipient(0)), "it would be counted anew");
        drop(kept);
    }
}
