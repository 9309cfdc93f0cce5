//! A byte budget for replies that are kept for retries, shared by recipients.
//!
//! An eighth of the budget is reserved for recipients that hold little. Of the rest, one recipient may hold
//! three times what is free: alone two thirds of the budget, so that some room is always left for the next.
//! Nothing is evicted.

use ok2cry_protocol::suite::PublicKey;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// One recipient may hold this many times the free bytes, not counting the reserve.
const SHARE: usize = 3;
/// This fraction of the budget is the reserve for recipients that hold little.
const RESERVE: usize = 8;
/// A recipient that holds less than this fraction of the budget holds little.
const LITTLE: usize = 2048;
/// Empty accounts are removed when their number has doubled and grown by this.
const SWEEP_STEP: usize = 64;

/// Counts held bytes by recipient, up to a limit. Clones share the counts.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Shared>);

struct Shared {
    limit: usize,
    little: usize,
    held: AtomicUsize,
    accounts: Mutex<Accounts>,
}

struct Accounts {
    held_for: HashMap<PublicKey, Arc<AtomicUsize>>,
    sweep_at: usize,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BudgetFull {
    /// The budget is used up.
    #[error("the reply budget is used up")]
    All,
    /// The recipient holds its share.
    #[error("the recipient holds its share of the reply budget")]
    Share,
}

impl Budget {
    /// A budget of `limit` bytes. Each recipient may hold `min_share` bytes while they are free.
    pub(crate) fn new(limit: usize, min_share: usize) -> Self {
        let accounts = Mutex::new(Accounts { held_for: HashMap::new(), sweep_at: SWEEP_STEP });
        let (little, held) = ((limit / LITTLE).max(min_share), AtomicUsize::new(0));
        Self(Arc::new(Shared { limit, little, held, accounts }))
    }

    /// Counts `bytes` for `recipient` until the charge is dropped, if there is room for them.
    pub(crate) fn charge(&self, recipient: &PublicKey, bytes: usize) -> Result<Charge, BudgetFull> {
        let mut accounts = self.lock();
        let known = accounts.held_for.get(recipient);
        self.check_room(known, bytes)?;
        let account = match known {
            Some(account) => Arc::clone(account),
            None => accounts.open(*recipient),
        };
        // New charges wait for the lock. Charges dropped meanwhile only make room.
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
        account.fetch_add(bytes, Ordering::Relaxed);
        Ok(Charge { bytes, shared: Arc::clone(&self.0), account })
    }

    /// Whether there is room now. For work that is pointless without.
    pub(crate) fn check(&self, recipient: &PublicKey, bytes: usize) -> Result<(), BudgetFull> {
        self.check_room(self.lock().held_for.get(recipient), bytes)
    }

    fn check_room(&self, account: Option<&Arc<AtomicUsize>>, bytes: usize) -> Result<(), BudgetFull> {
        let Shared { limit, little, held, .. } = &*self.0;
        let free = limit.saturating_sub(held.load(Ordering::Relaxed));
        if bytes > free {
            return Err(BudgetFull::All);
        }
        let own = account.map_or(0, |account| account.load(Ordering::Relaxed)).saturating_add(bytes);
        let share = free.saturating_sub(limit / RESERVE).saturating_mul(SHARE);
        if own <= share.max(*little) { Ok(()) } else { Err(BudgetFull::Share) }
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    fn open(&mut self, recipient: PublicKey) -> Arc<AtomicUsize> {
        if self.held_for.len() >= self.sweep_at {
            // Each charge holds its account.
            self.held_for.retain(|_, account| Arc::strong_count(account) > 1);
            self.sweep_at = 2 * self.held_for.len() + SWEEP_STEP;
        }
        let account = Arc::<AtomicUsize>::default();
        self.held_for.insert(recipient, Arc::clone(&account));
        account
    }
}

/// Bytes that are counted until this is dropped.
pub(crate) struct Charge {
    bytes: usize,
    shared: Arc<Shared>,
    account: Arc<AtomicUsize>,
}

impl Charge {
    /// Reduces the charge to `bytes`, if that is less.
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

    fn fill(budget: &Budget, recipient: &PublicKey, bytes: usize) -> (Vec<Charge>, BudgetFull) {
        let mut charges = Vec::new();
        loop {
            match budget.charge(recipient, bytes) {
                Ok(charge) => charges.push(charge),
                Err(full) => return (charges, full),
            }
        }
    }

    #[test]
    fn charges_never_exceed_the_budget_and_are_returned() {
        let (budget, one, other) = (Budget::new(100, 100), recipient(1), recipient(2));
        let first = budget.charge(&one, 60).unwrap();
        assert_eq!(budget.charge(&other, 41).unwrap_err(), BudgetFull::All);
        let second = budget.clone().charge(&other, 40).unwrap();
        assert_eq!(budget.charge(&one, 1).unwrap_err(), BudgetFull::All);
        drop(first);
        assert_eq!(budget.charge(&one, usize::MAX).unwrap_err(), BudgetFull::All);
        let mut first = budget.charge(&one, 60).unwrap();
        first.shrink_to(20);
        first.shrink_to(1000);
        assert_eq!(budget.check(&other, 41), Err(BudgetFull::All));
        assert_eq!(budget.check(&other, 40), Ok(()));
        drop((first, second));
        assert_eq!(budget.0.held.load(Ordering::Relaxed), 0);
        assert!(budget.charge(&one, 100).is_ok());
    }

    #[test]
    fn one_recipient_leaves_a_third_to_others() {
        let (budget, greedy) = (Budget::new(1_000_000, 1000), recipient(1));
        let (held, full) = fill(&budget, &greedy, 100);
        assert_eq!(full, BudgetFull::Share);
        assert!((6500..=6600).contains(&held.len()), "{}", held.len());
        // A later recipient gets room too, and leaves some.
        let (others, full) = fill(&budget, &recipient(2), 100);
        assert_eq!(full, BudgetFull::Share);
        assert!(others.len() >= 1600, "{}", others.len());
        assert!(budget.charge(&recipient(3), 40_000).is_ok());
        // Returned room can be charged again.
        drop(held);
        assert!(budget.charge(&greedy, 100).is_ok());
    }

    #[test]
    fn a_hundred_greedy_recipients_leave_room_for_one_more() {
        let budget = Budget::new(1_000_000, 1000);
        let held: Vec<_> = (1..=100).map(|n| fill(&budget, &recipient(n), 100)).collect();
        assert!(held.iter().all(|(held, full)| held.len() >= 10 && *full == BudgetFull::Share));
        assert!(budget.charge(&recipient(101), 1000).is_ok());
    }

    #[test]
    fn empty_accounts_are_removed() {
        let budget = Budget::new(1_000_000, 1000);
        let kept = budget.charge(&recipient(0), 10).unwrap();
        for n in 1..1000 {
            drop(budget.charge(&recipient(n), 10).unwrap());
            assert!(budget.lock().held_for.len() <= 2 * SWEEP_STEP + 2);
        }
        assert!(budget.lock().held_for.contains_key(&recipient(0)), "the account of a live charge is gone");
        drop(kept);
    }
}
