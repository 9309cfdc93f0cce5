//! The API: frames in, one answer or refusal out.
//!
//! Errors of the store, the pool, the attester and the contexts become refusals here and nowhere else
//! (`refusal`).
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | frames over vsock or a Unix socket |
//! | `streams` | the streams, and which of them is closed for a new one |
//! | [`dispatch`] | the service: one method per call, health, and the reaper's round |
//! | `issue` | making keys step by step, attested together |
//! | `open` | opening a message, and sealing its reply |
//! | `refusal` | from internal errors to codes, details and retry times |

pub mod dispatch;
mod issue;
mod open;
mod refusal;
pub mod server;
mod streams;
#[cfg(test)]
pub(crate) mod tests;
