//! A good log, changed in one place at a time: each change is found, with its index.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use ok2cry_audit::{Code, Pass, SLACK_MS};
use ok2cry_protocol::Record;
use ok2cry_protocol::audit_log::{Boot, BootPurpose, End, Event, Issue, LogEntry, Totals};
use ok2cry_protocol::ids::Purpose;

const START: u64 = 1_800_000_000_000;
const TTL: u64 = 60_000;

/// A log of 40 keys of which each ends in one of the ways there are, with a tally and a shutdown.
fn good() -> Vec<LogEntry> {
    let purpose = |name| BootPurpose { purpose: Purpose::new(name).unwrap(), max_ttl: TTL, caller: true };
    let boot = Boot {
        configuration: [1; 48],
        purposes: vec![purpose("a"), purpose("b")],
        capacity: 3,
        previous: None,
    };
    let (mut entries, mut totals) = (Vec::new(), Totals::default());
    entries.push(LogEntry { time: START, event: Event::Boot(boot) });
    for ((i, byte), how) in (0_u64..40).zip(0_u8..).zip(End::ALL.into_iter().cycle()) {
        let time = START + i * 100_000;
        let issue_index = entries.len() as u64;
        let issue = Issue { tag: [byte; 32], expires_at: time + TTL, purpose: i % 2 };
        entries.push(LogEntry { time, event: Event::Issue(issue) });
        totals.count_issue();
        let after = if how == End::Expired { TTL + 3 } else { 900 };
        entries.push(LogEntry { time: time + after, event: Event::End { how, issue_index } });
        totals.count_end(how);
        if i == 20 {
            entries.push(LogEntry { time: time + after, event: Event::Tally(totals) });
        }
    }
    entries.push(LogEntry { time: START + 4_000_000, event: Event::Shutdown(totals) });
    entries
}

fn audit(entries: &[LogEntry]) -> Pass {
    let mut pass = Pass::new();
    entries.iter().for_each(|entry| pass.entry(&entry.encode()));
    pass.check_never_ended();
    pass
}

fn found(pass: &Pass) -> Vec<(u64, Code)> {
    pass.findings().kept().iter().map(|finding| (finding.index, finding.code)).collect()
}

/// What an audit finds after `change` was made to the entry at `index`.
fn changed(index: usize, change: impl FnOnce(&mut LogEntry)) -> Vec<(u64, Code)> {
    let mut entries = good();
    change(&mut entries[index]);
    found(&audit(&entries))
}

/// The place of the first end of this kind.
fn place_of(kind: End) -> usize {
    good().iter().position(|entry| matches!(entry.event, Event::End { how, .. } if how == kind)).unwrap()
}

#[test]
fn a_good_log_has_no_findings() {
    let pass = audit(&good());
    assert_eq!(found(&pass), []);
    assert!(pass.is_shut_down());
    assert_eq!((pass.live(), pass.totals().issued), ((0, None), 40));
    assert_eq!((pass.lateness().count(), pass.lateness().max_ms()), (6, 3));
}

#[test]
fn an_entry_that_is_missing_is_found() {
    for index in 0..good().len() {
        let mut entries = good();
        let dropped = entries.remove(index);
        let found = found(&audit(&entries));
        // A tally may be left out, and a log without its end is one that goes on; the head tells.
        let noticed = !matches!(dropped.event, Event::Shutdown(_) | Event::Tally(_));
        // What follows is shifted, so that its ends name other entries.
        let expected = noticed || index < entries.len();
        assert_eq!(!found.is_empty(), expected, "without entry {index}: {dropped:?}");
        assert!(found.iter().all(|(at, _)| *at + 1 >= index as u64), "without entry {index}: {found:?}");
    }
}

#[test]
fn an_entry_that_is_there_twice_is_found_at_its_place() {
    for index in 0..good().len() {
        let mut entries = good();
        entries.insert(index, entries[index].clone());
        let found = found(&audit(&entries));
        let tally = matches!(entries[index].event, Event::Tally(_));
        let first = found.first().map(|(at, _)| *at);
        match tally {
            // The same counts once more are true; the entries behind are shifted.
            true => assert_eq!(first, Some(index as u64 + 3)),
            false => assert!(
                first.is_some_and(|at| (index as u64..=index as u64 + 4).contains(&at)),
                "{index}: {found:?}"
            ),
        }
    }
}

#[test]
fn entries_in_another_order_are_found_at_their_place() {
    for index in 0..good().len() - 1 {
        let mut entries = good();
        entries.swap(index, index + 1);
        let found = found(&audit(&entries));
        let first = found.first().map(|(at, _)| *at);
        assert!(
            first.is_some_and(|at| (index as u64..=index as u64 + 1).contains(&at)),
            "{index}: {found:?}"
        );
    }
}

#[test]
fn an_entry_that_is_cut_or_damaged_is_found_at_its_place() {
    for index in 0..good().len() {
        let whole = good()[index].encode();
        for cut in 0..whole.len() {
            let mut pass = Pass::new();
            for (at, entry) in good().iter().enumerate() {
                let bytes = entry.encode();
                pass.entry(if at == index { &bytes[..cut] } else { &bytes });
            }
            let first = found(&pass)[0];
            assert_eq!(first, (index as u64, Code::EntryInvalid), "{cut} bytes of entry {index}");
        }
    }
}

#[test]
fn a_use_at_or_after_the_deadline_is_found() {
    for how in [End::Opened, End::OpenedToCaller] {
        let place = place_of(how);
        let deadline = good()[place - 1].time + TTL;
        let at = |time| changed(place, |entry| entry.time = time);
        assert_eq!(at(deadline - 1), []);
        assert_eq!(at(deadline), [(place as u64, Code::OpenedAfterDeadline)]);
        assert_eq!(at(deadline + SLACK_MS + 1), [(place as u64, Code::OpenedAfterDeadline)]);
    }
}

#[test]
fn an_end_after_the_slack_is_late_and_one_long_before_the_deadline_early() {
    for how in [End::Expired, End::Destroyed, End::WornOut, End::Withdrawn, End::Stopped] {
        let place = place_of(how);
        let deadline = good()[place - 1].time + TTL;
        let at = |time| changed(place, |entry| entry.time = time);
        assert_eq!(at(deadline + SLACK_MS), []);
        assert_eq!(at(deadline + SLACK_MS + 1), [(place as u64, Code::EndedLate)]);
        if how == End::Expired {
            assert_eq!(at(deadline - SLACK_MS), []);
            assert_eq!(at(deadline - SLACK_MS - 1), [(place as u64, Code::ExpiredEarly)]);
        }
    }
}

#[test]
fn an_end_of_another_key_is_found() {
    let place = place_of(End::Destroyed);
    for wrong in [0, place as u64, place as u64 - 2, place as u64 + 1, 1 << 40] {
        let found = changed(place, |entry| {
            let Event::End { issue_index, .. } = &mut entry.event else { panic!() };
            *issue_index = wrong;
        });
        assert_eq!(found[0], (place as u64, Code::EndOfNothing), "end of {wrong}");
        // The key that it should have ended never ends.
        assert!(found.contains(&(place as u64 - 1, Code::NeverEnded)), "end of {wrong}");
    }
}

#[test]
fn a_ttl_or_purpose_that_the_boot_entry_does_not_allow_is_found() {
    let with = |change: fn(&mut Issue)| {
        changed(1, |entry| {
            let Event::Issue(issue) = &mut entry.event else { panic!() };
            change(issue);
        })
    };
    assert_eq!(with(|issue| issue.expires_at += 1), [(1, Code::TtlTooLong)]);
    assert_eq!(with(|issue| issue.purpose = 2), [(1, Code::PurposeUnknown)]);
    assert_eq!(with(|issue| issue.purpose = 1), []);
}

#[test]
fn more_keys_than_the_capacity_are_found() {
    let mut entries = vec![good()[0].clone()];
    for i in 1..=5 {
        let issue = Issue { tag: [9; 32], expires_at: START + TTL, purpose: 0 };
        entries.push(LogEntry { time: START + i, event: Event::Issue(issue) });
    }
    assert_eq!(found(&audit(&entries)), [(4, Code::OverCapacity), (5, Code::OverCapacity)]);
}

#[test]
fn totals_that_are_not_those_of_the_entries_are_found() {
    let tally = good().iter().position(|entry| matches!(entry.event, Event::Tally(_))).unwrap();
    let last = good().len() - 1;
    for place in [tally, last] {
        let found = changed(place, |entry| {
            let (Event::Tally(totals) | Event::Shutdown(totals)) = &mut entry.event else { panic!() };
            totals.ends[0] -= 1;
            totals.ends[1] += 1;
        });
        assert_eq!(found, [(place as u64, Code::TotalsDiffer)]);
    }
}

#[test]
fn a_boot_entry_elsewhere_and_anything_after_the_shutdown_are_found() {
    let mut entries = good();
    let end = entries.len() as u64;
    let boot = LogEntry { time: START + 5_000_000, ..entries[0].clone() };
    entries.push(boot);
    assert_eq!(found(&audit(&entries)), [(end, Code::AfterShutdown), (end, Code::BootRepeated)]);
    let without = good().split_off(1);
    assert_eq!(found(&audit(&without))[0], (0, Code::BootMissing));
}

#[test]
fn a_shutdown_while_keys_live_is_found() {
    let mut entries = good();
    let last = entries.pop().unwrap();
    entries.pop();
    let place = entries.len() as u64;
    entries.push(last);
    let found = found(&audit(&entries));
    assert!(
        found.contains(&(place, Code::ShutdownWithLiveKeys)) && found.contains(&(place, Code::TotalsDiffer))
    );
}

#[test]
fn a_log_that_goes_on_without_an_end_of_a_key_is_found() {
    let mut entries = good();
    entries.truncate(2);
    let tally = |time| LogEntry { time, event: Event::Tally(Totals { issued: 1, ends: [0; 7], live: 1 }) };
    entries.push(tally(START + TTL + SLACK_MS));
    let pass = audit(&entries);
    assert_eq!((found(&pass), pass.live()), (vec![], (1, Some(START + TTL))));
    entries.push(tally(START + TTL + SLACK_MS + 1));
    assert_eq!(found(&audit(&entries)), [(1, Code::NeverEnded)]);
}

#[test]
fn a_pair_that_is_not_of_these_entries_is_found_at_its_size() {
    let root = |n: usize| audit(&good()[..n]).frontier().head().root;
    let with = |pairs: &[(usize, [u8; 32], u64)]| {
        let mut pass = Pass::new();
        for (at, entry) in good().iter().enumerate() {
            for (_, root, time) in pairs.iter().filter(|(size, _, _)| *size == at) {
                pass.pair(root, *time);
            }
            pass.entry(&entry.encode());
        }
        found(&pass)
    };
    let time = |n: usize| good()[n - 1].time;
    assert_eq!(with(&[(3, root(3), time(3)), (9, root(9), time(9) + 1)]), []);
    assert_eq!(with(&[(3, root(4), time(3))]), [(3, Code::RootDiffers)]);
    assert_eq!(with(&[(3, root(3), time(3) - 5_000)]), []);
    assert_eq!(with(&[(3, root(3), time(3) - 5_001)]), [(3, Code::PairTime)]);
    // The entry behind the pair is older than the pair's document by too much.
    assert_eq!(with(&[(2, root(2), time(3) + 5_000)]), []);
    assert_eq!(with(&[(2, root(2), time(3) + 5_001)]), [(2, Code::PairTime)]);
    // An older pair over more entries.
    assert_eq!(with(&[(3, root(3), time(3) + 3_000), (3, root(3), time(3) + 2_999)]), [(3, Code::PairTime)]);
}

#[test]
fn the_entries_of_two_boots_do_not_make_one_log() {
    let mut entries = good();
    let cut = entries.len() / 2;
    entries.truncate(cut);
    entries.extend(good());
    let found = found(&audit(&entries));
    assert_eq!(found[0], (cut as u64, Code::TimeFalls));
    assert!(found.contains(&(cut as u64, Code::BootRepeated)));
}
