//! Strict extractors for bodies, paths and queries.
//!
//! A refusal names the field and the violated rule. It never repeats the value: the value may be a misplaced
//! secret, and callers log problems.

mod body;
mod json;
mod query;

use super::{AppState, problem::Problem};
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use body::{check_type, read_body};
use ok2cry_protocol::{code::Code, ids::KeyId};
pub(super) use query::read_query;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A JSON body without unknown, missing or repeated fields.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<AppState>) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let bytes = read_body(request.into_body(), app.max_body_bytes, app.body_timeout).await?;
        json::parse(&bytes).map(Self)
    }
}

/// The key id in the path.
pub(super) struct KeyPath(pub(super) KeyId);

impl FromRequestParts<Arc<AppState>> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, Problem> {
        let invalid = |rule: String| Problem::of_field(Code::KeyIdInvalid, "id", rule);
        let path = Path::<String>::from_request_parts(parts, app).await;
        let Path(id) = path.map_err(|_| invalid("is not UTF-8".to_owned()))?;
        KeyId::from_base64url(&id).map(Self).map_err(|error| invalid(error.rule.to_string()))
    }
}

/// The absence of query parameters.
pub(super) struct NoQuery;

impl FromRequestParts<Arc<AppState>> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Problem> {
        let [] = read_query(parts, [])?;
        Ok(Self)
    }
}

/// A name from the caller, or a placeholder if it does not look like a name.
fn printable(name: &str) -> String {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_name) {
        name.to_owned()
    } else {
        "(unprintable)".to_owned()
    }
}
