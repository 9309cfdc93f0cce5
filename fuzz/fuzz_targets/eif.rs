//! The parser of enclave image files, on any bytes and on nearly valid files.
//!
//! Random bytes never have the right checksum. So the input is also read as sections of a file and changes to
//! it, and the checksum is then corrected.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ok2cry_release::{
    eif::{Eif, HEADER_LEN, SECTION_HEADER_LEN, crc_of},
    measure::{ImageParts, Measurements},
};

fuzz_target!(|bytes: &[u8]| {
    hold(bytes);
    let mut file = file_of(bytes);
    let crc = crc_of(&file).to_be_bytes();
    file[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc);
    hold(&file);
});

/// Asserts the properties of every accepted file.
fn hold(file: &[u8]) {
    let Ok(image) = Eif::parse(file) else { return };
    // Every byte belongs to one section, so that nothing unmeasured is booted.
    let optional = [image.metadata(), image.signature()].into_iter().flatten();
    let sections =
        [image.kernel(), image.cmdline()].into_iter().chain(image.ramdisks().iter().copied()).chain(optional);
    let length: usize = sections.map(|content| SECTION_HEADER_LEN + content.len()).sum();
    assert_eq!(HEADER_LEN + length, file.len());
    assert!(!image.kernel().is_empty() && !image.ramdisks().is_empty());
    assert!(!image.cmdline().contains(&0));

    // Neither a byte less nor a byte more is accepted, and the checksum covers all bytes.
    let code = |file: &[u8]| Eif::parse(file).map(|_| ()).map_err(|error| error.code());
    assert_eq!(code(&file[..file.len() - 1]), Err("eif_truncated"));
    assert_eq!(code(&[file, &[0]].concat()), Err("eif_trailing_bytes"));
    let mut flipped = file.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    assert!(code(&flipped).is_err());

    // Other contents have other measurements.
    let Ok(measured) = Measurements::of(&image) else { return };
    let mut kernel = image.kernel().to_vec();
    kernel[0] ^= 1;
    let other = Measurements::of_parts(&ImageParts {
        kernel: &kernel,
        cmdline: image.cmdline(),
        ramdisks: image.ramdisks(),
        certificate: None,
    });
    assert!(other.pcr0 != measured.pcr0 && other.pcr1 != measured.pcr1 && other.pcr2 == measured.pcr2);
    assert_eq!(image.signature().is_some(), measured.pcr8.is_some());
}

/// A file with the input's sections, and changes to single bytes of its header.
fn file_of(input: &[u8]) -> Vec<u8> {
    let mut input = input.iter().copied();
    let mut next = || input.next().unwrap_or_default();
    let version = next() % 6;
    let changes: Vec<(usize, u8)> =
        (0..next() % 4).map(|_| (usize::from(u16::from_be_bytes([next(), next()])), next())).collect();
    let mut sections = Vec::new();
    for _ in 0..next() % 34 {
        let (kind, length) = (next() % 7, usize::from(next()));
        sections.push((kind, (0..length).map(|_| next()).collect::<Vec<u8>>()));
    }

    let mut header = vec![b'.', b'e', b'i', b'f', 0, version, 0, 0];
    header.resize(26, 0);
    header.extend([0, sections.len() as u8]);
    let (mut offsets, mut sizes, mut contents) = ([0_u64; 32], [0_u64; 32], Vec::new());
    for (index, (kind, content)) in sections.iter().enumerate() {
        if index < 32 {
            offsets[index] = (HEADER_LEN + contents.len()) as u64;
            sizes[index] = content.len() as u64;
        }
        contents.extend([0, *kind, 0, 0]);
        contents.extend((content.len() as u64).to_be_bytes());
        contents.extend(content);
    }
    header.extend(offsets.iter().chain(&sizes).flat_map(|entry| entry.to_be_bytes()));
    header.extend([0; 8]);
    let mut file = [header, contents].concat();
    for (at, value) in changes {
        let at = at % file.len();
        file[at] = value;
    }
    file
}
