//! `attest-verify`: the crate of the same name on the command line.
//!
//! Exit status: 0 accepted, 1 refused (the reason's code on stderr and in `--json`), 2 no verdict: usage,
//! input that cannot be used, output that cannot be written.

mod args;
mod input;
mod kind;
mod report;
mod style;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ok2cry_attest_verify::{AcceptedDocument, CheckTime, Error, Measurements, Policy, TrustAnchor, Verifier};

use self::args::{At, Cli, Command, DocumentArgs};
use self::report::{Checks, Report};

fn main() -> ExitCode {
    // Searched by hand, because the arguments may not parse.
    let json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
    match run() {
        Ok(status) => status,
        Err(failure) => {
            failure.tell(json);
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Document(args) }) => args.run(),
        Err(error) if error.use_stderr() => Err(Failure::Arguments(error)),
        // --help or --version.
        Err(error) => {
            print(&error.render().ansi().to_string())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl DocumentArgs {
    fn run(&self) -> Result<ExitCode, Failure> {
        if self.at == At::Document && self.max_age.is_some() {
            let message = "--max-age says nothing with --at document: at its own time every document is new";
            return Err(Failure::Usage(message.to_owned()));
        }
        let anchor = match &self.root {
            Some(path) => input::root(path).map_err(|reason| Failure::Input(format!("--root: {reason}")))?,
            None => TrustAnchor::aws_nitro(),
        };
        let releases = self.releases()?;
        let policy = self.policy(&releases)?;
        let bytes = input::document(&self.file).map_err(Failure::Input)?;

        let mut verifier = Verifier::new(anchor.clone()).with_provider(self.provider);
        if self.insecure_allow_debug {
            verifier = verifier.insecure_allow_debug();
        }
        let now = CheckTime::system();
        match self.judge(&verifier, &policy, &bytes, now) {
            Ok((document, time)) => {
                let release = document.release().and_then(|index| releases.get(index));
                let report = Report::new(&document, time, &anchor, self.checks(release));
                print(&if self.json { report.json() } else { report.text() })?;
                Ok(ExitCode::SUCCESS)
            }
            Err(error) => {
                let hint = self.hint(&error, now);
                tell(&report::refusal_text(&error, hint.as_deref()));
                if self.json {
                    print(&report::refusal_json(&error, hint.as_deref()))?;
                }
                Ok(ExitCode::FAILURE)
            }
        }
    }

    fn judge<'a>(
        &self,
        verifier: &Verifier,
        policy: &Policy,
        bytes: &'a [u8],
        now: CheckTime,
    ) -> Result<(AcceptedDocument<'a>, CheckTime), Error> {
        let (document, time) = match self.at {
            At::Now => (verifier.verify(bytes, &now)?, now),
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

    /// The releases of which one must match, with their names in reports. Empty under
    /// `--insecure-without-pcrs`.
    fn releases(&self) -> Result<Vec<Release>, Failure> {
        let mut releases = Vec::new();
        for path in &self.measurements {
            let measurements = input::measurements(path)
                .map_err(|reason| Failure::Input(format!("--measurements: {reason}")))?;
            releases.push(Release { measurements, file: Some(path.display().to_string()) });
        }
        if !self.pcr.is_empty() {
            let measurements = Measurements::new(self.pcr.iter().copied())
                .map_err(|error| Failure::Usage(format!("--pcr: {error}")))?;
            releases.push(Release { measurements, file: None });
        }
        Ok(releases)
    }

    fn policy(&self, releases: &[Release]) -> Result<Policy, Failure> {
        let mut policy = match self.insecure_without_pcrs {
            true => Policy::insecure_without_pcrs(),
            false => Policy::new(releases.iter().map(|release| release.measurements.clone()))
                .map_err(|error| Failure::Usage(error.to_string()))?,
        };
        if let Some(max_age_ms) = self.max_age {
            policy = policy.with_max_age(Duration::from_millis(max_age_ms));
        }
        if let Some(nonce) = &self.nonce {
            policy = policy.with_nonce(nonce.0.clone());
        }
        if let Some(user_data) = &self.user_data {
            policy = policy.with_user_data(user_data.0.clone());
        }
        Ok(policy)
    }

    fn checks(&self, release: Option<&Release>) -> Checks {
        let indices = |release: &Release| release.measurements.iter().map(|(index, _)| index).collect();
        Checks {
            pcrs: release.map(indices).unwrap_or_default(),
            measurements: release.and_then(|release| release.file.clone()),
            max_age_ms: self.max_age,
            nonce: self.nonce.is_some(),
            user_data: self.user_data.is_some(),
            debug: !self.insecure_allow_debug,
            historical: self.at == At::Document,
            own_root: self.root.is_some(),
            provider: self.provider,
        }
    }

    /// Advice for refusals that are often a mistake of the user.
    fn hint(&self, error: &Error, now: CheckTime) -> Option<String> {
        match (error, self.at) {
            (Error::Clock(_), At::Now) => Some(format!(
                "the clock of this computer says {}; if that is right, ask for a new document, \
                 or judge this one as of its own time, as an audit does: --at document",
                report::rfc3339(now.now_ms)
            )),
            (Error::Clock(_), At::Time(ms)) => Some(format!(
                "--at says {}; --at document judges a document as of its own time",
                report::rfc3339(ms)
            )),
            (Error::Chain(_), _) if error.code() == "root_not_trusted" && self.root.is_none() => {
                Some("only AWS's root is trusted; --root FILE names another, for example a mock's".to_owned())
            }
            _ => None,
        }
    }
}

/// Measurements, and the file that they came from.
struct Release {
    measurements: Measurements,
    file: Option<String>,
}

/// Why a verdict could not be given.
enum Failure {
    /// Arguments that do not parse.
    Arguments(clap::Error),
    /// Arguments that do not fit together.
    Usage(String),
    /// A file that cannot be used.
    Input(String),
    /// Output could not be written.
    Output(io::Error),
}

impl Failure {
    /// Reports the failure on stderr and, with `--json`, on stdout. If neither can be written, the exit
    /// status tells.
    fn tell(&self, json: bool) {
        let (reason, message) = match self {
            Self::Arguments(error) => {
                tell(&error.render().ansi().to_string());
                let text = error.render().to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                // Without the usage text that follows.
                ("usage_invalid", text.split("\n\n").next().unwrap_or(text).trim().to_owned())
            }
            Self::Usage(message) => ("usage_invalid", message.clone()),
            Self::Input(message) => ("input_invalid", message.clone()),
            Self::Output(error) => ("output_failed", format!("standard output: {error}")),
        };
        if !matches!(self, Self::Arguments(_)) {
            tell(&format!("{}: {message}\n", style::bad("error")));
        }
        if json && !matches!(self, Self::Output(_)) && print(&report::failure_json(reason, &message)).is_err()
        {
            tell(&format!("{}: standard output cannot be written\n", style::bad("error")));
        }
    }
}

/// Writes to stdout, completely or with an error: a full disk or a closed pipe must not look like success.
fn print(text: &str) -> Result<(), Failure> {
    write(&mut anstream::stdout(), text).map_err(Failure::Output)
}

/// Writes to stderr. A failure cannot be reported; the exit status is not 0 anyway.
fn tell(text: &str) {
    let _ = write(&mut anstream::stderr(), text);
}

fn write(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}
