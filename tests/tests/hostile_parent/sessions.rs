//! Two sessions through one proxy, and the point at which the proxy edits both.

use crate::edits::Edit;
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{
    Expected, KeyRequest, Message, RecipientKey, ReplaySet, SealedMessage, Trust,
    http::{CallError, Client},
};
use ok2cry_protocol::{
    http::{OpenResponse, SealedBody},
    ids::Purpose,
};
use ok2cry_testkit::{
    Deployment, HostileParent, Options,
    hostile_parent::{Exchange, Passing, Step},
    wait::DEADLINE,
};
use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

/// A deployment, and the recipients of two sessions.
pub(crate) struct SessionFixture {
    pub(crate) deployment: Deployment,
    pub(crate) trust: Trust,
    recipients: [RecipientKey; 2],
}

/// How two sessions differ, apart from nonces and plaintexts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pair {
    /// In purpose, lifetime, aad and recipient.
    Strangers,
    /// In the purpose.
    OtherPurpose,
    /// In the aad.
    OtherAad,
    /// The sessions have equal parameters.
    Alike,
    /// The sessions have equal parameters, and the purpose allows callers. Both name recipients.
    CallersAllowed,
}

pub(crate) struct Session<'a> {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'a str,
    pub(crate) ttl_ms: u64,
    pub(crate) aad: &'a str,
    pub(crate) recipient: &'a RecipientKey,
}

pub(crate) type Outcome = Result<Vec<u8>, Refused>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) by: By,
    pub(crate) code: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Service,
    Client,
    Recipient,
}

pub(crate) struct Swap {
    name: &'static str,
    pair: Pair,
    step: Step,
    by: By,
    code: &'static str,
    edit: Edit,
}

/// A swap of messages at a step of two sessions, and the party and code that refuse it.
pub(crate) fn swap(
    name: &'static str,
    (pair, step): (Pair, Step),
    (by, code): (By, &'static str),
    edit: Edit,
) -> Swap {
    Swap { name, pair, step, by, code, edit }
}

impl SessionFixture {
    pub(crate) fn new() -> Self {
        let deployment = Deployment::start(Options::default()).unwrap();
        let trust = deployment.trust().unwrap();
        Self { deployment, trust, recipients: std::array::from_fn(|_| RecipientKey::generate().unwrap()) }
    }

    /// Asserts for every swap that both sessions are refused as it says.
    pub(crate) fn refuses(&self, swaps: Vec<Swap>) {
        for Swap { name, pair, step, by, code, edit } in swaps {
            let rendezvous = Arc::new(Rendezvous::new(step, edit));
            let outcomes = self.run_with(pair, &rendezvous);
            assert!(rendezvous.changed(), "{name} ({step:?}, {pair:?}): the swap changed nothing");
            for outcome in outcomes {
                let expected = Err(Refused { by, code: code.into() });
                assert_eq!(outcome, expected, "{name} ({step:?}, {pair:?})");
            }
        }
    }

    pub(crate) fn run(&self, pair: Pair, rendezvous: Rendezvous) -> [Outcome; 2] {
        self.run_with(pair, &Arc::new(rendezvous))
    }

    fn run_with(&self, pair: Pair, rendezvous: &Arc<Rendezvous>) -> [Outcome; 2] {
        let [r0, r1] = &self.recipients;
        let session =
            |name, purpose, ttl_ms, aad, recipient| Session { name, purpose, ttl_ms, aad, recipient };
        let a = session("a", "card-pin", 60_000, "order a", r0);
        let b = match pair {
            Pair::Strangers => session("b", "pin-change", 61_000, "order b", r1),
            Pair::OtherPurpose => session("b", "pin-change", 60_000, "order a", r0),
            Pair::OtherAad => session("b", "card-pin", 60_000, "order b", r0),
            Pair::Alike => session("b", "card-pin", 60_000, "order a", r0),
            Pair::CallersAllowed => session("b", "caller-demo", 60_000, "order a", r0),
        };
        let a = if let Pair::CallersAllowed = pair { Session { purpose: "caller-demo", ..a } } else { a };
        let tamper = Arc::clone(rendezvous);
        let proxy = HostileParent::start(self.deployment.url(), move |e: &Exchange, p: &mut Passing| {
            tamper.tamper(e, p);
        });
        let proxy = proxy.unwrap();
        rendezvous.run(&[a, b], &self.trust, |name| proxy.url(name))
    }
}

/// Holds the first session's message at `step` until the other's arrives, then edits both. At all other steps
/// session a goes first, so that no two answers share a document.
pub(crate) struct Rendezvous {
    step: Step,
    edit: Edit,
    state: Mutex<RendezvousState>,
    moved: Condvar,
}

#[derive(Default)]
struct RendezvousState {
    held: [Option<Passing>; 2],
    met: bool,
    changed: bool,
    /// Whether session a has its answers to issue and to open, or has ended.
    a_answered: [bool; 2],
}

impl Rendezvous {
    pub(crate) fn new(step: Step, edit: impl Fn(&mut Passing, &mut Passing) + Send + Sync + 'static) -> Self {
        Self { step, edit: Box::new(edit), state: Mutex::default(), moved: Condvar::new() }
    }

    pub(crate) fn changed(&self) -> bool {
        self.state.lock().unwrap().changed
    }

    pub(crate) fn run(
        &self,
        sessions: &[Session<'_>; 2],
        trust: &Trust,
        url: impl Fn(&str) -> String + Sync,
    ) -> [Outcome; 2] {
        thread::scope(|scope| {
            let url = &url;
            let threads = sessions.each_ref().map(|session| {
                scope.spawn(move || {
                    let outcome = run(session, &url(session.name), trust);
                    if session.name == "a" {
                        self.a_is_answered([0, 1]);
                    }
                    outcome
                })
            });
            threads.map(|thread| thread.join().unwrap())
        })
    }

    pub(crate) fn tamper(&self, exchange: &Exchange, passing: &mut Passing) {
        let call = usize::from(matches!(exchange.step, Step::OpenRequest | Step::OpenAnswer));
        let asks = matches!(exchange.step, Step::IssueRequest | Step::OpenRequest);
        if exchange.session == "a" && !asks {
            self.a_is_answered([call]);
        }
        if exchange.step == self.step {
            self.meet(usize::from(exchange.session == "b"), passing);
        }
        if exchange.session == "b" && asks {
            self.wait("session a's answer", |state| state.a_answered[call]);
        }
    }

    fn meet(&self, session: usize, passing: &mut Passing) {
        let mut state = self.state.lock().unwrap();
        state.held[session] = Some(passing.clone());
        if let [Some(a), Some(b)] = &state.held {
            let (mut a, mut b) = (a.clone(), b.clone());
            (self.edit)(&mut a, &mut b);
            let after = [Some(a), Some(b)];
            // Both must have changed: an unchanged session would prove nothing.
            state.changed = state.held.iter().zip(&after).all(|(before, after)| before != after);
            state.held = after;
            state.met = true;
            self.moved.notify_all();
        }
        drop(state);
        self.wait("the other session", |state| state.met);
        *passing = self.state.lock().unwrap().held[session].take().unwrap();
    }

    fn a_is_answered(&self, calls: impl IntoIterator<Item = usize>) {
        let mut state = self.state.lock().unwrap();
        for call in calls {
            state.a_answered[call] = true;
        }
        self.moved.notify_all();
    }

    fn wait(&self, what: &str, until: impl Fn(&RendezvousState) -> bool) {
        let state = self.state.lock().unwrap();
        let (_state, waited) = self.moved.wait_timeout_while(state, DEADLINE, |state| !until(state)).unwrap();
        assert!(!waited.timed_out(), "{what} did not arrive in time");
    }
}

/// One session as client and recipient see it: two keys, of which the first is used.
fn run(session: &Session<'_>, url: &str, trust: &Trust) -> Outcome {
    let client = Client::new(url);
    let at_client = |e: CallError| {
        let by = if matches!(e, CallError::Refused(_)) { By::Service } else { By::Client };
        Refused { by, code: e.code().to_owned() }
    };
    let request = KeyRequest::new(
        session.purpose,
        std::time::Duration::from_millis(session.ttl_ms),
        session.recipient.public_key(),
    )
    .unwrap();
    let request = request.with_count(2).unwrap();
    let key = client.issue(request, trust, &CheckTime::system()).map_err(at_client)?.remove(0);
    let plaintext = format!("PIN {}", session.name);
    let message = key
        .seal(&Message { plaintext: plaintext.as_bytes(), aad: session.aad.as_bytes() }, &CheckTime::system())
        .unwrap();
    let OpenResponse::Sealed(reply) = client.open(&message).map_err(at_client)? else {
        panic!("expected a sealed reply, found plaintext");
    };
    let purpose = Purpose::new(session.purpose).unwrap();
    let expected = Expected { purpose: &purpose, aad: session.aad.as_bytes() };
    let opened =
        session.recipient.open(&reply, &expected, trust, &CheckTime::system(), &mut ReplaySet::default());
    let at_recipient = |e: ok2cry_client::Error| Refused { by: By::Recipient, code: e.code().to_owned() };
    opened.map(|opened| opened.plaintext.to_vec()).map_err(ok2cry_client::Error::from).map_err(at_recipient)
}

pub(crate) fn open(deployment: &Deployment, message: &SealedMessage) -> SealedBody {
    match serde_json::from_slice(&deployment.open(message).unwrap().body).unwrap() {
        OpenResponse::Sealed(body) => body,
        OpenResponse::Plaintext(_) => panic!("expected a sealed reply, found plaintext"),
    }
}
