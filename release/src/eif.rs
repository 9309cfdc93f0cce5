//! An enclave image file, read strictly.
//!
//! The format is AWS's: a header of 548 bytes, then sections, each with a header of 12 bytes; integers are
//! big-endian (`src/defs/mod.rs` of `aws-nitro-enclaves-image-format` 0.8.1). The file states position and
//! length of a section twice: in the header's tables, and by the sequence of sections. AWS's reader follows
//! the sequence, QEMU's loader the tables. If the two disagreed, a file could be measured as one image and
//! booted as another. So they must agree here, and every byte of the file must belong to exactly one section.

use crate::error::{EifFault, Error};
use std::io::Read;

/// The longest file that is read, in bytes.
pub const MAX_EIF_LEN: u64 = 4 << 30;
/// The length of the file's header, in bytes.
pub const HEADER_LEN: usize = 548;
/// The offset of the number of sections in the header.
const PREFIX_LEN: usize = 26;
/// The length of a section's header, in bytes.
pub const SECTION_HEADER_LEN: usize = 12;
/// The most sections that a file can hold.
pub const MAX_SECTIONS: usize = 32;
/// The longest command line, in bytes: the x86 kernel's `COMMAND_LINE_SIZE` less its final zero.
pub const MAX_CMDLINE_LEN: usize = 2047;
/// The longest signature section, in bytes.
pub const MAX_SIGNATURE_LEN: usize = 128 << 10;
/// The longest metadata section, in bytes.
pub const MAX_METADATA_LEN: usize = 1 << 20;

/// An enclave image file with a valid structure and checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eif<'a> {
    version: u16,
    flags: u16,
    /// The header up to the number of sections.
    prefix: &'a [u8],
    /// Every section in the file's order: type and content.
    sections: Vec<(Kind, &'a [u8])>,
    kernel: &'a [u8],
    cmdline: &'a [u8],
    ramdisks: Vec<&'a [u8]>,
    metadata: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
}

/// The architecture that an image runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// `x86_64`.
    X86_64,
    /// `aarch64`.
    Aarch64,
}

impl Arch {
    /// The architecture's name, as the kernel spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

impl<'a> Eif<'a> {
    /// Reads the bytes of a file; `name` is for errors. Reads the header first, then as many bytes as the
    /// header implies and one more. So only 548 bytes are read of a file that is not an image.
    ///
    /// # Errors
    ///
    /// [`Error::Eif`] with the rule that the header breaks, and [`Error::Io`].
    pub fn read(mut source: impl Read, name: &str) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Io { path: name.to_owned(), source };
        let mut file = Vec::new();
        source.by_ref().take(HEADER_LEN as u64).read_to_end(&mut file).map_err(failed)?;
        let len = Header::parse(&file)?.file_len()?;
        source.take(len - HEADER_LEN as u64 + 1).read_to_end(&mut file).map_err(failed)?;
        Ok(file)
    }

    /// Parses a file.
    ///
    /// # Errors
    ///
    /// [`Error::Eif`] with the rule that the file breaks.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if file.len() as u64 > MAX_EIF_LEN {
            return Err(EifFault::TooLarge.into());
        }
        let header = Header::parse(file)?;
        let mut eif = Self {
            version: header.version,
            flags: header.flags,
            prefix: file.get(..PREFIX_LEN).unwrap_or_default(),
            sections: Vec::new(),
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
            eif.sections.push((section.kind, section.content));
        }
        header.rest_is_zero()?;
        if at != file.len() {
            return Err(EifFault::TrailingBytes.into());
        }
        if progress != Progress::Ramdisks {
            return Err(EifFault::Missing { what: progress.wanted() }.into());
        }
        if eif.version >= 4 && eif.metadata.is_none() {
            return Err(EifFault::Missing { what: "metadata, which version 4 has" }.into());
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

    /// The header's flags. Bit 0 is set for aarch64; no other bit is defined.
    #[must_use]
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// The architecture.
    #[must_use]
    pub fn arch(&self) -> Arch {
        if self.flags == 0 { Arch::X86_64 } else { Arch::Aarch64 }
    }

    /// The number of sections.
    #[must_use]
    pub fn section_count(&self) -> usize {
        self.sections.len()
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

    /// The ramdisks, at least one, in the file's order. The first boots, the others are the application.
    #[must_use]
    pub fn ramdisks(&self) -> &[&'a [u8]] {
        &self.ramdisks
    }

    /// The builder's metadata. No PCR covers it.
    #[must_use]
    pub fn metadata(&self) -> Option<&'a [u8]> {
        self.metadata
    }

    /// The signature section.
    #[must_use]
    pub fn signature(&self) -> Option<&'a [u8]> {
        self.signature
    }

    /// The file without its signature section. Signatures are random, so this is the part that two builders
    /// have in common. For an unsigned image it is identical to the file.
    #[must_use]
    pub fn without_signature(&self) -> Vec<u8> {
        let sections: Vec<_> =
            self.sections.iter().filter(|(kind, _)| *kind != Kind::Signature).copied().collect();
        self.written(&sections)
    }

    /// The file with its signature section replaced by this one, which comes last, as AWS's library writes
    /// it. Does not check the section.
    #[must_use]
    pub fn with_signature(&self, section: &[u8]) -> Vec<u8> {
        let mut sections: Vec<_> =
            self.sections.iter().filter(|(kind, _)| *kind != Kind::Signature).copied().collect();
        sections.push((Kind::Signature, section));
        self.written(&sections)
    }

    /// A file with this one's header, these sections, and new tables and checksum.
    fn written(&self, sections: &[(Kind, &[u8])]) -> Vec<u8> {
        let table = |entry: &dyn Fn(usize) -> u64| -> Vec<u8> {
            (0..MAX_SECTIONS).flat_map(|index| entry(index).to_be_bytes()).collect()
        };
        let size = |index: usize| sections.get(index).map_or(0, |(_, content)| content.len() as u64);
        let offset = |index: usize| match index < sections.len() {
            true => HEADER_LEN as u64 + (0..index).map(|i| SECTION_HEADER_LEN as u64 + size(i)).sum::<u64>(),
            false => 0,
        };
        let count = u16::try_from(sections.len()).unwrap_or(u16::MAX);
        let mut file = [self.prefix, &count.to_be_bytes(), &table(&offset), &table(&size), &[0; 8]].concat();
        for (kind, content) in sections {
            file.extend_from_slice(&kind.number().to_be_bytes());
            file.extend_from_slice(&[0; 2]);
            file.extend_from_slice(&(content.len() as u64).to_be_bytes());
            file.extend_from_slice(content);
        }
        let crc = crc_of(&file).to_be_bytes();
        if let Some(field) = file.get_mut(HEADER_LEN - 4..HEADER_LEN) {
            field.copy_from_slice(&crc);
        }
        file
    }

    /// Adds a section, if it is allowed at this place.
    ///
    /// PCRs hash kernel, command line and ramdisks in the file's order without their lengths, so only one
    /// order is allowed.
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
                if serde_json::from_slice::<serde_json::Map<_, _>>(content).is_err() {
                    return Err(EifFault::MetadataJson);
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

/// The checksum of a file: CRC-32 (ISO-HDLC, as in zlib) of all bytes except the checksum field.
#[must_use]
pub fn crc_of(file: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(file.get(..HEADER_LEN - 4).unwrap_or_default());
    crc.update(file.get(HEADER_LEN..).unwrap_or_default());
    crc.finalize()
}

/// The measured section that was read last.
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

/// The file's header. Its fields:
///
/// | bytes | |
/// |---|---|
/// | 0..4 | `.eif` |
/// | 4..6, 6..8 | version, flags (bit 0: aarch64) |
/// | 8..16, 16..24 | memory and processors that the builder suggests; not measured |
/// | 24..26, 26..28 | reserved, number of sections |
/// | 28..284, 284..540 | 32 offsets, 32 sizes |
/// | 540..544, 544..548 | unused, checksum |
struct Header<'a> {
    version: u16,
    flags: u16,
    sections: usize,
    offsets: &'a [u8],
    sizes: &'a [u8],
    crc: u32,
}

impl<'a> Header<'a> {
    fn parse(file: &'a [u8]) -> Result<Self, EifFault> {
        // A foreign file is refused for its magic number, not as truncated.
        if !file.starts_with(b".eif") && file.len() >= 4 {
            return Err(EifFault::Magic);
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
        let flags = u16_of(field(2)?);
        if flags > 1 {
            return Err(EifFault::Flags { flags });
        }
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
        Ok(Self { version, flags, sections, offsets, sizes, crc })
    }

    /// The length of the file according to the tables. Each section must begin where the previous one ends.
    fn file_len(&self) -> Result<u64, EifFault> {
        let mut end = HEADER_LEN as u64;
        for index in 0..self.sections {
            let (offset, size) = self.place(index)?;
            if offset != end {
                return Err(EifFault::Offset { index });
            }
            let after = end.checked_add(SECTION_HEADER_LEN as u64).and_then(|end| end.checked_add(size));
            end = after.filter(|end| *end <= MAX_EIF_LEN).ok_or(EifFault::TooLarge)?;
        }
        Ok(end)
    }

    /// A section's offset and content length according to the tables.
    fn place(&self, index: usize) -> Result<(u64, u64), EifFault> {
        let entry = |table: &[u8]| table.chunks_exact(8).nth(index).map(u64_of);
        entry(self.offsets).zip(entry(self.sizes)).ok_or(EifFault::SectionCount)
    }

    /// Checks that table entries without a section are zero.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kernel,
    Cmdline,
    Ramdisk,
    Signature,
    Metadata,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::Kernel => 1,
            Self::Cmdline => 2,
            Self::Ramdisk => 3,
            Self::Signature => 4,
            Self::Metadata => 5,
        }
    }

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
