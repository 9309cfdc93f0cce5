//! JSON responses.

use super::problem::Problem;
use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use ok2cry_protocol::code::Code;
use serde::Serialize;
use zeroize::Zeroizing;

/// A JSON response of about `capacity` bytes.
pub(super) fn json(body: &impl Serialize, capacity: usize) -> Response {
    let mut bytes = Vec::with_capacity(capacity);
    if serde_json::to_writer(&mut bytes, body).is_err() {
        return Problem::from(Code::Internal).into_response();
    }
    // A slow reader holds the response for a long time, so free the unused capacity.
    bytes.shrink_to_fit();
    response(bytes.into())
}

/// A JSON response that holds a caller's plaintext, and is wiped once it was sent.
///
/// `capacity` must suffice: if the buffer grows, the outgrown one is not wiped. Nor are hyper's write buffer
/// and the kernel's buffers.
pub(super) fn secret_json(body: &impl Serialize, capacity: usize) -> Response {
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    if serde_json::to_writer(&mut *bytes, body).is_err() {
        return Problem::from(Code::Internal).into_response();
    }
    response(Bytes::from_owner(WipedBytes(bytes)))
}

fn response(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}

struct WipedBytes(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for WipedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
