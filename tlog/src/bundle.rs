//! [c2sp.org/tlog-tiles](https://c2sp.org/tlog-tiles): entry bundles, which hold the entries of a tile of
//! level 0.

use crate::error::Error;

/// The longest entry, in bytes: its length has 16 bits in a bundle.
pub const MAX_ENTRY_LEN: usize = 0xffff;
/// The most entries of a bundle.
const MAX_ENTRIES: usize = 256;

/// Writes 1 to 256 entries as a bundle: each entry with its length before it, in two bytes.
///
/// # Errors
///
/// [`Error::EntryBundle`] for another number of entries, and for an entry of more than [`MAX_ENTRY_LEN`]
/// bytes.
pub fn encode_entries<T: AsRef<[u8]>>(entries: &[T]) -> Result<Vec<u8>, Error> {
    check_count(entries.len())?;
    let mut bytes = Vec::new();
    entries.iter().try_for_each(|entry| append_entry(&mut bytes, entry.as_ref()))?;
    Ok(bytes)
}

/// Appends one entry in the form of a bundle: its length in two bytes, and the entry.
///
/// # Errors
///
/// [`Error::EntryBundle`] for an entry of more than [`MAX_ENTRY_LEN`] bytes. Nothing is appended then.
pub fn append_entry(bytes: &mut Vec<u8>, entry: &[u8]) -> Result<(), Error> {
    let len = u16::try_from(entry.len());
    let len = len.map_err(|_| Error::EntryBundle { rule: "an entry has more than 65535 bytes" })?;
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(entry);
    Ok(())
}

/// The entries of any number of bundles, one after another.
#[must_use]
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { rest: bytes }
}

/// An iterator over entries, from [`entries`]. After an error it ends.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// The bytes that were not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((entry, rest)) = split_entry(self.rest) else {
            self.rest = &[];
            return Some(Err(Error::EntryBundle { rule: "it ends within an entry" }));
        };
        self.rest = rest;
        Some(Ok(entry))
    }
}

/// Reads a bundle of exactly `width` entries, the width of its tile.
///
/// # Errors
///
/// [`Error::EntryBundle`] for a width that is not 1 to 256, a bundle that ends within an entry, and trailing
/// bytes.
pub fn decode_entries(bytes: &[u8], width: usize) -> Result<Vec<&[u8]>, Error> {
    check_count(width)?;
    let mut rest = bytes;
    let mut entries = Vec::with_capacity(width);
    for _ in 0..width {
        let (entry, after) =
            split_entry(rest).ok_or(Error::EntryBundle { rule: "it ends within an entry" })?;
        entries.push(entry);
        rest = after;
    }
    match rest.is_empty() {
        true => Ok(entries),
        false => Err(Error::EntryBundle { rule: "it has bytes after its last entry" }),
    }
}

/// The first entry, and the bytes after it.
fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

fn check_count(entries: usize) -> Result<(), Error> {
    match (1..=MAX_ENTRIES).contains(&entries) {
        true => Ok(()),
        false => Err(Error::EntryBundle { rule: "it must have 1 to 256 entries" }),
    }
}
