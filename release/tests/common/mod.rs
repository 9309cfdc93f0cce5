//! Test files: EIFs of any shape, and valid build inputs.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests; no test uses all"
)]

pub(crate) mod engineers;
pub(crate) mod signer;

use ok2cry_release::eif::{HEADER_LEN, crc_of};

pub(crate) const KERNEL: u16 = 1;
pub(crate) const CMDLINE: u16 = 2;
pub(crate) const RAMDISK: u16 = 3;
pub(crate) const SIGNATURE: u16 = 4;
pub(crate) const METADATA: u16 = 5;

/// Writes an EIF of these sections, valid or not, with an independent implementation of the format.
pub(crate) fn eif(version: u16, sections: &[(u16, &[u8])]) -> Vec<u8> {
    let mut file = b".eif".to_vec();
    file.extend(version.to_be_bytes());
    file.extend([0; 2]);
    file.extend((1_u64 << 30).to_be_bytes());
    file.extend(2_u64.to_be_bytes());
    file.extend([0; 2]);
    file.extend(u16::try_from(sections.len()).unwrap().to_be_bytes());
    let mut at = HEADER_LEN as u64;
    let mut offsets = [0; 32];
    let mut sizes = [0; 32];
    for (index, (_, content)) in sections.iter().enumerate().take(32) {
        offsets[index] = at;
        sizes[index] = content.len() as u64;
        at += 12 + content.len() as u64;
    }
    file.extend(offsets.iter().chain(&sizes).flat_map(|entry| entry.to_be_bytes()));
    file.extend([0; 8]);
    for (kind, content) in sections {
        file.extend(kind.to_be_bytes());
        file.extend([0; 2]);
        file.extend((content.len() as u64).to_be_bytes());
        file.extend(*content);
    }
    with_crc(file)
}

/// The file with its correct checksum.
pub(crate) fn with_crc(mut file: Vec<u8>) -> Vec<u8> {
    let crc = crc_of(&file);
    file[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_be_bytes());
    file
}

/// The sections of an ordinary image.
pub(crate) const ORDINARY: &[(u16, &[u8])] = &[
    (KERNEL, b"kernel"),
    (CMDLINE, b"console=ttyS0"),
    (METADATA, b"{}"),
    (RAMDISK, b"boot"),
    (RAMDISK, b"application"),
];

/// The header of a bzImage of release 6.12.1.
pub(crate) fn kernel() -> Vec<u8> {
    let mut kernel = vec![0x90; 0x1000];
    kernel[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20e..0x210].copy_from_slice(&0x300_u16.to_le_bytes());
    kernel[0x211] = 1;
    kernel[0x500..0x50e].copy_from_slice(b"6.12.1 (who@wh");
    kernel
}

/// The headers of a position-independent program: one program header, for a dynamic section of two entries.
pub(crate) fn program() -> Vec<u8> {
    let mut elf = vec![0; 64 + 56 + 32];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    elf[0x10] = 3;
    elf[0x12] = 62;
    elf[0x20] = 64;
    elf[0x36] = 56;
    elf[0x38] = 1;
    elf[64] = 2;
    elf[64 + 8] = 120;
    elf[64 + 32] = 32;
    // DT_FLAGS_1 with DF_1_PIE, then DT_NULL.
    elf[120..128].copy_from_slice(&0x6fff_fffb_u64.to_le_bytes());
    elf[128..136].copy_from_slice(&0x0800_0000_u64.to_le_bytes());
    elf.extend(b"and what the program does, with AWS-LC");
    elf
}

pub(crate) const CONFIGURATION: &str = "max_ttl_ms = 300000\ncapacity = 1000\n[purposes.card-pin]\n";

pub(crate) const TOOLCHAIN: &str = "gcc = \"12\"\nbinutils = \"2\"\nlibc6-dev = \"2\"\nrustc = \"1\"\n\
    kernel-source = \"linux 6.12.1\"\nkernel-source-sha256 = \"00\"\n";
