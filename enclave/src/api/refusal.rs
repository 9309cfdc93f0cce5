//! Translates internal errors to the refusals of the protocol: code, detail and retry time.

use crate::{
    attest::AttestError,
    keys::store::{CommitError, FullReason, InsertError, KeyError, Limits, StoreFull},
    platform::{clock::ClockError, compute_pool::PoolError},
};
use ok2cry_protocol::{code::Code, rpc::Refusal};

/// When to retry after a failure of the pool, the NSM or the clock, in milliseconds.
const RETRY_MS: u64 = 1000;

impl From<PoolError> for Refusal {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::TimedOut => Self::new(Code::Busy).with_retry_after_ms(RETRY_MS),
            PoolError::Panicked => Code::Internal.into(),
        }
    }
}

impl From<AttestError> for Refusal {
    fn from(error: AttestError) -> Self {
        match error {
            AttestError::QueueFull => Self::new(Code::Busy).with_retry_after_ms(RETRY_MS),
            AttestError::NoDocument => Self::new(Code::NsmUnavailable).with_retry_after_ms(RETRY_MS),
            AttestError::ClockSkew => Self::new(Code::ClockUnsafe).with_retry_after_ms(RETRY_MS),
            AttestError::Stopped => Code::NsmUnavailable.into(),
        }
    }
}

impl From<ClockError> for Refusal {
    fn from(error: ClockError) -> Self {
        Self::with_detail(Code::ClockUnsafe, error.to_string()).with_retry_after_ms(RETRY_MS)
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::new(match error {
            KeyError::Unknown => Code::UnknownKey,
            KeyError::Used => Code::KeyUsed,
            KeyError::Expired => Code::KeyExpired,
            KeyError::Destroyed => Code::KeyDestroyed,
        })
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Clock(error) => error.into(),
            CommitError::Key(error) => error.into(),
        }
    }
}

impl From<InsertError> for Refusal {
    fn from(_: InsertError) -> Self {
        Code::Internal.into()
    }
}

impl From<StoreFull> for Refusal {
    fn from(full: StoreFull) -> Self {
        let StoreFull { reason, wait_ms, limits } = full;
        let Limits { capacity, max_tombstones, retain_ms } = limits;
        let detail = match reason {
            FullReason::TooManyAtOnce { keys } => {
                format!("{keys} keys were requested; the capacity is {capacity}")
            }
            FullReason::LiveKeys => format!("not enough of the {capacity} places for live keys are free"),
            FullReason::Reserved => format!(
                "not enough of the {capacity} places for live keys are free; keys that are being made hold some"
            ),
            FullReason::Tombstones => format!(
                "not enough of the {} places for live and ended keys are free; ended keys are kept for {} s",
                capacity.saturating_add(max_tombstones),
                retain_ms / 1000
            ),
        };
        Self::with_detail(Code::StoreFull, detail).with_retry_after_ms(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_is_refused_with_its_limits_and_a_retry_time() {
        let limits = Limits::new(4, 2);
        for (reason, detail) in [
            (FullReason::LiveKeys, "not enough of the 4 places for live keys are free"),
            (
                FullReason::Reserved,
                "not enough of the 4 places for live keys are free; keys that are being made hold some",
            ),
            (
                FullReason::Tombstones,
                "not enough of the 6 places for live and ended keys are free; ended keys are kept for 600 s",
            ),
            (FullReason::TooManyAtOnce { keys: 5 }, "5 keys were requested; the capacity is 4"),
        ] {
            let refusal = Refusal::from(StoreFull { reason, wait_ms: 7, limits });
            assert_eq!((refusal.code, &*refusal.detail), (Code::StoreFull, detail));
            assert_eq!(refusal.retry_after, 7);
        }
    }

    #[test]
    fn failures_that_may_pass_name_a_retry_time() {
        for (refusal, code, retry_after) in [
            (Refusal::from(PoolError::TimedOut), Code::Busy, 1000),
            (PoolError::Panicked.into(), Code::Internal, 0),
            (AttestError::QueueFull.into(), Code::Busy, 1000),
            (AttestError::NoDocument.into(), Code::NsmUnavailable, 1000),
            (AttestError::ClockSkew.into(), Code::ClockUnsafe, 1000),
            (AttestError::Stopped.into(), Code::NsmUnavailable, 0),
            (ClockError::Stale.into(), Code::ClockUnsafe, 1000),
            (KeyError::Used.into(), Code::KeyUsed, 0),
        ] {
            assert_eq!((refusal.code, refusal.retry_after), (code, retry_after));
        }
    }
}
