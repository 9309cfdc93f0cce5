//! Items that `ok2cry-release-verify` shares with this crate. They are not part of the stable API.

use std::fmt;
use std::time::Duration;

/// Declares an enum of reasons, with the code and the text of each in one place.
#[doc(hidden)]
#[macro_export]
macro_rules! __reasons {
    ($(#[$meta:meta])* $name:ident {
        $(
            $(#[$variant_meta:meta])*
            $variant:ident $({ $($(#[$field_meta:meta])* $field:ident: $ty:ty),* $(,)? })?
            => $code:literal, $text:literal $(, $arg:ident = $value:expr)*;
        )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                #[doc = concat!("\n\nCode: `", $code, "`.")]
                $variant $({ $($(#[$field_meta])* $field: $ty),* })?,
            )*
        }

        impl $name {
            /// Every code of these reasons, each once.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// The stable, machine-readable reason, in `snake_case`.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)*
                }
            }
        }

        impl ::std::error::Error for $name {}

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                match self {
                    $(Self::$variant $({ $($field),* })? => write!(f, $text $(, $arg = $value)*),)*
                }
            }
        }
    };
}

pub use crate::__reasons as reasons;

/// Milliseconds for people, in the largest unit that gives at least 2.
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ms) = *self;
        match ms {
            0..2_000 => write!(f, "{ms} ms"),
            2_000..120_000 => write!(f, "{} s", ms / 1_000),
            120_000..7_200_000 => write!(f, "{} min", ms / 60_000),
            7_200_000..172_800_000 => write!(f, "{} h", ms / 3_600_000),
            _ => write!(f, "{} days", ms / 86_400_000),
        }
    }
}

/// Whole milliseconds, at most [`u64::MAX`].
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
