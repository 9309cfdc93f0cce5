use super::*;
use crate::crypto::CryptoProvider;
use ok2cry_protocol::{
    descriptor::ReleaseTo,
    ids::{InstanceId, Nonce, Purpose},
    suite::{PublicKey, Suite},
};

const T0: Now = Now { boot_ms: 5_000, wall_ms: 1_800_000_000_000 };
const TTL: u64 = 60_000;

struct Bench {
    store: Store,
    replies: Budget,
    public: PublicKey,
    next: u8,
}

fn bench() -> Bench {
    bench_with(Limits { capacity: 4, max_tombstones: 4, reply_budget_bytes: 1000 })
}

fn bench_with(limits: Limits) -> Bench {
    let (_, public) = CryptoProvider::default().provider().generate().unwrap();
    let replies = Budget::default();
    Bench { store: Store::new(limits, replies.clone()), replies, public, next: 0 }
}

impl Bench {
    fn new_key(&mut self, release_to: ReleaseTo, now: Now) -> NewKey {
        self.next += 1;
        // The keys of one test come from all providers in turn: to the store they are the same.
        let provider = CryptoProvider::ALL[usize::from(self.next) % CryptoProvider::ALL.len()];
        let (private, public_key) = provider.provider().generate().unwrap();
        let deadline = now.plus(TTL);
        let descriptor = KeyDescriptor {
            key_id: KeyId::new(InstanceId([1; 8]), [self.next; 16]),
            suite: Suite::P384,
            public_key,
            issued_at: now.wall_ms,
            expires_at: deadline.wall_ms,
            purpose: Purpose::new("card-pin").unwrap(),
            release_to,
            client_nonce: Nonce::new([0; 16]).unwrap(),
        };
        NewKey { private, descriptor: Arc::new(Encoded::new(descriptor)), deadline }
    }

    fn issue(&mut self, now: Now) -> KeyId {
        let key = self.new_key(ReleaseTo::Recipient(self.public), now);
        let id = key.descriptor.key_id;
        self.store.insert(vec![key], now).unwrap();
        id
    }

    fn open(&self, id: KeyId, now: Now, digest: u8) -> Result<Option<Arc<Sealed>>, Code> {
        self.store
            .commit(id, now, &[digest; 48], Some(Sealed::for_tests(vec![digest; 100], &self.replies)))
            .map_err(|r| r.code)
    }

    fn find(&self, id: KeyId, now: Now) -> Result<Found, Code> {
        self.store.find(id, now).map_err(|r| r.code)
    }

    fn replay(&self, id: KeyId, now: Now, digest: u8) -> Result<Arc<Sealed>, Code> {
        match self.find(id, now)? {
            Found::Used(used) => used.replay(&[digest; 48]).map_err(|r| r.code),
            Found::Live(_) => panic!("the key is live"),
        }
    }
}

#[test]
fn a_key_opens_one_message_and_repeats_its_reply() {
    let mut b = bench();
    let id = b.issue(T0);
    assert!(matches!(b.find(id, T0), Ok(Found::Live(_))));
    let first = b.open(id, T0, 1).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &b.replay(id, T0, 1).unwrap()));
    assert_eq!(b.replay(id, T0, 2).unwrap_err(), Code::KeyUsed);
    assert_eq!(b.store.state(id, T0), KeyState::Used);
}

#[test]
fn of_two_opens_under_way_one_wins_and_the_same_request_gets_its_reply() {
    let mut b = bench();
    let id = b.issue(T0);
    let first = b.open(id, T0, 1).unwrap().unwrap();
    let same = b.open(id, T0, 1).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    assert_eq!(b.open(id, T0, 2).unwrap_err(), Code::KeyUsed);
}

#[test]
fn the_reply_to_a_caller_is_never_kept() {
    let mut b = bench();
    let key = b.new_key(ReleaseTo::Caller, T0);
    let id = key.descriptor.key_id;
    b.store.insert(vec![key], T0).unwrap();
    assert!(b.store.commit(id, T0, &[1; 48], None).unwrap().is_none());
    assert_eq!(b.replay(id, T0, 1).unwrap_err(), Code::KeyUsed);
    assert_eq!(b.store.commit(id, T0, &[1; 48], None).unwrap_err().code, Code::KeyUsed);
}

#[test]
fn an_expired_key_never_opens_whichever_clock_says_so() {
    let almost = T0.plus(TTL - 1);
    for late in [
        T0.plus(TTL),
        Now { boot_ms: T0.boot_ms + TTL, ..almost },
        Now { wall_ms: T0.wall_ms + TTL, ..almost },
    ] {
        let mut b = bench();
        let id = b.issue(T0);
        assert!(matches!(b.find(id, almost), Ok(Found::Live(_))));
        assert_eq!(b.find(id, late).err(), Some(Code::KeyExpired));
        assert_eq!(b.open(id, late, 1).unwrap_err(), Code::KeyExpired);
        assert_eq!(b.store.state(id, late), KeyState::Expired);
    }
}

#[test]
fn an_open_that_began_in_time_and_ends_late_is_refused() {
    let mut b = bench();
    let id = b.issue(T0);
    let Ok(Found::Live(_ticket)) = b.find(id, T0.plus(TTL - 1)) else { panic!("not live") };
    assert_eq!(b.open(id, T0.plus(TTL), 1).unwrap_err(), Code::KeyExpired);
}

#[test]
fn the_agenda_erases_expired_keys_and_says_when_to_come_again() {
    let mut b = bench();
    let id = b.issue(T0);
    assert_eq!(b.store.run_agenda(T0), Some(TTL));
    let Ok(Found::Live(ticket)) = b.find(id, T0) else { panic!("not live") };
    let private = Arc::downgrade(&ticket.private);
    drop(ticket);
    assert!(private.upgrade().is_some());
    assert_eq!(b.store.run_agenda(T0.plus(TTL)), Some(RETAIN_MS));
    assert!(private.upgrade().is_none(), "the private key outlives its deadline");
    assert_eq!(b.store.counts(), (0, 1));
    assert_eq!(b.store.run_agenda(T0.plus(TTL + RETAIN_MS)), None);
    assert_eq!(b.store.counts(), (0, 0));
    assert_eq!(b.store.state(id, T0.plus(TTL + RETAIN_MS)), KeyState::Unknown);
}

#[test]
fn the_agenda_erases_by_whichever_clock_comes_first() {
    for late in [Now { boot_ms: T0.boot_ms + TTL, ..T0 }, Now { wall_ms: T0.wall_ms + TTL, ..T0 }] {
        let mut b = bench();
        b.issue(T0);
        b.store.run_agenda(late);
        assert_eq!(b.store.counts(), (0, 1));
    }
}

#[test]
fn use_and_destruction_drop_the_private_key_at_once() {
    let open = |b: &Bench, id| assert!(b.open(id, T0, 1).is_ok());
    let destroy = |b: &Bench, id| assert_eq!(b.store.destroy(id, T0), KeyState::Destroyed);
    for end in [open as fn(&Bench, KeyId), destroy] {
        let mut b = bench();
        let id = b.issue(T0);
        let Ok(Found::Live(ticket)) = b.find(id, T0) else { panic!("not live") };
        let private = Arc::downgrade(&ticket.private);
        drop(ticket);
        end(&b, id);
        assert!(private.upgrade().is_none());
    }
}

#[test]
fn destroy_ends_live_keys_and_changes_no_other_ending() {
    let mut b = bench();
    let (live, used) = (b.issue(T0), b.issue(T0));
    b.open(used, T0, 1).unwrap();
    assert_eq!(b.store.destroy(live, T0), KeyState::Destroyed);
    assert_eq!(b.find(live, T0).err(), Some(Code::KeyDestroyed));
    assert_eq!(b.store.destroy(used, T0), KeyState::Used);
    assert_eq!(b.store.destroy(KeyId([9; 24]), T0), KeyState::Unknown);
    assert_eq!(b.find(KeyId([9; 24]), T0).err(), Some(Code::UnknownKey));
}

#[test]
fn too_many_failed_opens_end_a_key() {
    let mut b = bench();
    let id = b.issue(T0);
    for _ in 1..MAX_FAILED_OPENS {
        b.store.count_failed_open(id, T0);
    }
    assert_eq!(b.store.state(id, T0), KeyState::Live);
    b.store.count_failed_open(id, T0);
    assert_eq!(b.store.state(id, T0), KeyState::Destroyed);
}

#[test]
fn a_full_store_refuses_new_keys_and_keeps_the_old_ones() {
    let mut b = bench();
    let old: Vec<_> = (0..4).map(|_| b.issue(T0)).collect();
    let later = T0.plus(1000);
    let key = b.new_key(ReleaseTo::Caller, later);
    let refusal = b.store.insert(vec![key], later).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after), (Code::StoreFull, TTL - 1000));
    assert!(old.iter().all(|id| b.store.state(*id, later) == KeyState::Live));
    b.store.destroy(old[0], later);
    b.issue(later);
}

#[test]
fn keys_that_have_expired_make_room() {
    let mut b = bench();
    for _ in 0..4 {
        b.issue(T0);
    }
    b.issue(T0.plus(TTL));
    assert_eq!(b.store.counts(), (1, 4));
}

#[test]
fn endings_are_bounded_too() {
    let mut b = bench();
    for _ in 0..8 {
        let id = b.issue(T0);
        b.store.destroy(id, T0);
    }
    let key = b.new_key(ReleaseTo::Caller, T0);
    let refusal = b.store.insert(vec![key], T0).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after), (Code::StoreFull, RETAIN_MS));
}

#[test]
fn replies_are_kept_until_the_deadline_or_half_a_minute() {
    for (used_at, kept_until) in [(T0, T0.plus(TTL)), (T0.plus(TTL - 1), T0.plus(TTL - 1 + KEEP_REPLY_MS))] {
        let mut b = bench();
        let id = b.issue(T0);
        b.open(id, used_at, 1).unwrap();
        let just_before = Now { boot_ms: kept_until.boot_ms - 1, wall_ms: kept_until.wall_ms - 1 };
        assert!(b.replay(id, just_before, 1).is_ok());
        assert_eq!(b.replay(id, kept_until, 1).unwrap_err(), Code::KeyUsed);
        b.store.run_agenda(kept_until);
        assert_eq!(b.replies.held(), 0);
        assert_eq!(b.store.state(id, kept_until), KeyState::Used);
    }
}

#[test]
fn a_reply_that_is_kept_long_is_remembered_as_long() {
    let mut b = bench();
    let mut key = b.new_key(ReleaseTo::Recipient(b.public), T0);
    key.deadline = T0.plus(3_600_000);
    let id = key.descriptor.key_id;
    b.store.insert(vec![key], T0).unwrap();
    b.open(id, T0, 1).unwrap();
    let late = T0.plus(3_599_999);
    b.store.run_agenda(late);
    assert!(b.replay(id, late, 1).is_ok());
    b.store.run_agenda(T0.plus(3_600_000));
    assert_eq!(b.store.counts(), (0, 0));
}

#[test]
fn without_room_for_replies_an_open_is_refused_before_it_takes_the_key() {
    let limits = Limits { capacity: 4, max_tombstones: 4, reply_budget_bytes: 100 };
    let mut b = bench_with(limits);
    let (first, second) = (b.issue(T0), b.issue(T0));
    b.open(first, T0, 1).unwrap();
    assert_eq!(b.find(second, T0).err(), Some(Code::RepliesFull));
    assert_eq!(b.store.state(second, T0), KeyState::Live);
    let caller = b.new_key(ReleaseTo::Caller, T0);
    let id = caller.descriptor.key_id;
    b.store.insert(vec![caller], T0).unwrap();
    assert!(b.find(id, T0).is_ok(), "caller mode keeps no reply");
}

#[test]
fn keys_that_nobody_was_told_of_leave_nothing() {
    let mut b = bench();
    let id = b.issue(T0);
    b.store.forget([id]);
    assert_eq!(b.store.counts(), (0, 0));
    assert_eq!(b.store.run_agenda(T0), None);
}
