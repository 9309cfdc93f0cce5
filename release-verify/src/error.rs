//! Why releases were refused: documents, log, or measurements.

use std::fmt;

use crate::fault::ReleaseFault;

/// The codes of [`ok2cry_tlog::Error`] that reading a release log can give. `not_in_log` is
/// [`ReleaseFault::NotInLog`]'s too.
const LOG_CODES: &[&str] = &[
    "note_invalid",
    "checkpoint_invalid",
    "checkpoint_origin_mismatch",
    "checkpoint_unsigned",
    "checkpoint_signature_invalid",
    "log_rolled_back",
    "tile_missing",
    "tile_length",
];

/// Why releases, or an enclave's document, were refused.
///
/// [`Error::code`] is stable and meant for programs; `Display` is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A signed document, or what the documents and the log say together.
    Release(ReleaseFault),
    /// The log: its note, its checkpoint or its tiles.
    Log(ok2cry_tlog::Error),
    /// Measurements that no policy may hold, or a refused attestation document.
    Attestation(ok2cry_attest_verify::Error),
}

impl Error {
    /// The stable, machine-readable reason, in `snake_case`. `docs/releases.md` and `docs/attestation.md`
    /// list all of them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Release(fault) => fault.code(),
            Self::Log(error) => error.code(),
            Self::Attestation(error) => error.code(),
        }
    }

    /// Every code of [`Error::Release`] and [`Error::Log`], each once. Those of [`Error::Attestation`] are
    /// [`ok2cry_attest_verify::Error::all_codes`].
    pub fn all_codes() -> impl Iterator<Item = &'static str> {
        ReleaseFault::CODES.iter().chain(LOG_CODES).copied()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Release(fault) => Some(fault),
            Self::Log(error) => Some(error),
            Self::Attestation(error) => Some(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(fault) => fault.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Attestation(error) => error.fmt(f),
        }
    }
}

impl From<ReleaseFault> for Error {
    fn from(fault: ReleaseFault) -> Self {
        Self::Release(fault)
    }
}

impl From<ok2cry_tlog::Error> for Error {
    fn from(error: ok2cry_tlog::Error) -> Self {
        Self::Log(error)
    }
}

impl From<ok2cry_attest_verify::Error> for Error {
    fn from(error: ok2cry_attest_verify::Error) -> Self {
        Self::Attestation(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_snake_case_and_unique() {
        assert!(LOG_CODES.iter().all(|code| ok2cry_tlog::Error::CODES.contains(code)));
        let mut seen = std::collections::BTreeSet::new();
        for code in Error::all_codes().chain(ok2cry_attest_verify::Error::all_codes()) {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{code}"
            );
            assert!(seen.insert(code), "{code} twice");
        }
    }

    #[test]
    fn errors_cross_threads() {
        fn assert_sendable<T: std::error::Error + Clone + PartialEq + Send + Sync + 'static>() {}
        assert_sendable::<Error>();
    }
}
