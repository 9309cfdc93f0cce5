//! What the program says, and what becomes of it when it cannot be written.
//!
//! A report that is lost is a failure, with status 2: a public half that nobody has seen, or measurements that a full disk took.

use clap::error::Error as UsageError;
use ok2cry_release::error::Error;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

/// What a command that is done has to say.
#[derive(Default)]
pub(crate) struct Report {
    /// For standard output, without a final newline.
    pub(crate) text: String,
    /// For people, on standard error: lines.
    pub(crate) notes: Vec<String>,
    /// How to get the text again, should it not be written.
    pub(crate) if_lost: Option<String>,
}

impl From<String> for Report {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// Set once something could not be written to standard error: then no other place is left to say so but the status.
static UNSAID: AtomicBool = AtomicBool::new(false);

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

/// Writes a line to standard error. The program does not end with 0 if that fails.
pub(crate) fn note(text: &str) {
    if writeln!(io::stderr().lock(), "{text}").is_err() {
        UNSAID.store(true, Ordering::Relaxed);
    }
}

/// The end of a command that is done.
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

/// The end of a command that was refused, or that could not read or write.
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

/// The end of a command line that was not understood, or that asked for help.
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
    match UNSAID.load(Ordering::Relaxed) {
        true => ExitCode::from(code.max(2)),
        false => ExitCode::from(code),
    }
}
