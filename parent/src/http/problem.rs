//! Refusals as RFC 9457 problems.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ok2cry_protocol::{code::Code, http, rpc::Refusal};

/// A refusal on its way to the caller.
#[derive(Debug)]
pub struct Problem(pub Refusal);

impl Problem {
    /// A problem with one field of the input, named with the rule that it broke. Never holds the field's value:
    /// callers log what they are told.
    pub fn of_field(code: Code, field: &str, rule: impl std::fmt::Display) -> Self {
        Self(Refusal::with_detail(code, format!("{field}: {rule}")))
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self(code.into())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
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
        // Strings and a number: this cannot fail.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if retry_after > 0 {
            response.headers_mut().insert(header::RETRY_AFTER, retry_after.div_ceil(1000).into());
        }
        if matches!(code, Code::BodyTooLarge | Code::RequestTimeout) {
            // The rest of the body is not wanted, and without it the connection has no next request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if code == Code::MediaTypeUnsupported {
            // RFC 9110 §15.5.16: what would have been taken.
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
