//! Errors and refusals of this crate, each with a stable code.

/// Declares the stable codes of an error type: `code()` for a value, and `CODES` for the tests of the registry pages.
macro_rules! codes {
    ($type:ty { $($pattern:pat => $code:literal,)+ }) => {
        impl $type {
            /// Every code of this type, some more than once.
            pub const CODES: &[&str] = &[$($code),+];

            /// The stable, machine-readable reason, in `snake_case`.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $($pattern => $code,)+
                }
            }
        }
    };
}
pub(crate) use codes;

const DISAGREEMENT: &str = "measurements_disagree";
const LIBRARY: &str = "library_failed";
const IO: &str = "file_unusable";

/// An error or refusal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not an unambiguous enclave image file.
    #[error("the EIF {0}")]
    Eif(#[from] EifFault),
    /// The signature section breaks a rule.
    #[error("the EIF's signature section {0}")]
    Signature(#[from] SignatureFault),
    /// An input of a build breaks a rule.
    #[error("{what} {fault}")]
    Input {
        /// The input.
        what: &'static str,
        /// The rule that it broke.
        fault: InputFault,
    },
    /// AWS's library and this crate disagree about the image, so it is not built.
    #[error("AWS's library and this program disagree about {what}")]
    Disagreement {
        /// The values that differ.
        what: String,
    },
    /// AWS's library did not build the image.
    #[error("AWS's library did not build the image: {0}")]
    Library(String),
    /// Signing or publishing was refused.
    #[error(transparent)]
    Publication(#[from] crate::publication::PublicationFault),
    /// A client's checks refuse it.
    #[error(transparent)]
    Refused(#[from] ok2cry_release_verify::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
}

impl Error {
    /// The codes of the variants that have no type of their own.
    pub const CODES: &[&str] = &[DISAGREEMENT, LIBRARY, IO];

    /// The stable, machine-readable reason, in `snake_case`. `docs/reproduce.md`,
    /// `docs/release-guide.md` and `docs/releases.md` list all of them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Eif(fault) => fault.code(),
            Self::Signature(fault) => fault.code(),
            Self::Input { fault, .. } => fault.code(),
            Self::Disagreement { .. } => DISAGREEMENT,
            Self::Library(_) => LIBRARY,
            Self::Publication(fault) => fault.code(),
            Self::Refused(error) => error.code(),
            Self::Io { .. } => IO,
        }
    }
}

impl From<ok2cry_attest_verify::Error> for Error {
    fn from(error: ok2cry_attest_verify::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl From<ok2cry_tlog::Error> for Error {
    fn from(error: ok2cry_tlog::Error) -> Self {
        Self::Refused(error.into())
    }
}

/// The rule of the format that a file breaks. Sections are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EifFault {
    /// Longer than [`crate::eif::MAX_EIF_LEN`].
    #[error("is longer than 4 GiB")]
    TooLarge,
    /// Shorter than its header.
    #[error("is shorter than its header of 548 bytes")]
    HeaderTruncated,
    /// It does not begin with `.eif`.
    #[error("does not begin with \".eif\"")]
    Magic,
    /// An unknown version. Version 1, which has no checksum, is not supported.
    #[error("has version {version}; 2, 3 and 4 are known")]
    Version {
        /// The version.
        version: u16,
    },
    /// Flags other than the architecture's. No register measures them, so their effect would not be measured.
    #[error("has the flags {flags:#06x} in its header, of which only 0x0001 (aarch64) is known")]
    Flags {
        /// The flags.
        flags: u16,
    },
    /// Reserved fields that are not zero.
    #[error("has reserved fields in its header that are not zero")]
    Reserved,
    /// Not 1 to 32 sections.
    #[error("does not have 1 to 32 sections")]
    SectionCount,
    /// An entry of the header's tables beyond the last section.
    #[error("has an offset or a size in its header for which there is no section")]
    UnusedEntry,
    /// A section does not begin where the one before it ends.
    #[error("has a section {index} that does not begin where the previous one ends")]
    Offset {
        /// The section's index.
        index: usize,
    },
    /// Header and section give different sizes.
    #[error("gives two sizes for its section {index}")]
    SizeMismatch {
        /// The section's index.
        index: usize,
    },
    /// A section that extends beyond the file.
    #[error("ends within its section {index}")]
    SectionTruncated {
        /// The section's index.
        index: usize,
    },
    /// An unknown type of section.
    #[error("has a section {index} of an unknown type")]
    SectionType {
        /// The section's index.
        index: usize,
    },
    /// A section with flags.
    #[error("has unknown flags in its section {index}")]
    SectionFlags {
        /// The section's index.
        index: usize,
    },
    /// A section that is a duplicate, out of order, or not part of the version.
    #[error("has a {what} as its section {index}, where it is not allowed")]
    Unexpected {
        /// The section's index.
        index: usize,
        /// The section's type.
        what: &'static str,
    },
    /// The kernel, command line, a ramdisk or (in version 4) the metadata is missing.
    #[error("has no {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// An empty kernel.
    #[error("has an empty kernel")]
    KernelEmpty,
    /// A command line that the kernel would truncate.
    #[error("has a command line of more than 2047 bytes")]
    CmdlineLength,
    /// A command line with a zero byte, at which the kernel would stop reading.
    #[error("has a zero byte in its command line")]
    CmdlineZero,
    /// A metadata section that is too long.
    #[error("has metadata of more than 1 MiB")]
    MetadataLength,
    /// Metadata that AWS's readers would refuse.
    #[error("has metadata that is not a JSON object")]
    MetadataJson,
    /// A signature section that is empty or too long.
    #[error("has a signature section of 0 or more than 131072 bytes")]
    SignatureLength,
    /// Bytes after the last section.
    #[error("has bytes after its last section")]
    TrailingBytes,
    /// The checksum does not match the bytes.
    #[error("has a checksum that does not match its bytes")]
    Checksum,
}

codes!(EifFault {
    Self::TooLarge => "eif_too_large",
    Self::HeaderTruncated | Self::SectionTruncated { .. } => "eif_truncated",
    Self::Magic => "eif_magic",
    Self::Version { .. } => "eif_version",
    Self::Flags { .. } | Self::Reserved | Self::SectionCount | Self::UnusedEntry => "eif_header_invalid",
    Self::Offset { .. } | Self::SizeMismatch { .. } => "eif_tables_disagree",
    Self::SectionType { .. } | Self::SectionFlags { .. } | Self::Unexpected { .. } => "eif_section_unexpected",
    Self::Missing { .. } => "eif_section_missing",
    Self::KernelEmpty | Self::CmdlineLength | Self::CmdlineZero | Self::MetadataLength | Self::MetadataJson
        | Self::SignatureLength => "eif_section_invalid",
    Self::TrailingBytes => "eif_trailing_bytes",
    Self::Checksum => "eif_checksum",
});

/// The rule that a signature section, or the certificate that signs an image, breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureFault {
    /// Not the CBOR that AWS's library writes.
    #[error("is not a CBOR array of maps with a signing_certificate and a signature each")]
    Cbor,
    /// Not exactly one signature. AWS's library writes one, of PCR0.
    #[error("does not hold exactly one signature")]
    Count,
    /// The certificate is not PEM.
    #[error("holds a signing_certificate that is not PEM of at least one CERTIFICATE")]
    Pem,
    /// The PEM holds another block, such as a private key, which would be published with the image.
    #[error("holds a signing_certificate with a PEM block {found:?}; only CERTIFICATE may be there")]
    Label {
        /// The block's label.
        found: String,
    },
    /// Too many certificates.
    #[error("holds a signing_certificate of more than 8 certificates")]
    ChainLength,
    /// A malformed certificate.
    #[error("holds a signing_certificate whose certificate {number} is not X.509 in DER")]
    Certificate {
        /// Its position, from 1.
        number: usize,
    },
    /// A key that cannot sign an image.
    #[error("has a signing certificate with {found}; ECDSA over P-256, P-384 or P-521 was expected")]
    KeyKind {
        /// The algorithm or curve of the key.
        found: String,
    },
    /// A key that is not on its curve.
    #[error("has a signing certificate whose public key is not a point of its curve")]
    Point,
    /// The signature is not a `COSE_Sign1`.
    #[error("holds a signature that is not a valid COSE_Sign1: {rule}")]
    Cose {
        /// The rule.
        rule: &'static str,
    },
    /// An algorithm that is not the certificate key's.
    #[error(
        "holds a signature whose protected header does not say {expected}, as the certificate's key does"
    )]
    Algorithm {
        /// The algorithm of the key.
        expected: &'static str,
    },
    /// The signature is not by the certificate's key.
    #[error("holds a signature that is not by the key of its signing certificate")]
    Forged,
    /// The signature is over another register.
    #[error("holds a signature over register {index}; PCR0 was expected")]
    OtherRegister {
        /// The register.
        index: i64,
    },
    /// The signature is over another image's PCR0.
    #[error("holds a signature over the PCR0 of another image")]
    OtherImage,
    /// The signature is not over a register's value.
    #[error("holds a signature that is not over {{register_index: 0, register_value: PCR0}}")]
    Payload,
    /// The certificate's validity has not begun.
    #[error("has a signing certificate that is valid from {from} on; it was checked for {at}")]
    NotYetValid {
        /// The start of the validity.
        from: String,
        /// The time of the check.
        at: String,
    },
    /// The certificate's validity has ended.
    #[error("has a signing certificate that was valid until {until}; it was checked for {at}")]
    Expired {
        /// The end of the validity.
        until: String,
        /// The time of the check.
        at: String,
    },
}

codes!(SignatureFault {
    Self::KeyKind { .. } => "eif_signature_key_unsupported",
    Self::Forged => "eif_signature_forged",
    Self::OtherRegister { .. } | Self::OtherImage | Self::Payload => "eif_signature_other_image",
    Self::NotYetValid { .. } => "eif_certificate_not_yet_valid",
    Self::Expired { .. } => "eif_certificate_expired",
    _ => "eif_signature_invalid",
});

/// The rule that an input of a build breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputFault {
    /// A kernel that is not a bzImage.
    #[error("is not a bzImage for x86")]
    NotBzImage,
    /// A file that is not a kernel's configuration.
    #[error("is not a Linux kernel's .config for x86_64")]
    NotKernelConfig,
    /// A command line that is not one line of printable ASCII.
    #[error("is not one line of at most 2047 printable ASCII characters")]
    NotOneLine,
    /// A program that is not a static executable.
    #[error("is not a static ELF executable for x86_64: {0}")]
    NotStatic(&'static str),
    /// A program with parts of the mock NSM.
    #[error("holds parts of the mock NSM ({0:?}), which are not allowed in an image")]
    Mock(&'static str),
    /// A program that holds a path of its build machine.
    #[error("holds a path of the machine that built it ({0:?}), so other machines could not reproduce it")]
    Path(&'static str),
    /// A configuration that the enclave would refuse, with its error.
    #[error("would be refused by the enclave: {0}")]
    Configuration(String),
    /// A configuration with a crypto provider that the program lacks.
    #[error("names the crypto provider {0}, which the program lacks")]
    Provider(&'static str),
    /// A configuration that skips checks, without `--development`.
    #[error("skips checks ({0}), which requires --development")]
    Development(String),
    /// A file that is not TOML with the expected keys.
    #[error("is not valid: {0}")]
    Toml(String),
    /// An empty value.
    #[error("has an empty {0}")]
    Empty(&'static str),
}

codes!(InputFault {
    Self::NotBzImage => "kernel_invalid",
    Self::NotKernelConfig => "kernel_config_invalid",
    Self::NotOneLine => "cmdline_invalid",
    Self::NotStatic(_) => "program_not_static",
    Self::Mock(_) => "program_holds_mock",
    Self::Path(_) => "program_holds_path",
    Self::Configuration(_) | Self::Provider(_) => "configuration_refused",
    Self::Development(_) => "configuration_for_development",
    Self::Toml(_) | Self::Empty(_) => "toolchain_invalid",
});
