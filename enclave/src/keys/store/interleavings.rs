//! Two or three threads with one key, in every interleaving of the store's locks and counters, by `loom`.
//!
//! `make test-loom` runs these: under `--cfg ok2cry_loom` the store uses loom's locks instead of the standard
//! library's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use super::*;
use loom::thread;
use ok2cry_protocol::ids::InstanceId;

const T0: TimePoint = TimePoint { boot_ms: 5_000, wall_ms: 1_800_000_000_000 };
const TTL: u64 = 1000;

#[test]
fn of_two_messages_one_opens() {
    loom::model(|| {
        let (store, id) = with_one_key(1);
        let (first, second) = (spawn_open(&store, id, T0, 1), spawn_open(&store, id, T0, 2));
        let answers = [first.join().unwrap(), second.join().unwrap()];
        match answers {
            [Ok(1), Err(KeyError::Used)] | [Err(KeyError::Used), Ok(2)] => {}
            both => panic!("{both:?}"),
        }
        assert_eq!((store.state(id, T0), store.counts()), (KeyState::Used, (0, 1)));
    });
}

#[test]
fn the_same_message_twice_gets_one_reply() {
    loom::model(|| {
        let (store, id) = with_one_key(1);
        let (first, second) = (spawn_open(&store, id, T0, 1), spawn_open(&store, id, T0, 1));
        assert_eq!([first.join().unwrap(), second.join().unwrap()], [Ok(1), Ok(1)]);
        assert_eq!(store.counts(), (0, 1));
    });
}

#[test]
fn of_an_open_and_a_destroy_one_comes_first() {
    loom::model(|| {
        let (store, id) = with_one_key(1);
        let open = spawn_open(&store, id, T0, 1);
        let destroy = spawn(&store, move |store| store.destroy(id, T0));
        let (opened, destroyed) = (open.join().unwrap(), destroy.join().unwrap());
        match (opened, destroyed) {
            (Ok(1), KeyState::Used) | (Err(KeyError::Destroyed), KeyState::Destroyed) => {}
            both => panic!("{both:?}"),
        }
        assert_eq!((store.state(id, T0), store.counts()), (destroyed, (0, 1)));
    });
}

#[test]
fn an_open_at_the_deadline_never_outlives_the_reaper() {
    loom::model(|| {
        let (store, id) = with_one_key(1);
        let open = spawn_open(&store, id, T0.plus(TTL - 1), 1);
        let erase = spawn(&store, move |store| store.run_due(T0.plus(TTL)));
        let late = spawn_open(&store, id, T0.plus(TTL), 2);
        erase.join().unwrap();
        let (opened, late) = (open.join().unwrap(), late.join().unwrap());
        let state = store.state(id, T0.plus(TTL));
        match (opened, late, state) {
            (Ok(1), Err(KeyError::Used), KeyState::Used)
            | (Err(KeyError::Expired), Err(KeyError::Expired), KeyState::Expired) => {}
            // The late open must see the reaper's work or the first open, and never a mix.
            (Ok(1), Err(KeyError::Expired), KeyState::Used) => panic!("expired, and then opened"),
            all => panic!("{all:?}"),
        }
        assert_eq!(store.counts(), (0, 1));
    });
}

#[test]
fn room_for_one_is_taken_by_one() {
    loom::model(|| {
        let store = Arc::new(Store::<u8>::new(Limits::new(1, 9)));
        let requests: Vec<_> = (1..=2)
            .map(|n| {
                spawn(&store, move |store| {
                    let mut reservation = store.reserve(1, T0)?;
                    reservation.insert(key(n), T0).unwrap();
                    reservation.confirm();
                    Ok::<_, StoreFull>(())
                })
            })
            .collect();
        let answers: Vec<_> = requests.into_iter().map(|request| request.join().unwrap()).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(store.counts(), (1, 0));
    });
}

#[test]
fn a_key_that_is_taken_back_while_it_is_opened_leaves_nothing() {
    loom::model(|| {
        let store = Arc::new(Store::new(Limits::new(1, 9)));
        let mut reservation = store.reserve(1, T0).unwrap();
        reservation.insert(key(1), T0).unwrap();
        let open = spawn_open(&store, key(1).id, T0, 1);
        drop(reservation);
        assert!(matches!(open.join().unwrap(), Ok(1) | Err(KeyError::Unknown)));
        assert_eq!((store.state(key(1).id, T0), store.counts()), (KeyState::Unknown, (0, 0)));
    });
}

fn with_one_key(n: u8) -> (Arc<Store<u8>>, KeyId) {
    let store = Arc::new(Store::new(Limits::new(4, 4)));
    let mut reservation = store.reserve(1, T0).unwrap();
    reservation.insert(key(n), T0).unwrap();
    reservation.confirm();
    (store, key(n).id)
}

fn key(n: u8) -> NewKey {
    let id = KeyId::new(InstanceId([1; 8]), [n; 16]);
    NewKey { id, private: Arc::new(LoomKey), descriptor: Arc::from([n]), deadline: T0.plus(TTL) }
}

struct LoomKey;

impl PrivateKey for LoomKey {
    fn open(self: Arc<Self>, _: &PublicKey, _: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

fn spawn<T: 'static>(
    store: &Arc<Store<u8>>,
    work: impl FnOnce(&Arc<Store<u8>>) -> T + 'static,
) -> thread::JoinHandle<T> {
    let store = Arc::clone(store);
    thread::spawn(move || work(&store))
}

/// Finds and commits, as the service does.
fn spawn_open(
    store: &Arc<Store<u8>>,
    id: KeyId,
    now: TimePoint,
    digest: u8,
) -> thread::JoinHandle<Result<u8, KeyError>> {
    spawn(store, move |store| {
        let replayed = |reply: Arc<u8>| *reply;
        match store.find(id, now)? {
            Found::Used(used) => used.replay(|_| [digest; 48]).map(replayed),
            Found::Live(ticket) => {
                let request = OpenRequest { descriptor: [7; 48], digest: [digest; 48] };
                let committed = store.commit(id, || Ok(now), request, Some(digest));
                drop(ticket);
                match committed {
                    Ok(reply) => Ok(*reply.unwrap()),
                    Err(CommitError::Key(error)) => Err(error),
                    Err(CommitError::Clock(error)) => panic!("{error}"),
                }
            }
        }
    })
}
