//! Every order of everything that can happen to three keys and two openers, up to a depth, against a reference model
//! that is too simple to be wrong; and long random walks beyond that depth.
//!
//! The model knows no locks, agendas or shards: a key's state is a function of what was done to it and of the time. The
//! store is played from the start for every step, and must give the same answer to the step and the same picture of
//! all keys after it.

use super::fixture::{Bench, T0};
use crate::{
    keys::crypto::PrivateKey,
    keys::store::{Found, KEEP_REPLY_MS, Limits, MAX_FAILED_OPENS, RETAIN_MS, Reservation, Ticket, Used},
    platform::clock::Now,
};
use ok2cry_protocol::{code::Code, ids::KeyId, rpc::KeyState};
use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Weak},
};

const KEYS: usize = 3;
const LIMITS: Limits = Limits::new(2, 1);
const TTL: u64 = 45_000;
/// Replies of this key go to its caller and are not kept.
const CALLERS: usize = 1;
/// A key is made with all its failed opens but these behind it.
const FAILURES_LEFT: u32 = 2;

#[test]
fn every_order_of_six_steps_keeps_the_rules() {
    let states = explore(6);
    assert!(states > 10_000, "only {states} states: the steps lead nowhere");
    println!("{states} states");
}

/// The full form: `cargo test --release -p ok2cry-enclave --lib -- --ignored --nocapture every_order`.
#[test]
#[ignore = "two minutes; the short form runs always"]
fn every_order_of_eight_steps_keeps_the_rules() {
    println!("{} states", explore(8));
}

#[test]
fn long_random_walks_keep_the_rules() {
    use proptest::{prelude::*, test_runner::TestRunner};
    let walks = prop::collection::vec(any::<prop::sample::Index>(), 100);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let walked = TestRunner::new(config).run(&walks, |walk| {
        let (mut model, mut played) = (Model::new(), Played::new());
        for choice in walk {
            let steps = model.steps();
            let step = *choice.get(&steps);
            let expected = model.step(step);
            let told = played.step(step);
            prop_assert!(expected.is_told_as(&told), "{:?}: {:?}, not {:?}", step, told, expected);
            played.compare(&model, step);
        }
        Ok(())
    });
    walked.unwrap();
}

/// Tries every step from every state that `depth` steps lead to. Answers how many states there were.
fn explore(depth: usize) -> usize {
    let mut seen = HashSet::from([Model::new()]);
    let mut next = VecDeque::from([(Model::new(), Vec::new())]);
    while let Some((model, path)) = next.pop_front() {
        for step in model.steps() {
            let mut after = model.clone();
            let expected = after.step(step);
            let mut played = Played::new();
            for earlier in &path {
                played.step(*earlier);
            }
            let told = played.step(step);
            assert!(expected.is_told_as(&told), "{path:?} and then {step:?}: {told:?}, not {expected:?}");
            played.compare(&after, step);
            played.step(Step::Erase);
            played.compare(&after, Step::Erase);
            if path.len() + 1 < depth && seen.insert(after.clone()) {
                next.push_back((after, [&path[..], &[step]].concat()));
            }
        }
    }
    seen.len()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// A request for the next key takes room, and the key is made.
    Make,
    /// The key was attested, and somebody is told of it.
    Confirm,
    /// The NSM fails, or the request is given up.
    Abandon,
    /// An opener comes with a message to a key, and gets what it needs if the key is live.
    Find {
        opener: usize,
        key: usize,
        digest: u8,
    },
    /// Its message opened.
    Commit {
        opener: usize,
    },
    /// Its message did not open.
    Fail {
        opener: usize,
    },
    /// It is gone, with all that it had.
    Vanish {
        opener: usize,
    },
    Destroy {
        key: usize,
    },
    /// The eraser comes by.
    Erase,
    Wait(u64),
    /// A document says that it is later than the kernel's clock knows, or the other way round.
    Jump {
        boot: u64,
        wall: u64,
    },
}

/// What a step is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Done,
    Refused(Code),
    /// No room: of which kind, and when there will be some.
    NoRoom {
        for_endings: bool,
        in_ms: u64,
    },
    Live,
    Reply(Option<u8>),
    State(KeyState),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Model {
    now: (u64, u64),
    keys: Vec<Key>,
    pending: Option<usize>,
    openers: [Option<(usize, u8)>; 2],
    /// Whether the eraser has come by since time went on. To the model it is all the same: a store that has caught up and
    /// one that has not are both to be tried.
    caught_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    deadline: (u64, u64),
    failures: u32,
    end: Option<(End, (u64, u64))>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum End {
    Used { digest: u8 },
    Destroyed,
    TakenBack,
}

fn plus((boot, wall): (u64, u64), ms: u64) -> (u64, u64) {
    (boot + ms, wall + ms)
}

impl Model {
    fn new() -> Self {
        Self { now: (0, 0), keys: Vec::new(), pending: None, openers: [None; 2], caught_up: true }
    }

    /// What can happen.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![
            Step::Erase,
            Step::Wait(1),
            Step::Wait(KEEP_REPLY_MS),
            Step::Wait(TTL),
            Step::Wait(RETAIN_MS - KEEP_REPLY_MS),
            Step::Jump { boot: 0, wall: TTL },
            Step::Jump { boot: TTL, wall: 0 },
        ];
        match self.pending {
            Some(_) => steps.extend([Step::Confirm, Step::Abandon]),
            None if self.keys.len() < KEYS => steps.push(Step::Make),
            None => {}
        }
        for key in 0..self.keys.len() {
            steps.push(Step::Destroy { key });
        }
        for (opener, holds) in self.openers.iter().enumerate() {
            match holds {
                Some(_) => {
                    steps.extend([Step::Commit { opener }, Step::Fail { opener }, Step::Vanish { opener }]);
                }
                None => {
                    for key in 0..self.keys.len() {
                        // The second opener comes with the same message or another.
                        for digest in 1..=u8::try_from(opener).unwrap() + 1 {
                            steps.push(Step::Find { opener, key, digest });
                        }
                    }
                }
            }
        }
        steps
    }

    fn step(&mut self, step: Step) -> Said {
        match step {
            Step::Erase => {
                self.caught_up = true;
                Said::Done
            }
            Step::Wait(ms) => {
                self.caught_up = false;
                self.now = plus(self.now, ms);
                Said::Done
            }
            Step::Jump { boot, wall } => {
                self.caught_up = false;
                self.now = (self.now.0 + boot, self.now.1 + wall);
                Said::Done
            }
            Step::Make => match self.no_room() {
                Some((for_endings, in_ms)) => Said::NoRoom { for_endings, in_ms },
                None => {
                    self.pending = Some(self.keys.len());
                    self.keys.push(Key {
                        deadline: plus(self.now, TTL),
                        failures: MAX_FAILED_OPENS - FAILURES_LEFT,
                        end: None,
                    });
                    Said::Done
                }
            },
            Step::Confirm => {
                self.pending = None;
                Said::Done
            }
            Step::Abandon => {
                let key = self.pending.take().unwrap();
                self.keys[key].end = Some((End::TakenBack, self.now));
                Said::Done
            }
            Step::Find { opener, key, digest } => match self.state(key) {
                KeyState::Live => {
                    self.openers[opener] = Some((key, digest));
                    Said::Live
                }
                _ => self.after_the_end(key, digest),
            },
            Step::Vanish { opener } => {
                self.openers[opener] = None;
                Said::Done
            }
            Step::Fail { opener } => {
                let (key, _) = self.openers[opener].take().unwrap();
                if self.state(key) == KeyState::Live {
                    self.keys[key].failures += 1;
                    if self.keys[key].failures == MAX_FAILED_OPENS {
                        self.end(key, End::Destroyed);
                    }
                }
                Said::Done
            }
            Step::Commit { opener } => {
                let (key, digest) = self.openers[opener].take().unwrap();
                if self.state(key) != KeyState::Live {
                    return self.after_the_end(key, digest);
                }
                self.end(key, End::Used { digest });
                Said::Reply((key != CALLERS).then_some(digest))
            }
            Step::Destroy { key } => {
                if self.state(key) == KeyState::Live {
                    self.end(key, End::Destroyed);
                }
                Said::State(self.state(key))
            }
        }
    }

    fn end(&mut self, key: usize, how: End) {
        self.keys[key].end = Some((how, self.now));
    }

    fn reached(&self, at: (u64, u64)) -> bool {
        self.now.0 >= at.0 || self.now.1 >= at.1
    }

    fn state(&self, key: usize) -> KeyState {
        let key = &self.keys[key];
        let (state, since) = match key.end {
            Some((End::TakenBack, _)) => return KeyState::Unknown,
            Some((End::Used { .. }, at)) => (KeyState::Used, at),
            Some((End::Destroyed, at)) => (KeyState::Destroyed, at),
            None if self.reached(key.deadline) => (KeyState::Expired, key.deadline),
            None => return KeyState::Live,
        };
        if self.reached(plus(since, RETAIN_MS)) { KeyState::Unknown } else { state }
    }

    /// What an open is told of a key that is not live.
    fn after_the_end(&self, key: usize, digest: u8) -> Said {
        match self.state(key) {
            KeyState::Used if self.keeps_reply_for(key) == Some(digest) => Said::Reply(Some(digest)),
            KeyState::Used => Said::Refused(Code::KeyUsed),
            KeyState::Expired => Said::Refused(Code::KeyExpired),
            KeyState::Destroyed => Said::Refused(Code::KeyDestroyed),
            _ => Said::Refused(Code::UnknownKey),
        }
    }

    fn keeps_reply_for(&self, key: usize) -> Option<u8> {
        let Key { deadline, end: Some((End::Used { digest }, at)), .. } = self.keys[key] else { return None };
        let least = plus(at, KEEP_REPLY_MS);
        let until = (least.0.max(deadline.0), least.1.max(deadline.1));
        (key != CALLERS && !self.reached(until)).then_some(digest)
    }

    fn count(&self, is: impl Fn(KeyState) -> bool) -> usize {
        (0..self.keys.len()).filter(|key| is(self.state(*key))).count()
    }

    /// Which room is full, and in how many milliseconds there will be some for one more key, if there is none now.
    fn no_room(&self) -> Option<(bool, u64)> {
        let live = self.count(|state| state == KeyState::Live);
        let all = self.count(|state| state != KeyState::Unknown);
        let wait = |at: (u64, u64)| (at.0 - self.now.0).min(at.1 - self.now.1);
        let of = |live: bool| {
            (0..self.keys.len())
                .filter(|key| match self.state(*key) {
                    KeyState::Live => live,
                    KeyState::Unknown => false,
                    _ => !live,
                })
                .map(|key| match self.keys[key].end {
                    None if live => wait(self.keys[key].deadline),
                    None => wait(plus(self.keys[key].deadline, RETAIN_MS)),
                    Some((_, at)) => wait(plus(at, RETAIN_MS)),
                })
                .min()
        };
        let of_all = (all + 1 > LIMITS.capacity + LIMITS.max_tombstones).then(|| of(false)).flatten();
        let of_live = (live + 1 > LIMITS.capacity).then(|| of(true)).flatten();
        match (of_all, of_live) {
            (None, None) => None,
            (of_all, of_live) => Some((of_all >= of_live, of_all.max(of_live)?)),
        }
    }
}

impl Said {
    /// The same, but that a moment is told as it was when others came in the same second.
    fn is_told_as(&self, told: &Self) -> bool {
        match (self, told) {
            (Self::NoRoom { for_endings, in_ms }, Self::NoRoom { for_endings: other, in_ms: other_ms }) => {
                for_endings == other && in_ms.abs_diff(*other_ms) < 1024
            }
            _ => self == told,
        }
    }
}

/// The store, and those who use it.
struct Played {
    bench: Bench,
    now: Now,
    pending: Option<Reservation<u8>>,
    keys: Vec<(KeyId, Weak<dyn PrivateKey>)>,
    openers: [Option<(KeyId, usize, u8, Ticket)>; 2],
}

impl Played {
    fn new() -> Self {
        Self { bench: Bench::with(LIMITS), now: T0, pending: None, keys: Vec::new(), openers: [None, None] }
    }

    fn step(&mut self, step: Step) -> Said {
        let store = &self.bench.store;
        match step {
            Step::Erase => {
                store.run_agenda(self.now);
                Said::Done
            }
            Step::Wait(ms) => {
                self.now = self.now.plus(ms);
                Said::Done
            }
            Step::Jump { boot, wall } => {
                self.now = Now { boot_ms: self.now.boot_ms + boot, wall_ms: self.now.wall_ms + wall };
                Said::Done
            }
            Step::Make => match store.reserve(1, self.now) {
                Err(refusal) => Said::NoRoom {
                    for_endings: refusal.detail.contains("those that ended"),
                    in_ms: refusal.retry_after,
                },
                Ok(mut reservation) => {
                    let key = self.bench.cheap_key(TTL, self.now);
                    let id = key.id;
                    self.keys.push((id, Arc::downgrade(&key.private)));
                    reservation.insert(key, self.now).unwrap();
                    self.pending = Some(reservation);
                    for _ in 0..MAX_FAILED_OPENS - FAILURES_LEFT {
                        store.count_failed_open(id, self.now);
                    }
                    Said::Done
                }
            },
            Step::Confirm => {
                self.pending.take().unwrap().confirm();
                Said::Done
            }
            Step::Abandon => {
                self.pending = None;
                Said::Done
            }
            Step::Find { opener, key, digest } => {
                let (id, _) = self.keys[key];
                match self.bench.find(id, self.now) {
                    Ok(Found::Live(ticket)) => {
                        self.openers[opener] = Some((id, key, digest, ticket));
                        Said::Live
                    }
                    Ok(Found::Used(used)) => said(replay(used, digest).map(|reply| Some(*reply))),
                    Err(code) => Said::Refused(code),
                }
            }
            Step::Vanish { opener } => {
                self.openers[opener] = None;
                Said::Done
            }
            Step::Fail { opener } => {
                let (id, ..) = self.openers[opener].take().unwrap();
                store.count_failed_open(id, self.now);
                Said::Done
            }
            Step::Commit { opener } => {
                let (id, key, digest, _ticket) = self.openers[opener].take().unwrap();
                let reply = (key != CALLERS).then_some(digest);
                said(self.bench.commit(id, self.now, digest, reply).map(|reply| reply.map(|reply| *reply)))
            }
            Step::Destroy { key } => Said::State(store.destroy(self.keys[key].0, self.now)),
        }
    }

    /// Everything that can be seen is as the model has it.
    fn compare(&self, model: &Model, last: Step) {
        for (key, (_, private)) in self.keys.iter().enumerate() {
            let held = model.openers.iter().flatten().any(|(held, _)| *held == key);
            let must_live = held || model.state(key) == KeyState::Live;
            // What was ended is erased at once; what expired, when the eraser has come by or somebody asks.
            let must_be_gone = !must_live && (last == Step::Erase || model.keys[key].end.is_some());
            let lives = private.upgrade().is_some();
            assert!(lives || !must_live, "key {key} is gone after {last:?}: {model:?}");
            assert!(!lives || !must_be_gone, "key {key} is not erased after {last:?}: {model:?}");
        }
        for (key, (id, _)) in self.keys.iter().enumerate() {
            assert_eq!(self.bench.store.state(*id, self.now), model.state(key), "key {key}: {model:?}");
        }
        for (key, (id, _)) in self.keys.iter().enumerate() {
            if let Ok(Found::Used(_)) = self.bench.find(*id, self.now) {
                for digest in [1, 2] {
                    let Ok(Found::Used(used)) = self.bench.find(*id, self.now) else { unreachable!() };
                    let replayed = said(replay(used, digest).map(|reply| Some(*reply)));
                    assert_eq!(replayed, model.after_the_end(key, digest), "key {key}: {model:?}");
                }
            }
        }
        if last != Step::Erase {
            return;
        }
        let live = model.count(|state| state == KeyState::Live);
        let ended = model.count(|state| state != KeyState::Unknown) - live;
        assert_eq!(self.bench.store.counts(), (live, ended), "{model:?}");
        assert!(live <= LIMITS.capacity && live + ended <= LIMITS.capacity + LIMITS.max_tombstones);
    }
}

fn said(answer: Result<Option<u8>, Code>) -> Said {
    answer.map_or_else(Said::Refused, Said::Reply)
}

fn replay(used: Used<u8>, digest: u8) -> Result<Arc<u8>, Code> {
    used.replay(|_| [digest; 48]).map_err(|refusal| refusal.code)
}
