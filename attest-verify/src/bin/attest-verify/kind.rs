//! Recognises files that are not attestation documents by their first bytes, so that a mistake is not
//! reported as a forgery.

/// The bytes as text: UTF-8 without control characters other than white space. No document is text: it begins
/// with bytes that are not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace()).then_some(text)
}

/// The kind of a file or token that is not a document, if it is recognised.
pub(crate) fn of_bytes(bytes: &[u8]) -> Option<&'static str> {
    let begins = |prefix: &[u8]| bytes.starts_with(prefix);
    let at = |offset: usize, part: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(part));
    let known: [(bool, &str); 20] = [
        (is_utf16(bytes), "text in UTF-16, where UTF-8 is expected"),
        (begins(&[0x1f, 0x8b]), "gzip data, which must be unpacked first"),
        (begins(&[0x28, 0xb5, 0x2f, 0xfd]), "zstd data, which must be unpacked first"),
        (begins(b"PK\x03\x04"), "a zip archive, which must be unpacked first"),
        (begins(b"BZh"), "bzip2 data, which must be unpacked first"),
        (begins(&[0xfd, b'7', b'z', b'X', b'Z', 0]), "xz data, which must be unpacked first"),
        (begins(b".eif"), "an enclave image file, which holds no attestation document"),
        (begins(b"\x7fELF"), "a program"),
        // X.690: a SEQUENCE with a length of two bytes.
        (begins(&[0x30, 0x82]), "DER (a certificate, a key or PKCS #7)"),
        // Tag 399, and the token collection of newer Arm CCA firmware.
        (begins(&[0xd9, 0x01, 0x8f]) || begins(&[0xd9, 0x03, 0x8b]), "an Arm CCA attestation token"),
        (begins(&[0xd9, 0x02, 0x5a]), "an EAT token bundle"),
        (begins(&[0xd8, 0x3d]), "a CBOR web token (CWT or EAT)"),
        (at(2, b"fmt\x6fapple-appattest"), "an Apple App Attest attestation"),
        (begins(b"\xa3\x63fmt"), "a WebAuthn attestation"),
        // TPM_GENERATED_VALUE, alone or behind the length of a TPM2B_ATTEST.
        (begins(b"\xffTCG") || at(2, b"\xffTCG"), "a TPM 2.0 quote"),
        (begins(b"HCLA"), "an Azure vTPM attestation report"),
        (matches!(bytes, [2..=5, 0, 0, 0, ..]) && bytes.len() == 1184, "an AMD SEV-SNP attestation report"),
        (matches!(bytes, [4 | 5, 0, 2 | 3, 0, 0x81, 0, 0, 0, ..]), "an Intel TDX quote"),
        (matches!(bytes, [3, 0, 2 | 3, 0, 0, 0, 0, 0, ..]), "an Intel SGX quote"),
        (begins(&[0x81, 0, 0, 0]) && bytes.len() == 1024, "an Intel TDX report"),
    ];
    known.into_iter().find(|(matches, _)| *matches).map(|(_, kind)| kind)
}

/// The kind of a text that is neither hex nor base64.
pub(crate) fn of_text(text: &str) -> Option<String> {
    let text = text.trim();
    if let Some(label) = text.strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----")) {
        return Some(format!("PEM of a {}", label.0.to_lowercase().escape_debug()));
    }
    // The base64url of `{"`: a header that is a JSON object.
    if text.starts_with("eyJ") && matches!(text.split('.').count(), 3 | 5) {
        return Some("a JSON web token (JWT), as other attestation services issue them".to_owned());
    }
    let kind = match text.chars().next() {
        Some('"' | '\'') => "a quoted text, whose quotes must be left out",
        Some('{' | '[') => "JSON, in which the document must be picked out",
        Some('<') => "HTML or XML",
        _ => return None,
    };
    Some(kind.to_owned())
}

/// Recognised by its byte order mark, or by two ASCII characters at the beginning.
fn is_utf16(bytes: &[u8]) -> bool {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) || byte.is_ascii_whitespace();
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [a, 0, b, 0, ..] | [0, a, 0, b, ..] => printable(*a) && printable(*b),
        _ => false,
    }
}
