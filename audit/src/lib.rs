//! The auditor: reads a boot's whole audit log in one pass, and says what must not be in it.
//!
//! The pass holds neither the log nor its tree: memory is bounded by the keys that live at one time, however
//! long the log is. `docs/audit-log.md` specifies what it checks.
//!
//! | module | holds |
//! |---|---|
//! | `pass` | the order of all checks on entries, and on the documents between them |
//! | `open_keys` | the keys that are live at some point |
//! | `lateness` | how late keys expired |
//! | `finding` | what can be wrong, each with a stable code |

#![forbid(unsafe_code)]

mod finding;
mod lateness;
mod open_keys;
mod pass;

pub use finding::{Code, Finding, Findings, MAX_FINDINGS};
pub use lateness::Lateness;
pub use pass::{PAIR_SKEW_MS, Pass, SLACK_MS};
