use ok2cry_attest_verify::{CertificateAt, Error as AttestationError};
use ok2cry_protocol::{DecodeError, reasons};
use ok2cry_release_verify::Error as ReleaseError;

reasons! {
    /// Why something was refused, or could not be done. [`Error::code`] is stable; `docs/errors.md` lists the
    /// codes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Error -> &'static str {
        /// The document carries a nonce; ok2cry's never do.
        DocumentNonce => "document_nonce_set", "the attestation document's nonce must be absent";
        /// The document's user data is not exactly a batch header.
        UserData(#[source] DecodeError) => "user_data_invalid",
            "the attestation document's user_data is not a batch header: {0}";
        /// The document's public key is not exactly an Ed25519 log key.
        LogKey => "log_key_invalid", "the attestation document's public_key is not an Ed25519 key";
        /// An answer, message or reply is not the JSON that it must be.
        Answer(String) => "answer_invalid", "the answer is not understood: {0}";
        /// A record is malformed.
        Record(#[source] DecodeError) => "record_invalid", "{0}";
        /// The answer holds another number of keys than requested.
        KeyCount {
            /// How many were requested.
            requested: u32,
            /// How many the answer holds.
            found: usize,
        } => "key_count_mismatch", "expected {requested} keys, found {found}";
        /// The record is not in the batch that the document attests.
        NotInBatch(&'static str) => "not_in_batch",
            "the {0} is not in the batch that the attestation document attests";
        /// The record belongs to another enclave than the one that the document speaks for.
        Instance(&'static str) => "instance_mismatch",
            "the {0} belongs to another enclave than the attestation document";
        /// The nonce is not the one of this request: the answer is for another request, or an old one.
        Nonce => "nonce_mismatch", "the nonce is not the one of this request";
        /// The purpose is not the one that was requested or is expected.
        Purpose => "purpose_mismatch", "the purpose is not the expected one";
        /// The key, context or reply is for another recipient.
        Recipient(&'static str) => "recipient_mismatch", "the {0} is for another recipient";
        /// The key lives for longer or shorter than requested.
        Ttl => "ttl_mismatch", "the ttl of the key is not the requested one";
        /// The record's times are more than a minute from the document's.
        FarFromDocument(&'static str) => "time_far_from_document",
            "the time of the {0} is more than a minute from the attestation document's";
        /// The key has expired, by this clock.
        KeyExpired => "key_expired", "the key has expired";
        /// Plaintext longer than 4,096 bytes.
        PlaintextTooLong => "plaintext_too_long", "the plaintext is longer than 4096 bytes";
        /// An `aad` longer than 1,024 bytes.
        AadTooLong => "aad_too_long", "the aad is longer than 1024 bytes";
        /// The `aad` is not the expected one.
        Aad => "aad_mismatch", "the aad is not the expected one";
        /// The reply was sealed under another context than the one beside it.
        ReplyContext => "reply_context_mismatch", "the reply names another context than the one beside it";
        /// The reply does not open.
        ReplyOpen => "reply_open_failed", "the reply does not open";
        /// A reply for this key was accepted before.
        Replayed => "reply_replayed", "a reply for this key was accepted before";
        /// The answer is plaintext although the key names a recipient, or the reverse.
        DeliveryMode => "release_mode_mismatch",
            "the answer is not what the key delivers: plaintext instead of a sealed reply, or the reverse";
        /// A private key could not be read.
        PrivateKey(String) => "private_key_invalid", "the private key is not understood: {0}";
        /// A recipient's public key could not be read.
        RecipientKey(String) => "recipient_key_invalid",
            "the recipient's public key is not understood: {0}";
        /// Measurements could not be read.
        Measurements(String) => "measurements_invalid", "the measurements are not understood: {0}";
        /// The system's random generator failed, or a primitive refused an input that it must take.
        Crypto(&'static str) => "crypto_failed", "cryptography failed: {0}";
    }
    passing on {
        /// The attestation document is refused.
        Document(#[source] AttestationError) => "the attestation document is refused: {0}";
        /// A trust anchor, reference values or a policy of the caller's own cannot be used.
        Trust(#[source] AttestationError) => "what is to be trusted cannot be used: {0}";
        /// The enclave runs none of the accepted releases, or their list has ended.
        Appraisal(#[source] ReleaseError) => "the attestation document is refused: {0}";
        /// The published releases are refused.
        Releases(#[source] ReleaseError) => "the releases are refused: {0}";
    }
}

/// A faulty file of the caller's own is [`Error::Trust`]; everything else is the document's fault.
impl From<AttestationError> for Error {
    fn from(error: AttestationError) -> Self {
        match error {
            AttestationError::Anchor(_)
            | AttestationError::Measurements(_)
            | AttestationError::Certificate { at: CertificateAt::Anchor, .. } => Self::Trust(error),
            error => Self::Document(error),
        }
    }
}

/// The verdict on a document under a list of releases.
impl From<ReleaseError> for Error {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Attestation(error) => error.into(),
            error => Self::Appraisal(error),
        }
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::*;
    use crate::http::CallError;
    use std::collections::BTreeSet;

    #[test]
    fn the_page_of_codes_has_exactly_these_rows() {
        let page = include_str!("../../docs/errors.md");
        let (_, section) = page.split_once("## What a client or recipient refuses").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows: Vec<_> =
            section.split("\n| `").skip(1).filter_map(|row| row.split("` | ").next()).collect();
        let codes: BTreeSet<_> = Error::all_codes().chain(CallError::all_codes()).collect();
        assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), codes);
        assert_eq!(rows.len(), codes.len(), "a row is there twice");
    }
}
