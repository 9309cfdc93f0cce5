//! `ok2cry`: seal to a verified key, have it opened, read the reply, ask, destroy.
//!
//! Exit status: 0 done, 1 refused (a stable code on stderr, or as `reason` on stdout with `--json`), 2 usage, or
//! something that could not be read, written or reached.

mod args;
mod commands;
mod files;
mod open;
mod output;
mod seen;
mod trust;

use args::{Args, Command};
use clap::Parser as _;
use ok2cry_client::http::CallError;
use output::{print, print_line, say};
use serde::Serialize;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let result = match args.command {
        Command::Recipient(command) => commands::recipient(&command),
        Command::Seal(command) => commands::seal(&command),
        Command::Open(command) => open::open(&command),
        Command::Read(command) => open::read(&command),
        Command::Status(command) => commands::status(&command),
        Command::Destroy(command) => commands::destroy(&command),
        Command::Attest(command) => commands::attest(&command),
        Command::Releases(command) => commands::releases(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(args.json),
    }
}

/// What clap says: help and version on standard output, mistakes on standard error.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let _ = error.print();
        return ExitCode::from(2);
    }
    // Through clap for its colours; flushed here, because it passes over a disk that is full.
    match error.print().map_err(|e| Failure::unusable(format!("standard output cannot be written: {e}"))) {
        Ok(()) => print(b"").map_or_else(|failure| failure.tell(false), |()| ExitCode::SUCCESS),
        Err(failure) => failure.tell(false),
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
struct Failure {
    /// The stable code, if a rule broke: ours or the service's. Otherwise something could not be read, written or
    /// reached.
    code: Option<String>,
    message: String,
    /// Where an answer was put that could not be read: see [`open::open`].
    kept: Option<Kept>,
}

/// A failure on standard output.
#[derive(Serialize)]
struct Verdict<'a> {
    verdict: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a str>,
}

/// An answer that is not lost.
#[derive(Debug)]
enum Kept {
    /// In this file.
    File { name: String, is_reply: bool },
    /// Nowhere but here: a sealed reply, as JSON.
    Here(String),
}

impl Failure {
    fn unusable(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), kept: None }
    }

    /// Says why on standard error, with `json` on standard output too, and returns the exit status.
    fn tell(&self, json: bool) -> ExitCode {
        if json {
            let (kept, reply) = match &self.kept {
                Some(Kept::File { name, .. }) => (Some(name), None),
                Some(Kept::Here(reply)) => (None, Some(reply)),
                None => (None, None),
            };
            let verdict = Verdict {
                verdict: if self.code.is_some() { "refused" } else { "error" },
                reason: self.code.as_deref(),
                message: &self.message,
                kept: kept.map(String::as_str),
                reply: reply.map(String::as_str),
            };
            let verdict = serde_json::to_string(&verdict).unwrap_or_default();
            // It has failed already.
            let _ = print_line(&verdict);
        }
        match &self.code {
            Some(code) => say(&format!("refused: {code}: {}", self.message)),
            None => say(&format!("error: {}", self.message)),
        }
        match &self.kept {
            Some(Kept::File { name, is_reply: true }) => {
                say(&format!("the reply is kept, for `ok2cry read {name}`"));
            }
            Some(Kept::File { name, .. }) => say(&format!("the answer is kept in {name}")),
            Some(Kept::Here(reply)) => say(&format!("the reply, for `ok2cry read -`:\n{reply}")),
            None => {}
        }
        ExitCode::from(if self.code.is_some() { 1 } else { 2 })
    }
}

impl From<ok2cry_client::Error> for Failure {
    fn from(error: ok2cry_client::Error) -> Self {
        use ok2cry_client::Error;
        // What is wrong with the caller's own files is no refusal of what came.
        let code = match error {
            Error::Trust(_) | Error::Measurements(_) | Error::RecipientKey(_) => None,
            _ => Some(error.code().to_owned()),
        };
        Self { code, message: error.to_string(), kept: None }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => {
                Self { code: Some(problem.code), message: problem.detail, kept: None }
            }
            CallError::Answer(error) => error.into(),
            other => Self::unusable(other.to_string()),
        }
    }
}
