//! Query parameters.

use super::printable;
use crate::http::problem::Problem;
use axum::{extract::Query, http::request::Parts};
use ok2cry_protocol::code::Code;

/// Returns the values of these parameters.
///
/// # Errors
/// `query_invalid` if one is missing or repeated, or if there is another parameter.
pub(in crate::http) fn read_query<const N: usize>(
    parts: &Parts,
    names: [&str; N],
) -> Result<[String; N], Problem> {
    let invalid = |name: &str, rule: &str| Problem::of_field(Code::QueryInvalid, &printable(name), rule);
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(pairs) = query.map_err(|_| Problem::from(Code::QueryInvalid))?;
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        let slot = names.iter().position(|n| *n == name).and_then(|i| values.get_mut(i));
        let slot = slot.ok_or_else(|| invalid(&name, "there is no such parameter here"))?;
        if slot.replace(value).is_some() {
            return Err(invalid(&name, "is there twice"));
        }
    }
    let missing = names.iter().zip(&values).find(|(_, value)| value.is_none());
    match missing {
        Some((name, _)) => Err(invalid(name, "is missing")),
        None => Ok(values.map(Option::unwrap_or_default)),
    }
}
