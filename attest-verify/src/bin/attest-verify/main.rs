//! `attest-verify`: the crate of the same name on the command line.
//!
//! Exit status: 0 accepted, 1 refused (the reason's code on stderr and in `--json`), 2 usage or unreadable input.

mod input;
mod report;
mod style;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, error::ErrorKind};
use jiff::{SignedDuration, Timestamp};
use ok2cry_attest_verify::{
    AcceptedDocument, CheckTime, Error, Measurements, PCR_LEN, Policy, Provider, TrustAnchor, Verifier,
};

use self::report::{Checks, Report};

fn main() -> ExitCode {
    let Command::Document(args) = Cli::parse().command;
    match args.run() {
        Ok(status) => status,
        Err(Unusable(message)) => {
            print(&mut anstream::stderr(), &format!("{}: {message}\n", style::bad("error")));
            ExitCode::from(2)
        }
    }
}

/// Strict verification of AWS Nitro Enclaves attestation documents
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 accepted, 1 refused, 2 usage or unreadable input.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verify one attestation document and compare it with what you expect
    Document(DocumentArgs),
}

#[derive(Args)]
#[command(group = ArgGroup::new("expectation").required(true).args(["pcr", "insecure_without_pcrs"]))]
struct DocumentArgs {
    /// The document: a path, or - for standard input; raw, base64, base64url or hex
    file: PathBuf,
    /// Trust this root certificate instead of AWS's
    #[arg(long, value_name = "PEM")]
    root: Option<PathBuf>,
    /// Verify as of now (our clock may be a minute behind), as of the document's own time (for audits), or as of exactly
    /// a time like 2026-01-31T12:00:00Z
    #[arg(long, default_value = "now", value_name = "now|document|RFC3339", value_parser = parse_at)]
    at: At,
    /// Refuse documents that are older than this, like 5m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration_ms)]
    max_age: Option<u64>,
    /// Expect this measurement, like 0=<96 hex digits>; all together are one set, which must hold PCR0
    #[arg(long, value_name = "N=HEX", value_parser = parse_pcr)]
    pcr: Vec<(u8, [u8; PCR_LEN])>,
    /// Expect this nonce
    #[arg(long, value_name = "HEX", value_parser = parse_bytes)]
    nonce: Option<Bytes>,
    /// Expect this user data
    #[arg(long, value_name = "HEX", value_parser = parse_bytes)]
    user_data: Option<Bytes>,
    /// Accept debug enclaves, whose console the host reads and whose measurements are zero
    #[arg(long)]
    insecure_allow_debug: bool,
    /// Accept any image that anybody runs
    #[arg(long)]
    insecure_without_pcrs: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Who computes ECDSA. No verdict depends on it
    #[arg(long, value_name = "NAME", value_parser = parse_provider, default_value = default_provider().name())]
    provider: Provider,
}

impl DocumentArgs {
    fn run(&self) -> Result<ExitCode, Unusable> {
        if self.at == At::Document && self.max_age.is_some() {
            let message = "--max-age says nothing with --at document: at its own time every document is new";
            Cli::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        let anchor = self.anchor()?;
        let policy = self.policy()?;
        let bytes = input::document(&self.file).map_err(Unusable)?;

        let mut verifier = Verifier::with_provider(anchor.clone(), self.provider);
        if self.insecure_allow_debug {
            verifier = verifier.insecure_allow_debug();
        }
        match self.judge(&verifier, &policy, &bytes) {
            Ok((document, time)) => {
                let report = Report::new(&document, time, &anchor, self.checks());
                let text = if self.json { report.json() } else { report.text() };
                print(&mut anstream::stdout(), &text);
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                if self.json {
                    print(&mut std::io::stdout(), &report::refusal_json(&error));
                }
                let refused = style::bad("refused");
                print(&mut anstream::stderr(), &format!("{refused}: {}: {error}\n", error.code()));
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn judge<'a>(
        &self,
        verifier: &Verifier,
        policy: &Policy,
        bytes: &'a [u8],
    ) -> Result<(AcceptedDocument<'a>, CheckTime), Error> {
        let (document, time) = match self.at {
            At::Now => {
                let time = CheckTime::system();
                (verifier.verify(bytes, &time)?, time)
            }
            At::Time(now_ms) => {
                let time = CheckTime::exactly(now_ms);
                (verifier.verify(bytes, &time)?, time)
            }
            At::Document => {
                let document = verifier.verify_historical(bytes)?;
                let time = CheckTime::exactly(document.timestamp_ms());
                (document, time)
            }
        };
        Ok((policy.appraise(document, &time)?, time))
    }

    fn anchor(&self) -> Result<TrustAnchor, Unusable> {
        let Some(path) = &self.root else { return Ok(TrustAnchor::aws_nitro()) };
        let unusable = |error: &dyn std::fmt::Display| Unusable(format!("{}: {error}", path.display()));
        let pem = std::fs::read_to_string(path).map_err(|error| unusable(&error))?;
        TrustAnchor::from_pem(&pem).map_err(|error| unusable(&error))
    }

    fn policy(&self) -> Result<Policy, Unusable> {
        let mut policy = match self.insecure_without_pcrs {
            true => Policy::insecure_without_pcrs(),
            false => Measurements::new(self.pcr.iter().copied())
                .and_then(|release| Policy::new([release]))
                .map_err(|error| Unusable(format!("--pcr: {error}")))?,
        };
        if let Some(max_age_ms) = self.max_age {
            policy = policy.max_age_ms(max_age_ms);
        }
        if let Some(nonce) = &self.nonce {
            policy = policy.nonce(nonce.0.clone());
        }
        if let Some(user_data) = &self.user_data {
            policy = policy.user_data(user_data.0.clone());
        }
        Ok(policy)
    }

    fn checks(&self) -> Checks {
        Checks {
            pcrs: self.pcr.iter().map(|(index, _)| *index).collect(),
            max_age_ms: self.max_age,
            nonce: self.nonce.is_some(),
            user_data: self.user_data.is_some(),
            debug: !self.insecure_allow_debug,
            historical: self.at == At::Document,
            own_root: self.root.is_some(),
            provider: self.provider,
        }
    }
}

/// Why there is no verdict: the arguments or the input cannot be used.
struct Unusable(String);

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Now,
    Document,
    Time(u64),
}

/// clap would take a `Vec<u8>` for a list of arguments.
#[derive(Clone)]
struct Bytes(Vec<u8>);

/// The fastest that there is.
fn default_provider() -> Provider {
    Provider::all().last().unwrap_or_default()
}

fn parse_provider(name: &str) -> Result<Provider, String> {
    Provider::all().find(|provider| provider.name() == name).ok_or_else(|| {
        let names: Vec<_> = Provider::all().map(|provider| provider.name()).collect();
        format!("this program was built with {}", names.join(" and "))
    })
}

fn parse_at(text: &str) -> Result<At, String> {
    match text {
        "now" => Ok(At::Now),
        "document" => Ok(At::Document),
        time => {
            let time: Timestamp = time.parse().map_err(|error: jiff::Error| error.to_string())?;
            u64::try_from(time.as_millisecond()).map(At::Time).map_err(|_| "this lies before 1970".to_owned())
        }
    }
}

fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    u64::try_from(duration.as_millis()).map_err(|_| "an age is not negative".to_owned())
}

fn parse_pcr(text: &str) -> Result<(u8, [u8; PCR_LEN]), String> {
    let (index, value) = text.split_once('=').ok_or("expected N=HEX")?;
    let index = index.parse().map_err(|_| "N is a number from 0 to 31")?;
    let value = input::hex(value).ok_or("HEX is hexadecimal digits")?;
    let value = value.try_into().map_err(|_| format!("a PCR is {PCR_LEN} bytes, {} digits", 2 * PCR_LEN))?;
    Ok((index, value))
}

fn parse_bytes(text: &str) -> Result<Bytes, String> {
    input::hex(text).map(Bytes).ok_or_else(|| "expected hexadecimal digits".to_owned())
}

/// Prints, and lets a reader go away: `attest-verify … | head -1` is no failure.
fn print(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
