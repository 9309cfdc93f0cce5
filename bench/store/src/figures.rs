//! Figures between a measuring process and its parent: one line with a name and a number each.

use crate::keys::Outcome;
use std::{
    collections::BTreeMap,
    env, fs,
    process::{Command, Stdio},
};

/// How much to measure.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Rounds. The best one counts.
    pub rounds: usize,
    /// Processor time of a round, in seconds.
    pub round_s: f64,
    /// The time for which lag is measured, in seconds.
    pub lag_s: f64,
}

impl Effort {
    pub const FULL: Self = Self { rounds: 10, round_s: 0.1, lag_s: 8.0 };
    pub const SHORT: Self = Self { rounds: 1, round_s: 0.02, lag_s: 0.3 };
}

pub type Figures = BTreeMap<String, f64>;

/// Measures in a fresh process: memory left by another measurement would hide this one's growth.
pub fn of(arguments: &[&str]) -> Outcome<Figures> {
    let child =
        Command::new(env::current_exe()?).arg(CHILD).args(arguments).stderr(Stdio::inherit()).output()?;
    if !child.status.success() {
        return Err(format!("measuring {arguments:?} failed").into());
    }
    let text = String::from_utf8(child.stdout)?;
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').ok_or("no figure")?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

/// The first argument of a measuring process.
pub const CHILD: &str = "measure";

pub fn print(name: &str, value: f64) {
    println!("{name} {value}");
}

/// The growth of resident memory per key, since `before` bytes.
pub fn grown(before: usize, keys: usize) -> Outcome<f64> {
    Ok(resident_bytes()?.saturating_sub(before) as f64 / keys as f64)
}

pub fn resident_bytes() -> Outcome<usize> {
    const PAGE: usize = 4096;
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).ok_or("no resident pages")?;
    Ok(pages.parse::<usize>()? * PAGE)
}
