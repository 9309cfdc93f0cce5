//! Why an image was not built or not measured: typed reasons, each with a stable code.

/// Why something was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not an enclave image file that can be measured without doubt.
    #[error("the EIF {0}")]
    Eif(#[from] EifFault),
    /// The image is not signed by the certificate that its signature section names.
    #[error("the EIF's signature section {0}")]
    Signature(#[from] SignatureFault),
    /// Something that an image is to be built from breaks a rule.
    #[error("{what} {fault}")]
    Input {
        /// Which input.
        what: &'static str,
        /// The rule that it broke.
        fault: InputFault,
    },
    /// AWS's library and this crate do not agree about the image, so neither is believed.
    #[error("AWS's library and the computation of our own disagree about {what}")]
    Disagreement {
        /// About what.
        what: String,
    },
    /// AWS's library did not build the image.
    #[error("AWS's library did not build the image: {0}")]
    Library(String),
    /// Something was not signed or not published.
    #[error(transparent)]
    Publication(#[from] crate::publication::PublicationFault),
    /// A client would refuse it.
    #[error(transparent)]
    Refused(#[from] ok2cry_release_verify::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// The stable, machine-readable reason, in `snake_case`. `docs/reproduce.md` and `docs/releases.md` list all of them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Eif(fault) => fault.code(),
            Self::Signature(fault) => fault.code(),
            Self::Input { fault, .. } => fault.code(),
            Self::Disagreement { .. } => "measurements_disagree",
            Self::Library(_) => "library_failed",
            Self::Publication(fault) => fault.code(),
            Self::Refused(error) => error.code(),
            Self::Io { .. } => "file_unusable",
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
    /// A version that this does not know. Version 1 has no checksum.
    #[error("has version {version}; 2, 3 and 4 are known")]
    Version {
        /// The version.
        version: u16,
    },
    /// Flags other than the architecture's. No register measures them, so what they would change would go unseen.
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
    #[error("has its section {index} elsewhere than where the one before it ends")]
    Offset {
        /// Which section.
        index: usize,
    },
    /// Header and section give different sizes.
    #[error("gives two sizes for its section {index}")]
    SizeMismatch {
        /// Which section.
        index: usize,
    },
    /// A section reaches beyond the file.
    #[error("ends within its section {index}")]
    SectionTruncated {
        /// Which section.
        index: usize,
    },
    /// A type of section that this does not know.
    #[error("has a section {index} of a type that is not known")]
    SectionType {
        /// Which section.
        index: usize,
    },
    /// A section with flags.
    #[error("has flags in its section {index} that are not known")]
    SectionFlags {
        /// Which section.
        index: usize,
    },
    /// A section where none of its type can be: a second one, one out of order, or one that the version does not have.
    #[error("has a {what} as its section {index}, where none can be")]
    Unexpected {
        /// Which section.
        index: usize,
        /// What it is.
        what: &'static str,
    },
    /// No kernel, no command line, no ramdisk, or in version 4 no metadata.
    #[error("has no {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// A kernel of no bytes.
    #[error("has an empty kernel")]
    KernelEmpty,
    /// A command line that the kernel would cut.
    #[error("has a command line of more than 2047 bytes")]
    CmdlineLength,
    /// A command line of which the kernel would read less than is measured.
    #[error("has a zero byte in its command line")]
    CmdlineZero,
    /// A metadata section that is too long.
    #[error("has metadata of more than 1 MiB")]
    MetadataLength,
    /// Metadata that no reader of AWS's takes.
    #[error("has metadata that is not a JSON object")]
    MetadataJson,
    /// A signature section that is empty or too long.
    #[error("has a signature section of 0 or more than 131072 bytes")]
    SignatureLength,
    /// Bytes after the last section.
    #[error("has bytes after its last section")]
    TrailingBytes,
    /// The checksum is not that of the bytes.
    #[error("has another checksum than its bytes")]
    Checksum,
}

impl EifFault {
    fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "eif_too_large",
            Self::HeaderTruncated | Self::SectionTruncated { .. } => "eif_truncated",
            Self::Magic => "eif_magic",
            Self::Version { .. } => "eif_version",
            Self::Flags { .. } | Self::Reserved | Self::SectionCount | Self::UnusedEntry => {
                "eif_header_invalid"
            }
            Self::Offset { .. } | Self::SizeMismatch { .. } => "eif_tables_disagree",
            Self::SectionType { .. } | Self::SectionFlags { .. } | Self::Unexpected { .. } => {
                "eif_section_unexpected"
            }
            Self::Missing { .. } => "eif_section_missing",
            Self::KernelEmpty
            | Self::CmdlineLength
            | Self::CmdlineZero
            | Self::MetadataLength
            | Self::MetadataJson
            | Self::SignatureLength => "eif_section_invalid",
            Self::TrailingBytes => "eif_trailing_bytes",
            Self::Checksum => "eif_checksum",
        }
    }
}

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
    /// The PEM holds something else: a private key, say, which would be published with the image.
    #[error("holds a signing_certificate with a PEM block {found:?}; only CERTIFICATE may be there")]
    Label {
        /// The block's label.
        found: String,
    },
    /// More certificates than a chain has.
    #[error("holds a signing_certificate of more than 8 certificates")]
    ChainLength,
    /// A certificate that is not one.
    #[error("holds a signing_certificate whose certificate {number} is not X.509 in DER")]
    Certificate {
        /// Which one, from 1.
        number: usize,
    },
    /// A key that cannot sign an image.
    #[error("has a signing certificate with {found}; ECDSA over P-256, P-384 or P-521 is due")]
    KeyKind {
        /// The algorithm or curve that it has instead.
        found: String,
    },
    /// A key that is not on its curve.
    #[error("has a signing certificate whose public key is not a point of its curve")]
    Point,
    /// The signature is not a `COSE_Sign1`.
    #[error("holds a signature that is not the COSE_Sign1 that is due: {rule}")]
    Cose {
        /// The rule.
        rule: &'static str,
    },
    /// Another algorithm than the certificate's key has.
    #[error(
        "holds a signature whose protected header does not say {expected}, as the certificate's key does"
    )]
    Algorithm {
        /// The algorithm of the key.
        expected: &'static str,
    },
    /// The certificate's key has not signed.
    #[error("holds a signature that is not by the key of its signing certificate")]
    Forged,
    /// The signature is over another register.
    #[error("holds a signature over register {index}; PCR0 is due")]
    OtherRegister {
        /// Which register.
        index: i64,
    },
    /// The signature is over another image's PCR0.
    #[error("holds a signature over another PCR0 than this image's: it was taken from another image")]
    OtherImage,
    /// The signature is over something that is not a register's value.
    #[error("holds a signature over something else than {{register_index: 0, register_value: PCR0}}")]
    Payload,
    /// The certificate's validity has not begun.
    #[error("has a signing certificate that is valid from {from} on, and the time to judge is {at}")]
    NotYetValid {
        /// When it begins.
        from: String,
        /// When it was looked at.
        at: String,
    },
    /// The certificate's validity has ended.
    #[error("has a signing certificate that was valid until {until}, and the time to judge is {at}")]
    Expired {
        /// When it ended.
        until: String,
        /// When it was looked at.
        at: String,
    },
}

impl SignatureFault {
    fn code(&self) -> &'static str {
        match self {
            Self::KeyKind { .. } => "eif_signature_key_unsupported",
            Self::Forged => "eif_signature_forged",
            Self::OtherRegister { .. } | Self::OtherImage | Self::Payload => "eif_signature_other_image",
            Self::NotYetValid { .. } => "eif_certificate_not_yet_valid",
            Self::Expired { .. } => "eif_certificate_expired",
            _ => "eif_signature_invalid",
        }
    }
}

/// The rule that an input of a build breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputFault {
    /// A kernel that the x86 boot protocol does not know.
    #[error("is not a bzImage of x86")]
    NotBzImage,
    /// A kernel configuration without the kernel's marks.
    #[error("is not a Linux kernel's .config for x86_64")]
    NotKernelConfig,
    /// A command line that is not one line of printable ASCII.
    #[error("is not one line of at most 2047 printable ASCII characters")]
    NotOneLine,
    /// A program that is not a static executable.
    #[error("is not a static ELF executable for x86_64: {0}")]
    NotStatic(&'static str),
    /// A program with parts that must not be in an image.
    #[error("holds parts of the mock NSM ({0:?}), which no image may")]
    Mock(&'static str),
    /// A program that knows where it was built.
    #[error("holds a path of the machine that built it ({0:?}), so nobody else could build it again")]
    Path(&'static str),
    /// A configuration that the enclave would refuse, in its own words.
    #[error("would be refused by the enclave: {0}")]
    Configuration(String),
    /// A configuration that names a crypto provider that the program does not hold.
    #[error("names the crypto provider {0}, which the program does not hold")]
    Provider(&'static str),
    /// A configuration that drops checks, for an image that is not said to be for development.
    #[error("drops checks ({0}), which only an image for development may: --development builds one")]
    Development(String),
    /// Something that is not TOML, or not what was expected of it.
    #[error("is not understood: {0}")]
    Toml(String),
    /// A value without content.
    #[error("has an empty {0}")]
    Empty(&'static str),
}

impl InputFault {
    fn code(&self) -> &'static str {
        match self {
            Self::NotBzImage => "kernel_invalid",
            Self::NotKernelConfig => "kernel_config_invalid",
            Self::NotOneLine => "cmdline_invalid",
            Self::NotStatic(_) => "program_not_static",
            Self::Mock(_) => "program_holds_mock",
            Self::Path(_) => "program_holds_path",
            Self::Configuration(_) | Self::Provider(_) => "configuration_refused",
            Self::Development(_) => "configuration_for_development",
            Self::Toml(_) | Self::Empty(_) => "toolchain_invalid",
        }
    }
}
