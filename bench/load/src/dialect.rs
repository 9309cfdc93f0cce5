//! Encoding of requests and responses: frames at the enclave's socket, HTTP at the parent's and the
//! baseline's.

use crate::Outcome;
use ok2cry_protocol::{
    frame::{FrameReader, MAX_RESPONSE, encode},
    rpc::{self, Call, ResponseReader, Request},
};
use std::collections::VecDeque;

/// One received response.
pub struct Answer<'a> {
    /// The request's number.
    pub number: u64,
    /// The response, or the reason of a refusal.
    pub body: Result<Body<'a>, String>,
    /// The size on the wire, in bytes.
    pub wire_bytes: usize,
}

pub enum Body<'a> {
    Frame(rpc::Answer),
    Json(&'a [u8]),
}

/// A response's body, kept for later.
pub enum Kept {
    Frame(rpc::Answer),
    Json(Vec<u8>),
}

impl Body<'_> {
    pub fn keep(self) -> Kept {
        match self {
            Self::Frame(answer) => Kept::Frame(answer),
            Self::Json(json) => Kept::Json(json.to_vec()),
        }
    }
}

/// Writes a call as one frame.
pub fn write_frame(number: u64, call: Call, to: &mut Vec<u8>) {
    to.extend_from_slice(&encode(&Request { id: number, call }.encode()));
}

/// Writes a POST of JSON.
pub fn write_post(path: &str, json: &str, to: &mut Vec<u8>) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        json.len()
    );
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(json.as_bytes());
}

/// Splits the bytes of one connection into responses.
pub enum Reader {
    Frames {
        frames: FrameReader,
        documents: ResponseReader,
        /// Bytes of frames that are not responses.
        besides: usize,
    },
    Http {
        arrived: Vec<u8>,
        /// Requests without a response yet, in order.
        waiting: VecDeque<u64>,
    },
}

impl Reader {
    pub fn frames() -> Self {
        let (frames, documents) = (FrameReader::new(MAX_RESPONSE), ResponseReader::default());
        Self::Frames { frames, documents, besides: 0 }
    }

    pub fn http() -> Self {
        Self::Http { arrived: Vec::new(), waiting: VecDeque::new() }
    }

    pub fn asked(&mut self, number: u64) {
        if let Self::Http { waiting, .. } = self {
            waiting.push_back(number);
        }
    }

    /// Takes bytes of the connection, and passes on complete responses.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Answer<'_>)) -> Outcome<()> {
        match self {
            Self::Frames { frames, documents, besides } => {
                frames.push(bytes);
                while let Some(frame) = frames.next_frame()? {
                    *besides += frame.len() + 4;
                    let Some((number, body)) = read_frame(documents, frame)? else { continue };
                    each(Answer { number, body: body.map(Body::Frame), wire_bytes: std::mem::take(besides) });
                }
            }
            Self::Http { arrived, waiting } => {
                arrived.extend_from_slice(bytes);
                let mut rest = &arrived[..];
                while let Some((status, head, length)) = read_head(rest)? {
                    let Some(body) = rest.get(head..head + length) else { break };
                    let number = waiting.pop_front().ok_or("a response without a request")?;
                    let body = if status == 200 { Ok(Body::Json(body)) } else { Err(refusal(status, body)) };
                    let wire_bytes = head + length;
                    each(Answer { number, body, wire_bytes });
                    rest = &rest[wire_bytes..];
                }
                let left = rest.len();
                arrived.drain(..arrived.len() - left);
            }
        }
        Ok(())
    }
}

type Decoded = (u64, Result<rpc::Answer, String>);

/// Decodes a response of the enclave. `None` for a document frame, which later responses refer to.
fn read_frame(documents: &mut ResponseReader, frame: &[u8]) -> Outcome<Option<Decoded>> {
    let response = documents.read(frame)?;
    Ok(response.map(|response| (response.id, response.result.map_err(|refusal| refusal.to_string()))))
}

/// Status, length of the head and length of the body, once the head is complete.
fn read_head(bytes: &[u8]) -> Outcome<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.unwrap_or(0);
    let length = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let length = length.ok_or("a response without a content-length")?;
    Ok(Some((status, head, std::str::from_utf8(length.value)?.parse()?)))
}

fn refusal(status: u16, body: &[u8]) -> String {
    format!("{status} {}", String::from_utf8_lossy(body).chars().take(200).collect::<String>())
}
