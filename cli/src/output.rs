//! What is printed. Output that cannot be written is a failure like any other: a full disk, a pipe that is closed.

use crate::Failure;
use std::io::{self, Write as _};

/// Prints bytes to standard output, and returns once they are written.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|e| Failure::unusable(format!("standard output cannot be written: {e}")))
}

/// Prints a line to standard output.
pub(crate) fn print_line(line: &str) -> Result<(), Failure> {
    print(format!("{line}\n").as_bytes())
}

/// Says something on standard error. Where that cannot be written either, the exit status is all that is left.
pub(crate) fn say(line: &str) {
    let shown: String =
        line.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    let _ = writeln!(io::stderr().lock(), "{shown}");
}
