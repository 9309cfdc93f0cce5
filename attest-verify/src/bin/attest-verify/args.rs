//! The command line: arguments, and how their values are parsed.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp, civil};
use ok2cry_attest_verify::{PCR_LEN, Provider};

use crate::input;

/// Strict verification of AWS Nitro Enclaves attestation documents
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 accepted, 1 refused, 2 no verdict: usage, input that cannot be used, \
                  output that cannot be written."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Verify one attestation document and compare it with what you expect
    Document(DocumentArgs),
}

#[derive(Args)]
#[command(group = ArgGroup::new("expectation")
    .required(true)
    .args(["pcr", "measurements", "insecure_without_pcrs"]))]
pub(crate) struct DocumentArgs {
    /// The document: a path, or - for standard input; raw, base64, base64url or hex
    pub(crate) file: PathBuf,
    /// Trust this root certificate (PEM or DER) instead of AWS's
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Verify as of now (our clock may be a minute behind), as of the document's own time (for audits), or as
    /// of exactly a time: 2026-01-31T12:00:00Z, or Unix time in seconds (10 digits) or milliseconds (13
    /// digits)
    #[arg(
        long,
        default_value = "now",
        value_name = "now|document|TIME",
        value_parser = parse_at,
        allow_hyphen_values = true
    )]
    pub(crate) at: At,
    /// Refuse documents that are older than this, like 90s, 5m or 1h 30m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_ms, allow_hyphen_values = true)]
    pub(crate) max_age: Option<u64>,
    /// Expect this measurement, like 0=<96 hex digits>; all together are one set, which must hold PCR0
    #[arg(long, value_name = "N=HEX", value_parser = parse_pcr)]
    pub(crate) pcr: Vec<(u8, [u8; PCR_LEN])>,
    /// Expect the measurements of this release, as nitro-cli prints them (JSON). If repeated, any one must
    /// match whole
    #[arg(long, value_name = "FILE")]
    pub(crate) measurements: Vec<PathBuf>,
    /// Expect this nonce
    #[arg(long, value_name = "HEX", value_parser = parse_bytes)]
    pub(crate) nonce: Option<Bytes>,
    /// Expect this user data
    #[arg(long, value_name = "HEX", value_parser = parse_bytes)]
    pub(crate) user_data: Option<Bytes>,
    /// Accept debug enclaves, whose console the host reads and whose measurements are zero
    #[arg(long)]
    pub(crate) insecure_allow_debug: bool,
    /// Accept any image
    #[arg(long)]
    pub(crate) insecure_without_pcrs: bool,
    /// Print JSON, also when there is no verdict
    #[arg(long)]
    pub(crate) json: bool,
    /// Who computes ECDSA. No verdict depends on it
    #[arg(
        long,
        value_name = "NAME",
        value_parser = parse_provider,
        default_value = default_provider().name()
    )]
    pub(crate) provider: Provider,
}

/// Which time a document is verified at. Times are Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Now,
    Document,
    Time(u64),
}

/// A type of its own: clap takes a `Vec<u8>` for a list of arguments.
#[derive(Clone)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

/// The fastest provider of this build.
fn default_provider() -> Provider {
    Provider::all().last().unwrap_or_default()
}

fn parse_provider(name: &str) -> Result<Provider, String> {
    Provider::all().find(|provider| provider.name() == name).ok_or_else(|| {
        let names: Vec<_> = Provider::all().map(|provider| provider.name()).collect();
        format!("this program was built with {}", names.join(" and "))
    })
}

/// A Unix time has 10 digits (seconds) or 13 (milliseconds), as every time from 2001 to 2286 has, so the two
/// cannot be confused.
fn parse_at(text: &str) -> Result<At, String> {
    match text {
        "now" => return Ok(At::Now),
        "document" => return Ok(At::Document),
        _ => {}
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match (text.len(), text.parse::<u64>()) {
            (10, Ok(seconds)) => Ok(At::Time(seconds.saturating_mul(1000))),
            (13, Ok(ms)) => Ok(At::Time(ms)),
            (digits, _) => Err(format!(
                "a Unix time has 10 digits (seconds) or 13 (milliseconds), and this has {digits}"
            )),
        };
    }
    match text.parse::<Timestamp>() {
        Ok(time) => {
            u64::try_from(time.as_millisecond()).map(At::Time).map_err(|_| "this lies before 1970".to_owned())
        }
        Err(_) if text.parse::<civil::DateTime>().is_ok() => {
            Err("a time needs its date, its hour and its zone, as in 2026-01-31T12:00:00Z or …+01:00"
                .to_owned())
        }
        Err(_) => {
            Err("expected now, document, a time like 2026-01-31T12:00:00Z, or a Unix time of 10 digits \
                       (seconds) or 13 (milliseconds)"
                .to_owned())
        }
    }
}

fn parse_duration_ms(text: &str) -> Result<u64, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a number needs its unit, as in 90s, 5m or 1h 30m".to_owned());
    }
    let duration: SignedDuration = text.parse().map_err(|_| {
        "expected hours, minutes, seconds or milliseconds, as in 90s, 5m or 1h 30m".to_owned()
    })?;
    u64::try_from(duration.as_millis()).map_err(|_| "an age is not negative".to_owned())
}

fn parse_pcr(text: &str) -> Result<(u8, [u8; PCR_LEN]), String> {
    let (index, value) = text.split_once('=').ok_or("expected N=HEX, as in 0=<96 hex digits>")?;
    let index = index.parse().map_err(|_| "N must be a number from 0 to 31")?;
    let value = input::hex(value).ok_or("HEX must be hexadecimal digits, two for each byte")?;
    let len = value.len();
    let value = value.try_into().map_err(|_| {
        format!("a PCR has {PCR_LEN} bytes, which are {} digits; these are {len} bytes", 2 * PCR_LEN)
    })?;
    Ok((index, value))
}

fn parse_bytes(text: &str) -> Result<Bytes, String> {
    input::hex(text).map(Bytes).ok_or_else(|| "expected hexadecimal digits, two for each byte".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times_are_read_as_reports_print_them() {
        for text in ["2026-01-15T12:00:00Z", "2026-01-15T13:00:00+01:00", "1768478400", "1768478400000"] {
            assert_eq!(parse_at(text), Ok(At::Time(1_768_478_400_000)), "{text}");
        }
        assert_eq!(parse_at("9999999999999"), Ok(At::Time(9_999_999_999_999)));
        for text in [
            "",
            "0",
            "17684784000",
            "176847840000",
            "17684784000000",
            "-1768478400",
            "+1768478400",
            "1768478400.5",
            "1e9",
        ] {
            assert!(parse_at(text).is_err(), "{text}");
        }
        assert!(parse_at("2026-01-15T12:00:00").unwrap_err().contains("zone"));
        assert!(parse_at("2026-01-15").unwrap_err().contains("zone"));
        assert!(parse_at("1969-12-31T23:59:59Z").unwrap_err().contains("1970"));
    }

    #[test]
    fn ages_have_a_unit() {
        for (text, ms) in
            [("90s", 90_000), ("5m", 300_000), ("1h 30m", 5_400_000), ("PT5M", 300_000), ("0s", 0)]
        {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        assert!(parse_duration_ms("300").unwrap_err().contains("unit"));
        assert!(parse_duration_ms("-5m").unwrap_err().contains("negative"));
        for text in ["", "soon", "7 days", "5 m x", "1y"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }
}
