//! Colours. `anstream` removes them if the output is not a terminal, and for `NO_COLOR` and `TERM=dumb`.

use anstyle::{AnsiColor, Style};

/// The label of a line, padded to the longest.
pub(crate) fn label(text: &str) -> String {
    styled(Style::new().bold(), &format!("{text:<10}"))
}

pub(crate) fn good(text: &str) -> String {
    styled(AnsiColor::Green.on_default().bold(), text)
}

pub(crate) fn warn(text: &str) -> String {
    styled(AnsiColor::Yellow.on_default().bold(), text)
}

pub(crate) fn bad(text: &str) -> String {
    styled(AnsiColor::Red.on_default().bold(), text)
}

pub(crate) fn faint(text: &str) -> String {
    styled(Style::new().dimmed(), text)
}

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
