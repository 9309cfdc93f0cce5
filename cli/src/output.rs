//! Output. A full disk and a closed pipe are failures.

use crate::Failure;
use std::io::{self, Write as _};

/// Prints bytes to standard output, and flushes them.
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

/// Prints a line on standard error, without control characters. Errors are ignored: the exit status remains.
pub(crate) fn say(line: &str) {
    let shown: String =
        line.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    let _ = writeln!(io::stderr().lock(), "{shown}");
}
