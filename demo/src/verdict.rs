//! Expected verdicts: the programs end with an error at any other.

use ok2cry_client::http::CallError;
use std::fmt::Debug;

/// The reason of a refusal that must have this code.
///
/// # Errors
///
/// If the result is another refusal, or an acceptance.
pub fn refusal<T: Debug>(code: &str, result: Result<T, CallError>) -> Result<String, String> {
    match result {
        Err(error) if error.code() == code => Ok(match error {
            CallError::Refused(problem) => problem.detail,
            other => other.to_string(),
        }),
        Err(error) => Err(format!("expected {code}, found {}: {error}", error.code())),
        Ok(accepted) => Err(format!("expected {code}, found acceptance of {accepted:?}")),
    }
}
