//! Measurements that are absent, doubled, of other lengths, or zero.

use super::Case;
use crate::cbor;

/// Measurements that are absent, doubled, of other lengths, or zero.
pub const PCRS: &[Case] = &[
    ("none", "pcr_count", |e| e.set_pcrs([])),
    ("33", "pcr_count", |e| e.set_pcrs(measured(32))),
    ("2^64 - 1 claimed", "pcr_count", |e| e.set("pcrs", [&[0xbb][..], &[0xff; 8]].concat())),
    ("an indefinite map", "cbor_indefinite_length", |e| e.set("pcrs", cbor::indefinite_map(&[]))),
    ("an array", "cbor_wrong_type", |e| e.set("pcrs", cbor::array(&[]))),
    ("index 32", "pcr_index", |e| e.set_pcrs(measured(2).chain([(32, vec![0; 48])]))),
    ("index 256", "pcr_index", |e| e.set_pcrs(measured(2).chain([(256, vec![0; 48])]))),
    ("index 2^64 - 1", "pcr_index", |e| e.set_pcrs(measured(2).chain([(u64::MAX, vec![0; 48])]))),
    ("a negative index", "cbor_wrong_type", |e| {
        e.set("pcrs", cbor::map(&[(vec![0x20], cbor::bytes(&[0; 48]))]));
    }),
    ("a text index", "cbor_wrong_type", |e| {
        e.set("pcrs", cbor::map(&[(cbor::text("0"), cbor::bytes(&[0; 48]))]));
    }),
    ("an index in a long form", "cbor_non_minimal", |e| {
        e.set("pcrs", cbor::map(&[(vec![0x18, 0], cbor::bytes(&[0; 48]))]));
    }),
    ("PCR0 twice", "pcr_duplicate", |e| e.set_pcrs(measured(2).chain([(0, vec![0xbb; 48])]))),
    ("a value of 32 bytes", "pcr_length", |e| e.set_pcrs(measured(2).chain([(3, vec![0; 32])]))),
    ("a value of 64 bytes", "pcr_length", |e| e.set_pcrs(measured(2).chain([(3, vec![0; 64])]))),
    ("an empty value", "pcr_length", |e| e.set_pcrs([(0, vec![])])),
    ("a null value", "cbor_wrong_type", |e| e.set("pcrs", cbor::map(&[(vec![0], vec![0xf6])]))),
    ("no PCR0", "pcr_missing", |e| e.set_pcrs(measured(15).skip(1))),
    ("no PCR1", "pcr_missing", |e| e.set_pcrs(measured(15).filter(|(index, _)| *index != 1))),
    ("no PCR2", "pcr_missing", |e| e.set_pcrs(measured(1))),
    ("debug mode", "debug_mode", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i > 2); 48])))),
    ("PCR0 zero", "pcr_zero", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i != 0); 48])))),
    ("PCR1 and 2 zero", "pcr_zero", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i == 0); 48])))),
    ("33, of which the first has 32 bytes", "pcr_count", |e| e.set_pcrs((0..33).map(|i| (i, vec![1; 32])))),
    ("PCR1 zero", "pcr_zero", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i != 1); 48])))),
    ("PCR2 zero", "pcr_zero", |e| e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i != 2); 48])))),
    ("debug mode, under a wrong signature", "document_signature_invalid", |e| {
        e.set_pcrs((0..16).map(|i| (i, vec![u8::from(i > 2); 48])));
        e.on_signature = |s| s[0] ^= 1;
    }),
    ("PCR0 twice, of which the second has 32 bytes", "pcr_length", |e| {
        e.set_pcrs(measured(2).chain([(0, vec![0xbb; 32])]))
    }),
    ("PCR0 twice, of which the second is null", "cbor_wrong_type", |e| {
        e.set("pcrs", cbor::map(&[(vec![0], cbor::bytes(&[1; 48])), (vec![0], vec![0xf6])]));
    }),
    ("PCR32 of 32 bytes", "pcr_index", |e| e.set_pcrs(measured(2).chain([(32, vec![0; 32])]))),
    ("PCR0 twice, and no PCR1", "pcr_duplicate", |e| {
        e.set_pcrs([(0, vec![1; 48]), (2, vec![1; 48]), (0, vec![1; 48])])
    }),
    ("PCR0 twice before PCR32", "pcr_duplicate", |e| {
        e.set_pcrs([(0, vec![1; 48]), (0, vec![1; 48]), (32, vec![1; 48])])
    }),
    ("PCR0 twice and zero", "pcr_duplicate", |e| e.set_pcrs(measured(2).chain([(0, vec![0; 48])]))),
];

fn measured(last: u64) -> impl Iterator<Item = (u64, Vec<u8>)> {
    (0..=last).map(|index| (index, vec![0xa0; 48]))
}
