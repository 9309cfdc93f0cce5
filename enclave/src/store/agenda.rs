//! What is due when, soonest first, on both clocks.

use crate::clock::Now;
use std::collections::BTreeSet;

/// Slots of a shard, in the order of one kind of moment. Nothing is scanned: what is due stands at the front.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_boot: BTreeSet<Due>,
    by_wall: BTreeSet<Due>,
}

/// A time in milliseconds and a slot, ordered by both. Words of 16 bits, because an agenda of a million keys holds two
/// million of these: 10 bytes each instead of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due([u16; 5]);

impl Due {
    /// The latest time that there is: the year 10889. Whatever is due later comes then.
    const LAST_MS: u64 = (1 << 48) - 1;

    #[expect(clippy::cast_possible_truncation, reason = "all parts of 48 and of 32 bits")]
    fn new(at_ms: u64, slot: u32) -> Self {
        let at = at_ms.min(Self::LAST_MS);
        Self([(at >> 32) as u16, (at >> 16) as u16, at as u16, (slot >> 16) as u16, slot as u16])
    }

    fn at_ms(self) -> u64 {
        let Self([a, b, c, ..]) = self;
        u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c)
    }

    fn slot(self) -> u32 {
        let Self([.., high, low]) = self;
        u32::from(high) << 16 | u32::from(low)
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
        const FAR: u64 = Due::LAST_MS;
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
    fn no_time_is_too_late_to_be_put_down_and_crossed_out() {
        let mut agenda = Agenda::default();
        agenda.insert(at(u64::MAX, u64::MAX), u32::MAX);
        assert_eq!(agenda.due(at(Due::LAST_MS - 1, Due::LAST_MS - 1)), None);
        assert_eq!(agenda.due(at(Due::LAST_MS, 0)), Some(u32::MAX));
        agenda.remove(at(u64::MAX, u64::MAX), u32::MAX);
        assert_eq!(agenda.due(at(u64::MAX, u64::MAX)), None);
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
