//! Why a release was not accepted.

use ok2cry_attest_verify::support::{Span, reasons};

use crate::key::KeyIds;

reasons! {
    /// Why something about releases was refused: a signed document, the log that holds it, or what they say together.
    ReleaseFault {
        // What a document is.
        /// More bytes than any document of its kind has.
        TooLarge {
            /// Which document.
            what: &'static str,
            /// The most bytes that it may have.
            max: usize,
        } => "release_document_too_large", "{what}: more than {max} bytes";
        /// Not the JSON that it must be: an unknown, repeated or missing field, another type, trailing bytes.
        Json {
            /// Which document.
            what: &'static str,
            /// What the JSON parser says.
            why: String,
        } => "release_json_invalid", "{what}: {why}";
        /// A field that breaks its rule.
        Field {
            /// Which document.
            what: &'static str,
            /// The field.
            field: &'static str,
            /// The rule.
            rule: &'static str,
        } => "release_field_invalid", "{what}: {field} must be {rule}";
        /// An envelope for another kind of document.
        PayloadType {
            /// Which document.
            what: &'static str,
            /// The type that the envelope names, cut to 100 characters.
            found: String,
        } => "payload_type_mismatch", "{what}: the envelope's payloadType is {found:?}";

        // Who signed it.
        /// Not one signature by a key of the role.
        KeyUnknown {
            /// Which document.
            what: &'static str,
            /// The keys of the role.
            expected: KeyIds,
            /// The keys that its signatures name.
            named: KeyIds,
        } => "signature_key_unknown",
            "{what}: none of the keys that may sign this has signed it; expected signatures with keyid {expected}, found {named}";
        /// Fewer distinct keys than the threshold.
        BelowThreshold {
            /// Which document.
            what: &'static str,
            /// How many distinct keys of the role have signed.
            found: usize,
            /// How many must.
            threshold: usize,
            /// The keys of the role.
            expected: KeyIds,
            /// The keys that its signatures name.
            named: KeyIds,
        } => "signatures_below_threshold",
            "{what}: signed by {found} of the keys that may, where {threshold} must; expected signatures with keyid {expected}, found {named}";
        /// Two signatures by one key.
        Repeated {
            /// Which document.
            what: &'static str,
            /// The key.
            key: KeyIds,
        } => "signature_repeated", "{what}: the key with keyid {key} has signed twice";
        /// A signature that names a key of the role and is not that key's.
        Signature {
            /// Which document.
            what: &'static str,
            /// The key.
            key: KeyIds,
        } => "release_signature_invalid",
            "{what}: the signature with keyid {key} does not verify under that key: the document was changed, or it is another's";

        // The root document.
        /// No root document in the bundle is signed by the pinned keys.
        RootNotPinned {
            /// The pinned keys.
            pinned: KeyIds,
            /// The keys that the signatures of the newest root document name.
            named: KeyIds,
        } => "root_not_pinned",
            "root: no root document is signed by the release key that is held here; expected keyid {pinned}, found {named}";
        /// A version other than the one after the one before.
        RootSequence {
            /// The version that was due.
            expected: u64,
            /// The version that came.
            found: u64,
        } => "root_out_of_sequence", "root: version {found} where version {expected} was due";
        /// An older root document than this client has seen.
        RootRolledBack {
            /// The newest in the bundle.
            found: u64,
            /// What this client has seen.
            seen: u64,
        } => "root_rolled_back", "root: version {found}, and version {seen} was seen before";
        /// The root document that this client has seen is not among those that lead to the newest.
        RootForked {
            /// The version that was seen.
            seen: u64,
        } => "root_forked", "root: the document of version {seen} that was seen before is not among these";
        /// Its time is over.
        RootExpired {
            /// How long ago, in milliseconds.
            by_ms: u64,
        } => "root_expired", "root: expired {by} ago", by = Span(*by_ms);
        /// The root document is for enclaves under another attestation root than this client's.
        Anchor => "attestation_root_mismatch", "root: it is for enclaves under another attestation root than the one held here";

        // The list.
        /// Its time is over: it was revoked by time, or a host withholds a newer one.
        ListExpired {
            /// How long ago, in milliseconds.
            by_ms: u64,
        } => "list_expired", "list: expired {by} ago", by = Span(*by_ms);
        /// Older than this client takes: a host may be withholding a newer one.
        ListTooOld {
            /// Its age in milliseconds.
            age_ms: u64,
            /// The most that this client takes, in milliseconds.
            max_age_ms: u64,
        } => "list_too_old", "list: issued {age} ago, where at most {max} are taken",
            age = Span(*age_ms), max = Span(*max_age_ms);
        /// Issued after now and leeway.
        ListFromFuture {
            /// How far, in milliseconds.
            by_ms: u64,
        } => "list_from_future", "list: issued {by} from now, beyond the leeway; is the clock behind?", by = Span(*by_ms);
        /// An older list than this client has seen.
        ListRolledBack {
            /// Its version.
            found: u64,
            /// What this client has seen.
            seen: u64,
        } => "list_rolled_back", "list: version {found}, and version {seen} was seen before";
        /// Another list of a version that this client has seen.
        ListForked {
            /// The version.
            version: u64,
        } => "list_forked", "list: there are two different lists of version {version}";
        /// A list from before the newest root document, which may have changed who signs lists.
        ListBeforeRoot => "list_before_root", "list: it is in the log before the newest root document";
        /// A release below the minimum that the same list sets.
        ListBelowMinimum {
            /// The release.
            version: String,
            /// The minimum.
            minimum: String,
        } => "list_below_minimum", "list: release {version} is below its own minimum {minimum}";
        /// No listed release is one that this client takes.
        NoRelease => "no_release_accepted", "list: it holds no release that this client takes";

        // The manifests.
        /// A listed release whose manifest is not there.
        ManifestMissing {
            /// The release.
            version: String,
        } => "manifest_missing", "manifest of {version}: it is listed, and not there";
        /// A manifest that the list does not name.
        ManifestNotListed => "manifest_not_listed", "manifest: there is one that is not in the list";
        /// A manifest of another product.
        Subject {
            /// What the manifest is about, cut to 100 characters.
            found: String,
        } => "manifest_subject_mismatch", "manifest: it is about {found:?}, which is another product";
        /// The manifest says another version than the list.
        ManifestVersion {
            /// The list's.
            listed: String,
            /// The manifest's.
            found: String,
        } => "manifest_version_mismatch", "manifest of {listed}: it calls itself {found}";
        /// PCR0, 1 or 2 is not there.
        ManifestPcrMissing {
            /// The register.
            index: u8,
        } => "manifest_pcr_missing", "manifest: its measurements lack PCR{index}";
        /// An image that runs under another attestation root: a mock where production is meant, or the other way round.
        ManifestAnchor => "manifest_attestation_root_mismatch",
            "manifest: its image attests under another root than these releases do (a mock's?)";
        /// An image that drops checks, under the root of production.
        Development => "manifest_for_development", "manifest: its image drops checks and is for development only";

        // The log.
        /// Fewer witnesses than the root document asks for.
        WitnessesBelowThreshold {
            /// How many witnesses have cosigned.
            found: usize,
            /// How many must.
            threshold: usize,
        } => "witnesses_below_threshold", "checkpoint: cosigned by {found} witnesses, where {threshold} must";
        /// A cosignature of the future.
        WitnessFromFuture {
            /// Whose.
            name: String,
        } => "witness_from_future", "checkpoint: the cosignature of {name} is from the future; is the clock behind?";
        /// The log is not a continuation of the one that this client has seen.
        LogForked {
            /// The size of the log now.
            found: u64,
            /// The size that this client has seen.
            seen: u64,
        } => "log_forked", "checkpoint: with {found} entries it is no continuation of the log that had {seen}";
        /// A document is not in the log where it is said to be.
        NotInLog {
            /// Which document.
            what: &'static str,
        } => "not_in_log", "{what}: it is not in the release log";

        // Appraisal of an enclave.
        /// The enclave runs nothing that is released: never released, or revoked.
        NotReleased => "release_not_listed", "pcrs: no release in the list has these measurements; it was revoked, or never released";
        /// The enclave's registers are those of several releases.
        Mixed => "measurements_mixed", "pcrs: each is that of some release in the list, but together they are none";
    }
}
