//! Inputs that are exact, or refused with the field and the rule.
//!
//! What is refused names the field and never repeats its value: the value may be a secret in the wrong place, and
//! problems end in logs.

mod body;
mod json;
mod query;

use super::{App, problem::Problem};
use axum::{
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::request::Parts,
};
use body::{check_type, read_body};
use ok2cry_protocol::{code::Code, ids::KeyId};
pub(super) use query::read_query;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A body of exactly this JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        check_type(request.headers())?;
        let bytes = read_body(request.into_body(), app.max_body_bytes, app.body_timeout).await?;
        json::parse(&bytes).map(Self)
    }
}

/// The key that the path names.
pub(super) struct KeyPath(pub(super) KeyId);

impl FromRequestParts<Arc<App>> for KeyPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let invalid = |rule: String| Problem::of_field(Code::KeyIdInvalid, "id", rule);
        let path = Path::<String>::from_request_parts(parts, app).await;
        let Path(id) = path.map_err(|_| invalid("is not UTF-8".to_owned()))?;
        KeyId::from_base64url(&id).map(Self).map_err(|error| invalid(error.rule.to_string()))
    }
}

/// No query at all.
pub(super) struct NoQuery;

impl FromRequestParts<Arc<App>> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Problem> {
        let [] = read_query(parts, [])?;
        Ok(Self)
    }
}

/// A name that the caller made up, if it looks like a name at all.
fn shown(name: &str) -> String {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]".contains(&b);
    if (1..=64).contains(&name.len()) && name.bytes().all(is_name) {
        name.to_owned()
    } else {
        "(unprintable)".to_owned()
    }
}
