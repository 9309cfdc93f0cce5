//! Distinguished names: checked in full when they are read, so that reports can show them (RFC 5280
//! §4.1.2.4).

use std::fmt::Write;

use crate::der::{self, DerReader};
use crate::error::CertificateFault;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Reads a name that is not empty and returns its contents as they are encoded.
pub(crate) fn read<'a>(tbs: &mut DerReader<'a>, part: &'static str) -> Result<&'a [u8], CertificateFault> {
    let name = tbs.whole(der::SEQUENCE)?;
    let contents = DerReader::new(name, part).expect(der::SEQUENCE)?;
    if contents.is_empty() {
        return Err(CertificateFault::Malformed { part });
    }
    for attribute in attributes(contents, part) {
        attribute?;
    }
    Ok(contents)
}

pub(crate) fn display(name: &[u8]) -> String {
    let mut out = String::new();
    for (id, value) in attributes(name, "name").flatten() {
        let separator = if out.is_empty() { "" } else { ", " };
        // Escaped: the name may go to a terminal.
        let _ = write!(out, "{separator}{}={}", label(id), value.unwrap_or("?").escape_debug());
    }
    out
}

pub(crate) fn common_name(name: &[u8]) -> Option<&str> {
    let names = attributes(name, "name").flatten().filter(|(id, _)| *id == COMMON_NAME);
    names.last().and_then(|(_, value)| value)
}

/// Attribute type (contents of its OID) and its value, when that is a string of a common kind.
type Attribute<'a> = (&'a [u8], Option<&'a str>);

fn attributes<'a>(
    name: &'a [u8],
    part: &'static str,
) -> impl Iterator<Item = Result<Attribute<'a>, CertificateFault>> {
    let mut sets = DerReader::new(name, part);
    let mut set = DerReader::new(&[], part);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed || (set.is_empty() && sets.is_empty()) {
            return None;
        }
        let result = next_attribute(&mut sets, &mut set, part);
        failed = result.is_err();
        Some(result)
    })
}

fn next_attribute<'a>(
    sets: &mut DerReader<'a>,
    set: &mut DerReader<'a>,
    part: &'static str,
) -> Result<Attribute<'a>, CertificateFault> {
    if set.is_empty() {
        *set = sets.nested(der::SET, part)?;
    }
    let mut attribute = set.nested(der::SEQUENCE, part)?;
    let id = attribute.expect(der::OID)?;
    let (tag, value) = attribute.element()?;
    let malformed = attribute.malformed();
    attribute.finish()?;
    let value = match tag {
        der::UTF8_STRING => Some(std::str::from_utf8(value).map_err(|_| malformed)?),
        der::PRINTABLE_STRING | der::IA5_STRING if value.is_ascii() => std::str::from_utf8(value).ok(),
        der::PRINTABLE_STRING | der::IA5_STRING => return Err(malformed),
        _ => None,
    };
    Ok((id, value))
}

fn label(id: &[u8]) -> &'static str {
    match id {
        COMMON_NAME => "CN",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "ST",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        _ => "?",
    }
}
