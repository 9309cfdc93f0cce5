//! An enclave image file, read strictly.
//!
//! The format is AWS's: a header of 548 bytes, then sections, each with a header of 12 bytes; integers are big-endian
//! (`src/defs/mod.rs` of `aws-nitro-enclaves-image-format` 0.8.1). The file says twice where a section lies and how
//! long it is: in the header's tables, and by what follows what. Programs differ in which of the two they believe:
//! AWS's reader walks from section to section, QEMU's loader jumps by the tables. A file in which the two disagree
//! would be measured as one image and booted as another, so here they must agree, and every byte of the file must
//! belong to exactly one section.

use crate::error::{EifFault, Error};

/// The longest file that is read, in bytes.
pub const MAX_EIF_LEN: u64 = 4 << 30;
/// The length of the file's header, in bytes.
pub const HEADER_LEN: usize = 548;
/// The length of a section's header, in bytes.
pub const SECTION_HEADER_LEN: usize = 12;
/// The most sections that a file can hold.
pub const MAX_SECTIONS: usize = 32;
/// The longest command line, in bytes: what the x86 kernel keeps of one (`COMMAND_LINE_SIZE`), less its final zero.
pub const MAX_CMDLINE_LEN: usize = 2047;
/// The longest signature section, in bytes.
pub const MAX_SIGNATURE_LEN: usize = 128 << 10;
/// The longest metadata section, in bytes.
pub const MAX_METADATA_LEN: usize = 1 << 20;

/// An enclave image file whose structure holds and whose checksum is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eif<'a> {
    version: u16,
    arch: Arch,
    kernel: &'a [u8],
    cmdline: &'a [u8],
    ramdisks: Vec<&'a [u8]>,
    metadata: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

/// What an image runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// `x86_64`.
    X86_64,
    /// `aarch64`.
    Aarch64,
}

impl<'a> Eif<'a> {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`Error::Eif`] with the rule that the file breaks.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let header = Header::parse(file)?;
        let mut eif = Self {
            version: header.version,
            arch: header.arch,
            kernel: &[],
            cmdline: &[],
            ramdisks: Vec::new(),
            metadata: None,
            signature: None,
        };
        let mut progress = Progress::Nothing;
        let mut at = HEADER_LEN;
        for index in 0..header.sections {
            let (offset, size) = header.place(index)?;
            if offset != at as u64 {
                return Err(EifFault::Offset { index }.into());
            }
            let section = Section::parse(file, at, index)?;
            if section.content.len() as u64 != size {
                return Err(EifFault::SizeMismatch { index }.into());
            }
            at = at
                .checked_add(SECTION_HEADER_LEN)
                .and_then(|at| at.checked_add(section.content.len()))
                .ok_or(EifFault::SectionTruncated { index })?;
            progress = eif.take(&section, progress, index)?;
        }
        header.rest_is_zero()?;
        if at != file.len() {
            return Err(EifFault::TrailingBytes.into());
        }
        if progress != Progress::Ramdisks {
            return Err(EifFault::Missing { what: progress.wanted() }.into());
        }
        if header.crc != crc_of(file) {
            return Err(EifFault::Checksum.into());
        }
        Ok(eif)
    }

    /// The format's version: 2, 3 or 4.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// What the image runs on.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &'a [u8] {
        self.kernel
    }

    /// The kernel's command line.
    #[must_use]
    pub fn cmdline(&self) -> &'a [u8] {
        self.cmdline
    }

    /// The ramdisks, one at least, in the file's order. The first boots, the others are the application.
    #[must_use]
    pub fn ramdisks(&self) -> &[&'a [u8]] {
        &self.ramdisks
    }

    /// What the builder wrote about the image. No PCR covers it.
    #[must_use]
    pub fn metadata(&self) -> Option<&'a [u8]> {
        self.metadata
    }

    /// The signature section.
    #[must_use]
    pub fn signature(&self) -> Option<&'a [u8]> {
        self.signature
    }

    /// Takes a section in, if it may come here.
    ///
    /// PCRs hash kernel, command line and ramdisks one after the other without lengths between them, in the file's
    /// order, so only one order is allowed.
    fn take(
        &mut self,
        section: &Section<'a>,
        progress: Progress,
        index: usize,
    ) -> Result<Progress, EifFault> {
        let content = section.content;
        match (section.kind, progress) {
            (Kind::Kernel, Progress::Nothing) => {
                if content.is_empty() {
                    return Err(EifFault::KernelEmpty);
                }
                self.kernel = content;
                Ok(Progress::Kernel)
            }
            (Kind::Cmdline, Progress::Kernel) => {
                if content.len() > MAX_CMDLINE_LEN {
                    return Err(EifFault::CmdlineLength);
                }
                if content.contains(&0) {
                    return Err(EifFault::CmdlineZero);
                }
                self.cmdline = content;
                Ok(Progress::Cmdline)
            }
            (Kind::Ramdisk, Progress::Cmdline | Progress::Ramdisks) => {
                self.ramdisks.push(content);
                Ok(Progress::Ramdisks)
            }
            (Kind::Metadata, _) if self.metadata.is_none() && self.version >= 4 => {
                if content.len() > MAX_METADATA_LEN {
                    return Err(EifFault::MetadataLength);
                }
                self.metadata = Some(content);
                Ok(progress)
            }
            (Kind::Signature, _) if self.signature.is_none() && self.version >= 3 => {
                if content.is_empty() || content.len() > MAX_SIGNATURE_LEN {
                    return Err(EifFault::SignatureLength);
                }
                self.signature = Some(content);
                Ok(progress)
            }
            (kind, _) => Err(EifFault::Unexpected { index, what: kind.name() }),
        }
    }
}

/// The checksum that belongs into a file: CRC-32 (ISO-HDLC, as zlib's) of all its bytes but the field itself.
#[must_use]
pub fn crc_of(file: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(file.get(..HEADER_LEN - 4).unwrap_or_default());
    crc.update(file.get(HEADER_LEN..).unwrap_or_default());
    crc.finalize()
}

/// Which measured section came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    Kernel,
    Cmdline,
    Ramdisks,
}

impl Progress {
    fn wanted(self) -> &'static str {
        match self {
            Self::Nothing => "kernel",
            Self::Kernel => "command line",
            Self::Cmdline | Self::Ramdisks => "ramdisk",
        }
    }
}

/// The file's header. Where its fields lie:
///
/// | bytes | |
/// |---|---|
/// | 0..4 | `.eif` |
/// | 4..6, 6..8 | version, flags (bit 0: aarch64) |
/// | 8..16, 16..24 | memory and processors that the builder suggests; measured by nothing |
/// | 24..26, 26..28 | reserved, number of sections |
/// | 28..284, 284..540 | 32 offsets, 32 sizes |
/// | 540..544, 544..548 | unused, checksum |
struct Header<'a> {
    version: u16,
    arch: Arch,
    sections: usize,
    offsets: &'a [u8],
    sizes: &'a [u8],
    crc: u32,
}

impl<'a> Header<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, EifFault> {
        if file.len() as u64 > MAX_EIF_LEN {
            return Err(EifFault::TooLarge);
        }
        let mut rest = file.get(..HEADER_LEN).ok_or(EifFault::HeaderTruncated)?;
        let mut field = |len| {
            let (field, after) = rest.split_at_checked(len).ok_or(EifFault::HeaderTruncated)?;
            rest = after;
            Ok::<_, EifFault>(field)
        };
        if field(4)? != b".eif" {
            return Err(EifFault::Magic);
        }
        let version = u16_of(field(2)?);
        if !(2..=4).contains(&version) {
            return Err(EifFault::Version { version });
        }
        let arch = match u16_of(field(2)?) {
            0 => Arch::X86_64,
            1 => Arch::Aarch64,
            _ => return Err(EifFault::Flags),
        };
        let _memory_and_processors = field(16)?;
        if field(2)? != [0; 2] {
            return Err(EifFault::Reserved);
        }
        let sections = usize::from(u16_of(field(2)?));
        if !(1..=MAX_SECTIONS).contains(&sections) {
            return Err(EifFault::SectionCount);
        }
        let (offsets, sizes) = (field(8 * MAX_SECTIONS)?, field(8 * MAX_SECTIONS)?);
        if field(4)? != [0; 4] {
            return Err(EifFault::Reserved);
        }
        let crc = field(4)?.iter().fold(0, |crc, byte| crc << 8 | u32::from(*byte));
        Ok(Self { version, arch, sections, offsets, sizes, crc })
    }

    /// Where the tables say that a section lies, and how long its content is.
    fn place(&self, index: usize) -> Result<(u64, u64), EifFault> {
        let entry = |table: &[u8]| table.chunks_exact(8).nth(index).map(u64_of);
        entry(self.offsets).zip(entry(self.sizes)).ok_or(EifFault::SectionCount)
    }

    /// Entries of the tables for which there is no section.
    fn rest_is_zero(&self) -> Result<(), EifFault> {
        let used = 8 * self.sections;
        let rest = [self.offsets.get(used..), self.sizes.get(used..)];
        if rest.into_iter().flatten().flatten().any(|byte| *byte != 0) {
            return Err(EifFault::UnusedEntry);
        }
        Ok(())
    }
}

/// A section: type, flags and size (2, 2 and 8 bytes), then its content.
struct Section<'a> {
    kind: Kind,
    content: &'a [u8],
}

impl<'a> Section<'a> {
    fn parse(file: &'a [u8], at: usize, index: usize) -> Result<Self, EifFault> {
        let truncated = || EifFault::SectionTruncated { index };
        let bytes = file.get(at..).ok_or_else(truncated)?;
        let (header, rest) = bytes.split_at_checked(SECTION_HEADER_LEN).ok_or_else(truncated)?;
        let (kind, header) = header.split_at_checked(2).ok_or_else(truncated)?;
        let (flags, size) = header.split_at_checked(2).ok_or_else(truncated)?;
        let kind = match u16_of(kind) {
            1 => Kind::Kernel,
            2 => Kind::Cmdline,
            3 => Kind::Ramdisk,
            4 => Kind::Signature,
            5 => Kind::Metadata,
            _ => return Err(EifFault::SectionType { index }),
        };
        if flags != [0; 2] {
            return Err(EifFault::SectionFlags { index });
        }
        let size = usize::try_from(u64_of(size)).map_err(|_| truncated())?;
        Ok(Self { kind, content: rest.get(..size).ok_or_else(truncated)? })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Kernel,
    Cmdline,
    Ramdisk,
    Signature,
    Metadata,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Cmdline => "command line",
            Self::Ramdisk => "ramdisk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        }
    }
}

fn u16_of(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |value, byte| value << 8 | u16::from(*byte))
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}
