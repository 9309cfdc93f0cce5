//! Failures of the stream to the enclave: each has its code, and the next request succeeds.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use common::{
    Action, FakeEnclave, HttpAnswer, TestService, issue_body, key_id, matching_answer, open_body, until,
};
use ok2cry_protocol::{
    frame::{self, MAX_RESPONSE},
    rpc::{Answer, KeyState, Response},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    sync::Semaphore,
};

async fn state(service: &TestService) -> HttpAnswer {
    service.get(&format!("/v1/keys/{}", key_id())).await
}

/// An enclave that does `first` once and answers all later requests.
fn once(first: impl Fn() -> Action + Send + Sync + 'static) -> FakeEnclave {
    let done = AtomicBool::new(false);
    FakeEnclave::start(move |call| {
        if done.swap(true, Ordering::SeqCst) { Action::Answer(Ok(matching_answer(call))) } else { first() }
    })
}

/// Sends one request that meets `first`, then one that must succeed. Returns the code of the first.
async fn fail_once(
    first: impl Fn() -> Action + Send + Sync + 'static,
    timeout: Duration,
) -> (String, TestService, FakeEnclave) {
    let enclave = once(first);
    let mut config = enclave.config();
    config.enclave_timeout = timeout;
    let service = TestService::new(&config);
    let code = state(&service).await.code();
    let next = state(&service).await;
    assert_eq!(next.status, 200, "{}", next.text);
    (code, service, enclave)
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(700);

fn closed(service: &TestService, reason: &str) -> u64 {
    service.metric(&format!("ok2cry_parent_enclave_streams_closed_total{{reason=\"{reason}\"}}"))
}

#[tokio::test]
async fn broken_frames_close_the_stream_with_a_counted_reason() {
    let too_long = u32::try_from(MAX_RESPONSE + 1).unwrap().to_be_bytes().to_vec();
    let half = frame::encode(&[0; 100])[..50].to_vec();
    for (reason, bytes) in [
        ("frame_too_long", too_long),
        ("frame_too_long", u32::MAX.to_be_bytes().to_vec()),
        ("frame_empty", vec![0; 4]),
        ("response_malformed", frame::encode(b"garbage")),
        ("response_malformed", frame::encode(&[0xff; MAX_RESPONSE])),
    ] {
        let (code, service, enclave) = fail_once(move || Action::Send(bytes.clone()), LONG).await;
        assert_eq!(code, "enclave_unavailable");
        assert_eq!(closed(&service, reason), 1, "{reason}");
        assert_eq!(enclave.accepted.load(Ordering::SeqCst), 2);
        assert_eq!(enclave.received(), 2, "the failed request was not sent again");
    }
    for (reason, bytes) in [("ended", Vec::new()), ("frame_truncated", half)] {
        let (code, service, enclave) = fail_once(move || Action::SendAndClose(bytes.clone()), LONG).await;
        assert_eq!(code, "enclave_unavailable");
        assert_eq!(closed(&service, reason), 1, "{reason}");
        assert_eq!(enclave.received(), 2);
    }
}

#[tokio::test]
async fn a_lost_request_may_have_been_carried_out() {
    let enclave = once(|| Action::SendAndClose(Vec::new()));
    let service = enclave.service();
    let answered = state(&service).await;
    assert!(answered.detail().ends_with("the request may have been carried out"), "{}", answered.detail());
}

#[tokio::test]
async fn after_a_silent_timeout_the_next_request_uses_a_new_stream() {
    for bytes in [Vec::new(), frame::encode(&[0; 100])[..50].to_vec()] {
        let (code, service, enclave) = fail_once(move || Action::Send(bytes.clone()), SHORT).await;
        assert_eq!(code, "enclave_timeout");
        assert_eq!(enclave.accepted.load(Ordering::SeqCst), 2);
        until("the silent stream is closed", || closed(&service, "stalled") == 1).await;
    }
}

#[tokio::test]
async fn a_response_with_an_unknown_id_keeps_the_stream_open() {
    let (code, service, enclave) =
        fail_once(|| Action::AnswerOther(1 << 40, Answer::State(KeyState::Live)), SHORT).await;
    assert_eq!(code, "enclave_timeout");
    assert_eq!(service.metric("ok2cry_parent_enclave_unmatched_responses_total"), 1);
    assert_eq!(enclave.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_of_the_wrong_kind_closes_the_stream() {
    let (code, service, enclave) =
        fail_once(|| Action::Answer(Ok(Answer::Health(Default::default()))), LONG).await;
    assert_eq!(code, "frame_invalid");
    assert_eq!(closed(&service, "response_wrong_kind"), 1);
    assert_eq!(enclave.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_late_answer_is_counted_and_dropped() {
    let held = Arc::new(Semaphore::new(0));
    let (first, hold) = (AtomicBool::new(true), held.clone());
    let enclave = FakeEnclave::start(move |call| {
        if first.swap(false, Ordering::SeqCst) {
            Action::AnswerAfter(hold.clone(), Answer::State(KeyState::Used))
        } else {
            Action::Answer(Ok(matching_answer(call)))
        }
    });
    let mut config = enclave.config();
    config.enclave_timeout = SHORT;
    let service = Arc::new(TestService::new(&config));
    let slow = tokio::spawn({
        let service = service.clone();
        async move { state(&service).await.code() }
    });
    until("the slow request arrived", || enclave.received() == 1).await;
    // A response arrives while the slow request waits, so the stream is kept.
    assert_eq!(state(&service).await.json()["state"], "live");
    assert_eq!(slow.await.unwrap(), "enclave_timeout");
    held.add_permits(1);
    let unmatched = || service.metric("ok2cry_parent_enclave_unmatched_responses_total") == 1;
    until("the late answer is counted", unmatched).await;
    assert_eq!(state(&service).await.json()["state"], "live");
    assert_eq!(enclave.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_in_any_order_reach_their_callers() {
    let held = Arc::new(Semaphore::new(0));
    let hold = held.clone();
    let enclave = FakeEnclave::start(move |call| match matching_answer(call) {
        answer @ Answer::Issued(_) => Action::AnswerAfter(hold.clone(), answer),
        answer => Action::Answer(Ok(answer)),
    });
    let mut config = enclave.config();
    config.max_in_flight = 2 * (1..=50).sum::<usize>();
    let service = Arc::new(TestService::new(&config));
    let ask = |count: u32| {
        let service = service.clone();
        tokio::spawn(async move {
            let mut body = issue_body();
            body["count"] = count.into();
            service.post("/v1/keys", body.to_string()).await.json()["keys"].as_array().unwrap().len()
        })
    };
    let issues: Vec<_> = (1..=50).map(ask).collect();
    until("all are in flight", || enclave.received() == 50).await;
    for _ in 0..50 {
        let opened = service.post(&format!("/v1/keys/{}/open", key_id()), open_body().to_string()).await;
        assert_eq!(opened.status, 200);
    }
    held.add_permits(50);
    for (issue, count) in issues.into_iter().zip(1..) {
        assert_eq!(issue.await.unwrap(), count);
    }
    assert_eq!(enclave.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(service.metric("ok2cry_parent_enclave_requests_in_flight"), 0);
}

#[tokio::test]
async fn a_broken_stream_fails_only_its_own_requests() {
    let held = Arc::new(Semaphore::new(0));
    let (hold, seen) = (held.clone(), AtomicUsize::new(0));
    let enclave = FakeEnclave::start(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        // Two streams are used round-robin: the third request shares its stream with the first.
        2 => Action::SendAndClose(Vec::new()),
        _ => Action::AnswerAfter(hold.clone(), Answer::State(KeyState::Live)),
    });
    let mut config = enclave.config();
    config.enclave_streams = 2;
    let service = Arc::new(TestService::new(&config));
    until("both streams are open", || service.metric("ok2cry_parent_enclave_streams ") == 2).await;
    let mut requests = Vec::new();
    for n in 1..=3 {
        let service = service.clone();
        requests.push(tokio::spawn(async move { state(&service).await.status }));
        until("it arrived", || enclave.received() >= n).await;
    }
    let third = requests.pop().unwrap().await.unwrap();
    held.add_permits(2);
    let second = requests.pop().unwrap().await.unwrap();
    let first = requests.pop().unwrap().await.unwrap();
    assert_eq!((first, second, third), (503, 200, 503));
}

#[tokio::test]
async fn a_request_whose_caller_left_is_forgotten() {
    let held = Arc::new(Semaphore::new(0));
    let hold = held.clone();
    let enclave =
        FakeEnclave::start(move |_| Action::AnswerAfter(hold.clone(), Answer::State(KeyState::Live)));
    let service = Arc::new(enclave.service());
    let gone = tokio::spawn({
        let service = service.clone();
        async move { state(&service).await.status }
    });
    until("the request is in flight", || enclave.received() == 1).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    until("its permit is released", || service.metric("ok2cry_parent_enclave_requests_in_flight") == 0).await;
    held.add_permits(2);
    assert_eq!(state(&service).await.status, 200);
    assert_eq!(service.metric("ok2cry_parent_enclave_unmatched_responses_total"), 1);
    assert!(service.metrics.render().contains("status=\"499\""));
}

#[tokio::test]
async fn requests_fail_at_once_until_the_enclave_is_reachable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("late.sock");
    let mut config = ok2cry_parent::Config::new(format!("unix://{}", path.display()).parse().unwrap());
    config.enclave_streams = 1;
    let service = TestService::new(&config);
    let answered = state(&service).await;
    assert_eq!((answered.code(), answered.header("retry-after")), ("enclave_unavailable".into(), "1"));
    assert!(answered.detail().ends_with("the request was not sent"), "{}", answered.detail());
    until("several attempts failed", || service.metric("ok2cry_parent_enclave_connect_failures_total") > 2)
        .await;

    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 64];
        assert!(stream.read(&mut request).await.unwrap() > 4);
        let request = ok2cry_protocol::rpc::Request::decode(
            &request[4..4 + u32::from_be_bytes(request[..4].try_into().unwrap()) as usize],
        );
        let response = Response { id: request.unwrap().id, result: Ok(Answer::State(KeyState::Live)) };
        stream.write_all(&frame::encode(&response.encode())).await.unwrap();
        std::future::pending::<()>().await;
    });
    until("a stream is open", || service.metric("ok2cry_parent_enclave_streams ") == 1).await;
    assert_eq!(state(&service).await.status, 200);
}

#[tokio::test]
async fn vsock_over_unix_requests_the_port_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("v.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let target = FakeEnclave::answering();
    let socket = target.url().trim_start_matches("unix://").to_owned();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut request = [0; 13];
        near.read_exact(&mut request).await.unwrap();
        assert_eq!(&request, b"CONNECT 5005\n");
        near.write_all(b"OK 1073741824\n").await.unwrap();
        let mut far = tokio::net::UnixStream::connect(socket).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let url = format!("vsock+unix://{}:5005", path.display());
    let mut config = ok2cry_parent::Config::new(url.parse().unwrap());
    config.enclave_streams = 1;
    assert_eq!(state(&TestService::new(&config)).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_closes_while_idle_fails_no_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("e.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (accepted, close) = (Arc::<AtomicUsize>::default(), Arc::new(tokio::sync::Notify::new()));
    let (count, closing) = (accepted.clone(), close.clone());
    // Answers one request at a time, and closes every stream on the signal `close`.
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let closing = closing.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                loop {
                    let read = tokio::select! {
                        read = stream.read(&mut request) => read.unwrap(),
                        () = closing.notified() => return,
                    };
                    if read == 0 {
                        return;
                    }
                    let id = ok2cry_protocol::rpc::Request::decode(&request[4..read]).unwrap().id;
                    let response = Response { id, result: Ok(Answer::State(KeyState::Live)) };
                    stream.write_all(&frame::encode(&response.encode())).await.unwrap();
                }
            });
        }
    });
    let mut config = ok2cry_parent::Config::new(format!("unix://{}", path.display()).parse().unwrap());
    config.enclave_streams = 3;
    let service = TestService::new(&config);
    let streams = || service.metric("ok2cry_parent_enclave_streams ");
    until("all streams are open", || streams() == 3 && accepted.load(Ordering::SeqCst) == 3).await;
    close.notify_waiters();
    // The first worker reconnects at once; the others reconnect at the next requests.
    until("one stream is open again", || accepted.load(Ordering::SeqCst) == 4 && streams() == 1).await;
    assert_eq!(closed(&service, "ended"), 3);
    for _ in 0..9 {
        assert_eq!(state(&service).await.status, 200);
    }
    until("all streams are open again", || streams() == 3).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 6);
    assert_eq!(service.metric("ok2cry_parent_enclave_connect_failures_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn unused_streams_except_the_first_are_closed() {
    let enclave = FakeEnclave::answering();
    let mut config = enclave.config();
    config.enclave_streams = 3;
    let service = TestService::new(&config);
    let streams = || service.metric("ok2cry_parent_enclave_streams ");
    until("all streams are open", || streams() == 3).await;
    // Probes do not keep streams open.
    for _ in 0..13 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(service.get("/readyz").await.status, 200);
    }
    assert_eq!((streams(), closed(&service, "idle")), (1, 2));
    for _ in 0..3 {
        assert_eq!(state(&service).await.status, 200);
    }
    until("all streams are open again", || streams() == 3).await;
}
