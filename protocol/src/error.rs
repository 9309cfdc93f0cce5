use core::fmt;

/// Bytes from outside broke a rule. Names the structure, the field and the rule, and never holds the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{structure}: {field}: {rule}")]
pub struct DecodeError {
    /// What was being decoded, for example `key descriptor`.
    pub structure: &'static str,
    /// The field, as `docs/protocol.md` names it.
    pub field: &'static str,
    /// What it broke.
    pub rule: Rule,
}

/// The rule that a field broke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The field is not there.
    Missing,
    /// A field of this number is not part of the structure.
    Unknown(u64),
    /// The field is there twice, or fields are not in ascending order.
    DuplicateOrUnordered(u64),
    /// Another CBOR type than the one the field has.
    WrongType,
    /// A length or number was not written in its shortest form, or a length was left open.
    NotDeterministic,
    /// The bytes end inside the field.
    Truncated,
    /// Bytes follow the end.
    Trailing,
    /// A length outside `min..=max` (bytes, or entries of an array).
    Length {
        /// Least length that is allowed.
        min: usize,
        /// Greatest length that is allowed.
        max: usize,
    },
    /// A number outside what is allowed.
    Range,
    /// Text that is not UTF-8.
    NotUtf8,
    /// Characters outside `[a-z0-9._-]`.
    Charset,
    /// Another type or version of record than the one expected.
    WrongRecord,
    /// A value that is not one of those that exist.
    UnknownValue,
    /// A suite that is not switched on.
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
