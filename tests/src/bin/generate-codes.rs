//! Writes `clients/js/src/codes.ts`: every stable code and shared limit, from the registries in Rust.
//!
//! ```text
//! cargo run -p ok2cry-tests --bin generate-codes             # write the file
//! cargo run -p ok2cry-tests --bin generate-codes -- --check  # exit 1 if the file differs
//! ```

use std::{collections::BTreeSet, error::Error, fmt::Write as _, fs, path::Path, process::ExitCode};

use ok2cry_client::{answer, http::CallError};
use ok2cry_protocol::{batch, cbor, code::Code, ids::Nonce, reply, suite};
use ok2cry_release_verify as release;

const FILE: &str = "clients/js/src/codes.ts";

/// The width of a line in `clients/js`.
const LINE_WIDTH: usize = 130;
/// Codes that only the JavaScript client has. Their rows are in `docs/errors.md`.
const JAVASCRIPT: [&str; 3] = ["base64url_invalid", "key_sealed", "padding_invalid"];

/// The limits: name in TypeScript, value, and what it bounds.
const LIMITS: &[(&str, u64, &str)] = &[
    ("MAX_PLAINTEXT", ok2cry_protocol::MAX_PLAINTEXT as u64, "The longest plaintext of a message, in bytes."),
    (
        "MAX_CIPHERTEXT",
        ok2cry_protocol::MAX_CIPHERTEXT as u64,
        "The longest ciphertext of a message, in bytes.",
    ),
    ("MAX_AAD", ok2cry_protocol::MAX_AAD as u64, "The longest `aad`, in bytes."),
    ("MAX_COUNT", ok2cry_protocol::MAX_COUNT as u64, "The most keys of one request."),
    ("MIN_NONCE", Nonce::MIN as u64, "The shortest nonce, in bytes."),
    ("MAX_NONCE", Nonce::MAX as u64, "The longest nonce, in bytes."),
    ("MAX_BATCH", batch::MAX_BATCH, "The most records in one batch."),
    ("MAX_PATH", batch::MAX_PATH as u64, "The most hashes in an inclusion path."),
    ("MAX_DESCRIPTOR", reply::MAX_DESCRIPTOR as u64, "The longest key descriptor, in bytes."),
    ("MAX_TIME", cbor::MAX_TIME, "The latest time in a record, in Unix milliseconds."),
    ("POINT_LENGTH", suite::PublicKey::LEN as u64, "An uncompressed point on P-384, in bytes."),
    ("MAX_ANSWER", answer::MAX_ANSWER as u64, "The longest answer, message or reply that is read, in bytes."),
    (
        "MAX_DISTANCE_MS",
        ok2cry_client::MAX_DISTANCE.as_secs() * 1000,
        "The most that a record's time may differ from its document's, in milliseconds.",
    ),
    (
        "DEFAULT_MAX_REPLY_AGE_MS",
        ok2cry_client::DEFAULT_MAX_REPLY_AGE.as_secs() * 1000,
        "The greatest age of a reply's document unless another is set, in milliseconds.",
    ),
    (
        "MAX_STATEMENT_AGE_MS",
        ok2cry_client::MAX_STATEMENT_AGE.as_secs() * 1000,
        "The greatest age of a statement's document, in milliseconds.",
    ),
    (
        "MAX_DOCUMENT_LENGTH",
        ok2cry_attest_verify::MAX_DOCUMENT_LEN as u64,
        "The longest attestation document, in bytes.",
    ),
    (
        "MAX_CABUNDLE_LENGTH",
        ok2cry_attest_verify::MAX_CABUNDLE_LEN as u64,
        "The most certificates in a document's `cabundle`.",
    ),
    (
        "PCR_LENGTH",
        ok2cry_attest_verify::PCR_LEN as u64,
        "A platform configuration register (PCR), in bytes.",
    ),
    ("PCR_COUNT", ok2cry_attest_verify::PCR_COUNT as u64, "The number of PCRs that a document can hold."),
    (
        "DEFAULT_LEEWAY_MS",
        ok2cry_attest_verify::DEFAULT_LEEWAY_MS,
        "How far this clock may be behind unless another leeway is set, in milliseconds.",
    ),
    (
        "DEFAULT_SIGNATURE_CACHE",
        ok2cry_attest_verify::DEFAULT_SIGNATURE_CACHE as u64,
        "The most certificate signatures that a verifier caches unless another number is set.",
    ),
    (
        "DEFAULT_MAX_LIST_AGE_MS",
        release::DEFAULT_MAX_LIST_AGE.as_secs() * 1000,
        "The greatest age of a release list unless another is set, in milliseconds.",
    ),
    ("MAX_RELEASES", release::MAX_RELEASES as u64, "The most releases in a list."),
    ("MAX_BUNDLE_LENGTH", release::MAX_BUNDLE_LEN as u64, "The longest bundle of releases, in bytes."),
    (
        "MAX_ENVELOPE_LENGTH",
        release::MAX_ENVELOPE_LEN as u64,
        "The longest signed release document, in bytes.",
    ),
    (
        "MAX_NOTE_LENGTH",
        release::tlog::MAX_NOTE_LEN as u64,
        "The longest checkpoint of a release log, in bytes.",
    ),
    (
        "MAX_RELEASE_STATE_LENGTH",
        release::MAX_STATE_LEN as u64,
        "The longest saved state of the accepted releases, in bytes.",
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        _ => {
            eprintln!("usage: generate-codes [--check]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("generate-codes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<String, Box<dyn Error>> {
    fs::write(path(), file()?)?;
    Ok(format!("wrote {FILE}"))
}

fn check() -> Result<String, Box<dyn Error>> {
    if fs::read_to_string(path())? == file()? {
        return Ok(format!("{FILE} is as generated"));
    }
    Err(format!("{FILE} is not as generated: run `cargo run -p ok2cry-tests --bin generate-codes`").into())
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FILE)
}

fn file() -> Result<String, Box<dyn Error>> {
    let mut out = String::from(
        "// Generated from the registries of codes and the limits in Rust. Do not edit: `make vectors` compares.\n\
         // To write it: cargo run -p ok2cry-tests --bin generate-codes\n",
    );
    let client = ok2cry_client::Error::all_codes().chain(CallError::all_codes());
    union(
        &mut out,
        "AttestationCode",
        "A document, a trust anchor, a policy or a release is refused: `docs/attestation.md`, `docs/releases.md`.",
        ok2cry_attest_verify::Error::all_codes().chain(release::Error::all_codes()),
    )?;
    union(
        &mut out,
        "ClientCode",
        "An answer, a reply or an input is refused, or the service cannot be reached: `docs/errors.md`.",
        client,
    )?;
    union(
        &mut out,
        "ServiceCode",
        "The service refused: `docs/errors.md`. A newer service may have codes that are not in this list.",
        Code::ALL.iter().map(|code| code.as_str()),
    )?;
    union(&mut out, "JavaScriptCode", "Only this client refuses with these: `docs/errors.md`.", JAVASCRIPT)?;
    out.push_str(
        "\n/** Every stable code that this client can throw. */\n\
         export type ErrorCode = AttestationCode | ClientCode | ServiceCode | JavaScriptCode;\n",
    );
    for (name, value, row) in LIMITS {
        write!(out, "\n/** {row} */\nexport const {name} = {};\n", grouped(*value))?;
    }
    let suite::Suite { kem, kdf, aead } = suite::Suite::P384;
    write!(
        out,
        "\n/** The suite: IANA numbers of KEM, KDF and AEAD. */\n\
         export const SUITE: readonly [kem: number, kdf: number, aead: number] = [{kem}, {kdf}, {aead}];\n"
    )?;
    Ok(out)
}

fn union(
    out: &mut String,
    name: &str,
    row: &str,
    codes: impl IntoIterator<Item = &'static str>,
) -> Result<(), Box<dyn Error>> {
    let codes: BTreeSet<_> = codes.into_iter().collect();
    if codes.is_empty() {
        return Err(format!("{name} has no codes").into());
    }
    let codes: Vec<_> = codes.iter().map(|code| format!("\"{code}\"")).collect();
    let line = format!("export type {name} = {};", codes.join(" | "));
    // One line if it fits, as the formatter of the JavaScript client writes it.
    let text = if line.len() <= LINE_WIDTH {
        line
    } else {
        format!("export type {name} =\n  | {};", codes.join("\n  | "))
    };
    writeln!(out, "\n/** {row} */\n{text}")?;
    Ok(())
}

/// Decimal digits, in groups of three if there are five or more.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        let left = digits.len() - at;
        if at > 0 && digits.len() > 4 && left.is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_codes_has_exactly_the_javascript_rows() {
        let page = include_str!("../../../docs/errors.md");
        let (_, section) = page.split_once("## What only the JavaScript client refuses").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows: BTreeSet<_> =
            section.split("\n| `").skip(1).filter_map(|row| row.split("` | ").next()).collect();
        assert_eq!(rows, BTreeSet::from(JAVASCRIPT));
    }

    #[test]
    fn digits_are_grouped_from_five_on() {
        for (value, text) in [(0, "0"), (4096, "4096"), (32_768, "32_768"), (1_048_576, "1_048_576")] {
            assert_eq!(grouped(value), text);
        }
    }
}
