//! The registry of refusals: every code that the enclave and its parent answer with.
//!
//! Codes are stable: they are never renamed and never reused. `docs/errors.md` is this table for readers, and a
//! test keeps the two the same.

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable code.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status that it travels with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// A short sentence for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

codes! {
    /// The body is not the JSON that the call takes; the detail names the field and the rule.
    BodyInvalid = "body_invalid", 400, "The body is not what this call takes";
    /// The nonce is not 16 to 64 bytes.
    NonceInvalid = "nonce_invalid", 400, "The nonce must have 16 to 64 bytes";
    /// The purpose is not 1 to 64 of `[a-z0-9._-]`.
    PurposeInvalid = "purpose_invalid", 400, "A purpose is 1 to 64 of a-z, 0-9, '.', '_' and '-'";
    /// The enclave's measured configuration does not have this purpose.
    PurposeUnknown = "purpose_unknown", 400, "The enclave knows no such purpose";
    /// The ttl is 0 or above the maximum of the enclave's measured configuration.
    TtlOutOfRange = "ttl_out_of_range", 400, "The ttl is not within the enclave's limits";
    /// The count is not 1 to 100.
    CountOutOfRange = "count_out_of_range", 400, "The count must be from 1 to 100";
    /// The recipient is neither `"caller"` nor a suite and a public key.
    RecipientInvalid = "recipient_invalid", 400, "The recipient is neither the caller nor a public key";
    /// The recipient's public key is not an uncompressed point on P-384.
    RecipientKeyInvalid = "recipient_key_invalid", 400, "The recipient's key is not a point on P-384";
    /// The enclave's measured configuration does not release plaintext to callers.
    CallerNotAllowed = "caller_not_allowed", 403, "The enclave releases nothing to callers";
    /// A suite that is not switched on.
    SuiteUnsupported = "suite_unsupported", 400, "The suite is not switched on";
    /// The key id is not 24 bytes of base64url.
    KeyIdInvalid = "key_id_invalid", 400, "A key id is 32 characters of base64url";
    /// The encapsulated key is not an uncompressed point on P-384.
    EncInvalid = "enc_invalid", 400, "The encapsulated key is not a point on P-384";
    /// The ciphertext is not 16 to 4,112 bytes.
    CiphertextInvalid = "ciphertext_invalid", 400, "A ciphertext has 16 to 4112 bytes";
    /// The aad is longer than 1,024 bytes.
    AadInvalid = "aad_invalid", 400, "The aad must not have more than 1024 bytes";
    /// No such key here: never issued, or ended longer ago than endings are remembered.
    UnknownKey = "unknown_key", 404, "There is no such key";
    /// The key has opened another ciphertext, or its reply is no longer kept.
    KeyUsed = "key_used", 409, "The key was used";
    /// The key's deadline has passed.
    KeyExpired = "key_expired", 410, "The key has expired";
    /// The key was destroyed, by request or after too many failed opens.
    KeyDestroyed = "key_destroyed", 410, "The key was destroyed";
    /// The ciphertext does not open under this key with this aad. All failures to decrypt look like this.
    OpenFailed = "open_failed", 422, "The ciphertext does not open";
    /// There is no room for the keys: live ones, those being made, or those that ended and are remembered fill it. The
    /// detail says which. Live keys are never evicted.
    StoreFull = "store_full", 503, "The enclave has no room for more keys";
    /// There is no room for the reply: that for all, the recipient's part of it, or the places for recipients are
    /// taken. The detail says which.
    RepliesFull = "replies_full", 503, "The enclave has no room for another reply";
    /// Too much is waiting already.
    Busy = "busy", 503, "Too many requests are waiting";
    /// The Nitro Secure Module gave no document.
    NsmUnavailable = "nsm_unavailable", 503, "The enclave cannot attest";
    /// The enclave's clocks disagree, and it opens and issues nothing; or its last attested time is too old to open
    /// by. The key is as it was.
    ClockUnsafe = "clock_unsafe", 503, "The enclave does not trust its clock";
    /// The frame between parent and enclave was not understood. The request may have been carried out: ask for the
    /// key's state.
    FrameInvalid = "frame_invalid", 502, "Parent and enclave do not understand each other";
    /// Something broke that should not have.
    Internal = "internal", 500, "Something went wrong inside";
    /// The parent has no connection to the enclave. The detail says whether the request was sent; if it was, it may
    /// have been carried out: ask for the key's state.
    EnclaveUnavailable = "enclave_unavailable", 503, "The enclave cannot be reached";
    /// The enclave did not answer in time. The request may have been carried out: ask for the key's state, or send
    /// the identical open again.
    EnclaveTimeout = "enclave_timeout", 504, "The enclave did not answer in time";
    /// The body is longer than the call takes.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The body is not `application/json`.
    MediaTypeUnsupported = "media_type_unsupported", 415, "The body must be application/json";
    /// There is no such resource.
    NotFound = "not_found", 404, "There is nothing here";
    /// The resource does not take this method.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    /// The body did not arrive in time.
    RequestTimeout = "request_timeout", 408, "The request did not arrive in time";
    /// The query string is not what the call takes.
    QueryInvalid = "query_invalid", 400, "The query is not what this call takes";
    /// The request does not have exactly one valid `Host` header.
    HostInvalid = "host_invalid", 400, "A request has one Host header, a host and perhaps a port";
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
    fn codes_are_unique_and_found_by_name() {
        for code in Code::ALL {
            assert_eq!(Code::from_name(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn the_registry_for_readers_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let text = std::fs::read_to_string(path).unwrap();
        for code in Code::ALL {
            let row = format!("| `{}` | {} |", code.as_str(), code.status());
            assert!(text.contains(&row), "docs/errors.md lacks {row}");
        }
    }
}
