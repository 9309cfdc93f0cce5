//! Refusals as RFC 9457 problems.

use crate::enclave::CallError;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ok2cry_protocol::{code::Code, http, rpc::Refusal};

/// A refusal as a response.
#[derive(Debug)]
pub(super) struct Problem(pub(super) Refusal);

/// The `Retry-After` of refusals that are worth repeating, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

impl Problem {
    /// A problem with one field of the input: its name, and the violated rule. It never contains the field's
    /// value, because callers log problems.
    pub(super) fn of_field(code: Code, field: &str, rule: impl std::fmt::Display) -> Self {
        Self(Refusal::with_detail(code, format!("{field}: {rule}")))
    }

    /// A limit of this parent was reached. Nothing was sent to the enclave.
    pub(super) fn busy() -> Self {
        Self(Refusal::new(Code::Busy).with_retry_after_ms(RETRY_AFTER_MS))
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let unavailable = |detail| {
            Self(Refusal::with_detail(Code::EnclaveUnavailable, detail).with_retry_after_ms(RETRY_AFTER_MS))
        };
        match error {
            CallError::Refused(refusal) => Self(refusal),
            CallError::NotAdmitted(_) | CallError::QueuesFull => Self::busy(),
            CallError::NotSent => {
                unavailable("There is no connection to the enclave; the request was not sent")
            }
            CallError::ConnectionLost => unavailable(
                "The connection to the enclave broke before the answer came; \
                 the request may have been carried out",
            ),
            CallError::TimedOut => Code::EnclaveTimeout.into(),
            CallError::WrongAnswer => Code::FrameInvalid.into(),
            CallError::RequestTooLong => Code::Internal.into(),
        }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self(code.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Refusal { code, detail, retry_after } = self.0;
        let body = http::Problem {
            kind: format!("/docs#{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            detail,
            code: code.as_str().to_owned(),
        };
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The fields are strings and a number, so this cannot fail.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if retry_after > 0 {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after.div_ceil(1000).into());
        }
        if matches!(code, Code::BodyTooLarge | Code::RequestTimeout) {
            // The rest of the body is not read, so the connection cannot carry another request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if code == Code::MediaTypeUnsupported {
            // RFC 9110 §15.5.16: the media type and coding that are accepted.
            response.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        response.extensions_mut().insert(code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_in_seconds_rounded_up() {
        for (ms, seconds) in [(1, "1"), (1000, "1"), (1001, "2"), (u64::MAX, "18446744073709552")] {
            let response = Problem(Refusal::new(Code::StoreFull).with_retry_after_ms(ms)).into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], seconds);
        }
        let response = Problem::from(Code::StoreFull).into_response();
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
    }
}
