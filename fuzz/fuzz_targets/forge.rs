//! Documents that are changed *before* they are signed, so that the changes pass the signature checks. The
//! input is a list of changes to a good document of the forge's PKI, and of bytes to flip afterwards.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use ok2cry_attest_forge::cases::{
    CERTIFICATES, CHAIN, Case, DOS, ENVELOPE, ISSUED_BY_LEAF, PAYLOAD, PCRS, TIME, VALID,
};
use ok2cry_attest_forge::{Cert, Enclave, Extension, NOW_MS, TIMESTAMP_MS, cbor, der, key};
use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_fuzz::one_verdict;

fuzz_target!(|input: &[u8]| {
    let _ = run(&mut Unstructured::new(input));
});

fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let mut enclave = Enclave::new();
    for _ in 0..input.int_in_range(0..=4)? {
        change(&mut enclave, input)?;
    }
    if enclave.certs.is_empty() {
        return Ok(());
    }
    // Later changes may have removed parts that an earlier one needs.
    if enclave.certs.len() < 5 {
        enclave.on_cabundle = |_| {};
    }
    if enclave.fields.is_empty() {
        enclave.on_payload = |payload| payload;
    }
    let flips = input.int_in_range(0..=3)?;
    let (debug, thorough) = (input.arbitrary()?, input.ratio(1, 8)?);
    let time = match input.int_in_range(0..=3)? {
        0 => None,
        1 => Some(CheckTime { now_ms: input.arbitrary()?, leeway_ms: input.arbitrary()? }),
        _ => Some(CheckTime::at(NOW_MS)),
    };
    // An untrusted root is refused before any document.
    let Ok(root) = TrustAnchor::from_der(&enclave.root()) else { return Ok(()) };
    let mut bytes = enclave.document();
    for _ in 0..flips {
        let at = input.choose_index(bytes.len())?;
        bytes[at] ^= input.arbitrary::<u8>()?;
    }
    let verdict = one_verdict(&root, &bytes, time.as_ref(), debug, thorough);
    if let (Ok(document), 0) = (verdict, flips) {
        let signer = key(enclave.signer).verifying_key().to_sec1_point(false);
        let point = signer.as_bytes();
        let leaf = document.leaf().der();
        assert!(
            leaf.windows(point.len()).any(|window| window == point),
            "signed by another key than the leaf's"
        );
    }
    Ok(())
}

fn change(e: &mut Enclave, input: &mut Unstructured<'_>) -> Result<()> {
    let table: [&[Case]; 8] = [ENVELOPE, PAYLOAD, PCRS, CERTIFICATES, CHAIN, ISSUED_BY_LEAF, TIME, DOS];
    match input.int_in_range(0..=17_u8)? {
        0 => {
            let cases = *input.choose(&table)?;
            apply(e, input.choose(cases)?.2);
        }
        1 => apply(e, input.choose(VALID)?.change),
        choice @ 2..=6 => change_fields(e, input, choice)?,
        7 => {
            let pcrs = input.arbitrary_iter::<(u8, u8, u8)>()?.take(40).collect::<Result<Vec<_>>>()?;
            let pcrs = pcrs.into_iter().map(|(index, byte, len)| {
                (u64::from(index % 34), vec![byte; if len == 0 { 47 } else { 48 }])
            });
            e.set_pcrs_if_there(pcrs);
        }
        8 => e.indefinite = !e.indefinite,
        9 => e.prefix = input.arbitrary::<[u8; 2]>()?.to_vec(),
        10 => e.unprotected = item(input)?,
        11 => e.signer = input.int_in_range(0..=8)?,
        choice @ 12..=16 => change_certificate(e, input, choice)?,
        _ => {
            let cert = Cert::at(input.int_in_range(0..=5)?);
            let at = input.int_in_range(0..=e.certs.len())?;
            match input.int_in_range(0..=2)? {
                0 => e.certs.insert(at, cert),
                1 if at < e.certs.len() => drop(e.certs.remove(at)),
                _ if e.certs.is_empty() => {}
                _ => {
                    let at = at % e.certs.len();
                    e.certs.swap(at, 0);
                }
            }
        }
    }
    Ok(())
}

fn change_fields(e: &mut Enclave, input: &mut Unstructured<'_>, choice: u8) -> Result<()> {
    match choice {
        2 => {
            let value = item(input)?;
            if let Some(field) = pick(&mut e.fields, input)? {
                field.1 = value;
            }
        }
        3 => {
            let (at, by) = (input.arbitrary::<usize>()?, input.arbitrary::<u8>()?);
            if let Some((_, value)) = pick(&mut e.fields, input)?.filter(|(_, value)| !value.is_empty()) {
                let at = at % value.len();
                value[at] ^= by;
            }
        }
        4 => {
            if !e.fields.is_empty() {
                e.fields.remove(input.choose_index(e.fields.len())?);
            }
        }
        5 => {
            let entry = (cbor::text(input.arbitrary()?), item(input)?);
            e.fields.push(entry);
        }
        _ => {
            if let Some(field) = pick(&mut e.fields, input)?.cloned() {
                e.fields.push(field);
            }
        }
    }
    Ok(())
}

fn change_certificate(e: &mut Enclave, input: &mut Unstructured<'_>, choice: u8) -> Result<()> {
    match choice {
        12 => {
            let time = time(input)?;
            let first = input.arbitrary()?;
            if let Some(cert) = pick(&mut e.certs, input)? {
                *(if first { &mut cert.validity.0 } else { &mut cert.validity.1 }) = time;
            }
        }
        13 => {
            let extension = extension(input)?;
            if let Some(cert) = pick(&mut e.certs, input)? {
                match input.int_in_range(0..=2)? {
                    0 => cert.extensions.push(extension),
                    1 => cert.extensions.clear(),
                    _ => {
                        if let Some(old) = pick(&mut cert.extensions, input)? {
                            *old = extension;
                        }
                    }
                }
            }
        }
        14 => {
            let name = der::name(input.choose(&["root", "regional", "zonal", "instance", "", "x"])?);
            let subject = input.arbitrary()?;
            if let Some(cert) = pick(&mut e.certs, input)? {
                *(if subject { &mut cert.subject } else { &mut cert.issuer }) = name;
            }
        }
        15 => {
            let (signer, place) = (input.int_in_range(0..=8)?, input.int_in_range(0..=8)?);
            let point = key(place).verifying_key().to_sec1_point(false).as_bytes().to_vec();
            let change_key = input.arbitrary()?;
            if let Some(cert) = pick(&mut e.certs, input)? {
                cert.signer = signer;
                if change_key {
                    cert.point = point;
                }
            }
        }
        _ => {
            let tlv = der::tlv(input.arbitrary()?, &bytes(input, 40)?);
            let what = input.int_in_range(0..=6)?;
            if let Some(cert) = pick(&mut e.certs, input)? {
                let part = match what {
                    0 => &mut cert.version,
                    1 => &mut cert.serial,
                    2 => &mut cert.issuer,
                    3 => &mut cert.subject,
                    4 => &mut cert.after_extensions,
                    5 => &mut cert.inner_algorithm,
                    _ => &mut cert.key_algorithm,
                };
                *part = tlv;
            }
        }
    }
    Ok(())
}

/// Applies a table's change if the good document's fields, certificates and extensions are all present.
fn apply(e: &mut Enclave, change: fn(&mut Enclave)) {
    let keys = |e: &Enclave| e.fields.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let ids = |e: &Enclave| {
        e.certs
            .iter()
            .map(|cert| cert.extensions.iter().map(|e| e.id.clone()).collect())
            .collect::<Vec<Vec<_>>>()
    };
    let good = Enclave::new();
    if keys(e) == keys(&good) && ids(e) == ids(&good) {
        change(e);
    }
}

fn pick<'a, T>(items: &'a mut [T], input: &mut Unstructured<'_>) -> Result<Option<&'a mut T>> {
    let index = input.arbitrary::<usize>()?;
    Ok(if items.is_empty() {
        None
    } else {
        let len = items.len();
        items.get_mut(index % len)
    })
}

fn bytes(input: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let len = input.int_in_range(0..=most)?;
    Ok(input.bytes(len.min(input.len()))?.to_vec())
}

/// A CBOR item, or other bytes.
fn item(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match input.int_in_range(0..=7)? {
        0 => cbor::uint(input.arbitrary()?),
        1 => cbor::uint(TIMESTAMP_MS.wrapping_add_signed(input.arbitrary::<i32>()?.into())),
        2 => cbor::bytes(&bytes(input, 80)?),
        3 => cbor::bytes(&vec![7; input.int_in_range(1020..=1030)?]),
        4 => cbor::text(input.arbitrary()?),
        5 => cbor::NULL.to_vec(),
        6 => cbor::head(input.int_in_range(0..=7)?, input.arbitrary()?),
        _ => bytes(input, 80)?,
    })
}

fn time(input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let [y, mo, d, h] = input.arbitrary::<[u8; 4]>()?;
    Ok(match input.int_in_range(0..=3)? {
        0 => der::utc_time(&format!("{:02}{:02}{:02}{:02}0000Z", y % 100, mo % 14, d % 33, h % 25)),
        1 => der::utc_time(&format!("26{:02}{:02}{:02}0000Z", mo % 3, d % 33, h % 25)),
        2 => der::tlv(
            0x18,
            format!("20{:02}{:02}{:02}{:02}0000Z", y % 100, mo % 14, d % 33, h % 25).as_bytes(),
        ),
        _ => der::tlv(input.arbitrary()?, &bytes(input, 20)?),
    })
}

fn extension(input: &mut Unstructured<'_>) -> Result<Extension> {
    Ok(match input.int_in_range(0..=3)? {
        0 => Extension::basic_constraints(input.arbitrary()?, input.arbitrary()?),
        1 => Extension::key_usage(input.arbitrary::<u8>()?.max(1)),
        2 => {
            let id = *input.choose(&[14, 15, 17, 19, 30, 31, 35, 37])?;
            Extension::new(&[0x55, 0x1d, id], input.arbitrary()?, bytes(input, 40)?)
        }
        _ => Extension::new(&bytes(input, 6)?, input.arbitrary()?, bytes(input, 40)?),
    })
}

trait SetPcrs {
    fn set_pcrs_if_there(&mut self, pcrs: impl Iterator<Item = (u64, Vec<u8>)>);
}

impl SetPcrs for Enclave {
    fn set_pcrs_if_there(&mut self, pcrs: impl Iterator<Item = (u64, Vec<u8>)>) {
        if self.fields.iter().any(|(key, _)| *key == cbor::text("pcrs")) {
            self.set_pcrs(pcrs);
        }
    }
}
