//! What the store does for one caller after another. Every order of several is tried in `model` and `loom`.

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
use fixture::{Bench, T0, TTL};

#[test]
fn a_key_opens_one_message_and_repeats_its_reply() {
    let b = Bench::new();
    let id = b.issue(T0);
    assert!(matches!(b.find(id, T0), Ok(Found::Live(_))));
    let first = b.open(id, T0, 1).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &b.replay(id, T0, 1).unwrap()));
    assert_eq!(b.replay(id, T0, 2).unwrap_err(), Code::KeyUsed);
    assert_eq!(b.store.state(id, T0), KeyState::Used);
}

#[test]
fn of_two_opens_under_way_one_wins_and_the_same_request_gets_its_reply() {
    let b = Bench::new();
    let id = b.issue(T0);
    let first = b.open(id, T0, 1).unwrap().unwrap();
    let same = b.open(id, T0, 1).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    assert_eq!(b.open(id, T0, 2).unwrap_err(), Code::KeyUsed);
}

#[test]
fn the_reply_to_a_caller_is_never_kept() {
    let b = Bench::new();
    let id = b.issue(T0);
    assert_eq!(b.commit(id, T0, 1, None), Ok(None));
    assert_eq!(b.replay(id, T0, 1).unwrap_err(), Code::KeyUsed);
    assert_eq!(b.commit(id, T0, 1, None).unwrap_err(), Code::KeyUsed);
}

#[test]
fn an_expired_key_never_opens_whichever_clock_says_so() {
    let almost = T0.plus(TTL - 1);
    for late in [
        T0.plus(TTL),
        Now { boot_ms: T0.boot_ms + TTL, ..almost },
        Now { wall_ms: T0.wall_ms + TTL, ..almost },
    ] {
        let b = Bench::new();
        let id = b.issue(T0);
        assert!(matches!(b.find(id, almost), Ok(Found::Live(_))));
        assert_eq!(b.open(id, late, 1).unwrap_err(), Code::KeyExpired);
        assert_eq!(b.find(id, late).err(), Some(Code::KeyExpired));
        assert_eq!(b.store.state(id, late), KeyState::Expired);
    }
}

/// More is due than an operation does on its way: the key that is asked for is never one that was left.
#[test]
fn an_expired_key_never_opens_however_many_others_are_due() {
    for late in [Now { boot_ms: T0.boot_ms + TTL, ..T0 }, Now { wall_ms: T0.wall_ms + TTL, ..T0 }] {
        let b = Bench::with(Limits::new(4000, 1));
        let ids: Vec<_> = (0..4000).map(|_| b.issue(T0)).collect();
        assert_eq!(b.open(ids[3999], late, 1).unwrap_err(), Code::KeyExpired);
        assert_eq!(b.find(ids[3998], late).err(), Some(Code::KeyExpired));
        assert_eq!(b.store.state(ids[3997], late), KeyState::Expired);
        assert!(b.store.counts().0 > 0, "all were erased on the way: this test shows nothing");
    }
}

#[test]
fn room_for_keys_that_are_being_made_is_use() {
    let live = Arc::default();
    let store = Arc::new(Store::<u8>::counting_in(Limits::new(4, 4), Arc::clone(&live)));
    let reservation = store.reserve(1, T0).unwrap();
    assert_eq!(live.load(Ordering::Relaxed), 1, "no documents would be taken while the first is being made");
    drop(reservation);
    assert_eq!(live.load(Ordering::Relaxed), 0);
}

#[test]
fn the_time_of_a_commit_is_the_time_under_the_lock() {
    let b = Bench::new();
    let id = b.issue(T0);
    let Ok(Found::Live(_ticket)) = b.find(id, T0.plus(TTL - 1)) else { panic!("not live") };
    let is_locked = || b.store.shards.iter().filter(|shard| shard.try_lock().is_err()).count() == 1;
    let clock = || {
        assert!(is_locked(), "whatever time it is now, the commit may come later");
        Ok(T0.plus(TTL))
    };
    assert!(!is_locked());
    let refused = b.store.commit(id, clock, &[0; 48], &[1; 48], Some(1));
    assert_eq!(refused.unwrap_err().code, Code::KeyExpired);
}

#[test]
fn a_clock_that_cannot_be_trusted_ends_no_key() {
    let b = Bench::new();
    let id = b.issue(T0);
    let refused = b.store.commit(id, || Err(Code::ClockUnsafe.into()), &[0; 48], &[1; 48], Some(1));
    assert_eq!(refused.unwrap_err().code, Code::ClockUnsafe);
    assert_eq!(b.store.state(id, T0), KeyState::Live);
}

#[test]
fn the_agenda_erases_expired_keys_and_says_when_to_come_again() {
    let b = Bench::new();
    let id = b.issue(T0);
    let private = b.weak(id);
    // Whoever comes when told to comes just in time, and not for nothing all the time.
    let (mut now, mut visits) = (T0, 0);
    while let Some(wait) = b.store.run_agenda(now) {
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
fn the_agenda_erases_by_whichever_clock_comes_first() {
    for late in [Now { boot_ms: T0.boot_ms + TTL, ..T0 }, Now { wall_ms: T0.wall_ms + TTL, ..T0 }] {
        let b = Bench::new();
        b.issue(T0);
        b.store.run_agenda(late);
        assert_eq!(b.store.counts(), (0, 1));
    }
}

#[test]
fn more_than_one_lock_is_held_for_is_erased_all_the_same() {
    let b = Bench::with(Limits::new(10_000, 1));
    for _ in 0..10_000 {
        b.issue(T0);
    }
    b.store.run_agenda(T0.plus(TTL));
    assert_eq!(b.store.counts(), (0, 10_000));
}

#[test]
fn operations_erase_what_is_due_on_their_way() {
    let b = Bench::with(Limits::new(1000, 1));
    let ids: Vec<_> = (0..1000).map(|_| b.issue(T0)).collect();
    let private: Vec<_> = ids.iter().map(|id| b.weak(*id)).collect();
    // Nobody runs the agenda: whoever asks for anything in a shard does some of it.
    for i in 0..=127 {
        b.store.state(KeyId([i; 24]), T0.plus(TTL));
        b.open(KeyId([i + 128; 24]), T0.plus(TTL), 1).unwrap_err();
    }
    assert!(private.iter().all(|key| key.upgrade().is_none()));
}

#[test]
fn use_and_destruction_drop_the_private_key_at_once() {
    let open = |b: &Bench, id| assert!(b.open(id, T0, 1).is_ok());
    let destroy = |b: &Bench, id| assert_eq!(b.store.destroy(id, T0), KeyState::Destroyed);
    for end in [open as fn(&Bench, KeyId), destroy] {
        let b = Bench::new();
        let id = b.issue(T0);
        let private = b.weak(id);
        end(&b, id);
        assert!(private.upgrade().is_none());
    }
}

#[test]
fn work_under_way_keeps_the_private_key_until_it_is_done_and_cannot_commit() {
    let b = Bench::new();
    let id = b.issue(T0);
    let private = b.weak(id);
    let Ok(Found::Live(ticket)) = b.find(id, T0) else { panic!("not live") };
    b.store.destroy(id, T0);
    assert!(private.upgrade().is_some());
    assert_eq!(b.open(id, T0, 1).unwrap_err(), Code::KeyDestroyed);
    drop(ticket);
    assert!(private.upgrade().is_none());
}

#[test]
fn destroy_ends_live_keys_and_changes_no_other_ending() {
    let b = Bench::new();
    let (live, used) = (b.issue(T0), b.issue(T0));
    b.open(used, T0, 1).unwrap();
    assert_eq!(b.store.destroy(live, T0), KeyState::Destroyed);
    assert_eq!(b.find(live, T0).err(), Some(Code::KeyDestroyed));
    assert_eq!(b.store.destroy(used, T0), KeyState::Used);
    assert!(b.replay(used, T0, 1).is_ok());
    assert_eq!(b.store.destroy(KeyId([9; 24]), T0), KeyState::Unknown);
    assert_eq!(b.find(KeyId([9; 24]), T0).err(), Some(Code::UnknownKey));
}

#[test]
fn too_many_failed_opens_end_a_key() {
    let b = Bench::new();
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
    let b = Bench::new();
    let old: Vec<_> = (0..4).map(|i| b.issue(T0.plus(i))).collect();
    let later = T0.plus(1000);
    assert_eq!(b.no_room(1, later), TTL - 1000);
    // Room for three is there when the third has gone.
    assert_eq!(b.no_room(3, later), TTL + 2 - 1000);
    // There will never be room for five: no time is told.
    assert_eq!(b.no_room(5, later), 0);
    assert!(old.iter().all(|id| b.store.state(*id, later) == KeyState::Live));
    b.store.destroy(old[0], later);
    b.issue(later);
}

/// Both rooms at once: a request comes again when there is enough of both.
#[test]
fn a_refusal_says_which_room_is_full_and_when_it_is_not() {
    let told = |b: &Bench, keys, now: Now| (b.why_no_room(keys, now), b.no_room(keys, now));
    let b = Bench::with(Limits::new(4, 2));
    for i in 0..4 {
        b.issue(T0.plus(i * 10_000));
    }
    let now = T0.plus(30_000);
    assert_eq!(told(&b, 1, now), ("the room for live keys is full, which is 4".into(), TTL - 30_000));
    // For three more, one has to be forgotten too.
    let (why, wait) = told(&b, 3, now);
    assert!(why.contains("those that ended is full, which is 6; they are remembered for 600 s"), "{why}");
    assert_eq!(wait, TTL - 30_000 + RETAIN_MS);

    let b = Bench::with(Limits::new(4, 2));
    for i in 0..6 {
        let id = b.issue(T0.plus(i));
        b.store.destroy(id, T0.plus(i));
    }
    let (why, wait) = told(&b, 1, T0.plus(100));
    assert!(why.contains("those that ended is full"), "{why}");
    assert_eq!(wait, RETAIN_MS - 100);

    let b = Bench::new();
    let making = b.store.reserve(4, T0).unwrap();
    let (why, wait) = told(&b, 1, T0);
    assert!(why.contains("being made"), "{why}");
    assert_eq!(wait, RESERVED_MS);
    drop(making);
    assert!(b.store.reserve(4, T0).is_ok());
}

/// Work is bounded, and not time: what a refusal costs does not depend on how much there is.
#[test]
fn a_refusal_takes_no_lock_and_looks_at_no_key() {
    let b = Bench::with(Limits::new(4000, 1));
    let ids: Vec<_> = (0..4000).map(|i| b.issue(T0.plus(i / 100))).collect();
    let work = || (sync::LOCKS.with(std::cell::Cell::get), forecast::looks());
    let before = work();
    for keys in [1, 2, 100] {
        assert!(b.no_room(keys, T0.plus(1000)) >= TTL - 1000);
    }
    let after = work();
    // A counter for each second until the moment that is told, on both clocks, and for requests of many keys those of two kinds.
    assert!(after.1 - before.1 < 3 * 2 * 2 * TTL / 1000, "{} counters", after.1 - before.1);
    assert_eq!(b.store.wait_for_reply_room(T0), None);
    assert_eq!(work().0, before.0, "locks were taken");

    // One has ended, and all others come to theirs at once: that makes no room, however much is due.
    b.store.destroy(ids[0], T0);
    b.issue(T0);
    let late = T0.plus(TTL + 40);
    let before = work().0;
    assert_eq!(b.no_room(1, late), RETAIN_MS - TTL - 40);
    assert!(work().0 - before <= capacity::HELPED as u64, "{} locks", work().0 - before);
    assert!(b.store.counts().0 >= 4000 - capacity::HELPED * DUE_PER_LOCK, "a refusal did the eraser's work");
}

#[test]
fn keys_that_have_expired_make_room() {
    let b = Bench::new();
    for _ in 0..4 {
        b.issue(T0);
    }
    b.issue(T0.plus(TTL));
    b.store.run_agenda(T0.plus(TTL));
    assert_eq!(b.store.counts(), (1, 4));
}

#[test]
fn endings_are_bounded_too() {
    let b = Bench::new();
    for i in 0..8 {
        let id = b.issue(T0.plus(i));
        // Kept replies go before endings do, and make no room.
        b.open(id, T0.plus(i), 1).unwrap();
    }
    assert_eq!(b.no_room(1, T0), RETAIN_MS);
    assert_eq!(b.no_room(2, T0), RETAIN_MS + 1);
}

#[test]
fn replies_are_kept_until_the_deadline_or_half_a_minute() {
    for (used_at, kept_until) in [(T0, T0.plus(TTL)), (T0.plus(TTL - 1), T0.plus(TTL - 1 + KEEP_REPLY_MS))] {
        let b = Bench::new();
        let id = b.issue(T0);
        let reply = Arc::downgrade(&b.open(id, used_at, 1).unwrap().unwrap());
        let just_before = Now { boot_ms: kept_until.boot_ms - 1, wall_ms: kept_until.wall_ms - 1 };
        assert!(b.replay(id, just_before, 1).is_ok());
        assert_eq!(b.store.wait_for_reply_room(just_before), Some(1));
        assert_eq!(b.replay(id, kept_until, 1).unwrap_err(), Code::KeyUsed);
        b.store.run_agenda(kept_until);
        assert!(reply.upgrade().is_none());
        assert_eq!(b.store.wait_for_reply_room(kept_until), None);
        assert_eq!(b.store.state(id, kept_until), KeyState::Used);
    }
}

#[test]
fn a_reply_that_is_kept_long_is_remembered_as_long() {
    let b = Bench::new();
    let id = b.issue_for(3_600_000, T0);
    b.open(id, T0, 1).unwrap();
    let late = T0.plus(3_599_999);
    b.store.run_agenda(late);
    assert!(b.replay(id, late, 1).is_ok());
    b.store.run_agenda(T0.plus(3_600_000));
    assert_eq!(b.store.counts(), (0, 0));
}

#[test]
fn keys_that_nobody_was_told_of_leave_nothing() {
    let b = Bench::new();
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
    assert_eq!(b.store.run_agenda(T0), None);
    assert!(private.iter().all(|key| key.upgrade().is_none()));
    assert!(ids.iter().all(|id| b.store.state(*id, T0) == KeyState::Unknown));
}

#[test]
fn room_that_was_taken_and_not_needed_is_given_back() {
    let b = Bench::new();
    let mut reservation = b.store.reserve(4, T0).unwrap();
    reservation.insert(b.new_key(TTL, T0), T0).unwrap();
    b.no_room(1, T0);
    assert_eq!(b.store.counts(), (1, 0));
    reservation.confirm();
    assert_eq!(b.store.counts(), (1, 0));
    b.store.reserve(3, T0).unwrap();
}

#[test]
fn nothing_goes_in_without_room_or_twice() {
    let b = Bench::new();
    let mut reservation = b.store.reserve(2, T0).unwrap();
    let (key, twin) = (b.new_key(TTL, T0), b.new_key(TTL, T0));
    let twin = NewKey { id: key.id, ..twin };
    reservation.insert(key, T0).unwrap();
    assert_eq!(reservation.insert(twin, T0).unwrap_err().code, Code::Internal);
    reservation.insert(b.new_key(TTL, T0), T0).unwrap();
    assert_eq!(reservation.insert(b.new_key(TTL, T0), T0).unwrap_err().code, Code::Internal);
}

/// Nothing is told before clutter is gone: who is told "at once" has something to do.
#[test]
fn what_is_taken_back_again_and_again_leaves_work_that_ends() {
    let b = Bench::new();
    let mut shard = Shard::<u8>::with_room_for(1000, 0, RETAIN_MS, Arc::new(Forecast::new()));
    let mut after = Aftermath::default();
    assert!(shard.insert(b.cheap_key(3_600_000, T0)));
    for _ in 0..200 {
        let key = b.cheap_key(TTL, T0);
        let id = key.id;
        assert!(shard.insert(key));
        shard.take_back(id, &mut after);
        if shard.next_wait(T0) == Some(0) {
            // Both clocks' sides.
            shard.run_agenda(T0, 2, &mut after);
            assert_ne!(shard.next_wait(T0), Some(0));
        }
    }
}

/// Secrets first, and never all that is due under one lock.
#[test]
fn a_key_that_is_due_goes_before_endings_and_an_operation_does_a_little() {
    let b = Bench::new();
    let mut shard = Shard::<u8>::with_room_for(1000, 0, RETAIN_MS, Arc::new(Forecast::new()));
    let mut after = Aftermath::default();
    for _ in 0..100 {
        let key = b.cheap_key(TTL, T0);
        let id = key.id;
        assert!(shard.insert(key));
        shard.end(id, Ending::Destroyed, T0, &mut after);
    }
    assert!(shard.insert(b.cheap_key(RETAIN_MS, T0)));
    let mut after = Aftermath::default();
    let late = T0.plus(RETAIN_MS);
    for _ in 0..60 {
        shard.run_agenda(late, 1, &mut after);
        if after.erased.len() == 1 {
            break;
        }
        assert_eq!(after.vacated, 0, "an ending went before a key");
    }
    assert_eq!((after.erased.len(), after.vacated), (1, 0));

    let b = Bench::with(Limits::new(64_000, 1));
    for _ in 0..4_000 {
        b.issue(T0);
    }
    b.store.state(KeyId([1; 24]), T0.plus(TTL));
    assert!(b.store.counts().0 >= 4_000 - DUE_PER_LOCK, "{:?}", b.store.counts());
}

/// Whoever erases may have read the clock before somebody else began what is left to do.
#[test]
fn an_agenda_that_was_begun_later_is_finished_all_the_same() {
    let b = Bench::new();
    let mut shard = Shard::<u8>::with_room_for(1000, 0, RETAIN_MS, Arc::new(Forecast::new()));
    (0..1000).for_each(|_| assert!(shard.insert(b.cheap_key(TTL, T0))));
    let mut after = Aftermath::default();
    shard.run_agenda(T0.plus(TTL), 1, &mut after);
    for _ in 0..1000 {
        if shard.next_wait(T0) != Some(0) {
            return;
        }
        shard.run_agenda(T0, 1, &mut after);
    }
    panic!("it never ends");
}
