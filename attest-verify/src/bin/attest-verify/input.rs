//! Input files: documents in several encodings, root certificates, measurements.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64ct::{Base64Unpadded, Encoding};
use ok2cry_attest_verify::{MAX_DOCUMENT_LEN, Measurements, TrustAnchor};

use crate::kind;

/// Enough for hex with line breaks, and for UTF-16. A longer raw file is cut; the rest is still too long for
/// the verifier.
const MAX_INPUT_LEN: usize = 4 * MAX_DOCUMENT_LEN;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a document from a path or, for `-`, from standard input: raw, hexadecimal, base64 or base64url.
pub(crate) fn document(path: &Path) -> Result<Vec<u8>, String> {
    named(path, |bytes| {
        decode(bytes).map_err(|found| format!("expected an attestation document, found {found}"))
    })
}

/// Reads a root certificate: PEM or DER.
pub(crate) fn root(path: &Path) -> Result<TrustAnchor, String> {
    named(path, |bytes| {
        // DER of a certificate begins so, given its length.
        if bytes.starts_with(&[0x30, 0x81]) || bytes.starts_with(&[0x30, 0x82]) {
            return TrustAnchor::from_der(bytes).map_err(|error| error.to_string());
        }
        let pem =
            text(bytes).map_err(|found| format!("expected a certificate in PEM or DER, found {found}"))?;
        match pem.contains("-----BEGIN CERTIFICATE-----") {
            true => TrustAnchor::from_pem(pem).map_err(|error| error.to_string()),
            false => {
                let found = kind::of_text(pem).unwrap_or_else(|| "another text".to_owned());
                Err(format!("expected a certificate in PEM or DER, found {found}"))
            }
        }
    })
}

/// Reads the measurements of one release: JSON as `nitro-cli` prints it.
pub(crate) fn measurements(path: &Path) -> Result<Measurements, String> {
    named(path, |bytes| {
        let json = text(bytes).map_err(|found| format!("expected JSON of nitro-cli, found {found}"))?;
        Measurements::from_nitro_cli_json(json).map_err(|error| error.to_string())
    })
}

/// Hexadecimal digits of either case, two per byte, with or without `0x` in front.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// Reads at most [`MAX_INPUT_LEN`] + 1 bytes. Error messages begin with the path.
fn named<T>(path: &Path, read: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, String> {
    let (name, bytes) = match path.as_os_str() == "-" {
        true => ("standard input".to_owned(), take(io::stdin().lock())),
        false => (path.display().to_string(), File::open(path).and_then(take)),
    };
    let result = match bytes {
        Ok(bytes) if bytes.is_empty() => Err("it is empty".to_owned()),
        Ok(bytes) => read(&bytes),
        Err(error) => Err(error.to_string()),
    };
    result.map_err(|reason| format!("{}: {reason}", name.escape_debug()))
}

fn take(from: impl Read) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_INPUT_LEN).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of a document, or what was found instead. Text is decoded. Other unknown input goes to the
/// verifier, which reports the error.
///
/// A document's hex begins with `84` or `d2`, its base64 with `h` or `0o`, so text has one reading.
fn decode(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if let Some(kind) = kind::of_bytes(bytes) {
        return Err(kind.to_owned());
    }
    let Some(text) = kind::text(bytes) else { return Ok(bytes.to_vec()) };
    if bytes.len() > MAX_INPUT_LEN {
        return Err(format!("a text of more than {MAX_INPUT_LEN} bytes"));
    }
    let (form, decoded) = decode_text(text)?;
    match kind::of_bytes(&decoded) {
        Some(kind) => Err(format!("{form} of {kind}")),
        None if decoded.is_empty() => Err("no data".to_owned()),
        None if kind::text(&decoded).is_some() => Err(format!("{form} of another text (encoded twice?)")),
        None => Ok(decoded),
    }
}

/// The encoding of a text, and the decoded bytes.
fn decode_text(text: &str) -> Result<(&'static str, Vec<u8>), String> {
    let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    if let Some(bytes) = hex(&dense) {
        return Ok(("hex", bytes));
    }
    let digits = dense.trim_start_matches("0x");
    if digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(format!("{} hexadecimal digits, which is an odd number", digits.len()));
    }
    let base64 = dense.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let decoded = Base64Unpadded::decode_vec(&base64).ok().map(|bytes| ("base64", bytes));
    let other = || kind::of_text(text).unwrap_or_else(|| "a text that is neither base64 nor hex".to_owned());
    decoded.ok_or_else(other)
}

/// The text of UTF-8 bytes without its byte order mark; otherwise what was found.
fn text(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.len() > MAX_INPUT_LEN {
        return Err(format!("more than {MAX_INPUT_LEN} bytes"));
    }
    if let Some(kind) = kind::of_bytes(bytes) {
        return Err(kind.to_owned());
    }
    kind::text(bytes).ok_or_else(|| "bytes that are not text".to_owned())
}
