//! Reasons for refusing releases, each with its code.

use ok2cry_attest_verify::support::{Span, reasons};

use crate::key::KeyIds;

reasons! {
    /// Why releases were refused: a signed document, or what the documents and the log say together.
    ReleaseFault {
        // What a document is.
        /// More bytes than a document of this kind may have.
        TooLarge {
            /// The kind of document.
            what: &'static str,
            /// The maximum, in bytes.
            max: usize,
        } => "release_document_too_large", "{what}: more than {max} bytes";
        /// Invalid JSON: an unknown, repeated or missing field, another type, trailing bytes.
        Json {
            /// The kind of document.
            what: &'static str,
            /// The message of the JSON parser.
            why: String,
        } => "release_json_invalid", "{what}: {why}";
        /// A field that breaks its rule.
        Field {
            /// The kind of document.
            what: &'static str,
            /// The field.
            field: &'static str,
            /// The rule.
            rule: &'static str,
        } => "release_field_invalid", "{what}: {field} must be {rule}";
        /// An envelope for another kind of document.
        PayloadType {
            /// The kind of document.
            what: &'static str,
            /// The type that the envelope names, cut to 100 characters.
            found: String,
        } => "payload_type_mismatch", "{what}: the envelope's payloadType is {found:?}";

        // Who signed it.
        /// No signature by a key of the role.
        KeyUnknown {
            /// The kind of document.
            what: &'static str,
            /// The keys of the role.
            expected: KeyIds,
            /// The keys that its signatures name.
            named: KeyIds,
        } => "signature_key_unknown",
            "{what}: none of the allowed keys signed it; expected signatures with keyid {expected}, found {named}";
        /// Fewer distinct keys than the threshold.
        BelowThreshold {
            /// The kind of document.
            what: &'static str,
            /// How many distinct keys of the role have signed.
            found: usize,
            /// The threshold.
            threshold: usize,
            /// The keys of the role.
            expected: KeyIds,
            /// The keys that its signatures name.
            named: KeyIds,
        } => "signatures_below_threshold",
            "{what}: signed by {found} of the allowed keys, expected {threshold}; expected signatures with \
             keyid {expected}, found {named}";
        /// Two signatures by one key.
        Repeated {
            /// The kind of document.
            what: &'static str,
            /// The key.
            key: KeyIds,
        } => "signature_repeated", "{what}: the key with keyid {key} signed twice";
        /// A signature that names a key of the role and does not verify under it.
        Signature {
            /// The kind of document.
            what: &'static str,
            /// The key.
            key: KeyIds,
        } => "release_signature_invalid",
            "{what}: the signature with keyid {key} does not verify under that key; the document or the \
             signature was changed";

        // The root document.
        /// No root document in the bundle is signed by the pinned keys.
        RootNotPinned {
            /// The pinned keys.
            pinned: KeyIds,
            /// The keys that the signatures of the newest root document name.
            named: KeyIds,
        } => "root_not_pinned",
            "root: no root document is signed by the pinned release key; expected keyid \
             {pinned}, found {named}";
        /// A version that does not follow the one before.
        RootSequence {
            /// The version expected.
            expected: u64,
            /// The version found.
            found: u64,
        } => "root_out_of_sequence", "root: version {found}, expected {expected}";
        /// A root document older than one that this client has seen.
        RootRolledBack {
            /// The newest in the bundle.
            found: u64,
            /// What this client has seen.
            seen: u64,
        } => "root_rolled_back", "root: version {found}, older than version {seen} seen before";
        /// The root document that this client has seen is not among those that lead to the newest.
        RootForked {
            /// The version that was seen.
            seen: u64,
        } => "root_forked", "root: the document of version {seen} seen before is missing from the bundle";
        /// The root document has expired.
        RootExpired {
            /// How long ago, in milliseconds.
            by_ms: u64,
        } => "root_expired", "root: expired {by} ago", by = Span(*by_ms);
        /// The root document is for enclaves under another attestation root than this client's.
        Anchor => "attestation_root_mismatch",
            "root: it is for enclaves under another attestation root than this client's";

        // The list.
        /// The list has expired, or a host withholds a newer one.
        ListExpired {
            /// How long ago, in milliseconds.
            by_ms: u64,
        } => "list_expired", "list: expired {by} ago", by = Span(*by_ms);
        /// Older than this client accepts: a host may be withholding a newer one.
        ListTooOld {
            /// Its age in milliseconds.
            age_ms: u64,
            /// The maximum, in milliseconds.
            max_age_ms: u64,
        } => "list_too_old", "list: issued {age} ago, expected at most {max}",
            age = Span(*age_ms), max = Span(*max_age_ms);
        /// Issued after now and leeway.
        ListFromFuture {
            /// How far, in milliseconds.
            by_ms: u64,
        } => "list_from_future",
            "list: issued {by} from now, beyond the leeway; is the clock behind?", by = Span(*by_ms);
        /// A list older than one that this client has seen.
        ListRolledBack {
            /// The version.
            found: u64,
            /// What this client has seen.
            seen: u64,
        } => "list_rolled_back", "list: version {found}, older than version {seen} seen before";
        /// A list that differs from one of the same version that this client has seen.
        ListForked {
            /// The version.
            version: u64,
        } => "list_forked", "list: two different lists of version {version}";
        /// A list from before the newest root document, which may have changed the list keys.
        ListBeforeRoot => "list_before_root", "list: it precedes the newest root document in the log";
        /// A release below the minimum that the same list sets.
        ListBelowMinimum {
            /// The release.
            version: String,
            /// The minimum.
            minimum: String,
        } => "list_below_minimum", "list: release {version} is below its own minimum {minimum}";
        /// This client accepts none of the listed releases.
        NoRelease => "no_release_accepted", "list: no release that this client accepts";

        // The manifests.
        /// A listed release whose manifest is missing.
        ManifestMissing {
            /// The release.
            version: String,
        } => "manifest_missing", "manifest of {version}: listed, but missing from the bundle";
        /// A manifest that the list does not name.
        ManifestNotListed => "manifest_not_listed", "manifest: one is not in the list";
        /// A manifest of another product.
        Subject {
            /// The product of the manifest, cut to 100 characters.
            found: String,
        } => "manifest_subject_mismatch", "manifest: it is for another product, {found:?}";
        /// The manifest says another version than the list.
        ManifestVersion {
            /// The list's.
            listed: String,
            /// The manifest's.
            found: String,
        } => "manifest_version_mismatch", "manifest of {listed}: its own version is {found}";
        /// PCR0, 1 or 2 is missing.
        ManifestPcrMissing {
            /// The register.
            index: u8,
        } => "manifest_pcr_missing", "manifest: its measurements lack PCR{index}";
        /// An image under another attestation root: a mock instead of production, or the reverse.
        ManifestAnchor => "manifest_attestation_root_mismatch",
            "manifest: its image attests under another root than these releases (a mock's?)";
        /// An image that skips checks, under the production root.
        Development => "manifest_for_development",
            "manifest: its image skips checks and is for development only";

        // The log.
        /// Fewer witnesses than the root document requires.
        WitnessesBelowThreshold {
            /// How many witnesses have cosigned.
            found: usize,
            /// The threshold.
            threshold: usize,
        } => "witnesses_below_threshold", "checkpoint: cosigned by {found} witnesses, expected {threshold}";
        /// A cosignature from the future.
        WitnessFromFuture {
            /// The name of the witness.
            name: String,
        } => "witness_from_future",
            "checkpoint: the cosignature of {name} is from the future; is the clock behind?";
        /// The log does not continue the one that this client has seen.
        LogForked {
            /// The size of the log now.
            found: u64,
            /// The size that this client has seen.
            seen: u64,
        } => "log_forked",
            "checkpoint: the log of {found} entries does not extend the one of {seen}";
        /// A document is not in the log at its index.
        NotInLog {
            /// The kind of document.
            what: &'static str,
        } => "not_in_log", "{what}: not in the release log";

        // Appraisal of an enclave.
        /// The enclave's image is not listed: never released, or revoked.
        NotReleased => "release_not_listed",
            "pcrs: no release in the list has these measurements; it was revoked, or never released";
        /// The enclave's registers are those of several releases.
        Mixed => "measurements_mixed",
            "pcrs: each PCR is in some listed release, but no single release has all of them";
    }
}
