/// Declares an enum of refusals, with the stable code and the text of each variant in one place.
///
/// The doc comment of a variant is its row in `docs/errors.md`. There are two forms:
///
/// ```
/// ok2cry_protocol::reasons! {
///     /// A code alone: it travels with an HTTP status, and its text is a title.
///     pub enum Code: status {
///         /// The body is longer than the call accepts.
///         BodyTooLarge => "body_too_large", "The body is too large", 413;
///     }
/// }
///
/// ok2cry_protocol::reasons! {
///     /// An error. `code()` returns the type after the arrow.
///     #[derive(Debug)]
///     pub enum Error -> &'static str {
///         /// The answer holds another number of keys than requested.
///         KeyCount {
///             /// How many were requested.
///             requested: u32,
///         } => "key_count_mismatch", "the answer does not hold {requested} keys";
///     }
///     passing on {
///         /// An error with a code of its own.
///         Inner(#[from] Refused) => "{0}";
///     }
/// }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("refused")]
/// # pub struct Refused;
/// # impl Refused { fn code(&self) -> &'static str { "refused" } }
/// ```
///
/// The second form needs `thiserror` in the crate that uses it.
#[macro_export]
macro_rules! reasons {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: status {
            $($(#[doc = $row:literal])+ $variant:ident => $code:literal, $text:literal, $status:literal;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $row])+ $variant,)+
        }

        impl $name {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status of a response with this code.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// A short sentence for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
    (
        $(#[$meta:meta])*
        pub enum $name:ident -> $returned:ty {
            $(
                $(#[doc = $row:literal])+
                $variant:ident
                    $(( $(#[$of_inner:meta])* $inner:ty ))?
                    $({ $($(#[doc = $of_field:literal])+ $field:ident: $ty:ty),+ $(,)? })?
                    => $code:literal, $text:literal;
            )+
        }
        $(passing on {
            $(
                $(#[doc = $passed_row:literal])+
                $passed:ident($(#[$of_passed:meta])* $passed_ty:ty) => $passed_text:literal;
            )+
        })?
    ) => {
        $(#[$meta])*
        #[derive(::thiserror::Error)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[doc = $row])+
                #[doc = concat!("\n\nCode: `", $code, "`.")]
                #[error($text)]
                $variant
                    $(( $(#[$of_inner])* $inner ))?
                    $({ $($(#[doc = $of_field])+ $field: $ty),+ })?,
            )+
            $($(
                $(#[doc = $passed_row])+
                #[error($passed_text)]
                $passed($(#[$of_passed])* $passed_ty),
            )+)?
        }

        impl $name {
            /// The stable, machine-readable reason, in `snake_case`. A nested reason's code is passed on.
            #[must_use]
            pub fn code(&self) -> $returned {
                match self {
                    $(Self::$variant { .. } => $code,)+
                    $($(Self::$passed(nested) => nested.code(),)+)?
                }
            }

            /// Every code that is declared here, each once. Nested reasons have their own lists.
            pub fn all_codes() -> impl Iterator<Item = &'static str> {
                [$($code,)+].into_iter()
            }
        }
    };
}
