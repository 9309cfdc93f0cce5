//! HTTP/1.1 byte for byte: requests that no client library sends, and raw responses.

use crate::{HarnessError, wait::DEADLINE};
use ok2cry_protocol::{code::Code, http::Problem};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

/// A request or response: first line, headers and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its end.
    pub start: String,
    /// Names in lower case, and values, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// A response's status, or 0.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The first header of this name (in lower case), or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a refusal. Checks media type, status, code and cache control.
    ///
    /// # Errors
    ///
    /// If this is not a refusal, or its parts disagree.
    pub fn refusal(&self) -> Result<Code, HarnessError> {
        let wrong = |what: &str| HarnessError::new(format!("{what}: {} {}", self.start, self.text()));
        if self.header("content-type") != "application/problem+json" {
            return Err(wrong("expected application/problem+json"));
        }
        let problem: Problem =
            serde_json::from_slice(&self.body).map_err(|_| wrong("expected a problem document"))?;
        let code = Code::from_name(&problem.code).ok_or_else(|| wrong("unknown code"))?;
        if problem.status != self.status() || code.status() != self.status() {
            return Err(wrong("status and code disagree"));
        }
        if self.header("cache-control") != "no-store" {
            return Err(wrong("expected cache-control: no-store"));
        }
        Ok(code)
    }

    /// Reads one message.
    ///
    /// # Errors
    ///
    /// If it is malformed or longer than this reader's limits.
    pub fn read(from: &mut impl BufRead) -> Result<Self, HarnessError> {
        let failed = |e: std::io::Error| HarnessError::new(format!("reading an HTTP message: {e}"));
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
            return Err(HarnessError::new("an HTTP message is chunked or longer than 1 MiB"));
        }
        message.body.resize(length, 0);
        from.read_exact(&mut message.body).map_err(failed)?;
        Ok(message)
    }
}

const CUT: &str = "an HTTP message is cut short";
const MAX_LINE: u64 = 64 * 1024;
const MAX_BODY: usize = 1 << 20;

/// Sends one request with `body` and its length on a new connection.
///
/// # Errors
///
/// If the service cannot be reached, or its response is malformed.
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

/// Sends these bytes on a new connection, and reads one response.
///
/// # Errors
///
/// As [`request`].
pub fn send(url: &str, bytes: &[u8]) -> Result<Message, HarnessError> {
    let mut stream = connect(url)?;
    // A service may refuse and close before it has read everything. The response counts.
    let _ = stream.write_all(bytes);
    Message::read(&mut BufReader::new(stream))
}

/// Connects to the service at `http://HOST:PORT`.
///
/// # Errors
///
/// If nothing listens.
pub fn connect(url: &str) -> Result<TcpStream, HarnessError> {
    let failed = |e: std::io::Error| HarnessError::new(format!("{url}: {e}"));
    let stream = TcpStream::connect(url.trim_start_matches("http://")).map_err(failed)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(failed)?;
    Ok(stream)
}
