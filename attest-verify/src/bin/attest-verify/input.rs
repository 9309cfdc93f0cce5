//! Reading a document in whatever form it was saved: raw, hex, base64 or base64url.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64ct::{Base64Unpadded, Encoding};
use ok2cry_attest_verify::MAX_DOCUMENT_LEN;

/// Room for hex with line breaks. What is longer is cut, and then too long for the verifier as well.
const MAX_INPUT_LEN: usize = 4 * MAX_DOCUMENT_LEN;

/// Reads a document from a path or, for `-`, from standard input.
pub(crate) fn document(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |error: io::Error| format!("{}: {error}", path.display());
    let bytes = match path.as_os_str() == "-" {
        true => read(io::stdin().lock()),
        false => File::open(path).and_then(read),
    };
    decode(bytes.map_err(fail)?).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// Hexadecimal digits of either case, two per byte.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_INPUT_LEN).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A raw document begins with 0x84 or 0xd2, so it is never text. Nor is a document's hex, `84…` or `d2…`, a document's
/// base64, `h…` or `0o…`.
fn decode(bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    if !bytes.is_ascii() {
        return Ok(bytes);
    }
    let text: String =
        bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|b| char::from(*b)).collect();
    if text.is_empty() {
        return Err("there is nothing to read");
    }
    if let Some(bytes) = hex(&text) {
        return Ok(bytes);
    }
    let base64 = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    Base64Unpadded::decode_vec(&base64).map_err(|_| "this is neither a raw document nor base64 nor hex")
}
