//! Every order of events for three keys and two openers, up to a depth, against a simple reference model; and
//! long random walks beyond that depth.
//!
//! The model has no locks, queues or shards: a key's state is a function of what was done to it and of the
//! time. For every step a new store runs the whole path. It must answer the step as the model does, and agree
//! on all keys afterwards.

use super::fixture::{StoreFixture, T0};
use crate::{
    keys::crypto::PrivateKey,
    keys::store::{
        Found, FullReason, KEEP_REPLY_MS, KeyError, Limits, MAX_FAILED_OPENS, RETAIN_MS, Reservation, Ticket,
        Used,
    },
    platform::clock::TimePoint,
};
use ok2cry_protocol::{ids::KeyId, rpc::KeyState};
use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Weak},
};

const KEYS: usize = 3;
const LIMITS: Limits = Limits::new(2, 1);
const TTL: u64 = 45_000;
/// Plaintext of this key goes to its caller, and no reply is kept.
const CALLER_KEY: usize = 1;
/// A new key has all but these failed opens counted already.
const FAILURES_LEFT: u32 = 2;

#[test]
fn every_order_of_six_steps_keeps_the_rules() {
    let states = explore(6);
    assert!(states > 10_000, "only {states} states");
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
        let (mut model, mut run) = (Model::new(), StoreRun::new());
        for choice in walk {
            let steps = model.steps();
            let step = *choice.get(&steps);
            let expected = model.step(step);
            let actual = run.step(step);
            prop_assert!(expected.matches(&actual), "{:?}: {:?}, not {:?}", step, actual, expected);
            run.compare(&model, step);
        }
        Ok(())
    });
    walked.unwrap();
}

/// Tries every step from every state within `depth` steps. Returns the number of states.
fn explore(depth: usize) -> usize {
    let mut seen = HashSet::from([Model::new()]);
    let mut next = VecDeque::from([(Model::new(), Vec::new())]);
    while let Some((model, path)) = next.pop_front() {
        for step in model.steps() {
            let mut after = model.clone();
            let expected = after.step(step);
            let mut run = StoreRun::new();
            for earlier in &path {
                run.step(*earlier);
            }
            let actual = run.step(step);
            assert!(expected.matches(&actual), "{path:?} and then {step:?}: {actual:?}, not {expected:?}");
            run.compare(&after, step);
            run.step(Step::Reap);
            run.compare(&after, Step::Reap);
            if path.len() + 1 < depth && seen.insert(after.clone()) {
                next.push_back((after, [&path[..], &[step]].concat()));
            }
        }
    }
    seen.len()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// A request reserves room for the next key and inserts it.
    Make,
    /// The key was attested, and its caller gets it.
    Confirm,
    /// The NSM fails, or the request is cancelled.
    Abandon,
    /// An opener finds a key for its message, and gets a ticket if the key is live.
    Find {
        opener: usize,
        key: usize,
        digest: u8,
    },
    /// The message opened.
    Commit {
        opener: usize,
    },
    /// The message did not open.
    Fail {
        opener: usize,
    },
    /// The opener drops its ticket.
    Vanish {
        opener: usize,
    },
    Destroy {
        key: usize,
    },
    /// The reaper runs.
    Reap,
    Wait(u64),
    /// One clock moves further than the other.
    Jump {
        boot: u64,
        wall: u64,
    },
}

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Observed {
    Done,
    Refused(KeyError),
    /// No room: of which kind, and when there will be some.
    NoRoom {
        for_tombstones: bool,
        in_ms: u64,
    },
    Live,
    Reply(Option<u8>),
    State(KeyState),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Model {
    now: (u64, u64),
    keys: Vec<ModelKey>,
    pending: Option<usize>,
    openers: [Option<(usize, u8)>; 2],
    /// Whether the reaper has run since time moved. The model does not depend on it, but the store is tried
    /// in both states.
    caught_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ModelKey {
    deadline: (u64, u64),
    failures: u32,
    end: Option<(ModelEnd, (u64, u64))>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ModelEnd {
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

    /// The steps that are possible now.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![
            Step::Reap,
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
                        // The second opener has the same message or another.
                        for digest in 1..=u8::try_from(opener).unwrap() + 1 {
                            steps.push(Step::Find { opener, key, digest });
                        }
                    }
                }
            }
        }
        steps
    }

    fn step(&mut self, step: Step) -> Observed {
        match step {
            Step::Reap => {
                self.caught_up = true;
                Observed::Done
            }
            Step::Wait(ms) => {
                self.caught_up = false;
                self.now = plus(self.now, ms);
                Observed::Done
            }
            Step::Jump { boot, wall } => {
                self.caught_up = false;
                self.now = (self.now.0 + boot, self.now.1 + wall);
                Observed::Done
            }
            Step::Make => self.make(),
            Step::Confirm => {
                self.pending = None;
                Observed::Done
            }
            Step::Abandon => {
                let key = self.pending.take().unwrap();
                self.keys[key].end = Some((ModelEnd::TakenBack, self.now));
                Observed::Done
            }
            Step::Find { opener, key, digest } => match self.state(key) {
                KeyState::Live => {
                    self.openers[opener] = Some((key, digest));
                    Observed::Live
                }
                _ => self.after_the_end(key, digest),
            },
            Step::Vanish { opener } => {
                self.openers[opener] = None;
                Observed::Done
            }
            Step::Fail { opener } => self.fail(opener),
            Step::Commit { opener } => self.commit(opener),
            Step::Destroy { key } => {
                if self.state(key) == KeyState::Live {
                    self.end(key, ModelEnd::Destroyed);
                }
                Observed::State(self.state(key))
            }
        }
    }

    fn make(&mut self) -> Observed {
        if let Some((for_tombstones, in_ms)) = self.no_room() {
            return Observed::NoRoom { for_tombstones, in_ms };
        }
        self.pending = Some(self.keys.len());
        let failures = MAX_FAILED_OPENS - FAILURES_LEFT;
        self.keys.push(ModelKey { deadline: plus(self.now, TTL), failures, end: None });
        Observed::Done
    }

    fn fail(&mut self, opener: usize) -> Observed {
        let (key, _) = self.openers[opener].take().unwrap();
        if self.state(key) == KeyState::Live {
            self.keys[key].failures += 1;
            if self.keys[key].failures == MAX_FAILED_OPENS {
                self.end(key, ModelEnd::Destroyed);
            }
        }
        Observed::Done
    }

    fn commit(&mut self, opener: usize) -> Observed {
        let (key, digest) = self.openers[opener].take().unwrap();
        if self.state(key) != KeyState::Live {
            return self.after_the_end(key, digest);
        }
        self.end(key, ModelEnd::Used { digest });
        Observed::Reply((key != CALLER_KEY).then_some(digest))
    }

    fn end(&mut self, key: usize, how: ModelEnd) {
        self.keys[key].end = Some((how, self.now));
    }

    fn reached(&self, at: (u64, u64)) -> bool {
        self.now.0 >= at.0 || self.now.1 >= at.1
    }

    fn state(&self, key: usize) -> KeyState {
        let key = &self.keys[key];
        let (state, since) = match key.end {
            Some((ModelEnd::TakenBack, _)) => return KeyState::Unknown,
            Some((ModelEnd::Used { .. }, at)) => (KeyState::Used, at),
            Some((ModelEnd::Destroyed, at)) => (KeyState::Destroyed, at),
            None if self.reached(key.deadline) => (KeyState::Expired, key.deadline),
            None => return KeyState::Live,
        };
        if self.reached(plus(since, RETAIN_MS)) { KeyState::Unknown } else { state }
    }

    /// The result of an open of a key that is not live.
    fn after_the_end(&self, key: usize, digest: u8) -> Observed {
        match self.state(key) {
            KeyState::Used if self.keeps_reply_for(key) == Some(digest) => Observed::Reply(Some(digest)),
            KeyState::Used => Observed::Refused(KeyError::Used),
            KeyState::Expired => Observed::Refused(KeyError::Expired),
            KeyState::Destroyed => Observed::Refused(KeyError::Destroyed),
            _ => Observed::Refused(KeyError::Unknown),
        }
    }

    fn keeps_reply_for(&self, key: usize) -> Option<u8> {
        let ModelKey { deadline, end: Some((ModelEnd::Used { digest }, at)), .. } = self.keys[key] else {
            return None;
        };
        let least = plus(at, KEEP_REPLY_MS);
        let until = (least.0.max(deadline.0), least.1.max(deadline.1));
        (key != CALLER_KEY && !self.reached(until)).then_some(digest)
    }

    fn count(&self, is: impl Fn(KeyState) -> bool) -> usize {
        (0..self.keys.len()).filter(|key| is(self.state(*key))).count()
    }

    /// Which room is full, and in how many milliseconds there is some for one more key. `None` if there is
    /// room now.
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

impl Observed {
    /// Equality, except that a predicted moment may differ within its second.
    fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::NoRoom { for_tombstones, in_ms },
                Self::NoRoom { for_tombstones: other, in_ms: other_ms },
            ) => for_tombstones == other && in_ms.abs_diff(*other_ms) < 1024,
            _ => self == other,
        }
    }
}

/// A store and its callers.
struct StoreRun {
    fixture: StoreFixture,
    now: TimePoint,
    pending: Option<Reservation<u8>>,
    keys: Vec<(KeyId, Weak<dyn PrivateKey>)>,
    openers: [Option<(KeyId, usize, u8, Ticket)>; 2],
}

impl StoreRun {
    fn new() -> Self {
        Self {
            fixture: StoreFixture::with(LIMITS),
            now: T0,
            pending: None,
            keys: Vec::new(),
            openers: [None, None],
        }
    }

    fn step(&mut self, step: Step) -> Observed {
        let store = &self.fixture.store;
        match step {
            Step::Reap => {
                store.run_due(self.now);
                Observed::Done
            }
            Step::Wait(ms) => {
                self.now = self.now.plus(ms);
                Observed::Done
            }
            Step::Jump { boot, wall } => {
                self.now = TimePoint { boot_ms: self.now.boot_ms + boot, wall_ms: self.now.wall_ms + wall };
                Observed::Done
            }
            Step::Make => self.make(),
            Step::Confirm => {
                self.pending.take().unwrap().confirm();
                Observed::Done
            }
            Step::Abandon => {
                self.pending = None;
                Observed::Done
            }
            Step::Find { opener, key, digest } => self.find(opener, key, digest),
            Step::Vanish { opener } => {
                self.openers[opener] = None;
                Observed::Done
            }
            Step::Fail { opener } => {
                let (id, ..) = self.openers[opener].take().unwrap();
                store.count_failed_open(id, self.now);
                Observed::Done
            }
            Step::Commit { opener } => {
                let (id, key, digest, _ticket) = self.openers[opener].take().unwrap();
                let reply = (key != CALLER_KEY).then_some(digest);
                observed(
                    self.fixture.commit(id, self.now, digest, reply).map(|reply| reply.map(|reply| *reply)),
                )
            }
            Step::Destroy { key } => Observed::State(store.destroy(self.keys[key].0, self.now)),
        }
    }

    fn make(&mut self) -> Observed {
        let mut reservation = match self.fixture.store.reserve(1, self.now) {
            Ok(reservation) => reservation,
            Err(full) => {
                let for_tombstones = full.reason == FullReason::Tombstones;
                return Observed::NoRoom { for_tombstones, in_ms: full.wait_ms };
            }
        };
        let key = self.fixture.cheap_key(TTL, self.now);
        let id = key.id;
        self.keys.push((id, Arc::downgrade(&key.private)));
        reservation.insert(key, self.now).unwrap();
        self.pending = Some(reservation);
        for _ in 0..MAX_FAILED_OPENS - FAILURES_LEFT {
            self.fixture.store.count_failed_open(id, self.now);
        }
        Observed::Done
    }

    fn find(&mut self, opener: usize, key: usize, digest: u8) -> Observed {
        let (id, _) = self.keys[key];
        match self.fixture.find(id, self.now) {
            Ok(Found::Live(ticket)) => {
                self.openers[opener] = Some((id, key, digest, ticket));
                Observed::Live
            }
            Ok(Found::Used(used)) => observed(replay(used, digest).map(|reply| Some(*reply))),
            Err(error) => Observed::Refused(error),
        }
    }

    /// Compares everything observable with the model.
    fn compare(&self, model: &Model, last: Step) {
        for (key, (_, private)) in self.keys.iter().enumerate() {
            let held = model.openers.iter().flatten().any(|(held, _)| *held == key);
            let must_live = held || model.state(key) == KeyState::Live;
            // An ended key is wiped at once; an expired one when the reaper runs or a call needs it.
            let must_be_gone = !must_live && (last == Step::Reap || model.keys[key].end.is_some());
            let lives = private.upgrade().is_some();
            assert!(lives || !must_live, "key {key} was wiped after {last:?}: {model:?}");
            assert!(!lives || !must_be_gone, "key {key} is not wiped after {last:?}: {model:?}");
        }
        for (key, (id, _)) in self.keys.iter().enumerate() {
            assert_eq!(self.fixture.store.state(*id, self.now), model.state(key), "key {key}: {model:?}");
        }
        for (key, (id, _)) in self.keys.iter().enumerate() {
            if let Ok(Found::Used(_)) = self.fixture.find(*id, self.now) {
                for digest in [1, 2] {
                    let Ok(Found::Used(used)) = self.fixture.find(*id, self.now) else { unreachable!() };
                    let replayed = observed(replay(used, digest).map(|reply| Some(*reply)));
                    assert_eq!(replayed, model.after_the_end(key, digest), "key {key}: {model:?}");
                }
            }
        }
        if last != Step::Reap {
            return;
        }
        let live = model.count(|state| state == KeyState::Live);
        let ended = model.count(|state| state != KeyState::Unknown) - live;
        assert_eq!(self.fixture.store.counts(), (live, ended), "{model:?}");
        assert!(live <= LIMITS.capacity && live + ended <= LIMITS.capacity + LIMITS.max_tombstones);
    }
}

fn observed(answer: Result<Option<u8>, KeyError>) -> Observed {
    answer.map_or_else(Observed::Refused, Observed::Reply)
}

fn replay(used: Used<u8>, digest: u8) -> Result<Arc<u8>, KeyError> {
    used.replay(|_| [digest; 48])
}
