//! Typed reasons for refusals, each with a stable code.

use std::fmt;

use crate::document::PCR_LEN;
use crate::support::{Span, reasons};

/// Why a document, a trust anchor or a policy was refused.
///
/// [`Error::code`] is stable and meant for programs. `Display` is a sentence for people that names the field
/// and the rule. The variants follow the order of the checks: encoding, envelope, payload, certificates,
/// chain, clock, appraisal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not strict CBOR of the expected type.
    Cbor {
        /// The field that was being read.
        field: Field,
        /// The rule that it broke.
        fault: CborFault,
    },
    /// The COSE envelope is not the one that Nitro uses.
    Cose(CoseFault),
    /// A field of the payload breaks its rule.
    Payload(PayloadFault),
    /// One certificate breaks a rule by itself.
    Certificate {
        /// Which certificate.
        at: CertificateAt,
        /// The rule that it broke.
        fault: CertificateFault,
    },
    /// The certificates do not form the one allowed path.
    Chain(ChainFault),
    /// A time does not fit the clock that was given, or another time.
    Clock(ClockFault),
    /// The document must not be trusted although its chain is well-formed: its signature is invalid, or it is
    /// from a debug enclave.
    Document(DocumentFault),
    /// The trust anchor cannot be used.
    Anchor(AnchorFault),
    /// A set of measurements cannot be used as reference values.
    Measurements(MeasurementsFault),
    /// The verified document is not what the policy expects.
    Appraisal(AppraisalFault),
}

impl Error {
    /// The stable, machine-readable reason, in `snake_case`. `docs/attestation.md` lists all of them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cbor { fault, .. } => fault.code(),
            Self::Cose(fault) => fault.code(),
            Self::Payload(fault) => fault.code(),
            Self::Certificate { fault, .. } => fault.code(),
            Self::Chain(fault) => fault.code(),
            Self::Clock(fault) => fault.code(),
            Self::Document(fault) => fault.code(),
            Self::Anchor(fault) => fault.code(),
            Self::Measurements(fault) => fault.code(),
            Self::Appraisal(fault) => fault.code(),
        }
    }

    /// Every code that [`Error::code`] can return, each once.
    pub fn all_codes() -> impl Iterator<Item = &'static str> {
        [
            CborFault::CODES,
            CoseFault::CODES,
            PayloadFault::CODES,
            CertificateFault::CODES,
            ChainFault::CODES,
            ClockFault::CODES,
            DocumentFault::CODES,
            AnchorFault::CODES,
            MeasurementsFault::CODES,
            AppraisalFault::CODES,
        ]
        .into_iter()
        .flatten()
        .copied()
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor { field, fault } => write!(f, "{field}: {fault}"),
            Self::Cose(fault) => fault.fmt(f),
            Self::Payload(fault) => fault.fmt(f),
            Self::Certificate { at, fault } => write!(f, "{at}: {fault}"),
            Self::Chain(fault) => fault.fmt(f),
            Self::Clock(fault) => fault.fmt(f),
            Self::Document(fault) => fault.fmt(f),
            Self::Anchor(fault) => fault.fmt(f),
            Self::Measurements(fault) => fault.fmt(f),
            Self::Appraisal(fault) => fault.fmt(f),
        }
    }
}

/// A field of an attestation document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// The `COSE_Sign1` array around everything.
    CoseSign1,
    /// The protected header.
    ProtectedHeader,
    /// The unprotected header.
    UnprotectedHeader,
    /// The payload: its byte string, its map, or a key of the map.
    Payload,
    /// The signature of the document.
    Signature,
    /// `module_id`.
    ModuleId,
    /// `digest`.
    Digest,
    /// `timestamp`.
    Timestamp,
    /// `pcrs`.
    Pcrs,
    /// `certificate`, the leaf.
    Certificate,
    /// `cabundle`.
    Cabundle,
    /// `public_key`.
    PublicKey,
    /// `user_data`.
    UserData,
    /// `nonce`.
    Nonce,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CoseSign1 => "COSE_Sign1",
            Self::ProtectedHeader => "protected header",
            Self::UnprotectedHeader => "unprotected header",
            Self::Payload => "payload",
            Self::Signature => "signature",
            Self::ModuleId => "module_id",
            Self::Digest => "digest",
            Self::Timestamp => "timestamp",
            Self::Pcrs => "pcrs",
            Self::Certificate => "certificate",
            Self::Cabundle => "cabundle",
            Self::PublicKey => "public_key",
            Self::UserData => "user_data",
            Self::Nonce => "nonce",
        })
    }
}

/// The certificate that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateAt {
    /// An entry of `cabundle`, counted from 0, the root.
    Cabundle(usize),
    /// `certificate`, whose key signs the document.
    Leaf,
    /// The trust anchor that the caller gave.
    Anchor,
}

impl fmt::Display for CertificateAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cabundle(index) => write!(f, "cabundle[{index}]"),
            Self::Leaf => f.write_str("certificate"),
            Self::Anchor => f.write_str("trust anchor"),
        }
    }
}

reasons! {
    /// How an encoding breaks the strict CBOR of this crate (RFC 8949, with the limits of [`crate::decode`]).
    CborFault {
        /// The input ends inside an item, or an item claims more bytes than are left.
        Truncated => "cbor_truncated", "the encoding ends inside an item";
        /// A reserved additional-information value, or a `break` where none belongs.
        Malformed => "cbor_malformed", "this is not well-formed CBOR";
        /// A length or integer is not in its shortest form.
        NonMinimal => "cbor_non_minimal", "a length or an integer is not in its shortest form";
        /// An indefinite length where a definite one is required.
        IndefiniteLength => "cbor_indefinite_length",
            "indefinite lengths are allowed for the payload's own map only";
        /// The field has another type than required.
        WrongType {
            /// The expected type.
            expected: &'static str,
            /// What it is.
            found: &'static str,
        } => "cbor_wrong_type", "expected {expected}, found {found}";
        /// A text string that is not UTF-8.
        NotUtf8 => "cbor_not_utf8", "a text string is not UTF-8";
        /// Bytes after the end.
        TrailingBytes => "cbor_trailing_bytes", "there are bytes after the end";
    }
}

reasons! {
    /// How the `COSE_Sign1` envelope breaks the one form that Nitro uses (RFC 9052 §4.2).
    CoseFault {
        /// More than [`crate::MAX_DOCUMENT_LEN`] bytes. No byte was read.
        DocumentTooLarge {
            /// Its length in bytes.
            len: usize,
        } => "document_too_large", "the document has {len} bytes, which is more than 32768";
        /// A tag other than 18, or more than one.
        Tag => "cose_tag", "COSE_Sign1: only tag 18, once, or no tag is allowed";
        /// Not an array of four.
        ElementCount {
            /// How many elements the array has.
            count: u64,
        } => "cose_element_count", "COSE_Sign1: the array has {count} elements instead of 4";
        /// The protected header is not exactly `{1: -35}`, bytes `a1013822`.
        ProtectedHeader {
            /// Its first bytes, at most 16.
            found: Vec<u8>,
        } => "protected_header_not_es384",
            "protected header: expected a1013822, which is {{1: -35}} (ES384), found {hex}", hex = Hex(found);
        /// The unprotected header is not empty. The signature does not cover it.
        UnprotectedHeader {
            /// How many entries it has.
            count: u64,
        } => "unprotected_header_not_empty",
            "unprotected header: expected an empty map, found {count} entries";
        /// Payload of 0 or more than 16,384 bytes.
        PayloadLength {
            /// Its length in bytes.
            len: usize,
        } => "payload_length", "payload: {len} bytes, expected 1 to 16384";
        /// Signature of another length than 96 bytes.
        SignatureLength {
            /// Its length in bytes.
            len: usize,
        } => "signature_length", "signature: {len} bytes instead of 96";
    }
}

reasons! {
    /// How a field of the payload breaks its rule.
    PayloadFault {
        /// A key that an enclave's attestation document does not have.
        UnknownKey {
            /// The key, cut to 32 characters.
            key: String,
        } => "unknown_key", "payload: unknown key {key:?}";
        /// A key twice.
        DuplicateKey {
            /// The field.
            field: Field,
        } => "duplicate_key", "payload: {field} appears twice";
        /// A mandatory field is absent.
        MissingField {
            /// The field.
            field: Field,
        } => "missing_field", "payload: {field} is missing";
        /// A NitroTPM document. It has the same root, and says nothing about an enclave.
        NitroTpm => "nitrotpm_document",
            "payload: nitrotpm_pcrs marks a NitroTPM document; expected an enclave's document";
        /// `module_id` is empty.
        ModuleIdEmpty => "module_id_empty", "module_id: must not be empty";
        /// `digest` is not `SHA384`.
        Digest {
            /// The value found, cut to 32 characters.
            found: String,
        } => "digest_not_sha384", "digest: expected \"SHA384\", found {found:?}";
        /// `timestamp` is 0.
        TimestampZero => "timestamp_zero", "timestamp: must be greater than 0";
        /// No PCRs, or more than 32.
        PcrCount {
            /// How many the map has.
            count: u64,
        } => "pcr_count", "pcrs: {count} entries, expected 1 to 32";
        /// An index above 31.
        PcrIndex {
            /// The index.
            index: u64,
        } => "pcr_index", "pcrs: index {index} is above 31";
        /// An index twice.
        PcrDuplicate {
            /// The index.
            index: u8,
        } => "pcr_duplicate", "pcrs: PCR{index} appears twice";
        /// A value of another length than 48 bytes.
        PcrLength {
            /// The index.
            index: u8,
            /// The length in bytes.
            len: usize,
        } => "pcr_length", "pcrs: PCR{index} has {len} bytes instead of 48";
        /// PCR0, 1 or 2 is absent.
        PcrMissing {
            /// The index.
            index: u8,
        } => "pcr_missing", "pcrs: PCR{index} is missing";
        /// `certificate` has 0 or more than 1,024 bytes.
        CertificateLength {
            /// The length in bytes.
            len: usize,
        } => "certificate_length", "certificate: {len} bytes, expected 1 to 1024";
        /// `cabundle` has no entry, or more than [`crate::MAX_CABUNDLE_LEN`].
        CabundleCount {
            /// How many entries.
            count: u64,
        } => "cabundle_count", "cabundle: {count} entries, expected 1 to 6";
        /// An entry of `cabundle` has 0 or more than 1,024 bytes.
        CabundleEntryLength {
            /// The entry, from 0.
            index: usize,
            /// The length in bytes.
            len: usize,
        } => "cabundle_entry_length", "cabundle[{index}]: {len} bytes, expected 1 to 1024";
        /// `public_key` of more than 1,024 bytes.
        PublicKeyLength {
            /// The length in bytes.
            len: usize,
        } => "public_key_length", "public_key: {len} bytes, expected at most 1024";
        /// `user_data` of more than 1,024 bytes.
        UserDataLength {
            /// The length in bytes.
            len: usize,
        } => "user_data_length", "user_data: {len} bytes, expected at most 1024";
        /// `nonce` of more than 1,024 bytes.
        NonceLength {
            /// The length in bytes.
            len: usize,
        } => "nonce_length", "nonce: {len} bytes, expected at most 1024";
    }
}

reasons! {
    /// How one certificate breaks a rule by itself (RFC 5280, narrowed to what Nitro's own certificates are).
    CertificateFault {
        /// Not strict DER, or not the structure of a version 3 certificate.
        Malformed {
            /// The part that could not be read.
            part: &'static str,
        } => "der_malformed", "{part} is not strict DER of the expected form";
        /// Bytes after the end of the certificate, or of a structure within it.
        TrailingBytes {
            /// The part that they follow.
            part: &'static str,
        } => "der_trailing_bytes", "there are bytes after {part}";
        /// Not version 3.
        Version => "certificate_version", "this is not a version 3 certificate";
        /// Another algorithm than ecdsa-with-SHA384, inside or outside the signed part.
        SignatureAlgorithm => "certificate_signature_algorithm",
            "the signature algorithm must be ecdsa-with-SHA384";
        /// The key is not an uncompressed point on the named curve P-384.
        Key => "certificate_key_not_p384", "the key must be an uncompressed point on the named curve P-384";
        /// The validity ends before it begins.
        Validity => "certificate_validity_inverted", "notAfter lies before notBefore";
        /// The same extension twice.
        DuplicateExtension => "certificate_extension_duplicate", "an extension appears twice";
        /// A critical extension other than basicConstraints and keyUsage.
        CriticalExtension => "certificate_critical_extension", "a critical extension is not understood here";
        /// An issuer whose basicConstraints are absent or do not say CA.
        IssuerNotCa => "issuer_not_ca", "basicConstraints must say that an issuer is a CA";
        /// An issuer without keyCertSign.
        IssuerNotCertSigner => "issuer_not_key_cert_sign", "keyUsage of an issuer must hold keyCertSign";
        /// More CAs below it than its pathLenConstraint allows.
        PathLength {
            /// What it allows.
            allowed: u8,
            /// How many there are.
            found: usize,
        } => "path_length_exceeded",
            "pathLenConstraint allows {allowed} CAs below this one, found {found}";
        /// The leaf is a CA.
        LeafIsCa => "leaf_is_ca", "basicConstraints must not say that the leaf is a CA";
        /// The leaf lacks digitalSignature.
        LeafNotDigitalSignature => "leaf_not_digital_signature",
            "keyUsage of the leaf must hold digitalSignature";
        /// The leaf may sign certificates.
        LeafCertSigner => "leaf_key_cert_sign", "keyUsage of the leaf must not hold keyCertSign";
    }
}

reasons! {
    /// How the certificates fail to form the one allowed path: root, CAs in order, leaf.
    ChainFault {
        /// The trust anchor is nowhere in `cabundle`.
        RootNotTrusted => "root_not_trusted", "cabundle: the chain does not begin at the trust anchor";
        /// The trust anchor is in `cabundle`, but not first.
        RootNotFirst => "cabundle_not_root_first", "cabundle: the trust anchor must be its first entry";
        /// A certificate was not issued by the one before it.
        OutOfOrder {
            /// The certificate whose issuer is another.
            at: CertificateAt,
        } => "chain_out_of_order", "{at}: its issuer is not the subject of the certificate before it";
        /// Two certificates with the same subject.
        DuplicateSubject {
            /// The later one.
            at: CertificateAt,
        } => "chain_duplicate_subject", "{at}: a certificate before it has the same subject";
        /// A certificate's signature does not verify under the key of the one before it.
        Signature => "certificate_signature_invalid",
            "a certificate's signature does not verify under the key of the certificate before it";
        /// The path validation of RFC 5280 §6 refused for another reason.
        Path {
            /// The reason, in the words of the path validation.
            reason: String,
        } => "path_invalid", "path validation refused the chain: {reason}";
    }
}

reasons! {
    /// How times disagree. All times are Unix milliseconds.
    ClockFault {
        /// A certificate's validity begins after now and leeway. On a fresh document, the clock given is
        /// behind.
        NotYetValid {
            /// Which certificate.
            at: CertificateAt,
            /// How far in the future its validity begins, in milliseconds.
            by_ms: u64,
        } => "not_yet_valid",
            "{at}: becomes valid {by} from now, beyond the leeway; is the clock behind?", by = Span(*by_ms);
        /// A certificate's validity has ended.
        Expired {
            /// Which certificate.
            at: CertificateAt,
            /// How long ago, in milliseconds.
            by_ms: u64,
        } => "expired", "{at}: expired {by} ago; is the clock ahead?", by = Span(*by_ms);
        /// The document's timestamp lies outside its own certificate's validity.
        TimestampOutsideLeaf => "timestamp_outside_leaf",
            "timestamp: it lies outside the validity of the certificate that signed it";
        /// The document's timestamp lies after now and leeway.
        FromFuture {
            /// How far, in milliseconds.
            by_ms: u64,
        } => "document_from_future",
            "timestamp: {by} from now, beyond the leeway; is the clock behind?", by = Span(*by_ms);
        /// The document is older than the policy's maximum age.
        TooOld {
            /// Its age in milliseconds.
            age_ms: u64,
            /// The maximum age in milliseconds.
            max_age_ms: u64,
        } => "document_too_old",
            "timestamp: {age} old, expected at most {max}",
            age = Span(*age_ms), max = Span(*max_age_ms);
    }
}

reasons! {
    /// Why a well-formed document under a well-formed chain must not be trusted.
    DocumentFault {
        /// The COSE signature does not verify under the leaf's key.
        Signature => "document_signature_invalid",
            "signature: does not verify under the key of the certificate";
        /// PCR0, 1 and 2 are all zero: the enclave ran in debug mode, where the host reads memory and
        /// console.
        DebugMode => "debug_mode", "pcrs: PCR0, PCR1 and PCR2 are zero: a debug enclave, which hides nothing";
        /// One or two of PCR0, 1 and 2 are zero, which no enclave measures.
        PcrZero {
            /// The index.
            index: u8,
        } => "pcr_zero", "pcrs: PCR{index} is zero; a measured image never has that value";
    }
}

reasons! {
    /// Why a trust anchor cannot be used. A fault of the certificate itself is [`Error::Certificate`].
    AnchorFault {
        /// The PEM text does not hold exactly one certificate.
        Pem => "anchor_pem", "trust anchor: the PEM must hold exactly one certificate";
        /// The certificate is empty or has more than 1,024 bytes, so it does not fit into a `cabundle`.
        Length {
            /// The length in bytes.
            len: usize,
        } => "anchor_length", "trust anchor: {len} bytes, expected 1 to 1024";
        /// The certificate was issued by another.
        NotRoot => "anchor_not_root", "trust anchor: expected a self-issued root; issuer and subject must be equal";
    }
}

reasons! {
    /// Why PCR values cannot serve as the measurements of a release.
    MeasurementsFault {
        /// No PCRs.
        Empty => "measurements_empty", "measurements: at least PCR0 is needed";
        /// No PCR0.
        WithoutPcr0 => "measurements_without_pcr0", "measurements: PCR0, the image, is missing";
        /// PCR0, 1 or 2 is zero, as in debug mode.
        Zero {
            /// The index.
            index: u8,
        } => "measurements_zero", "measurements: PCR{index} is zero, as in debug mode";
        /// An index above 31.
        Index {
            /// The index.
            index: u8,
        } => "measurements_index", "measurements: index {index} is above 31";
        /// An index twice.
        Duplicate {
            /// The index.
            index: u8,
        } => "measurements_duplicate", "measurements: PCR{index} appears twice";
        /// Not JSON as `nitro-cli` prints it: another form, a repeated name, another hash algorithm.
        Json {
            /// What was expected, and what was found.
            why: String,
        } => "measurements_invalid", "measurements: {why}";
        /// A policy without any release.
        NoRelease => "policy_without_release", "policy: at least one release is needed";
    }
}

reasons! {
    /// How a verified document differs from what the policy expects.
    AppraisalFault {
        /// The PCRs match no single release.
        Pcrs {
            /// The PCRs that differ from the closest release, by ascending index. An absent PCR differs.
            differing: Vec<PcrDifference>,
        } => "pcr_mismatch",
            "pcrs: no accepted release has all of these values; differences from the closest: {list}",
            list = Listed(differing);
        /// The nonce differs, or is unset.
        Nonce {
            /// The length of the expected one, in bytes.
            expected: usize,
            /// The length of the document's, in bytes; `None` if it is unset.
            found: Option<usize>,
        } => "nonce_mismatch", "nonce: {lengths}", lengths = Lengths(*expected, *found);
        /// The user data differs, or is unset.
        UserData {
            /// The length of the expected one, in bytes.
            expected: usize,
            /// The length of the document's, in bytes; `None` if it is unset.
            found: Option<usize>,
        } => "user_data_mismatch", "user_data: {lengths}", lengths = Lengths(*expected, *found);
    }
}

/// A PCR whose value differs from a release's. Measurements are public.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PcrDifference {
    /// Its index.
    pub index: u8,
    /// The value of the release.
    pub expected: [u8; PCR_LEN],
    /// The value of the document; `None` if it does not have this PCR.
    pub found: Option<[u8; PCR_LEN]>,
}

impl fmt::Display for PcrDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR{} expected {}, found ", self.index, Hex(&self.expected))?;
        match &self.found {
            Some(found) => Hex(found).fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Differences, separated by semicolons.
struct Listed<'a>(&'a [PcrDifference]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, difference) in self.0.iter().enumerate() {
            write!(f, "{}{difference}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// The lengths of two values that differ. Their bytes are not shown: a nonce may be a secret of its protocol.
struct Lengths(usize, Option<usize>);

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(expected, None) => write!(f, "expected {expected} bytes, found none"),
            Self(expected, Some(found)) => {
                write!(f, "its {found} bytes differ from the {expected} bytes expected")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_snake_case_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Error::all_codes() {
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
