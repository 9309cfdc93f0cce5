//! `ok2cry`: seal to a verified key, have it opened, read the reply, ask, destroy.
//!
//! Exit status: 0 done, 1 refused (a stable code on stderr, or as `reason` on stdout with `--json`), 2 usage, or
//! something that could not be read or reached.

mod args;
mod commands;
mod message;
mod trust;

use args::{Args, Command};
use clap::Parser as _;
use ok2cry_client::http::CallError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let json = args.json;
    let result = match args.command {
        Command::Recipient(command) => commands::recipient(&command),
        Command::Seal(command) => commands::seal(&command),
        Command::Open(command) => commands::open(&command),
        Command::Read(command) => commands::read(&command),
        Command::Status(command) => commands::status(&command),
        Command::Destroy(command) => commands::destroy(&command),
        Command::Attest(command) => commands::attest(&command),
        Command::Releases(command) => commands::releases(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused { code, message }) => {
            if json {
                let verdict = serde_json::json!({"verdict": "refused", "reason": code, "message": message});
                println!("{verdict}");
            }
            eprintln!("refused: {code}: {message}");
            ExitCode::from(1)
        }
        Err(Failure::Unusable(message)) => {
            if json {
                println!("{}", serde_json::json!({"verdict": "error", "message": message}));
            }
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

/// Why a command did not do what it was asked.
enum Failure {
    /// A rule broke: ours or the service's.
    Refused { code: String, message: String },
    /// Something could not be read, written or reached.
    Unusable(String),
}

impl From<ok2cry_client::Error> for Failure {
    fn from(error: ok2cry_client::Error) -> Self {
        Self::Refused { code: error.code().to_owned(), message: error.to_string() }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => Self::Refused { code: problem.code, message: problem.detail },
            CallError::Answer(error) => error.into(),
            other => Self::Unusable(other.to_string()),
        }
    }
}
