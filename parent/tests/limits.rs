//! Limits, timeouts and graceful shutdown, over real sockets.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use common::{Action, FakeEnclave, TestService, issue_body, key_id, matching_answer, until};
use ok2cry_parent::{Config, bind, serve};
use ok2cry_protocol::rpc::{Answer, KeyState};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};

fn holding_enclave() -> (FakeEnclave, Arc<Semaphore>) {
    let held = Arc::new(Semaphore::new(0));
    let hold = held.clone();
    let enclave =
        FakeEnclave::start(move |_| Action::AnswerAfter(hold.clone(), Answer::State(KeyState::Live)));
    (enclave, held)
}

struct RunningServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ok2cry_parent::Error>>,
}

async fn run(config: Config) -> RunningServer {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(config, listener, async { drop(stopped.await) }));
    RunningServer { address, stop, server }
}

async fn connect(running: &RunningServer) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text).await;
    text
}

fn get_state() -> String {
    format!("GET /v1/keys/{} HTTP/1.1\r\nhost: x\r\n\r\n", key_id())
}

#[tokio::test]
async fn a_full_queue_refuses_requests_but_not_probes() {
    let (enclave, held) = holding_enclave();
    let mut config = enclave.config();
    (config.max_in_flight, config.max_queue) = (2, 3);
    let service = Arc::new(TestService::new(&config));
    let path = format!("/v1/keys/{}", key_id());
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let (service, path) = (service.clone(), path.clone());
            tokio::spawn(async move { service.get(&path).await.status })
        })
        .collect();
    until("two are in flight and three wait", || {
        service.metric("ok2cry_parent_enclave_requests_in_flight") == 2
            && service.metric("ok2cry_parent_enclave_requests_waiting") == 3
    })
    .await;
    let refused = service.get(&path).await;
    assert_eq!((refused.code(), refused.header("retry-after")), ("busy".into(), "1"));
    assert_eq!(service.get("/healthz").await.status, 200);
    until("no more than two reached the enclave", || enclave.received() == 2).await;
    held.add_permits(5);
    for status in requests {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert_eq!(enclave.received(), 5, "refused requests are not sent");
}

#[tokio::test]
async fn readiness_has_its_own_timeout() {
    let enclave = FakeEnclave::start(|_| Action::Ignore);
    let mut config = enclave.config();
    (config.ready_timeout, config.enclave_timeout) = (Duration::from_millis(50), Duration::from_secs(600));
    assert_eq!(TestService::new(&config).get("/readyz").await.code(), "enclave_timeout");
}

#[tokio::test]
async fn an_incomplete_body_times_out() {
    let enclave = FakeEnclave::answering();
    let mut config = enclave.config();
    config.body_timeout = Duration::from_millis(50);
    let running = run(config).await;
    let mut stream = connect(&running).await;
    let head =
        "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\"") && answer.contains("application/problem+json"));
}

#[tokio::test]
async fn a_chunked_body_is_refused_at_the_limit() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    let mut stream = connect(&running).await;
    let head = "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("2000\r\n{}\r\n", "{".repeat(0x2000));
    for _ in 0..3 {
        // The response may arrive, and the connection close, before everything is written.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn an_invalid_chunked_encoding_is_refused() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    let mut stream = connect(&running).await;
    let request = "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                   transfer-encoding: chunked\r\n\r\nnot a length\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = rest(stream).await;
    assert!(answer.contains("body: did not arrive whole"), "{answer}");
    assert_eq!(enclave.received(), 0);
}

#[tokio::test]
async fn an_incomplete_head_closes_the_connection() {
    let enclave = FakeEnclave::answering();
    let mut config = enclave.config();
    config.header_timeout = Duration::from_millis(50);
    let running = run(config).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let answer = rest(stream).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let enclave = FakeEnclave::answering();
    let mut config = enclave.config();
    config.max_connections = 1;
    let running = run(config).await;
    let ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut first = connect(&running).await;
    first.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(first.read_u8().await.is_ok(), "the first connection is served");
    let mut second = connect(&running).await;
    second.write_all(ask).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second waits");
    drop(first);
    assert!(rest(second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn shutdown_finishes_requests_and_refuses_connections() {
    let (enclave, held) = holding_enclave();
    let running = run(enclave.config()).await;
    let mut busy = connect(&running).await;
    busy.write_all(get_state().as_bytes()).await.unwrap();
    let mut idle = connect(&running).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.read_u8().await.is_ok());
    until("the request is in flight", || enclave.received() == 1).await;
    running.stop.send(()).unwrap();
    assert!(rest(idle).await.contains("200 OK"), "the idle connection is closed after its answer");
    assert!(!running.server.is_finished());
    assert!(TcpStream::connect(running.address).await.is_err(), "the listener is closed");
    held.add_permits(1);
    let answer = rest(busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"state\":\"live\"}"), "{answer}");
    running.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_aborts_requests_at_the_deadline() {
    let (enclave, _held) = holding_enclave();
    let mut config = enclave.config();
    (config.shutdown_timeout, config.enclave_timeout) = (Duration::from_millis(50), Duration::from_secs(600));
    let running = run(config).await;
    let mut stream = connect(&running).await;
    stream.write_all(get_state().as_bytes()).await.unwrap();
    until("the request is in flight", || enclave.received() == 1).await;
    running.stop.send(()).unwrap();
    running.server.await.unwrap().unwrap();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn pipelined_requests_are_answered() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    let mut stream = connect(&running).await;
    let body = issue_body().to_string();
    let length = body.len();
    let post = format!(
        "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let last = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{post}{}{last}", get_state()).as_bytes()).await.unwrap();
    assert_eq!(rest(stream).await.matches("HTTP/1.1 200 OK").count(), 3);
}

#[tokio::test]
async fn a_single_key_passes_requests_for_many() {
    let held = Arc::new(Semaphore::new(0));
    let hold = held.clone();
    let enclave = FakeEnclave::start(move |call| Action::AnswerAfter(hold.clone(), matching_answer(call)));
    let service = Arc::new(TestService::new(&enclave.config()));
    let ask = |count: u32| {
        let service = service.clone();
        tokio::spawn(async move {
            let mut body = issue_body();
            body["count"] = count.into();
            service.post("/v1/keys", body.to_string()).await.status
        })
    };
    let many: Vec<_> = (0..256).map(|_| ask(100)).collect();
    let waiting = || service.metric("ok2cry_parent_enclave_requests_waiting");
    until("two are in flight and the others wait", || waiting() == 254 && enclave.received() == 2).await;
    let single = ask(1);
    until("the single-key request is in flight", || enclave.received() == 3).await;
    assert_eq!(waiting(), 254);
    held.add_permits(257);
    assert_eq!(single.await.unwrap(), 200);
    for request in many {
        assert_eq!(request.await.unwrap(), 200);
    }
}

/// Writes the whole request before reading, as most clients do.
async fn write_then_read(running: &RunningServer, head: &str, body: &[u8]) -> String {
    let mut stream = connect(running).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_client_that_writes_everything_reads_the_refusal() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    // More than the socket buffers of both sides.
    const LENGTH: usize = 32 << 20;
    let body = vec![b' '; LENGTH];
    let chunks = [format!("{LENGTH:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let json = "content-type: application/json\r\n";
    let length = format!("content-length: {LENGTH}\r\n");
    for (start, rest, body, status) in [
        ("POST /v1/keys", format!("{json}{length}"), &body, 413),
        ("POST /v1/keys", format!("{json}transfer-encoding: chunked\r\n"), &chunks, 413),
        ("POST /v1/keys", length.clone(), &body, 415),
        ("POST /v1/nothing", format!("{json}{length}"), &body, 404),
        ("PUT /v1/keys", format!("{json}{length}"), &body, 405),
        ("GET /healthz", length.clone(), &body, 200),
    ] {
        let head = format!("{start} HTTP/1.1\r\nhost: x\r\n{rest}\r\n");
        let answer = write_then_read(&running, &head, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start}: {answer}");
    }
    assert_eq!(enclave.received(), 0);
}

#[tokio::test]
async fn an_expected_body_that_is_too_long_is_not_requested() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    let body = issue_body().to_string();
    let head = |length: usize| {
        format!(
            "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
             expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let answer = write_then_read(&running, &head(1 << 20), b"").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    let mut stream = connect(&running).await;
    stream.write_all(head(body.len()).as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn ambiguous_request_heads_are_refused() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a, b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: u@a\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost:\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a:99999\r\n", 400),
        ("GET /nothing HTTP/1.1\r\n", 400),
        ("GET /healthz HTTP/1.0\r\n", 200),
        ("GET /healthz HTTP/1.0\r\nhost: a\r\nhost: b\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nhost: a:8080\r\n", 200),
        ("GET /healthz HTTP/1.1\r\nhost: [::1]:8080\r\n", 200),
        ("GET http://a.example/healthz HTTP/1.1\r\nhost: b\r\n", 200),
        ("GET http://a.example/healthz HTTP/1.1\r\n", 400),
        ("HEAD /healthz HTTP/1.1\r\nhost: a\r\n", 200),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n", 204),
        ("GET * HTTP/1.1\r\nhost: a\r\n", 404),
        ("CONNECT a.example:443 HTTP/1.1\r\nhost: a\r\n", 404),
        ("POST /v1/keys HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n", 400),
        ("POST /v1/keys HTTP/1.1\r\nhost: a\r\ncontent-length: +2\r\n", 400),
        ("POST /v1/keys HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n", 400),
        ("POST /v1/keys HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n", 400),
    ] {
        let head = format!("{request}connection: close\r\n\r\n");
        let answer = write_then_read(&running, &head, b"").await;
        let version = if answer.starts_with("HTTP/1.0") { "1.0" } else { "1.1" };
        assert!(answer.starts_with(&format!("HTTP/{version} {status} ")), "{request}: {answer}");
    }
    assert_eq!(enclave.received(), 0);
}

/// RFC 9112 §6.1: bytes that a proxy may have treated as another request are not parsed as one.
#[tokio::test]
async fn two_body_lengths_close_the_connection() {
    let enclave = FakeEnclave::answering();
    let running = run(enclave.config()).await;
    let body = issue_body().to_string();
    let (chunk, smuggled) = (format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()), get_state());
    for lengths in
        ["content-length: 4\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 4"]
    {
        let head = format!(
            "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lengths}\r\n\r\n"
        );
        let mut stream = connect(&running).await;
        stream.write_all(format!("{head}{chunk}{smuggled}").as_bytes()).await.unwrap();
        let answer = rest(stream).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}
