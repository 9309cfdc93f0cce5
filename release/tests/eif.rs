//! Valid EIFs are read; nothing else is measured.

#![allow(clippy::panic, reason = "helpers of tests: clippy.toml's list is for #[test]")]

mod common;

use common::{CMDLINE, KERNEL, METADATA, ORDINARY, RAMDISK, SIGNATURE, eif, with_crc};
use ok2cry_release::{
    eif::{Arch, Eif, HEADER_LEN, MAX_CMDLINE_LEN, MAX_METADATA_LEN, MAX_SIGNATURE_LEN},
    error::{EifFault, Error},
    measure::{ImageParts, Measurements},
};
use proptest::prelude::*;
use std::io::Read;

fn fault(file: &[u8]) -> EifFault {
    match Eif::parse(file) {
        Err(Error::Eif(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_ordinary_image_is_read_completely() {
    let file = eif(4, ORDINARY);
    let image = Eif::parse(&file).unwrap();
    assert_eq!((image.version(), image.arch()), (4, Arch::X86_64));
    assert_eq!((image.kernel(), image.cmdline()), (&b"kernel"[..], &b"console=ttyS0"[..]));
    assert_eq!(image.ramdisks(), [&b"boot"[..], b"application"]);
    assert_eq!((image.metadata(), image.signature()), (Some(&b"{}"[..]), None));
}

#[test]
fn images_of_older_builders_are_read_too() {
    let sections = [(KERNEL, &b"k"[..]), (CMDLINE, b""), (RAMDISK, b"r")];
    for version in [2, 3] {
        assert_eq!(Eif::parse(&eif(version, &sections)).unwrap().version(), version);
    }
    for version in [0, 1, 5, 0x0400] {
        assert_eq!(fault(&eif(version, &sections)), EifFault::Version { version });
    }
    // Only version 4 has metadata.
    assert!(matches!(fault(&eif(4, &sections)), EifFault::Missing { what } if what.starts_with("metadata")));
}

#[test]
fn the_architecture_is_the_only_flag_that_is_known() {
    let with = |flags: u16| {
        let mut file = eif(4, ORDINARY);
        file[6..8].copy_from_slice(&flags.to_be_bytes());
        with_crc(file)
    };
    for (flags, arch) in [(0, Arch::X86_64), (1, Arch::Aarch64)] {
        let file = with(flags);
        let image = Eif::parse(&file).unwrap();
        assert_eq!((image.flags(), image.arch()), (flags, arch));
    }
    for flags in (1..16).map(|bit| 1 << bit).chain([3, 0xffff]) {
        assert_eq!(fault(&with(flags)), EifFault::Flags { flags });
    }
    assert!(EifFault::Flags { flags: 2 }.to_string().contains("0x0002"));
}

/// Counts the bytes that are read from it.
struct Counted<'a, R>(R, &'a std::cell::Cell<u64>);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read(into)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }
}

#[test]
fn no_more_is_read_than_the_header_implies() {
    let taken = |start: &[u8]| {
        let count = std::cell::Cell::new(0);
        let endless = Counted(start.chain(std::io::repeat(0)), &count);
        let read = Eif::read(endless, "image").map_err(|error| error.code());
        (read, count.get())
    };
    let header = HEADER_LEN as u64;
    assert_eq!(taken(b""), (Err("eif_magic"), header));
    assert_eq!(taken(b".eif"), (Err("eif_version"), header));
    let file = eif(4, ORDINARY);
    // One byte more, so that trailing bytes are detected.
    let longer = [&file[..], &[0]].concat();
    assert_eq!(taken(&file), (Ok(longer.clone()), longer.len() as u64));
    assert_eq!(fault(&longer), EifFault::TrailingBytes);
    // False sizes in the tables.
    let mut huge = file.clone();
    huge[284..292].copy_from_slice(&(5_u64 << 30).to_be_bytes());
    assert_eq!(taken(&huge), (Err("eif_too_large"), header));
    huge[284..292].copy_from_slice(&u64::MAX.to_be_bytes());
    assert_eq!(taken(&huge), (Err("eif_too_large"), header));
    huge[28] = 1;
    assert_eq!(taken(&huge), (Err("eif_tables_disagree"), header));
    assert_eq!(Eif::read(&file[..], "image").unwrap(), file);
}

#[test]
fn every_prefix_and_every_longer_file_is_refused() {
    let file = eif(4, ORDINARY);
    for length in 0..file.len() {
        let code = Eif::parse(&file[..length]).unwrap_err().code();
        assert_eq!(code, "eif_truncated", "{length} bytes");
    }
    assert_eq!(fault(&[&file[..], b"\0"].concat()), EifFault::TrailingBytes);
}

#[test]
fn every_bit_matters() {
    let file = eif(4, ORDINARY);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            Eif::parse(&changed).unwrap_err();
        }
    }
}

/// With a correct checksum, a change is accepted only in contents and in the header's suggestions.
#[test]
fn a_changed_header_is_refused_even_with_the_right_checksum() {
    let file = eif(4, ORDINARY);
    for at in (0..HEADER_LEN - 4).filter(|at| !(8..24).contains(at)) {
        let mut changed = file.clone();
        changed[at] ^= 0x80;
        assert!(Eif::parse(&with_crc(changed)).is_err(), "byte {at}");
    }
}

#[test]
fn tables_and_section_headers_must_agree() {
    let file = eif(4, ORDINARY);
    let with = |at: usize, value: u64| {
        let mut changed = file.clone();
        changed[at..at + 8].copy_from_slice(&value.to_be_bytes());
        fault(&with_crc(changed))
    };
    let (offsets, sizes) = (28, 284);
    assert_eq!(with(offsets, 0), EifFault::Offset { index: 0 });
    assert_eq!(with(offsets + 8, u64::MAX), EifFault::Offset { index: 1 });
    assert_eq!(with(sizes, 5), EifFault::SizeMismatch { index: 0 });
    assert_eq!(with(sizes + 8 * 5, 1), EifFault::UnusedEntry);
    assert_eq!(with(HEADER_LEN + 4, u64::MAX), EifFault::SectionTruncated { index: 0 });
    assert_eq!(with(HEADER_LEN + 4, u64::MAX - 560), EifFault::SectionTruncated { index: 0 });
}

#[test]
fn an_image_that_could_be_read_in_two_ways_is_refused() {
    let unexpected = |version, sections: &[(u16, &[u8])], index, what| {
        assert_eq!(fault(&eif(version, sections)), EifFault::Unexpected { index, what });
    };
    unexpected(4, &[(CMDLINE, b"c"), (KERNEL, b"k"), (RAMDISK, b"r")], 0, "command line");
    unexpected(4, &[(KERNEL, b"k"), (RAMDISK, b"r"), (CMDLINE, b"c")], 1, "ramdisk");
    unexpected(4, &[(KERNEL, b"k"), (KERNEL, b"k"), (CMDLINE, b"c"), (RAMDISK, b"r")], 1, "kernel");
    unexpected(4, &[(KERNEL, b"k"), (CMDLINE, b"c"), (CMDLINE, b"c"), (RAMDISK, b"r")], 2, "command line");
    unexpected(4, &[(METADATA, b"{}"), (METADATA, b"{}")], 1, "metadata");
    unexpected(4, &[(SIGNATURE, b"s"), (SIGNATURE, b"s")], 1, "signature");
    unexpected(3, &[(METADATA, b"{}")], 0, "metadata");
    unexpected(2, &[(SIGNATURE, b"s")], 0, "signature");
    let missing = |sections: &[(u16, &[u8])], what| {
        assert_eq!(fault(&eif(4, sections)), EifFault::Missing { what });
    };
    missing(&[(METADATA, b"{}")], "kernel");
    missing(&[(KERNEL, b"k")], "command line");
    missing(&[(KERNEL, b"k"), (CMDLINE, b"c")], "ramdisk");
}

#[test]
fn each_rule_of_a_section_has_its_own_refusal() {
    let with = |replaced: u16, content: &[u8]| {
        let sections: Vec<_> = ORDINARY
            .iter()
            .chain(&[(SIGNATURE, &b"s"[..])])
            .map(|(kind, old)| (*kind, if *kind == replaced { content } else { old }))
            .collect();
        fault(&eif(4, &sections))
    };
    assert_eq!(with(KERNEL, b""), EifFault::KernelEmpty);
    assert_eq!(with(CMDLINE, b"quiet\0init=/bin/sh"), EifFault::CmdlineZero);
    assert_eq!(with(CMDLINE, &[b'x'; MAX_CMDLINE_LEN + 1]), EifFault::CmdlineLength);
    assert_eq!(with(METADATA, &vec![b' '; MAX_METADATA_LEN + 1]), EifFault::MetadataLength);
    for metadata in [&b""[..], b"{", b"[]", b"null", b"{} {}", &[0xff]] {
        assert_eq!(with(METADATA, metadata), EifFault::MetadataJson, "{metadata:?}");
    }
    assert_eq!(with(SIGNATURE, b""), EifFault::SignatureLength);
    assert_eq!(with(SIGNATURE, &vec![0; MAX_SIGNATURE_LEN + 1]), EifFault::SignatureLength);
    for kind in [0, 6, 0x0100] {
        assert_eq!(fault(&eif(4, &[(kind, b"x")])), EifFault::SectionType { index: 0 });
    }
    let mut flagged = eif(4, ORDINARY);
    flagged[HEADER_LEN + 3] = 1;
    assert_eq!(fault(&with_crc(flagged)), EifFault::SectionFlags { index: 0 });
    assert_eq!(fault(&eif(4, &[])), EifFault::SectionCount);
    assert_eq!(fault(&eif(4, &[(RAMDISK, &b"r"[..]); 33])), EifFault::SectionCount);
    assert_eq!(fault(&[b".efi", &[0; 600][..]].concat()), EifFault::Magic);
}

#[test]
fn an_image_with_an_unreadable_signer_is_not_measured() {
    let sections = [ORDINARY, &[(SIGNATURE, &b"\x80"[..])]].concat();
    let file = eif(4, &sections);
    let refused = Measurements::of(&Eif::parse(&file).unwrap()).unwrap_err();
    assert_eq!(refused.code(), "eif_signature_invalid");
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

proptest! {
    #[test]
    fn every_written_image_is_read_back(
        kernel in prop::collection::vec(any::<u8>(), 1..40),
        cmdline in prop::collection::vec(1_u8.., 0..40),
        ramdisks in prop::collection::vec(content(), 1..28),
        metadata in "[a-z]{0,20}",
    ) {
        let metadata = format!(r#"{{"ImageName": "{metadata}"}}"#).into_bytes();
        let mut sections = vec![(KERNEL, &kernel[..]), (CMDLINE, &cmdline), (METADATA, &metadata)];
        sections.extend(ramdisks.iter().map(|ramdisk| (RAMDISK, &ramdisk[..])));
        let file = eif(4, &sections);
        let image = Eif::parse(&file).unwrap();
        prop_assert_eq!((image.kernel(), image.cmdline()), (&kernel[..], &cmdline[..]));
        prop_assert_eq!(image.ramdisks(), &ramdisks);
        let ramdisks: Vec<&[u8]> = ramdisks.iter().map(Vec::as_slice).collect();
        let parts = ImageParts { kernel: &kernel, cmdline: &cmdline, ramdisks: &ramdisks, certificate: None };
        let parts = Measurements::of_parts(&parts);
        prop_assert_eq!(Measurements::of(&image).unwrap(), parts);
    }

    /// Random changes with a corrected checksum: no panic, and an accepted image accounts for the whole file.
    #[test]
    fn what_is_accepted_accounts_for_every_byte(changes in prop::collection::vec((0_usize..700, any::<u8>()), 1..6)) {
        let mut file = eif(4, ORDINARY);
        for (at, value) in changes {
            let at = at % file.len();
            file[at] = value;
        }
        let file = with_crc(file);
        if let Ok(image) = Eif::parse(&file) {
            let ramdisks = image.ramdisks().iter().copied();
            let optional = [image.metadata(), image.signature()].into_iter().flatten();
            let contents: Vec<_> = [image.kernel(), image.cmdline()].into_iter().chain(ramdisks).chain(optional).collect();
            let length = contents.iter().map(|content| 12 + content.len()).sum::<usize>();
            prop_assert_eq!(HEADER_LEN + length, file.len());
        }
    }
}
