//! A fake enclave with scripted responses on a Unix socket, and a client for the HTTP service.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part of it")]

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request as HttpRequest, Response as HttpResponse},
};
use base64ct::{Base64UrlUnpadded, Encoding};
use ok2cry_parent::{Config, http::router, metrics::Metrics};
use ok2cry_protocol::{
    batch::Inclusion,
    frame::{self, FrameReader, MAX_REQUEST},
    rpc::{Answer, Attested, Call, Health, Issued, KeyState, Refusal, Request, Response, SealedReply},
};
use serde_json::Value;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, WriteHalf},
    net::{UnixListener, UnixStream},
    sync::{Mutex, Semaphore},
};
use tower::ServiceExt;

/// What the fake enclave does with a request.
pub enum Action {
    Answer(Result<Answer, Refusal>),
    /// Answers with this offset added to the request's id.
    AnswerOther(u64, Answer),
    Send(Vec<u8>),
    SendAndClose(Vec<u8>),
    Ignore,
    /// Answers when the semaphore has a permit.
    AnswerAfter(Arc<Semaphore>, Answer),
}

pub struct FakeEnclave {
    directory: TempDir,
    pub accepted: Arc<AtomicUsize>,
    pub received: Arc<AtomicUsize>,
}

impl FakeEnclave {
    pub fn start(script: impl Fn(&Call) -> Action + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("enclave.sock")).unwrap();
        let (accepted, received) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (script, counts) = (Arc::new(script), (accepted.clone(), received.clone()));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counts.0.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve_stream(stream, script.clone(), counts.1.clone()));
            }
        });
        Self { directory, accepted, received }
    }

    /// Answers every call with an answer of the matching kind.
    pub fn answering() -> Self {
        Self::start(|call| Action::Answer(Ok(matching_answer(call))))
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.directory.path().join("enclave.sock").display())
    }

    /// The defaults, with a single stream.
    pub fn config(&self) -> Config {
        let mut config = Config::new(self.url().parse().unwrap());
        config.enclave_streams = 1;
        config
    }

    pub fn service(&self) -> TestService {
        TestService::new(&self.config())
    }

    pub fn received(&self) -> usize {
        self.received.load(Ordering::SeqCst)
    }
}

async fn serve_stream<F>(stream: UnixStream, script: Arc<F>, received: Arc<AtomicUsize>)
where
    F: Fn(&Call) -> Action + Send + Sync,
{
    let (mut reader, writer) = tokio::io::split(stream);
    let writer = Arc::new(Mutex::new(writer));
    let mut frames = FrameReader::new(MAX_REQUEST);
    let mut buffer = vec![0; 4096];
    loop {
        let n = reader.read(&mut buffer).await.unwrap_or(0);
        if n == 0 {
            return;
        }
        frames.push(&buffer[..n]);
        while let Some(frame) = frames.next_frame().unwrap() {
            let request = Request::decode(frame).unwrap();
            let act = script(&request.call);
            received.fetch_add(1, Ordering::SeqCst);
            match act {
                Action::Answer(result) => send_response(&writer, request.id, result).await,
                Action::AnswerOther(offset, answer) => {
                    send_response(&writer, request.id + offset, Ok(answer)).await;
                }
                Action::Send(bytes) => drop(writer.lock().await.write_all(&bytes).await),
                Action::SendAndClose(bytes) => {
                    let mut writer = writer.lock().await;
                    let _ = writer.write_all(&bytes).await;
                    // Delayed answers keep the stream open, so shut it down.
                    let _ = writer.shutdown().await;
                    return;
                }
                Action::Ignore => {}
                Action::AnswerAfter(held, answer) => {
                    let writer = writer.clone();
                    tokio::spawn(async move {
                        held.acquire().await.unwrap().forget();
                        send_response(&writer, request.id, Ok(answer)).await;
                    });
                }
            }
        }
    }
}

async fn send_response(writer: &Mutex<WriteHalf<UnixStream>>, id: u64, result: Result<Answer, Refusal>) {
    let frame = frame::encode(&Response { id, result }.encode());
    let _ = writer.lock().await.write_all(&frame).await;
}

pub fn matching_answer(call: &Call) -> Answer {
    match call {
        Call::Issue(issue) => {
            let keys = (0..issue.count).map(|i| (vec![5; 300], inclusion(i.into()))).collect();
            Answer::Issued(Issued { document: vec![4; 4000].into(), keys })
        }
        Call::Open(_) => Answer::Sealed(SealedReply { reply: vec![6; 500], context: attested() }),
        Call::Status(_) => Answer::State(KeyState::Live),
        Call::Destroy(_) => Answer::State(KeyState::Destroyed),
        Call::Attest(_) => Answer::Attested(attested()),
        Call::Health => Answer::Health(Health { live_keys: 7, capacity: 9, ..Health::default() }),
    }
}

fn inclusion(index: u64) -> Inclusion {
    Inclusion { index, path: vec![[3; 48]; 2] }
}

fn attested() -> Attested {
    Attested { record: vec![1; 99], inclusion: inclusion(1), document: vec![9; 4000].into() }
}

/// The HTTP service, called without a socket.
pub struct TestService {
    router: Router,
    pub metrics: Arc<Metrics>,
}

pub struct HttpAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl TestService {
    pub fn new(config: &Config) -> Self {
        let metrics = Arc::new(Metrics::new());
        Self { router: router(config, metrics.clone()), metrics }
    }

    /// Sends a request. Adds a `Host` header if there is none.
    pub async fn send(&self, mut request: HttpRequest<Body>) -> HttpAnswer {
        request.headers_mut().entry("host").or_insert("localhost".parse().unwrap());
        let response: HttpResponse<Body> = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        HttpAnswer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.send(HttpRequest::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> HttpAnswer {
        self.send(HttpRequest::delete(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> HttpAnswer {
        let request = HttpRequest::post(path).header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// The value of the metric whose line begins with `line`.
    pub fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.render();
        let found = text.lines().find(|l| l.starts_with(line));
        found.map_or(0, |l| l.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

impl HttpAnswer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The problem's code. Checks the other fields of the problem.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let code = problem["code"].as_str().unwrap();
        let known = ok2cry_protocol::code::Code::from_name(code).unwrap();
        assert_eq!(known.status(), self.status);
        assert_eq!(problem["title"], known.title());
        assert_eq!(problem["type"], format!("/docs#{code}"));
        code.to_owned()
    }

    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub fn b64(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

pub fn key_id() -> String {
    b64(&[7; 24])
}

pub fn point() -> String {
    b64(&p384::SecretKey::from_slice(&[7; 48]).unwrap().public_key().to_sec1_bytes())
}

pub fn issue_body() -> Value {
    serde_json::json!({
        "nonce": b64(&[1; 16]),
        "purpose": "card-pin",
        "ttl": 60_000,
        "recipient": { "suite": [17, 2, 2], "public_key": point() },
    })
}

pub fn open_body() -> Value {
    serde_json::json!({ "enc": point(), "ciphertext": b64(&[2; 20]), "aad": b64(b"order 1") })
}

/// Waits for a condition. Panics after 20 seconds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("timed out waiting until {what}");
}
