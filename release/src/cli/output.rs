//! The program's output, and its exit status if output fails.
//!
//! A report that cannot be written is a failure, with status 2, because it may hold a public key or
//! measurements.

use clap::error::Error as UsageError;
use ok2cry_release::error::Error;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

/// The output of a completed command.
#[derive(Default)]
pub(crate) struct Report {
    /// For standard output, without a final newline.
    pub(crate) text: String,
    /// Lines for standard error.
    pub(crate) notes: Vec<String>,
    /// How to get the text again if it cannot be written.
    pub(crate) if_lost: Option<String>,
}

impl From<String> for Report {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// Set once a write to standard error has failed, so that the exit status reports it.
static STDERR_FAILED: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output.
///
/// # Errors
///
/// [`Error::Io`] of `standard output`.
pub(crate) fn say(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{text}").and_then(|()| out.flush());
    said.map_err(|source| Error::Io { path: "standard output".into(), source })
}

/// Writes a line to standard error. If that fails, the exit status is not 0.
pub(crate) fn note(text: &str) {
    if writeln!(io::stderr().lock(), "{text}").is_err() {
        STDERR_FAILED.store(true, Ordering::Relaxed);
    }
}

/// Prints the report of a completed command, and returns its exit status.
pub(crate) fn deliver(report: &Report) -> ExitCode {
    for line in &report.notes {
        note(line);
    }
    if let Err(error) = say(&report.text) {
        let again = report.if_lost.as_ref().map_or_else(String::new, |again| format!("; {again}"));
        note(&format!("error: {error}. The command itself is done{again}"));
        return ExitCode::from(2);
    }
    status(0)
}

/// Prints a refusal or an input or output error, and returns its exit status.
pub(crate) fn refuse(error: &Error, json: bool) -> ExitCode {
    let (status_code, verdict) = match error {
        Error::Io { .. } => (2, "error"),
        _ => (1, "refused"),
    };
    match error {
        Error::Io { .. } => note(&format!("error: {error}")),
        _ => note(&format!("refused: {}: {error}", error.code())),
    }
    if json {
        say_json(verdict, error.code(), &error.to_string());
    }
    status(status_code)
}

/// Prints a usage error or the requested help, and returns its exit status.
pub(crate) fn usage(error: &UsageError, json: bool) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        Ok(()) if !error.use_stderr() => return status(0),
        Ok(()) => {}
        Err(error) => note(&format!("error: standard output: {error}")),
    }
    if json && error.use_stderr() {
        say_json("error", "usage", error.to_string().trim_end());
    }
    ExitCode::from(2)
}

fn say_json(verdict: &str, reason: &str, message: &str) {
    let value = serde_json::json!({ "verdict": verdict, "reason": reason, "message": message });
    if let Err(error) = say(&format!("{value:#}")) {
        note(&format!("error: {error}"));
    }
}

fn status(code: u8) -> ExitCode {
    match STDERR_FAILED.load(Ordering::Relaxed) {
        true => ExitCode::from(code.max(2)),
        false => ExitCode::from(code),
    }
}
