//! What is due when, soonest first, on both clocks.
//!
//! Most keys are used long before their deadline, so putting a slot down and crossing it out must cost little, and only
//! what comes soon needs an order. Each clock has a calendar: pages of about a second for what is far off, each an
//! unordered list of slots, and an ordered set for what is near. Crossing out what is far off does not touch it: a page's
//! slots are held against what the shard says of them when the page is turned, and when too many were crossed out.

use crate::platform::clock::Now;
use std::collections::{BTreeMap, BTreeSet};

/// How long a page is, in milliseconds, as a power of two.
const PAGE_BITS: u32 = 10;
/// How long before its first moment a page is turned, in milliseconds.
const AHEAD_MS: u64 = 64;
/// How many slots stand on one leaf of a page. Small pieces: large ones have allocators clean up, for milliseconds.
const LEAF: usize = if cfg!(test) { 2 } else { 64 };
/// So many slots may stand in a calendar's pages crossed out, besides one or two for each that is to come.
const CROSSED_OUT: usize = if cfg!(test) { 4 } else { 64 };
/// Slots of a shard, in the order of one kind of moment. Nothing is scanned: what is due stands at the front.
#[derive(Debug)]
pub(super) struct Agenda {
    by_boot: Calendar,
    by_wall: Calendar,
}

/// One clock's side of an agenda. A page goes from a multiple of its length, less `shift_ms`, to the next.
#[derive(Debug)]
struct Calendar {
    reads: fn(Now) -> u64,
    shift_ms: u16,
    near: BTreeSet<Due>,
    /// What comes on pages before this one is near. Some leaves of the last of them may still have to be turned.
    turned: u64,
    /// Leaves by page and number.
    far: BTreeMap<(u64, u32), Vec<u32>>,
    /// How many slots stand in `far`, crossed out or not.
    written: usize,
    /// How many of them are to come.
    to_come: usize,
}

/// A time in milliseconds and a slot, ordered by both. Words of 16 bits: 10 bytes instead of 16.
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
    /// An empty agenda. Agendas with another `shift_ms` (0 to 999 milliseconds) turn their pages and tidy up at other times.
    pub(super) fn new(shift_ms: u16) -> Self {
        Self {
            by_boot: Calendar::new(|now| now.boot_ms, shift_ms),
            by_wall: Calendar::new(|now| now.wall_ms, shift_ms),
        }
    }

    /// Puts `slot` down for `at`. A slot stands in an agenda once at most. Answers the first moment at which
    /// [`Agenda::due`] or [`Agenda::prepare`] may have something because of it.
    pub(super) fn insert(&mut self, at: Now, slot: u32) -> Now {
        Now { boot_ms: self.by_boot.insert(at, slot), wall_ms: self.by_wall.insert(at, slot) }
    }

    /// Crosses out what [`Agenda::insert`] put down with the same arguments.
    pub(super) fn remove(&mut self, at: Now, slot: u32) {
        self.by_boot.remove(at, slot);
        self.by_wall.remove(at, slot);
    }

    /// A slot whose time has come on either clock. It stays until it is removed.
    pub(super) fn due(&self, now: Now) -> Option<u32> {
        self.by_boot.due(now).or_else(|| self.by_wall.due(now))
    }

    /// Does a little of what has to be done before [`Agenda::due`] knows all that is due: `false` if that is nothing.
    /// `at` says for when a slot is down, if it is.
    pub(super) fn prepare(&mut self, now: Now, at: impl Fn(u32) -> Option<Now>) -> bool {
        self.by_boot.prepare(now, &at) || self.by_wall.prepare(now, &at)
    }

    /// Whether [`Agenda::prepare`] has something to do whatever time it is.
    pub(super) fn is_cluttered(&self) -> bool {
        self.by_boot.is_cluttered() || self.by_wall.is_cluttered()
    }

    /// The moment before which neither [`Agenda::due`] nor [`Agenda::prepare`] has anything, on each clock.
    pub(super) fn next(&self) -> Now {
        Now { boot_ms: self.by_boot.next_ms(), wall_ms: self.by_wall.next_ms() }
    }
}

impl Calendar {
    fn new(reads: fn(Now) -> u64, shift_ms: u16) -> Self {
        let (near, far) = Default::default();
        Self { reads, shift_ms, near, turned: 0, far, written: 0, to_come: 0 }
    }

    fn insert(&mut self, at: Now, slot: u32) -> u64 {
        let at_ms = (self.reads)(at);
        let page = self.page(at_ms);
        if page < self.turned {
            self.near.insert(Due::new(at_ms, slot));
            return at_ms;
        }
        self.write(page, slot);
        self.to_come += 1;
        self.turns_ms(page)
    }

    fn remove(&mut self, at: Now, slot: u32) {
        let at_ms = (self.reads)(at);
        if self.page(at_ms) >= self.turned || !self.near.remove(&Due::new(at_ms, slot)) {
            self.to_come -= 1;
            if self.to_come == 0 {
                self.far.clear();
                self.written = 0;
            }
        }
    }

    fn due(&self, now: Now) -> Option<u32> {
        self.near.first().filter(|due| due.at_ms() <= (self.reads)(now)).map(|due| due.slot())
    }

    fn prepare(&mut self, now: Now, at: impl Fn(u32) -> Option<Now>) -> bool {
        if self.is_cluttered() {
            self.tidy(at);
            return true;
        }
        let Some((&(page, number), _)) = self.far.first_key_value() else { return false };
        if self.turns_ms(page) > (self.reads)(now) {
            return false;
        }
        let leaf = self.far.remove(&(page, number)).unwrap_or_default();
        self.turned = page + 1;
        self.written -= leaf.len();
        for slot in leaf {
            // A slot that was crossed out and put down again may stand here twice.
            if let Some(at_ms) = self.is_down(slot, page, &at)
                && self.near.insert(Due::new(at_ms, slot))
            {
                self.to_come -= 1;
            }
        }
        true
    }

    fn write(&mut self, page: u64, slot: u32) {
        self.written += 1;
        let last = self.far.range_mut(..(page + 1, 0)).next_back().filter(|((of, _), _)| *of == page);
        let leaf = match last {
            Some((_, leaf)) if leaf.len() < LEAF => return leaf.push(slot),
            Some(((_, number), _)) => number + 1,
            None => 0,
        };
        self.far.insert((page, leaf), vec![slot]);
    }

    fn is_cluttered(&self) -> bool {
        // Some sooner than others, or all shards would tidy up at once.
        let more = self.to_come * usize::from(self.shift_ms) / 1000;
        self.written - self.to_come > self.to_come + more + CROSSED_OUT
    }

    /// Forgets what was crossed out. It is done when that is the greater part of what stands here, so that it costs
    /// little for each.
    fn tidy(&mut self, at: impl Fn(u32) -> Option<Now>) {
        self.written = 0;
        let mut far = std::mem::take(&mut self.far);
        let mut valid = BTreeSet::new();
        while let Some(((page, _), leaf)) = far.pop_first() {
            let down = |slot: &u32| self.is_down(*slot, page, &at).is_some_and(|at| !self.is_near(at, *slot));
            valid.extend(leaf.into_iter().filter(down));
            if far.first_key_value().is_none_or(|((next, _), _)| *next != page) {
                std::mem::take(&mut valid).into_iter().for_each(|slot| self.write(page, slot));
            }
        }
        self.to_come = self.written;
    }

    fn next_ms(&self) -> u64 {
        if self.is_cluttered() {
            return 0;
        }
        let near = self.near.first().map_or(u64::MAX, |due| due.at_ms());
        near.min(self.far.first_key_value().map_or(u64::MAX, |((page, _), _)| self.turns_ms(*page)))
    }

    /// The time for which a slot is down on a page, if it is: one that was crossed out may be down elsewhere by now.
    fn is_down(&self, slot: u32, page: u64, at: impl Fn(u32) -> Option<Now>) -> Option<u64> {
        at(slot).map(self.reads).filter(|at_ms| self.page(*at_ms) == page)
    }

    fn is_near(&self, at_ms: u64, slot: u32) -> bool {
        self.page(at_ms) < self.turned && self.near.contains(&Due::new(at_ms, slot))
    }

    fn page(&self, at_ms: u64) -> u64 {
        (at_ms.min(Due::LAST_MS) + u64::from(self.shift_ms)) >> PAGE_BITS
    }

    /// When a page is turned.
    fn turns_ms(&self, page: u64) -> u64 {
        (page << PAGE_BITS).saturating_sub(u64::from(self.shift_ms) + AHEAD_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What an agenda is asked: where its slots are down, and all that was ever due.
    struct Kept {
        agenda: Agenda,
        down: BTreeMap<u32, Now>,
    }

    const fn at(boot_ms: u64, wall_ms: u64) -> Now {
        Now { boot_ms, wall_ms }
    }

    impl Kept {
        fn new() -> Self {
            Self { agenda: Agenda::new(16), down: BTreeMap::new() }
        }

        fn insert(&mut self, at: Now, slot: u32) {
            let (next, cluttered) = (self.agenda.next(), self.agenda.is_cluttered());
            let look = self.agenda.insert(at, slot);
            self.down.insert(slot, at);
            assert!(cluttered || self.agenda.next() == next.or_sooner(look), "{next:?} {look:?}");
            let ahead = |look: u64, at: u64| look == at.min(Due::LAST_MS) || look + AHEAD_MS <= at;
            assert!(
                ahead(look.boot_ms, at.boot_ms) && ahead(look.wall_ms, at.wall_ms),
                "{look:?} for {at:?}"
            );
            assert!(
                look.boot_ms <= at.boot_ms.min(Due::LAST_MS) && look.wall_ms <= at.wall_ms.min(Due::LAST_MS)
            );
        }

        fn remove(&mut self, slot: u32) {
            if let Some(at) = self.down.remove(&slot) {
                self.agenda.remove(at, slot);
            }
        }

        /// What is due, as an agenda that is run says it.
        fn due(&mut self, now: Now) -> Option<u32> {
            while self.agenda.prepare(now, |slot| self.down.get(&slot).copied()) {}
            self.agenda.due(now)
        }

        fn written(&self) -> usize {
            self.agenda.by_boot.written.max(self.agenda.by_wall.written)
        }
    }

    #[test]
    fn whatever_is_due_on_either_clock_comes_until_it_is_removed() {
        const FAR: u64 = Due::LAST_MS;
        let mut agenda = Kept::new();
        agenda.insert(at(1 << 33, FAR), 1);
        agenda.insert(at(FAR, (1 << 33) - 1), 2);
        assert_eq!(agenda.due(at((1 << 33) - 1, (1 << 33) - 2)), None);
        assert_eq!(agenda.due(at(0, (1 << 33) - 1)), Some(2));
        assert_eq!(agenda.due(at(1 << 33, 0)), Some(1));
        agenda.remove(1);
        assert_eq!(agenda.due(at(FAR - 1, 0)), None);
        assert_eq!(agenda.due(at(FAR, 0)), Some(2));
        agenda.remove(2);
        assert_eq!(agenda.due(at(FAR, FAR)), None);
    }

    #[test]
    fn no_time_is_too_late_to_be_put_down_and_crossed_out() {
        let mut agenda = Kept::new();
        agenda.insert(at(u64::MAX, u64::MAX), u32::MAX);
        assert_eq!(agenda.due(at(Due::LAST_MS - 1, Due::LAST_MS - 1)), None);
        assert_eq!(agenda.due(at(Due::LAST_MS, 0)), Some(u32::MAX));
        agenda.remove(u32::MAX);
        assert_eq!(agenda.due(at(u64::MAX, u64::MAX)), None);
    }

    #[test]
    fn what_is_crossed_out_before_its_page_is_turned_does_not_pile_up() {
        let mut agenda = Kept::new();
        agenda.insert(at(1 << 40, 1 << 40), 0);
        for n in 1..10_000_u64 {
            // The same slot on the same page, and other slots on other pages.
            for (slot, at_ms) in [(1, 1 << 30), (u32::try_from(n % 50).unwrap() + 2, (1 << 30) + n * 300)] {
                agenda.insert(at(at_ms, at_ms), slot);
                agenda.remove(slot);
            }
            assert_eq!(agenda.due(at(n, n)), None);
            assert!(agenda.written() <= 2 * CROSSED_OUT, "{} of 1 at {n}", agenda.written());
        }
        assert!(agenda.agenda.by_boot.far.len() <= 2 * CROSSED_OUT);
        assert_eq!(agenda.due(at(1 << 40, 0)), Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever was put down and crossed out, and however time went on each clock: what is due comes, soonest
        /// first, and nothing else; the next moment is told in time; nothing that was crossed out is kept for long.
        #[test]
        fn an_agenda_knows_all_that_is_due(
            steps in prop::collection::vec((0_u8..5, 0_u32..12, 0_u64..5_000, 0_u64..5_000), 1..300),
        ) {
            let (mut agenda, mut now) = (Kept::new(), at(10_000, 50_000));
            for (what, slot, boot, wall) in steps {
                match what {
                    0 | 1 if !agenda.down.contains_key(&slot) => {
                        agenda.insert(at(now.boot_ms + boot, now.wall_ms + wall), slot);
                    }
                    0 | 1 => agenda.remove(slot),
                    2 => now = at(now.boot_ms + boot / 20, now.wall_ms + wall / 20),
                    // Some of what is to be done, and perhaps by somebody whose clock is behind.
                    3 => {
                        let late = at(now.boot_ms.saturating_sub(boot), now.wall_ms.saturating_sub(wall));
                        let now = if slot < 6 { now } else { late };
                        agenda.agenda.prepare(now, |slot| agenda.down.get(&slot).copied());
                    }
                    _ => {
                        let is_due = |down: &Now| now.reached(*down);
                        let next = agenda.agenda.next();
                        prop_assert!(now.reached(next) || !agenda.down.values().any(is_due), "{now:?} {next:?}");
                        while let Some(slot) = agenda.due(now) {
                            prop_assert!(agenda.down.get(&slot).is_some_and(is_due));
                            agenda.remove(slot);
                        }
                        prop_assert!(!agenda.down.values().any(is_due));
                        prop_assert!(!now.reached(agenda.agenda.next()));
                    }
                }
                let Agenda { by_boot, by_wall } = &agenda.agenda;
                let cluttered = by_boot.is_cluttered() || by_wall.is_cluttered();
                prop_assert_eq!(agenda.agenda.is_cluttered(), cluttered);
                prop_assert!(!cluttered || now.reached(agenda.agenda.next()));
                for calendar in [&agenda.agenda.by_boot, &agenda.agenda.by_wall] {
                    prop_assert_eq!(calendar.near.len() + calendar.to_come, agenda.down.len());
                }
            }
        }
    }
}
