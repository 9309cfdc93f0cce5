use core::fmt;

/// Received bytes break a rule. Names the structure, the field and the rule; never holds the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{structure}: {field}: {rule}")]
pub struct DecodeError {
    /// The structure that was decoded, for example `key descriptor`.
    pub structure: &'static str,
    /// The field, as `docs/protocol.md` names it.
    pub field: &'static str,
    /// The rule that the field breaks.
    pub rule: Rule,
}

/// The rule that a field breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The field is missing.
    Missing,
    /// A field of this number is not part of the structure.
    Unknown(u64),
    /// The field is repeated, or the fields are not in ascending order.
    DuplicateOrUnordered(u64),
    /// Items of an array are not in ascending order, or one is there twice.
    Unordered,
    /// The CBOR type is not the field's.
    WrongType,
    /// A length or number is not in its shortest form, or a length is indefinite.
    NotDeterministic,
    /// The bytes end inside the field.
    Truncated,
    /// Bytes follow the end of the structure.
    Trailing,
    /// A length outside `min..=max` (bytes, or entries of an array).
    Length {
        /// The least allowed length.
        min: usize,
        /// The greatest allowed length.
        max: usize,
    },
    /// A number outside its allowed range.
    Range,
    /// Text that is not UTF-8.
    NotUtf8,
    /// Characters outside `[a-z0-9._-]`.
    Charset,
    /// The record has another type or version than expected.
    WrongRecord,
    /// The value is not a known one.
    UnknownValue,
    /// The suite is not enabled.
    UnsupportedSuite,
    /// Not an uncompressed point on P-384.
    NotOnCurve,
    /// Not base64url without padding.
    Base64,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Unknown(n) => write!(f, "holds unknown field {n}"),
            Self::DuplicateOrUnordered(n) => write!(f, "field {n} is there twice or out of order"),
            Self::Unordered => f.write_str("is not in ascending order"),
            Self::WrongType => f.write_str("has another CBOR type"),
            Self::NotDeterministic => f.write_str("is not in deterministic encoding"),
            Self::Truncated => f.write_str("is cut off"),
            Self::Trailing => f.write_str("is followed by further bytes"),
            Self::Length { min, max } if min == max => write!(f, "must have length {min}"),
            Self::Length { min, max } => write!(f, "must have a length from {min} to {max}"),
            Self::Range => f.write_str("is out of range"),
            Self::NotUtf8 => f.write_str("is not UTF-8"),
            Self::Charset => f.write_str("may hold a-z, 0-9, '.', '_' and '-' only"),
            Self::WrongRecord => f.write_str("names another type or version of record"),
            Self::UnknownValue => f.write_str("is not a value that exists"),
            Self::UnsupportedSuite => f.write_str("is not a suite that is switched on"),
            Self::NotOnCurve => f.write_str("is not an uncompressed point on P-384"),
            Self::Base64 => f.write_str("is not base64url without padding"),
        }
    }
}
