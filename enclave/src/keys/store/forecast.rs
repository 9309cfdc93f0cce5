//! When there will be room: how many moments of each kind come in each second, on both clocks.
//!
//! A refusal says when to come again, and has to cost less than what it refuses. So it takes no lock and looks at no key: it
//! adds up counters that every change of an agenda keeps. They decide nothing, and `loom` does not look at them.

use super::shard::Moment;
use crate::platform::clock::Now;
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// How long one counter's time is, in milliseconds, as a power of two.
const SECOND_BITS: u32 = 10;
/// How many counters lie together, and come into being together.
const CHUNK: usize = 64;
/// How many such pieces go round: two and a third hours. What comes lies less than 71 minutes ahead.
const CHUNKS: u64 = if cfg!(ok2cry_loom) { 1 } else { 128 };
/// How far ahead a forecast looks, in seconds: a key's longest life, and for how long its end is remembered.
const AHEAD: u64 = 4_300;
/// How far back: what is due and not done yet.
const BEHIND: u64 = 2;

type Chunk = [AtomicU64; CHUNK];

/// Counts of what comes when. A count is changed where an agenda is, under the lock of its shard.
#[derive(Debug)]
pub(super) struct Forecast {
    deadlines: [Clock; 2],
    replies: [Clock; 2],
    endings: [Clock; 2],
}

/// What comes when on one clock. Most of the time that can be counted never is.
#[derive(Debug)]
struct Clock {
    reads: fn(Now) -> u64,
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

/// How many moments a second has, and the first and the last of all that it had since it had none, in milliseconds from its
/// beginning.
#[derive(Clone, Copy)]
struct Second {
    count: u64,
    first: u64,
    last: u64,
}

impl Forecast {
    /// A forecast of nothing.
    pub(super) fn new() -> Self {
        let clocks = || [Clock::new(|now| now.boot_ms), Clock::new(|now| now.wall_ms)];
        Self { deadlines: clocks(), replies: clocks(), endings: clocks() }
    }

    /// Counts a moment.
    pub(super) fn add(&self, moment: Moment, at: Now) {
        for clock in self.of(moment) {
            clock.add(at);
        }
    }

    /// Counts a moment no more that was added with the same arguments.
    pub(super) fn remove(&self, moment: Moment, at: Now) {
        for clock in self.of(moment) {
            clock.remove(at);
        }
    }

    /// In how many milliseconds the `n`th moment of a kind comes, on the clock on which that is first; 0 if it has come already.
    /// It is exact for the first and the last of a second unless others of that second have gone, and within a second else.
    pub(super) fn wait_ms(&self, moment: Moment, n: usize, now: Now) -> Option<u64> {
        let n = (n as u64).max(1);
        let [boot, wall] = self.of(moment);
        let by_boot = boot.wait_ms(n, now, AHEAD);
        // No further than where it matters.
        let ahead = by_boot.map_or(AHEAD, |wait| (wait >> SECOND_BITS) + 1);
        by_boot.into_iter().chain(wall.wait_ms(n, now, ahead)).min()
    }

    fn of(&self, moment: Moment) -> &[Clock; 2] {
        match moment {
            Moment::Deadline => &self.deadlines,
            Moment::Reply => &self.replies,
            Moment::Ending => &self.endings,
        }
    }
}

impl Clock {
    fn new(reads: fn(Now) -> u64) -> Self {
        Self { reads, chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect() }
    }

    fn add(&self, at: Now) {
        let at_ms = (self.reads)(at);
        let Some(chunk) = self.chunk(at_ms >> SECOND_BITS) else { return };
        let chunk = chunk.get_or_init(|| Box::new([const { AtomicU64::new(0) }; CHUNK]));
        let Some(second) = of_chunk(chunk, at_ms >> SECOND_BITS) else { return };
        let within = at_ms & ((1 << SECOND_BITS) - 1);
        let add = |packed| Some(Second::unpack(packed).with(within).pack());
        let _ = second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn remove(&self, at: Now) {
        let second = (self.reads)(at) >> SECOND_BITS;
        if let Some(count) = self.second(second) {
            // The count stands in the lowest bits, and whatever is removed was added.
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn wait_ms(&self, n: u64, now: Now, ahead: u64) -> Option<u64> {
        let now_ms = (self.reads)(now);
        let (mut second, mut before) = ((now_ms >> SECOND_BITS).saturating_sub(BEHIND), 0);
        let end = (now_ms >> SECOND_BITS).saturating_add(ahead);
        while second <= end {
            count_look();
            match self.second(second) {
                // Nothing was ever counted here.
                None => second = (second / CHUNK as u64 + 1) * CHUNK as u64,
                Some(packed) => {
                    let found = Second::unpack(packed.load(Ordering::Relaxed));
                    if before + found.count >= n {
                        let at_ms = (second << SECOND_BITS) + found.nth(n - before);
                        return Some(at_ms.saturating_sub(now_ms));
                    }
                    (second, before) = (second + 1, before + found.count);
                }
            }
        }
        None
    }

    fn second(&self, second: u64) -> Option<&AtomicU64> {
        of_chunk(self.chunk(second)?.get()?, second)
    }

    fn chunk(&self, second: u64) -> Option<&OnceLock<Box<Chunk>>> {
        usize::try_from(second / CHUNK as u64 % CHUNKS).ok().and_then(|place| self.chunks.get(place))
    }
}

fn of_chunk(chunk: &Chunk, second: u64) -> Option<&AtomicU64> {
    usize::try_from(second % CHUNK as u64).ok().and_then(|place| chunk.get(place))
}

impl Second {
    const COUNT_BITS: u32 = 40;

    fn unpack(packed: u64) -> Self {
        let within = |shift: u32| packed >> shift & ((1 << SECOND_BITS) - 1);
        Self {
            count: packed & ((1 << Self::COUNT_BITS) - 1),
            first: within(Self::COUNT_BITS),
            last: within(Self::COUNT_BITS + SECOND_BITS),
        }
    }

    fn pack(self) -> u64 {
        self.count | self.first << Self::COUNT_BITS | self.last << (Self::COUNT_BITS + SECOND_BITS)
    }

    fn with(self, within: u64) -> Self {
        if self.count == 0 {
            return Self { count: 1, first: within, last: within };
        }
        Self { count: self.count + 1, first: self.first.min(within), last: self.last.max(within) }
    }

    /// When the `n`th comes, as if they came evenly.
    fn nth(self, n: u64) -> u64 {
        let span = (self.last - self.first) * (n - 1);
        self.first + span.checked_div(self.count - 1).unwrap_or_default()
    }
}

/// Tests bound the work of a refusal.
#[cfg(not(all(test, not(ok2cry_loom))))]
const fn count_look() {}

#[cfg(all(test, not(ok2cry_loom)))]
use tests::count_look;
#[cfg(all(test, not(ok2cry_loom)))]
pub(super) use tests::looks;

// Under loom the window is too short for them, and they are about one thread.
#[cfg(all(test, not(ok2cry_loom)))]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local!(static LOOKS: Cell<u64> = const { Cell::new(0) });

    pub(super) fn count_look() {
        LOOKS.with(|looks| looks.set(looks.get() + 1));
    }

    /// How many counters this thread has looked at.
    pub(in crate::keys::store) fn looks() -> u64 {
        LOOKS.with(Cell::get)
    }

    const NOW: Now = Now { boot_ms: 7_000_000, wall_ms: 1_800_000_000_123 };
    const KIND: Moment = Moment::Deadline;

    #[test]
    fn the_clock_that_comes_first_is_told_and_kinds_are_apart() {
        let forecast = Forecast::new();
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), None);
        let late = Now { wall_ms: NOW.wall_ms + 5_000, ..NOW.plus(90_000) };
        forecast.add(KIND, late);
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(5_000));
        assert_eq!(forecast.wait_ms(KIND, 2, NOW), None);
        forecast.remove(KIND, late);
        forecast.add(KIND, Now { boot_ms: NOW.boot_ms + 4_000, ..NOW.plus(90_000) });
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(4_000));
        assert_eq!(forecast.wait_ms(Moment::Ending, 1, NOW), None);
    }

    #[test]
    fn what_is_due_and_not_done_is_told_as_now() {
        let forecast = Forecast::new();
        forecast.add(KIND, NOW);
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(0));
        assert_eq!(forecast.wait_ms(KIND, 1, NOW.plus(1_500)), Some(0));
    }

    #[test]
    fn the_longest_life_and_its_ending_are_within_sight() {
        let forecast = Forecast::new();
        let last = NOW.plus(3_600_000 + 600_000);
        forecast.add(KIND, last);
        assert_eq!(forecast.wait_ms(KIND, 1, NOW), Some(4_200_000));
        let before = looks();
        assert_eq!(forecast.wait_ms(KIND, 2, NOW), None);
        assert!(looks() - before <= 2 * (AHEAD + BEHIND + 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes and goes, the nth moment is told within a second, and the first of all exactly.
        #[test]
        fn a_forecast_is_right_within_a_second(
            added in prop::collection::vec((1_u64..4_200_000, any::<bool>()), 1..60),
            narrow in any::<bool>(),
        ) {
            let forecast = Forecast::new();
            let (mut left, mut removed) = (Vec::new(), Vec::new());
            for (ms, stays) in added {
                let ms = if narrow { 60_000 + ms % 3_000 } else { ms };
                forecast.add(KIND, NOW.plus(ms));
                if stays { left.push(ms) } else { removed.push(ms) }
            }
            if removed.is_empty() {
                prop_assert_eq!(forecast.wait_ms(KIND, 1, NOW), left.iter().copied().min());
            }
            removed.iter().for_each(|ms| forecast.remove(KIND, NOW.plus(*ms)));
            left.sort_unstable();
            for (n, ms) in left.iter().enumerate() {
                let told = forecast.wait_ms(KIND, n + 1, NOW).unwrap();
                prop_assert!(told.abs_diff(*ms) < 1 << SECOND_BITS, "{} for {}", told, ms);
            }
            prop_assert_eq!(forecast.wait_ms(KIND, left.len() + 1, NOW), None);
        }
    }
}
