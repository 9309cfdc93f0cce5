//! The registry of refusals: every code that the enclave and its parent answer with.
//!
//! Codes are stable: they are never renamed and never reused. `docs/errors.md` lists them for readers; a test
//! compares it with this table.

use crate::reasons;

reasons! {
    /// Why a request was refused.
    pub enum Code: status {
        /// The body is not the JSON that the call accepts; the detail names the field and the rule.
        BodyInvalid => "body_invalid", "The body is not what this call accepts", 400;
        /// The nonce is not 16 to 64 bytes.
        NonceInvalid => "nonce_invalid", "The nonce must have 16 to 64 bytes", 400;
        /// The purpose is not 1 to 64 of `[a-z0-9._-]`.
        PurposeInvalid => "purpose_invalid", "A purpose is 1 to 64 of a-z, 0-9, '.', '_' and '-'", 400;
        /// The enclave's measured configuration does not have this purpose.
        PurposeUnknown => "purpose_unknown", "The enclave does not have this purpose", 400;
        /// The ttl is 0 or above the maximum of the enclave's measured configuration.
        TtlOutOfRange => "ttl_out_of_range", "The ttl is not within the enclave's limits", 400;
        /// The count is not 1 to 100.
        CountOutOfRange => "count_out_of_range", "The count must be from 1 to 100", 400;
        /// The recipient is neither `"caller"` nor a suite and a public key.
        RecipientInvalid => "recipient_invalid", "The recipient is neither the caller nor a public key", 400;
        /// The recipient's public key is not an uncompressed point on P-384.
        RecipientKeyInvalid => "recipient_key_invalid", "The recipient's key is not a point on P-384", 400;
        /// The enclave's measured configuration does not deliver plaintext to callers.
        CallerNotAllowed => "caller_not_allowed", "The enclave does not deliver plaintext to callers", 403;
        /// A suite that is not supported.
        SuiteUnsupported => "suite_unsupported", "The suite is not supported", 400;
        /// The key id is not 24 bytes of base64url.
        KeyIdInvalid => "key_id_invalid", "A key id is 32 characters of base64url", 400;
        /// The encapsulated key is not an uncompressed point on P-384.
        EncInvalid => "enc_invalid", "The encapsulated key is not a point on P-384", 400;
        /// The ciphertext is not 16 to 4,112 bytes.
        CiphertextInvalid => "ciphertext_invalid", "A ciphertext has 16 to 4112 bytes", 400;
        /// The aad is longer than 1,024 bytes.
        AadInvalid => "aad_invalid", "The aad must not have more than 1024 bytes", 400;
        /// The enclave has no such key: never issued, or its tombstone was dropped.
        UnknownKey => "unknown_key", "There is no such key", 404;
        /// The key has opened another ciphertext, or its reply is no longer kept.
        KeyUsed => "key_used", "The key was used", 409;
        /// The key's deadline has passed.
        KeyExpired => "key_expired", "The key has expired", 410;
        /// The key was destroyed, by request or after too many failed opens.
        KeyDestroyed => "key_destroyed", "The key was destroyed", 410;
        /// The ciphertext does not open under this key with this aad. All failures to decrypt look like this.
        OpenFailed => "open_failed", "The ciphertext does not open", 422;
        /// There is no room for the keys: live keys, keys being made or tombstones fill it. The detail says
        /// which. Live keys are never evicted.
        StoreFull => "store_full", "The enclave has no room for more keys", 503;
        /// There is no room for the reply: the room for all replies, the recipient's share, or the number of
        /// recipients is used up. The detail says which.
        RepliesFull => "replies_full", "The enclave has no room for another reply", 503;
        /// The queues are full.
        Busy => "busy", "Too many requests are waiting", 503;
        /// The Nitro Secure Module gave no document.
        NsmUnavailable => "nsm_unavailable", "The enclave cannot attest", 503;
        /// The enclave's clocks disagree, so that it neither opens nor issues; or its last attested time is
        /// too old for an open. The key is unchanged.
        ClockUnsafe => "clock_unsafe", "The enclave does not trust its clock", 503;
        /// A frame between parent and enclave is invalid. The request may have been carried out: query the
        /// key's state.
        FrameInvalid => "frame_invalid", "A frame between parent and enclave is invalid", 502;
        /// An internal error.
        Internal => "internal", "An internal operation failed", 500;
        /// The parent has no connection to the enclave. The detail says whether the request was sent. If it
        /// was, it may have been carried out: query the key's state.
        EnclaveUnavailable => "enclave_unavailable", "The enclave cannot be reached", 503;
        /// The enclave did not answer in time. The request may have been carried out: query the key's state,
        /// or send the identical open again.
        EnclaveTimeout => "enclave_timeout", "The enclave did not answer in time", 504;
        /// The body is longer than the call accepts.
        BodyTooLarge => "body_too_large", "The body is too large", 413;
        /// The body is not `application/json`.
        MediaTypeUnsupported => "media_type_unsupported", "The body must be application/json", 415;
        /// The resource does not exist.
        NotFound => "not_found", "There is nothing here", 404;
        /// The resource does not take this method.
        MethodNotAllowed => "method_not_allowed", "The method is not allowed here", 405;
        /// The body did not arrive in time.
        RequestTimeout => "request_timeout", "The request did not arrive in time", 408;
        /// The query string is not what the call accepts.
        QueryInvalid => "query_invalid", "The query is not what this call accepts", 400;
        /// The request does not have exactly one valid `Host` header.
        HostInvalid => "host_invalid", "A request has one Host header, a host and perhaps a port", 400;
    }
}

impl Code {
    /// The code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }
}

impl core::fmt::Display for Code {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn the_page_of_codes_has_exactly_these_rows() {
        let page = include_str!("../../docs/errors.md");
        let (_, section) = page.split_once("## What the service answers").unwrap();
        let section = section.split("\n## ").next().unwrap();
        for code in Code::ALL {
            let row = format!("\n| `{}` | {} |", code.as_str(), code.status());
            assert!(section.contains(&row), "docs/errors.md lacks {row}");
        }
        assert_eq!(section.matches("\n| `").count(), Code::ALL.len(), "docs/errors.md has unknown rows");
    }
}
