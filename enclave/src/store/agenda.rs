//! What is due when, soonest first, on both clocks.

use crate::clock::Now;
use std::collections::BTreeSet;

/// Slots of a shard, in the order of one kind of moment. Nothing is scanned: what is due stands at the front.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_boot: BTreeSet<Due>,
    by_wall: BTreeSet<Due>,
}

/// A time in milliseconds and a slot, ordered by both. Words of 32 bits, because an agenda of a million keys holds two
/// million of these: 12 bytes each instead of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due([u32; 3]);

impl Due {
    #[expect(clippy::cast_possible_truncation, reason = "the high and the low half")]
    fn new(at_ms: u64, slot: u32) -> Self {
        Self([(at_ms >> 32) as u32, at_ms as u32, slot])
    }

    fn at_ms(self) -> u64 {
        let Self([high, low, _]) = self;
        u64::from(high) << 32 | u64::from(low)
    }

    fn slot(self) -> u32 {
        let Self([.., slot]) = self;
        slot
    }
}

impl Agenda {
    /// Puts `slot` down for `at`. A slot stands in an agenda once at most.
    pub(super) fn insert(&mut self, at: Now, slot: u32) {
        self.by_boot.insert(Due::new(at.boot_ms, slot));
        self.by_wall.insert(Due::new(at.wall_ms, slot));
    }

    /// Crosses out what [`Agenda::insert`] put down with the same arguments.
    pub(super) fn remove(&mut self, at: Now, slot: u32) {
        self.by_boot.remove(&Due::new(at.boot_ms, slot));
        self.by_wall.remove(&Due::new(at.wall_ms, slot));
    }

    /// A slot whose time has come on either clock. It stays until it is removed.
    pub(super) fn due(&self, now: Now) -> Option<u32> {
        let due =
            |agenda: &BTreeSet<Due>, now_ms| agenda.first().filter(|due| due.at_ms() <= now_ms).copied();
        due(&self.by_boot, now.boot_ms).or_else(|| due(&self.by_wall, now.wall_ms)).map(Due::slot)
    }

    /// In how many milliseconds the first `n` are due, soonest first.
    pub(super) fn waits(&self, n: usize, now: Now) -> impl Iterator<Item = u64> {
        let boot = self.by_boot.iter().map(move |due| due.at_ms().saturating_sub(now.boot_ms));
        let wall = self.by_wall.iter().map(move |due| due.at_ms().saturating_sub(now.wall_ms));
        boot.zip(wall).map(|(boot, wall)| boot.min(wall)).take(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(boot_ms: u64, wall_ms: u64) -> Now {
        Now { boot_ms, wall_ms }
    }

    #[test]
    fn whatever_is_due_on_either_clock_comes_until_it_is_removed() {
        const FAR: u64 = u64::MAX;
        let mut agenda = Agenda::default();
        agenda.insert(at(1 << 33, FAR), 1);
        agenda.insert(at(FAR, (1 << 33) - 1), 2);
        assert_eq!(agenda.due(at((1 << 33) - 1, (1 << 33) - 2)), None);
        assert_eq!(agenda.due(at(0, (1 << 33) - 1)), Some(2));
        assert_eq!(agenda.due(at(1 << 33, 0)), Some(1));
        agenda.remove(at(1 << 33, FAR), 1);
        assert_eq!(agenda.due(at(FAR - 1, 0)), None);
        assert_eq!(agenda.due(at(FAR, 0)), Some(2));
        agenda.remove(at(FAR, (1 << 33) - 1), 2);
        assert_eq!(agenda.due(at(FAR, FAR)), None);
    }

    #[test]
    fn slots_of_one_moment_all_come() {
        let mut agenda = Agenda::default();
        (0..3).for_each(|slot| agenda.insert(at(5, 5), slot));
        for slot in 0..3 {
            assert_eq!(agenda.due(at(5, 5)), Some(slot));
            agenda.remove(at(5, 5), slot);
        }
        assert_eq!(agenda.due(at(5, 5)), None);
    }

    #[test]
    fn waits_are_those_of_the_clock_that_comes_first() {
        let mut agenda = Agenda::default();
        agenda.insert(at(10, 1000), 1);
        agenda.insert(at(20, 1005), 2);
        assert_eq!(agenda.waits(3, at(0, 990)).collect::<Vec<_>>(), [10, 15]);
        assert_eq!(agenda.waits(1, at(15, 0)).collect::<Vec<_>>(), [0]);
    }
}
