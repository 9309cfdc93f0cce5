//! The store with one caller after another. `model` and `interleavings` try every order of several.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

mod fixture;
mod model;

use super::*;
use fixture::{StoreFixture, T0, TTL, request};

#[test]
fn a_key_opens_one_message_and_repeats_its_reply() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    assert!(matches!(b.find(id, T0), Ok(Found::Live(_))));
    let first = b.open(id, T0, 1).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &b.replay(id, T0, 1).unwrap()));
    assert_eq!(b.replay(id, T0, 2).unwrap_err(), KeyError::Used);
    assert_eq!(b.store.state(id, T0), KeyState::Used);
}

#[test]
fn of_two_opens_one_wins_and_the_same_request_gets_its_reply() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    let first = b.open(id, T0, 1).unwrap().unwrap();
    let same = b.open(id, T0, 1).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    assert_eq!(b.open(id, T0, 2).unwrap_err(), KeyError::Used);
}

#[test]
fn the_reply_to_a_caller_is_never_kept() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    assert_eq!(b.commit(id, T0, 1, None), Ok(None));
    assert_eq!(b.replay(id, T0, 1).unwrap_err(), KeyError::Used);
    assert_eq!(b.commit(id, T0, 1, None).unwrap_err(), KeyError::Used);
}

#[test]
fn an_expired_key_never_opens_whichever_clock_says_so() {
    let almost = T0.plus(TTL - 1);
    for late in [
        T0.plus(TTL),
        TimePoint { boot_ms: T0.boot_ms + TTL, ..almost },
        TimePoint { wall_ms: T0.wall_ms + TTL, ..almost },
    ] {
        let b = StoreFixture::new();
        let id = b.issue(T0);
        assert!(matches!(b.find(id, almost), Ok(Found::Live(_))));
        assert_eq!(b.open(id, late, 1).unwrap_err(), KeyError::Expired);
        assert_eq!(b.find(id, late).err(), Some(KeyError::Expired));
        assert_eq!(b.store.state(id, late), KeyState::Expired);
    }
}

/// More is due than one operation handles. The requested key is always handled.
#[test]
fn an_expired_key_never_opens_however_many_others_are_due() {
    for late in [TimePoint { boot_ms: T0.boot_ms + TTL, ..T0 }, TimePoint { wall_ms: T0.wall_ms + TTL, ..T0 }]
    {
        let b = StoreFixture::with(Limits::new(4000, 1));
        let ids: Vec<_> = (0..4000).map(|_| b.issue(T0)).collect();
        assert_eq!(b.open(ids[3999], late, 1).unwrap_err(), KeyError::Expired);
        assert_eq!(b.find(ids[3998], late).err(), Some(KeyError::Expired));
        assert_eq!(b.store.state(ids[3997], late), KeyState::Expired);
        assert!(b.store.counts().0 > 0, "all were erased: this test shows nothing");
    }
}

#[test]
fn reserved_keys_count_as_live() {
    let live = Arc::default();
    let store = Arc::new(Store::<u8>::counting_in(Limits::new(4, 4), Arc::clone(&live)));
    let reservation = store.reserve(1, T0).unwrap();
    assert_eq!(
        live.load(Ordering::Relaxed),
        1,
        "trusted time would not be refreshed while the first key is made"
    );
    drop(reservation);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
fn the_time_of_a_commit_is_the_time_under_the_lock() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    let Ok(Found::Live(_ticket)) = b.find(id, T0.plus(TTL - 1)) else { panic!("not live") };
    let is_locked = || b.store.shards.iter().filter(|shard| shard.try_lock().is_err()).count() == 1;
    let clock = || {
        assert!(is_locked(), "the clock is read before the lock is held");
        Ok(T0.plus(TTL))
    };
    assert!(!is_locked());
    let refused = b.store.commit(id, clock, request(1), Some(1));
    assert_eq!(refused.unwrap_err(), CommitError::Key(KeyError::Expired));
}

#[test]
fn a_clock_that_cannot_be_trusted_ends_no_key() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    let refused = b.store.commit(id, || Err(ClockError::Stale), request(1), Some(1));
    assert_eq!(refused.unwrap_err(), CommitError::Clock(ClockError::Stale));
    assert_eq!(b.store.state(id, T0), KeyState::Live);
}

#[test]
fn the_reaper_erases_expired_keys_and_knows_when_to_return() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    let private = b.weak(id);
    // Returning when told to is in time, and not too often.
    let (mut now, mut visits) = (T0, 0);
    while let Some(wait) = b.store.run_due(now) {
        let (expired, forgotten) = (now.reached(T0.plus(TTL)), now.reached(T0.plus(TTL + RETAIN_MS)));
        assert_eq!(private.upgrade().is_none(), expired, "{now:?}");
        assert_eq!(b.store.counts(), if expired { (0, 1) } else { (1, 0) });
        assert!(!forgotten && wait > 0, "{now:?}");
        now = now.plus(wait);
        visits += 1;
    }
    assert!(visits <= 8, "{visits} visits for one key");
    assert_eq!(now, T0.plus(TTL + RETAIN_MS));
    assert_eq!(b.store.counts(), (0, 0));
    assert_eq!(b.store.state(id, now), KeyState::Unknown);
}

#[test]
fn the_reaper_erases_by_the_clock_that_comes_first() {
    for late in [TimePoint { boot_ms: T0.boot_ms + TTL, ..T0 }, TimePoint { wall_ms: T0.wall_ms + TTL, ..T0 }]
    {
        let b = StoreFixture::new();
        b.issue(T0);
        b.store.run_due(late);
        assert_eq!(b.store.counts(), (0, 1));
    }
}

#[test]
fn all_due_keys_are_erased_over_several_locks() {
    let b = StoreFixture::with(Limits::new(10_000, 1));
    for _ in 0..10_000 {
        b.issue(T0);
    }
    b.store.run_due(T0.plus(TTL));
    assert_eq!(b.store.counts(), (0, 10_000));
}

#[test]
fn operations_erase_some_of_what_is_due() {
    let b = StoreFixture::with(Limits::new(1000, 1));
    let ids: Vec<_> = (0..1000).map(|_| b.issue(T0)).collect();
    let private: Vec<_> = ids.iter().map(|id| b.weak(*id)).collect();
    // The reaper does not run: each operation in a shard handles some of what is due.
    for i in 0..=127 {
        b.store.state(KeyId([i; 24]), T0.plus(TTL));
        b.open(KeyId([i + 128; 24]), T0.plus(TTL), 1).unwrap_err();
    }
    assert!(private.iter().all(|key| key.upgrade().is_none()));
}

#[test]
fn use_and_destruction_drop_the_private_key_at_once() {
    let open = |b: &StoreFixture, id| assert!(b.open(id, T0, 1).is_ok());
    let destroy = |b: &StoreFixture, id| assert_eq!(b.store.destroy(id, T0), KeyState::Destroyed);
    for end in [open as fn(&StoreFixture, KeyId), destroy] {
        let b = StoreFixture::new();
        let id = b.issue(T0);
        let private = b.weak(id);
        end(&b, id);
        assert!(private.upgrade().is_none());
    }
}

#[test]
fn work_in_progress_keeps_the_private_key_and_cannot_commit() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    let private = b.weak(id);
    let Ok(Found::Live(ticket)) = b.find(id, T0) else { panic!("not live") };
    b.store.destroy(id, T0);
    assert!(private.upgrade().is_some());
    assert_eq!(b.open(id, T0, 1).unwrap_err(), KeyError::Destroyed);
    drop(ticket);
    assert!(private.upgrade().is_none());
}

#[test]
fn destroy_ends_live_keys_and_changes_no_tombstone() {
    let b = StoreFixture::new();
    let (live, used) = (b.issue(T0), b.issue(T0));
    b.open(used, T0, 1).unwrap();
    assert_eq!(b.store.destroy(live, T0), KeyState::Destroyed);
    assert_eq!(b.find(live, T0).err(), Some(KeyError::Destroyed));
    assert_eq!(b.store.destroy(used, T0), KeyState::Used);
    assert!(b.replay(used, T0, 1).is_ok());
    assert_eq!(b.store.destroy(KeyId([9; 24]), T0), KeyState::Unknown);
    assert_eq!(b.find(KeyId([9; 24]), T0).err(), Some(KeyError::Unknown));
}

#[test]
fn too_many_failed_opens_end_a_key() {
    let b = StoreFixture::new();
    let id = b.issue(T0);
    let private = b.weak(id);
    for _ in 1..MAX_FAILED_OPENS {
        b.store.count_failed_open(id, T0);
    }
    assert_eq!(b.store.state(id, T0), KeyState::Live);
    b.store.count_failed_open(id, T0);
    assert_eq!(b.store.state(id, T0), KeyState::Destroyed);
    assert!(private.upgrade().is_none());
}

#[test]
fn a_full_store_refuses_new_keys_and_keeps_the_old_ones() {
    let b = StoreFixture::new();
    let old: Vec<_> = (0..4).map(|i| b.issue(T0.plus(i))).collect();
    let later = T0.plus(1000);
    assert_eq!(b.no_room(1, later), TTL - 1000);
    // There is room for three when the third has ended.
    assert_eq!(b.no_room(3, later), TTL + 2 - 1000);
    // There will never be room for five.
    assert_eq!(b.no_room(5, later), 0);
    assert!(old.iter().all(|id| b.store.state(*id, later) == KeyState::Live));
    b.store.destroy(old[0], later);
    b.issue(later);
}

/// A retry succeeds when there is room for live keys and for all keys.
#[test]
fn a_full_store_says_of_what_and_until_when() {
    let full = |b: &StoreFixture, keys, now: TimePoint| {
        let full = b.full(keys, now);
        (full.reason, full.wait_ms)
    };
    let b = StoreFixture::with(Limits::new(4, 2));
    for i in 0..4 {
        b.issue(T0.plus(i * 10_000));
    }
    let now = T0.plus(30_000);
    assert_eq!(full(&b, 1, now), (FullReason::LiveKeys, TTL - 30_000));
    // For three more, one tombstone must be removed too.
    assert_eq!(full(&b, 3, now), (FullReason::Tombstones, TTL - 30_000 + RETAIN_MS));

    let b = StoreFixture::with(Limits::new(4, 2));
    for i in 0..6 {
        let id = b.issue(T0.plus(i));
        b.store.destroy(id, T0.plus(i));
    }
    assert_eq!(full(&b, 1, T0.plus(100)), (FullReason::Tombstones, RETAIN_MS - 100));

    let b = StoreFixture::new();
    let reservation = b.store.reserve(4, T0).unwrap();
    assert_eq!(full(&b, 1, T0), (FullReason::Reserved, RESERVED_MS));
    drop(reservation);
    assert!(b.store.reserve(4, T0).is_ok());
}

/// The cost of a refusal does not depend on the number of keys. The test bounds work, not time.
#[test]
fn a_refusal_takes_no_lock_and_visits_no_key() {
    let b = StoreFixture::with(Limits::new(4000, 1));
    let ids: Vec<_> = (0..4000).map(|i| b.issue(T0.plus(i / 100))).collect();
    let work = || (sync::LOCKS.with(std::cell::Cell::get), forecast::reads());
    let before = work();
    for keys in [1, 2, 100] {
        assert!(b.no_room(keys, T0.plus(1000)) >= TTL - 1000);
    }
    let after = work();
    // One counter per second until the predicted moment, on both clocks; for large requests those of two
    // event kinds.
    assert!(after.1 - before.1 < 3 * 2 * 2 * TTL / 1000, "{} counters", after.1 - before.1);
    assert_eq!(b.store.wait_for_reply_room(T0), None);
    assert_eq!(work().0, before.0, "locks were taken");

    // One key has ended and all others are due: handling them makes no room.
    b.store.destroy(ids[0], T0);
    b.issue(T0);
    let late = T0.plus(TTL + 40);
    let before = work().0;
    assert_eq!(b.no_room(1, late), RETAIN_MS - TTL - 40);
    assert!(work().0 - before <= capacity::MAX_HELPED as u64, "{} locks", work().0 - before);
    assert!(
        b.store.counts().0 >= 4000 - capacity::MAX_HELPED * DUE_PER_LOCK,
        "a refusal did the reaper's work"
    );
}

#[test]
fn keys_that_have_expired_make_room() {
    let b = StoreFixture::new();
    for _ in 0..4 {
        b.issue(T0);
    }
    b.issue(T0.plus(TTL));
    b.store.run_due(T0.plus(TTL));
    assert_eq!(b.store.counts(), (1, 4));
}

#[test]
fn tombstones_are_bounded_too() {
    let b = StoreFixture::new();
    for i in 0..8 {
        let id = b.issue(T0.plus(i));
        // Kept replies are dropped before tombstones are, and free no room.
        b.open(id, T0.plus(i), 1).unwrap();
    }
    assert_eq!(b.no_room(1, T0), RETAIN_MS);
    assert_eq!(b.no_room(2, T0), RETAIN_MS + 1);
}

#[test]
fn replies_are_kept_until_the_deadline_or_half_a_minute() {
    for (used_at, kept_until) in [(T0, T0.plus(TTL)), (T0.plus(TTL - 1), T0.plus(TTL - 1 + KEEP_REPLY_MS))] {
        let b = StoreFixture::new();
        let id = b.issue(T0);
        let reply = Arc::downgrade(&b.open(id, used_at, 1).unwrap().unwrap());
        let just_before = TimePoint { boot_ms: kept_until.boot_ms - 1, wall_ms: kept_until.wall_ms - 1 };
        assert!(b.replay(id, just_before, 1).is_ok());
        assert_eq!(b.store.wait_for_reply_room(just_before), Some(1));
        assert_eq!(b.replay(id, kept_until, 1).unwrap_err(), KeyError::Used);
        b.store.run_due(kept_until);
        assert!(reply.upgrade().is_none());
        assert_eq!(b.store.wait_for_reply_room(kept_until), None);
        assert_eq!(b.store.state(id, kept_until), KeyState::Used);
    }
}

#[test]
fn a_tombstone_stays_as_long_as_its_reply() {
    let b = StoreFixture::new();
    let id = b.issue_for(3_600_000, T0);
    b.open(id, T0, 1).unwrap();
    let late = T0.plus(3_599_999);
    b.store.run_due(late);
    assert!(b.replay(id, late, 1).is_ok());
    b.store.run_due(T0.plus(3_600_000));
    assert_eq!(b.store.counts(), (0, 0));
}

#[test]
fn unconfirmed_keys_leave_nothing() {
    let b = StoreFixture::new();
    let mut reservation = b.store.reserve(4, T0).unwrap();
    let keys: Vec<_> = (0..3).map(|_| b.new_key(TTL, T0)).collect();
    let ids: Vec<_> = keys.iter().map(|key| key.id).collect();
    keys.into_iter().for_each(|key| reservation.insert(key, T0).unwrap());
    let private: Vec<_> = ids.iter().map(|id| b.weak(*id)).collect();
    // One is used and one expires while the others are still being attested.
    b.open(ids[0], T0, 1).unwrap();
    assert_eq!(b.store.counts(), (2, 1));
    assert_eq!(b.no_room(2, T0), TTL);
    drop(reservation);
    assert_eq!(b.store.counts(), (0, 0));
    assert_eq!(b.store.run_due(T0), None);
    assert!(private.iter().all(|key| key.upgrade().is_none()));
    assert!(ids.iter().all(|id| b.store.state(*id, T0) == KeyState::Unknown));
}

#[test]
fn reserved_room_that_is_not_used_is_returned() {
    let b = StoreFixture::new();
    let mut reservation = b.store.reserve(4, T0).unwrap();
    reservation.insert(b.new_key(TTL, T0), T0).unwrap();
    b.no_room(1, T0);
    assert_eq!(b.store.counts(), (1, 0));
    reservation.confirm();
    assert_eq!(b.store.counts(), (1, 0));
    b.store.reserve(3, T0).unwrap();
}

#[test]
fn no_key_is_inserted_twice_or_without_room() {
    let b = StoreFixture::new();
    let mut reservation = b.store.reserve(2, T0).unwrap();
    let (key, twin) = (b.new_key(TTL, T0), b.new_key(TTL, T0));
    let twin = NewKey { id: key.id, ..twin };
    reservation.insert(key, T0).unwrap();
    assert_eq!(reservation.insert(twin, T0).unwrap_err(), InsertError);
    reservation.insert(b.new_key(TTL, T0), T0).unwrap();
    assert_eq!(reservation.insert(b.new_key(TTL, T0), T0).unwrap_err(), InsertError);
}

/// A wait of 0 always means work: compaction ends.
#[test]
fn keys_that_are_taken_back_leave_bounded_work() {
    let b = StoreFixture::new();
    let mut shard = shard();
    let mut deferred = Deferred::default();
    assert!(shard.insert(b.cheap_key(3_600_000, T0)));
    for _ in 0..200 {
        let key = b.cheap_key(TTL, T0);
        let id = key.id;
        assert!(shard.insert(key));
        shard.take_back(id, &mut deferred);
        if shard.next_wait(T0) == Some(0) {
            // One compaction for each clock.
            shard.run_due(T0, 2, &mut deferred);
            assert_ne!(shard.next_wait(T0), Some(0));
        }
    }
}

/// Secrets come first, and one operation never handles all that is due.
#[test]
fn a_due_key_goes_before_tombstones_and_work_is_bounded() {
    let b = StoreFixture::new();
    let mut shard = shard();
    let mut deferred = Deferred::default();
    for _ in 0..100 {
        let key = b.cheap_key(TTL, T0);
        let id = key.id;
        assert!(shard.insert(key));
        shard.end(id, EndReason::Destroyed, T0, &mut deferred);
    }
    assert!(shard.insert(b.cheap_key(RETAIN_MS, T0)));
    let mut deferred = Deferred::default();
    let late = T0.plus(RETAIN_MS);
    for _ in 0..60 {
        shard.run_due(late, 1, &mut deferred);
        if deferred.ended.len() == 1 {
            break;
        }
        assert_eq!(deferred.vacated, 0, "a tombstone was removed before a key");
    }
    assert_eq!((deferred.ended.len(), deferred.vacated), (1, 0));

    let b = StoreFixture::with(Limits::new(64_000, 1));
    for _ in 0..4_000 {
        b.issue(T0);
    }
    b.store.state(KeyId([1; 24]), T0.plus(TTL));
    assert!(b.store.counts().0 >= 4_000 - DUE_PER_LOCK, "{:?}", b.store.counts());
}

/// The reaper may have read the clock before another thread began the work that is left.
#[test]
fn work_begun_at_a_later_time_is_finished() {
    let b = StoreFixture::new();
    let mut shard = shard();
    (0..1000).for_each(|_| assert!(shard.insert(b.cheap_key(TTL, T0))));
    let mut deferred = Deferred::default();
    shard.run_due(T0.plus(TTL), 1, &mut deferred);
    for _ in 0..1000 {
        if shard.next_wait(T0) != Some(0) {
            return;
        }
        shard.run_due(T0, 1, &mut deferred);
    }
    panic!("it never ends");
}

/// An empty shard for a thousand keys.
fn shard() -> Shard<u8> {
    let settings = ShardSettings { capacity: 1000, shift_ms: 0, retain_ms: RETAIN_MS };
    Shard::new(settings, Arc::new(Forecast::new()))
}
