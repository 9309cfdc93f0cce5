#![doc = include_str!("../README.md")]

mod args;
mod commands;
mod files;
mod open;
mod output;
mod seen;
mod trust;

use args::{Args, Command};
use clap::Parser as _;
use ok2cry_client::{OpenError, http::CallError};
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
        Err(failure) => failure.report(args.json),
    }
}

/// Prints help and version on standard output, and usage errors on standard error.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let _ = error.print();
        return ExitCode::from(2);
    }
    // clap prints with colours, but ignores a full disk; `print` flushes and reports it.
    match error.print().map_err(|e| Failure::unusable(format!("standard output cannot be written: {e}"))) {
        Ok(()) => print(b"").map_or_else(|failure| failure.report(false), |()| ExitCode::SUCCESS),
        Err(failure) => failure.report(false),
    }
}

/// Why a command failed.
#[derive(Debug)]
struct Failure {
    /// The stable code of a refusal, by the client or the service. `None` if something could not be read,
    /// written or reached.
    code: Option<String>,
    message: String,
    /// Where [`open::open`] kept an answer that could not be read.
    kept: Option<Kept>,
}

/// A failure as JSON.
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

/// A kept answer.
#[derive(Debug)]
enum Kept {
    /// In this file.
    File { name: String, is_reply: bool },
    /// In the report itself: a sealed reply, as JSON.
    Inline(String),
}

impl Failure {
    fn unusable(message: impl Into<String>) -> Self {
        Self { code: None, message: message.into(), kept: None }
    }

    /// Prints the failure on standard error, with `json` on standard output too. Returns the exit status.
    fn report(&self, json: bool) -> ExitCode {
        if json {
            let (kept, reply) = match &self.kept {
                Some(Kept::File { name, .. }) => (Some(name), None),
                Some(Kept::Inline(reply)) => (None, Some(reply)),
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
            // The command has failed already, so an error here changes nothing.
            let _ = print_line(&verdict);
        }
        match &self.code {
            Some(code) => say(&format!("refused: {code}: {}", self.message)),
            None => say(&format!("error: {}", self.message)),
        }
        match &self.kept {
            Some(Kept::File { name, is_reply: true }) => {
                say(&format!("the reply is kept; read it with `ok2cry read {name}`"));
            }
            Some(Kept::File { name, .. }) => say(&format!("the answer is kept in {name}")),
            Some(Kept::Inline(reply)) => say(&format!("the reply; read it with `ok2cry read -`:\n{reply}")),
            None => {}
        }
        ExitCode::from(if self.code.is_some() { 1 } else { 2 })
    }
}

impl From<ok2cry_client::Error> for Failure {
    fn from(error: ok2cry_client::Error) -> Self {
        use ok2cry_client::Error;
        // A fault in the caller's own files is not a refusal.
        let code = match error {
            Error::Trust(_) | Error::Measurements(_) | Error::RecipientKey(_) => None,
            _ => Some(error.code().to_owned()),
        };
        Self { code, message: error.to_string(), kept: None }
    }
}

impl From<OpenError<Self>> for Failure {
    fn from(error: OpenError<Self>) -> Self {
        match error {
            OpenError::Refused(error) => error.into(),
            OpenError::Guard(failure) => failure,
        }
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
