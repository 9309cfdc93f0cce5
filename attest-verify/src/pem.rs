//! The one block of a PEM text (RFC 7468), by one rule for all languages.
//!
//! The contents of a block are the caller's to parse.

use std::fmt;

/// The longest label, in characters.
const MAX_LABEL_LEN: usize = 64;
/// OpenSSL writes this block before an `EC PRIVATE KEY`. The key repeats its contents.
const PARAMETERS: &str = "EC PARAMETERS";

/// A block of a PEM text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PemBlock<'a> {
    /// The label after `BEGIN`, for example `PUBLIC KEY`.
    pub label: &'a str,
    /// The text between the two lines: base64 with white space.
    pub body: &'a str,
}

/// Why a text does not have exactly one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemFault {
    /// No block.
    None,
    /// A block without an end.
    Broken,
    /// Several blocks.
    Several(usize),
}

impl<'a> PemBlock<'a> {
    /// The only block of `text`. A byte order mark and text around the block are ignored, because OpenSSL
    /// prints attributes there. A block of `EC PARAMETERS` beside another block is ignored too.
    ///
    /// # Errors
    ///
    /// [`PemFault`].
    pub fn only(text: &'a str) -> Result<Self, PemFault> {
        let blocks = Self::all(text)?;
        let meant: Vec<_> = blocks.iter().filter(|block| block.label != PARAMETERS).collect();
        match (&meant[..], &blocks[..]) {
            ([block], _) => Ok(**block),
            ([], [block]) => Ok(*block),
            ([], []) => Err(PemFault::None),
            ([], several) => Err(PemFault::Several(several.len())),
            (several, _) => Err(PemFault::Several(several.len())),
        }
    }

    /// The characters of the body that are not white space.
    pub fn base64(&self) -> impl Iterator<Item = u8> {
        self.body.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    }

    fn all(text: &'a str) -> Result<Vec<Self>, PemFault> {
        let mut blocks = Vec::new();
        let mut rest = text;
        while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
            let Some((label, inside)) = begun.split_once("-----").filter(|(label, _)| is_label(label)) else {
                rest = begun;
                continue;
            };
            let (body, after) =
                inside.split_once(&format!("-----END {label}-----")).ok_or(PemFault::Broken)?;
            blocks.push(Self { label, body });
            rest = after;
        }
        Ok(blocks)
    }
}

/// Labels have 1 to 64 of `A-Z`, `0-9` and space.
fn is_label(label: &str) -> bool {
    let is_one = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ';
    (1..=MAX_LABEL_LEN).contains(&label.len()) && label.bytes().all(is_one)
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("expected a PEM block (-----BEGIN …-----), found none"),
            Self::Broken => f.write_str("a PEM block has no END line"),
            Self::Several(n) => write!(f, "expected exactly one PEM block, found {n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_a_block_is_ignored() {
        for text in [
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "\u{feff}-----BEGIN PUBLIC KEY-----\r\nAA\r\nAA\r\n-----END PUBLIC KEY-----",
            "Bag Attributes\n  name: x\n-----BEGIN PUBLIC KEY-----\n AA\tAA -----END PUBLIC KEY-----\nend",
            concat!(
                "-----BEGIN EC PARAMETERS-----\nBg==\n-----END EC PARAMETERS-----\n",
                "-----BEGIN PUBLIC KEY-----AAAA-----END PUBLIC KEY-----",
            ),
        ] {
            let block = PemBlock::only(text).unwrap();
            assert_eq!((block.label, block.base64().collect()), ("PUBLIC KEY", b"AAAA".to_vec()), "{text}");
        }
    }

    #[test]
    fn exactly_one_block_is_accepted() {
        let block = "-----BEGIN A-----\nAAAA\n-----END A-----\n";
        for (text, fault) in [
            (String::new(), PemFault::None),
            ("AAAA".to_owned(), PemFault::None),
            (block.repeat(2), PemFault::Several(2)),
            (block.replace("END A", "END B"), PemFault::Broken),
            (block.replace("BEGIN A", "BEGIN a"), PemFault::None),
            (block.replace("BEGIN A", "BEGIN "), PemFault::None),
            (block.replace('A', &"A".repeat(65)), PemFault::None),
            ("-----BEGIN A".to_owned(), PemFault::None),
            ("-----BEGIN -----BEGIN A-----".to_owned(), PemFault::Broken),
        ] {
            assert_eq!(PemBlock::only(&text), Err(fault), "{text}");
        }
    }
}
