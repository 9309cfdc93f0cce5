//! HTTP/1.1 byte for byte, for requests that no decent client sends, and answers as they come.

use crate::{HarnessError, wait::DEADLINE};
use ok2cry_protocol::{code::Code, http::Problem};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

/// A request's or an answer's first line, headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// Names in lower case, and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// An answer's status; 0 if this is none.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The first header of this name (in lower case), or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The refusal that this is, exactly as problems are: type, status, code and all.
    ///
    /// # Errors
    ///
    /// If this is no refusal, or says of itself what is not so.
    pub fn refusal(&self) -> Result<Code, HarnessError> {
        let wrong = |what: &str| HarnessError::new(format!("{what}: {} {}", self.start, self.text()));
        if self.header("content-type") != "application/problem+json" {
            return Err(wrong("no problem+json"));
        }
        let problem: Problem = serde_json::from_slice(&self.body).map_err(|_| wrong("no problem"))?;
        let code = Code::from_name(&problem.code).ok_or_else(|| wrong("an unknown code"))?;
        if problem.status != self.status() || code.status() != self.status() {
            return Err(wrong("another status than the code's"));
        }
        if self.header("cache-control") != "no-store" {
            return Err(wrong("a refusal that may be cached"));
        }
        Ok(code)
    }

    /// Reads one message.
    ///
    /// # Errors
    ///
    /// If what comes is none, or is longer than anything here ever is.
    pub fn read(from: &mut impl BufRead) -> Result<Self, HarnessError> {
        let failed = |e: std::io::Error| HarnessError::new(format!("no HTTP message: {e}"));
        let mut line = || {
            let mut line = String::new();
            from.take(MAX_LINE).read_line(&mut line).map_err(failed)?;
            line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| HarnessError::new(CUT))
        };
        let start = line()?;
        let mut headers = Vec::new();
        loop {
            let line = line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| HarnessError::new(CUT))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut message = Self { start, headers, body: Vec::new() };
        let length = message.header("content-length").parse().unwrap_or(0);
        if !message.header("transfer-encoding").is_empty() || length > MAX_BODY {
            return Err(HarnessError::new("an HTTP message in pieces, or a huge one"));
        }
        message.body.resize(length, 0);
        from.read_exact(&mut message.body).map_err(failed)?;
        Ok(message)
    }
}

const CUT: &str = "an HTTP message ends before its time";
const MAX_LINE: u64 = 64 * 1024;
const MAX_BODY: usize = 1 << 20;

/// Sends one request with `body` and its length, on a connection of its own.
///
/// # Errors
///
/// If the service cannot be reached or what it says is no answer.
pub fn request(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Message, HarnessError> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    send(url, &[bytes.as_bytes(), body].concat())
}

/// Posts JSON.
///
/// # Errors
///
/// As [`request`].
pub fn post(url: &str, path: &str, json: &str) -> Result<Message, HarnessError> {
    request(url, "POST", path, &[("content-type", "application/json")], json.as_bytes())
}

/// Sends these bytes, on a connection of their own, and reads one answer.
///
/// # Errors
///
/// As [`request`].
pub fn send(url: &str, bytes: &[u8]) -> Result<Message, HarnessError> {
    let mut stream = connect(url)?;
    // Who is refused before the end of what they send may be cut off in the middle of it; the answer counts.
    let _ = stream.write_all(bytes);
    Message::read(&mut BufReader::new(stream))
}

/// Connects to the service at `http://HOST:PORT`.
///
/// # Errors
///
/// If nobody listens.
pub fn connect(url: &str) -> Result<TcpStream, HarnessError> {
    let failed = |e: std::io::Error| HarnessError::new(format!("{url}: {e}"));
    let stream = TcpStream::connect(url.trim_start_matches("http://")).map_err(failed)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(failed)?;
    Ok(stream)
}
