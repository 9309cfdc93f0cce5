use ok2cry_protocol::DecodeError;

/// Why something was refused, or could not be done. [`Error::code`] is stable; `docs/errors.md` lists the codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The attestation document is refused.
    #[error("the attestation document is refused: {0}")]
    Document(ok2cry_attest_verify::Error),
    /// The attestation document is of none of the accepted releases, or their list has ended.
    #[error("the attestation document is refused: {0}")]
    Appraisal(ok2cry_release_verify::Error),
    /// A trust anchor, reference values or a policy of the caller's own cannot be used.
    #[error("what is to be trusted cannot be used: {0}")]
    Trust(ok2cry_attest_verify::Error),
    /// The published releases are refused.
    #[error("the releases are refused: {0}")]
    Releases(ok2cry_release_verify::Error),
    /// The document carries a nonce; ok2cry's never do.
    #[error("the attestation document carries a nonce of its own")]
    DocumentNonce,
    /// The document's user data is not exactly a batch header.
    #[error("the attestation document's user data is no batch header: {0}")]
    UserData(DecodeError),
    /// The document's public key is not exactly an Ed25519 log key.
    #[error("the attestation document's public key is no Ed25519 key")]
    LogKey,
    /// An answer is not the JSON that it should be.
    #[error("the answer is not understood: {0}")]
    Answer(String),
    /// A record is malformed.
    #[error(transparent)]
    Record(DecodeError),
    /// The answer holds another number of keys than asked for.
    #[error("{asked} keys were asked for and {got} came")]
    KeyCount {
        /// How many were asked for.
        asked: u32,
        /// How many came.
        got: usize,
    },
    /// The record is not in the batch that the document attests.
    #[error("the {0} is not in the batch that the document attests")]
    NotInBatch(&'static str),
    /// The record belongs to another enclave than the one that the document speaks for.
    #[error("the {0} belongs to another enclave than the document")]
    Instance(&'static str),
    /// The nonce is not the one of this request: an answer to somebody else, or an old one.
    #[error("the nonce is not this request's")]
    Nonce,
    /// The purpose is another one than asked for or expected.
    #[error("the purpose is not the expected one")]
    Purpose,
    /// The key, context or reply is for somebody else.
    #[error("the {0} is for another recipient")]
    Recipient(&'static str),
    /// The key lives for longer or shorter than asked for.
    #[error("the ttl is not the one that was asked for")]
    Ttl,
    /// The record's times are more than a minute from the document's.
    #[error("the {0}'s time is more than a minute from the document's")]
    FarFromDocument(&'static str),
    /// The key has expired, by this clock.
    #[error("the key has expired")]
    KeyExpired,
    /// Plaintext longer than 4,096 bytes.
    #[error("the plaintext is longer than 4096 bytes")]
    PlaintextTooLong,
    /// An `aad` longer than 1,024 bytes.
    #[error("the aad is longer than 1024 bytes")]
    AadTooLong,
    /// The `aad` is another one than expected.
    #[error("the aad is not the expected one")]
    Aad,
    /// The reply was sealed under another context than the one beside it.
    #[error("the reply names another context")]
    ReplyContext,
    /// The reply does not open.
    #[error("the reply does not open")]
    ReplyOpen,
    /// A reply for this key was accepted before.
    #[error("a reply for this key was accepted before")]
    Replayed,
    /// Plaintext came in answer although the key names a recipient, or the other way round.
    #[error("the answer is not what the key delivers: plaintext where a sealed reply is due, or the reverse")]
    ReleaseMode,
    /// A private key could not be read.
    #[error("the private key is not understood: {0}")]
    PrivateKey(String),
    /// A recipient's public key could not be read.
    #[error("the recipient's public key is not understood: {0}")]
    RecipientKey(String),
    /// Measurements could not be read.
    #[error("the measurements are not understood: {0}")]
    Measurements(String),
    /// The system's random generator failed, or a primitive refused what cannot be refused.
    #[error("cryptography failed: {0}")]
    Crypto(&'static str),
}

impl Error {
    /// The stable, machine-readable reason. The code of a refused document, or of refused releases, is passed through.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Document(error) | Self::Trust(error) => error.code(),
            Self::Appraisal(error) | Self::Releases(error) => error.code(),
            Self::DocumentNonce => "document_nonce_set",
            Self::UserData(_) => "user_data_invalid",
            Self::LogKey => "log_key_invalid",
            Self::Answer(_) => "answer_invalid",
            Self::Record(_) => "record_invalid",
            Self::KeyCount { .. } => "key_count_mismatch",
            Self::NotInBatch(_) => "not_in_batch",
            Self::Instance(_) => "instance_mismatch",
            Self::Nonce => "nonce_mismatch",
            Self::Purpose => "purpose_mismatch",
            Self::Recipient(_) => "recipient_mismatch",
            Self::Ttl => "ttl_mismatch",
            Self::FarFromDocument(_) => "time_far_from_document",
            Self::KeyExpired => "key_expired",
            Self::PlaintextTooLong => "plaintext_too_long",
            Self::AadTooLong => "aad_too_long",
            Self::Aad => "aad_mismatch",
            Self::ReplyContext => "reply_context_mismatch",
            Self::ReplyOpen => "reply_open_failed",
            Self::Replayed => "reply_replayed",
            Self::ReleaseMode => "release_mode_mismatch",
            Self::PrivateKey(_) => "private_key_invalid",
            Self::RecipientKey(_) => "recipient_key_invalid",
            Self::Measurements(_) => "measurements_invalid",
            Self::Crypto(_) => "crypto_failed",
        }
    }
}

/// A faulty file of the caller's own is not a document that was refused.
impl From<ok2cry_attest_verify::Error> for Error {
    fn from(error: ok2cry_attest_verify::Error) -> Self {
        use ok2cry_attest_verify::{CertificateAt, Error as Verifier};
        match error {
            Verifier::Anchor(_)
            | Verifier::Measurements(_)
            | Verifier::Certificate { at: CertificateAt::Anchor, .. } => Self::Trust(error),
            error => Self::Document(error),
        }
    }
}

/// The appraisal of a document under a list of releases.
impl From<ok2cry_release_verify::Error> for Error {
    fn from(error: ok2cry_release_verify::Error) -> Self {
        match error {
            ok2cry_release_verify::Error::Attestation(error) => error.into(),
            error => Self::Appraisal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_registry_for_readers_lists_every_code() {
        let docs = include_str!("../../docs/errors.md");
        let (_, docs) = docs.split_once("## What a client or recipient refuses").unwrap();
        let docs = docs.split("\n## ").next().unwrap();
        let source = include_str!("error.rs").split("mod tests").next().unwrap();
        let calls = include_str!("http.rs")
            .split("impl CallError")
            .nth(1)
            .unwrap()
            .split("impl Client")
            .next()
            .unwrap();
        let lines = source.lines().chain(calls.lines());
        let codes: Vec<_> =
            lines.filter_map(|line| line.split_once("=> \"")?.1.strip_suffix("\",")).collect();
        assert!(codes.len() > 20);
        for code in &codes {
            assert!(docs.contains(&format!("\n| `{code}` | ")), "docs/errors.md lacks {code}");
        }
        assert_eq!(docs.matches("\n| `").count(), codes.len(), "docs/errors.md has rows that are no codes");
    }
}
