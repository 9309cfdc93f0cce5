//! Limits and timeouts, and the orderly end, over real sockets.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use common::{Act, Enclave, Service, issue_body, key_id, until};
use ok2cry_parent::{Config, bind, serve};
use ok2cry_protocol::rpc::{Answer, KeyState};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};

fn holding() -> (Enclave, Arc<Semaphore>) {
    let held = Arc::new(Semaphore::new(0));
    let hold = held.clone();
    let enclave = Enclave::start(move |_| Act::SayAfter(hold.clone(), Answer::State(KeyState::Live)));
    (enclave, held)
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), ok2cry_parent::Error>>,
}

async fn run(config: Config) -> Running {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(config, listener, async { drop(stopped.await) }));
    Running { address, stop, server }
}

async fn connect(running: &Running) -> TcpStream {
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
async fn beyond_the_queue_requests_are_refused_and_probes_still_pass() {
    let (enclave, held) = holding();
    let mut config = enclave.config();
    (config.max_in_flight, config.max_queue) = (2, 3);
    let service = Arc::new(Service::new(&config));
    let path = format!("/v1/keys/{}", key_id());
    let asked: Vec<_> = (0..5)
        .map(|_| {
            let (service, path) = (service.clone(), path.clone());
            tokio::spawn(async move { service.get(&path).await.status })
        })
        .collect();
    until("two run and three wait", || {
        service.metric("ok2cry_parent_enclave_requests_in_flight") == 2
            && service.metric("ok2cry_parent_enclave_requests_waiting") == 3
    })
    .await;
    let refused = service.get(&path).await;
    assert_eq!((refused.code(), refused.header("retry-after")), ("busy".into(), "1"));
    assert_eq!(service.get("/healthz").await.status, 200);
    until("no more than two reached the enclave", || enclave.received() == 2).await;
    held.add_permits(5);
    for status in asked {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert_eq!(enclave.received(), 5, "what was refused never left");
}

#[tokio::test]
async fn readiness_has_a_deadline_of_its_own() {
    let enclave = Enclave::start(|_| Act::Nothing);
    let mut config = enclave.config();
    (config.ready_timeout, config.enclave_timeout) = (Duration::from_millis(50), Duration::from_secs(600));
    assert_eq!(Service::new(&config).get("/readyz").await.code(), "enclave_timeout");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() {
    let enclave = Enclave::obliging();
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
async fn a_body_without_a_length_is_cut_at_the_limit_too() {
    let enclave = Enclave::obliging();
    let running = run(enclave.config()).await;
    let mut stream = connect(&running).await;
    let head = "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("2000\r\n{}\r\n", "{".repeat(0x2000));
    for _ in 0..3 {
        // The answer may come, and the connection go, before everything is written.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let answer = rest(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_not_what_its_encoding_says_is_no_body() {
    let enclave = Enclave::obliging();
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
async fn a_head_that_does_not_arrive_closes_the_connection() {
    let enclave = Enclave::obliging();
    let mut config = enclave.config();
    config.header_timeout = Duration::from_millis(50);
    let running = run(config).await;
    let mut stream = connect(&running).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
    let answer = rest(stream).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let enclave = Enclave::obliging();
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
async fn what_is_under_way_finishes_and_nothing_new_begins_after_the_stop() {
    let (enclave, held) = holding();
    let running = run(enclave.config()).await;
    let mut busy = connect(&running).await;
    busy.write_all(get_state().as_bytes()).await.unwrap();
    let mut idle = connect(&running).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.read_u8().await.is_ok());
    until("the request is under way", || enclave.received() == 1).await;
    running.stop.send(()).unwrap();
    assert!(rest(idle).await.contains("200 OK"), "the idle connection is closed after its answer");
    assert!(!running.server.is_finished());
    assert!(TcpStream::connect(running.address).await.is_err(), "nobody listens any more");
    held.add_permits(1);
    let answer = rest(busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"state\":\"live\"}"), "{answer}");
    running.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off_at_the_deadline() {
    let (enclave, _held) = holding();
    let mut config = enclave.config();
    (config.shutdown_timeout, config.enclave_timeout) = (Duration::from_millis(50), Duration::from_secs(600));
    let running = run(config).await;
    let mut stream = connect(&running).await;
    stream.write_all(get_state().as_bytes()).await.unwrap();
    until("the request is under way", || enclave.received() == 1).await;
    running.stop.send(()).unwrap();
    running.server.await.unwrap().unwrap();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn requests_on_one_connection_follow_each_other() {
    let enclave = Enclave::obliging();
    let running = run(enclave.config()).await;
    let mut stream = connect(&running).await;
    let body = issue_body().to_string();
    let length = body.len();
    let post = format!(
        "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let last = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{post}{}{last}", get_state()).as_bytes()).await.unwrap();
    assert_eq!(rest(stream).await.matches("HTTP/1.1 200 OK").count(), 3);
}
