//! Replies to recipients: sealed under attested HPKE contexts, and kept for retries.

pub(crate) mod contexts;
mod stored;

pub(crate) use stored::{MIN_SHARE, StoredReply};

use crate::{
    attest::AttestError,
    platform::{clock::ClockError, compute_pool::PoolError, memory::budget::BudgetFull},
};

/// Why there is no reply to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    /// As many recipients have a context as may.
    #[error("the limit of recipients is reached; retry in {wait_ms} ms")]
    TooManyRecipients {
        /// In how many milliseconds the first context makes room, 1 at least.
        wait_ms: u64,
    },
    /// There is no room for what would be kept.
    #[error(transparent)]
    Budget(#[from] BudgetFull),
    /// The pool did not make the context.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The context was not attested.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// There is no trusted time.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The context has ended; the next attempt gets another.
    #[error("the reply context has ended")]
    ContextEnded,
    /// The random generator or a cryptographic operation failed.
    #[error("an internal operation failed")]
    Internal,
}
