//! The three CORS settings.

use super::{Cors, origin};
use crate::ConfigError;
use axum::http::{HeaderName, HeaderValue, header};

pub(super) fn cors(origins: Vec<String>) -> Result<Cors, ConfigError> {
    let error = |rule: String| ConfigError::Value { setting: "cors_allowed_origins", rule };
    match origins.as_slice() {
        [] => return Ok(Cors::SameOrigin),
        [any] if any == "*" => return Ok(Cors::Any),
        _ => {}
    }
    let mut values = Vec::with_capacity(origins.len());
    for origin in origins {
        if origin == "*" {
            return Err(error("must be \"*\" alone or a list of origins, not both".to_owned()));
        }
        let value = origin::check(&origin).map_err(error)?;
        values
            .push(HeaderValue::from_str(value).map_err(|_| error("is not a valid header value".to_owned()))?);
    }
    Ok(Cors::Origins(values))
}

pub(super) fn cors_credentials(allowed: bool, cors: &Cors) -> Result<bool, ConfigError> {
    let error = |rule: &str| ConfigError::Value { setting: "cors_allow_credentials", rule: rule.to_owned() };
    match cors {
        Cors::Any if allowed => Err(error(
            "cannot be true while cors_allowed_origins is \"*\": name the origins that may send cookies",
        )),
        Cors::SameOrigin if allowed => Err(error("has no effect without cors_allowed_origins")),
        _ => Ok(allowed),
    }
}

pub(super) fn cors_headers(names: Vec<String>, cors: &Cors) -> Result<Vec<HeaderName>, ConfigError> {
    let error = |rule: String| ConfigError::Value { setting: "cors_allowed_headers", rule };
    if !names.is_empty() && *cors == Cors::SameOrigin {
        return Err(error("has no effect without cors_allowed_origins".to_owned()));
    }
    let header = |name: String| {
        if name == "*" {
            return Err(error(
                "contains \"*\", which does not cover authorization: name each header".to_owned(),
            ));
        }
        let parsed = name.parse().ok().filter(|name| *name != header::CONTENT_TYPE);
        parsed.ok_or_else(|| {
            error(format!("contains {name:?}, which is not the name of a header other than content-type"))
        })
    };
    names.into_iter().map(header).collect()
}
