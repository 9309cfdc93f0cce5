//! A man in the middle in the parent's place: it reads and rewrites every message between clients and the
//! service.

use crate::{
    HarnessError,
    raw_http::{self, Message},
};
use serde_json::Value;
use std::{
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// A proxy on loopback before the real parent, for clients whose base URL is [`HostileParent::url`].
/// [`Tamper`] changes messages. Its threads end with the process.
#[derive(Debug)]
pub struct HostileParent {
    url: String,
}

/// Changes messages in transit. Each message has a thread of its own, so a call may block to wait for
/// another.
pub type Tamper = dyn Fn(&Exchange, &mut Passing) + Send + Sync;

/// Which message of which session passes the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The session: the last part of its client's base URL.
    pub session: String,
    /// Which step of the session this is.
    pub step: Step,
}

/// The messages of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client asks for keys.
    IssueRequest,
    /// The service answers with keys.
    IssueAnswer,
    /// The client asks for a message to be opened.
    OpenRequest,
    /// The service answers with what was opened.
    OpenAnswer,
}

/// A message that can be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Passing {
    /// The request's path.
    pub path: String,
    /// The body.
    pub body: Value,
}

impl HostileParent {
    /// Starts a proxy before the real parent at `upstream`.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub fn start(
        upstream: &str,
        tamper: impl Fn(&Exchange, &mut Passing) + Send + Sync + 'static,
    ) -> Result<Self, HarnessError> {
        let failed = |e: std::io::Error| HarnessError::new(format!("binding the proxy: {e}"));
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let (upstream, tamper) = (upstream.to_owned(), Arc::new(tamper));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, tamper) = (upstream.clone(), Arc::clone(&tamper));
                // A failed exchange reaches the client as a broken response.
                thread::spawn(move || drop(pass(&stream, &upstream, &*tamper)));
            }
        });
        Ok(Self { url })
    }

    /// The base URL for the client of `session`.
    pub fn url(&self, session: &str) -> String {
        format!("{}/{session}", self.url)
    }
}

fn pass(stream: &TcpStream, upstream: &str, tamper: &Tamper) -> Result<(), HarnessError> {
    let request = Message::read(&mut BufReader::new(stream))?;
    let mut words = request.start.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (session, path) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let exchange = |step| Exchange { session: session.to_owned(), step };
    let steps = match (method, path) {
        ("POST", "v1/keys") => Some((Step::IssueRequest, Step::IssueAnswer)),
        ("POST", _) => Some((Step::OpenRequest, Step::OpenAnswer)),
        _ => None,
    };

    let mut asked = Passing { path: format!("/{path}"), body: value(&request.body) };
    if let Some((step, _)) = steps {
        tamper(&exchange(step), &mut asked);
    }
    let body = if steps.is_some() { asked.body.to_string() } else { String::new() };
    let headers = [("content-type", "application/json")];
    let answer = raw_http::request(upstream, method, &asked.path, &headers, body.as_bytes())?;

    let mut answered = Passing { path: asked.path, body: value(&answer.body) };
    // Refusals pass unchanged: a parent could refuse anyway.
    if let Some((_, step)) = steps.filter(|_| answer.status() == 200) {
        tamper(&exchange(step), &mut answered);
    }
    let (status, body) = (answer.status(), answered.body.to_string());
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.header("content-type"),
        body.len()
    );
    let mut stream = stream;
    stream
        .write_all(&[head.as_bytes(), body.as_bytes()].concat())
        .map_err(|e| HarnessError::new(e.to_string()))
}

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}
