//! Writes CBOR, valid or invalid.

/// Major type and argument, in the shortest form.
#[must_use]
pub fn head(major: u8, value: u64) -> Vec<u8> {
    let major = major << 5;
    match value {
        0..=23 => vec![major | value as u8],
        24..=0xff => vec![major | 24, value as u8],
        0x100..=0xffff => [&[major | 25], &(value as u16).to_be_bytes()[..]].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26], &(value as u32).to_be_bytes()[..]].concat(),
        _ => [&[major | 27], &value.to_be_bytes()[..]].concat(),
    }
}

/// An unsigned integer.
#[must_use]
pub fn uint(value: u64) -> Vec<u8> {
    head(0, value)
}

/// A byte string.
#[must_use]
pub fn bytes(value: &[u8]) -> Vec<u8> {
    [&head(2, value.len() as u64), value].concat()
}

/// A text string.
#[must_use]
pub fn text(value: &str) -> Vec<u8> {
    [&head(3, value.len() as u64), value.as_bytes()].concat()
}

/// An array of items.
#[must_use]
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// A map of entries, in the order given.
#[must_use]
pub fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    [head(5, entries.len() as u64), pairs(entries)].concat()
}

/// A map of indefinite length.
#[must_use]
pub fn indefinite_map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    [vec![0xbf], pairs(entries), vec![0xff]].concat()
}

/// `null`.
pub const NULL: &[u8] = &[0xf6];

fn pairs(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).flatten().collect()
}
