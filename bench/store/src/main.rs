//! `make bench-store`: memory, rates and lag of erasure at up to a million live keys, beside simpler designs.
//!
//! Only ratios within one run are comparable. Every row is measured in a fresh process. `--short` only shows
//! that everything runs.

mod aligned;
mod clock;
mod figures;
mod keys;
mod lag;
mod map;
mod naive;
mod steady;
mod store;
mod valkey;

use figures::{CHILD, Effort, Figures};
use keys::{Kind, Outcome};
use ok2cry_enclave::keys::crypto::CryptoProvider;
use std::{collections::BTreeMap, env, fs, io::Write as _, path::Path};
use steady::Subject;

const LEVELS: [usize; 3] = [1_000, 100_000, 1_000_000];
const SHORT_LEVELS: [usize; 1] = [1_000];
const ALIGNED_LEVELS: [usize; 3] = [1_000, 10_000, 90_000];
const PORTABLE: Kind = Kind::Real(CryptoProvider::Portable);
/// The level at which the rate of real keys is measured. They are slow to make, and the level matters little.
const REAL_TRIAL: usize = 20_000;

fn main() -> Outcome<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let short = arguments.iter().any(|argument| argument == SHORT);
    let effort = if short { Effort::SHORT } else { Effort::FULL };
    match arguments.first() {
        Some(first) if first == CHILD => measure(&arguments[1..], &effort),
        _ => tables(if short { &SHORT_LEVELS } else { &LEVELS }, short),
    }
}

const SHORT: &str = "--short";

/// The figures of one row.
fn measure(arguments: &[String], effort: &Effort) -> Outcome<()> {
    let word = |n: usize| arguments.get(n).map(String::as_str).ok_or("too few arguments");
    let (what, of, level) = (word(0)?, word(1)?, word(2)?.parse()?);
    let directory = || word(3).map(Path::new);
    match (what, of) {
        ("rates", "map") => map::rates(level, effort),
        ("rates", "naive") => naive::rates(level, effort),
        ("rates", "valkey") => valkey::rates(directory()?, level, effort),
        ("rates", "endings") => store::endings(level),
        ("rates", kind) => {
            let kind: Kind = kind.parse()?;
            store::rates(kind, level, kind != PORTABLE, effort)
        }
        ("aligned", kind) => aligned::measure(&store::StoreSubject::new(kind.parse()?)?, level),
        ("lag", "naive") => lag(naive::Naive::new, level, level, 200e3, effort),
        ("lag", "valkey") => lag(|| valkey::ValkeySubject::new(directory()?), level, level, 100e3, effort),
        ("lag", kind) => {
            let kind: Kind = kind.parse()?;
            let (trial, guess) =
                if kind == Kind::Synthetic { (level, 300e3) } else { (level.min(REAL_TRIAL), 30e3) };
            lag(|| store::StoreSubject::new(kind), trial, level, guess, effort)
        }
        _ => Err(format!("{what} cannot be measured").into()),
    }
}

/// Measures the rate of issues, then holds this level of keys at that rate.
fn lag<S: Subject>(
    new: impl Fn() -> Outcome<S>,
    trial: usize,
    level: usize,
    guess: f64,
    effort: &Effort,
) -> Outcome<()> {
    let mut rate = guess;
    // Expiry slows issues and vice versa. Steps of one half keep the two from oscillating.
    for _ in 0..2 {
        let found = steady::hold(&new()?, trial, rate, effort.lag_s.min(1.0))?.per_second;
        rate = (rate * found).sqrt();
    }
    let subject = new()?;
    let steady = steady::hold(&subject, level, rate, effort.lag_s)?;
    figures::print("live", steady.live);
    figures::print("per_second", steady.per_second);
    figures::print("per_issuer_second", steady.per_issuer_second);
    figures::print("counted", lag::counted() as f64);
    figures::print("p50", lag::quantile_ms(0.5));
    figures::print("p999", lag::quantile_ms(0.999));
    figures::print("max", lag::max_ms());
    Ok(())
}

fn tables(levels: &[usize], short: bool) -> Outcome<()> {
    println!("{} cores, load {}", steady::issuers(), fs::read_to_string("/proc/loadavg")?.trim());
    let valkey = valkey::directory(short);
    if let Err(error) = &valkey {
        println!("Without Valkey: {error}");
    }
    let run = Run { levels, short, valkey: valkey.ok().map(|path| path.display().to_string()) };
    println!();
    run.rates()?;
    println!();
    run.lag()?;
    println!();
    run.aligned()
}

struct Run<'a> {
    levels: &'a [usize],
    short: bool,
    valkey: Option<String>,
}

/// A row of the first table: its subject, its figures and their targets.
struct Line {
    name: &'static str,
    of: &'static str,
    issue: &'static str,
    open: &'static str,
    bytes_target: &'static str,
    ratio_target: &'static str,
}

const fn line(name: &'static str, of: &'static str, issue: &'static str, open: &'static str) -> Line {
    Line { name, of, issue, open, bytes_target: "", ratio_target: "" }
}

const LINES: [Line; 10] = [
    Line { bytes_target: "≤ 1024", ratio_target: "≥ 0.8", ..line("aws-lc", "aws-lc", "issue", "open") },
    Line { ratio_target: "≥ 0.8", ..line("aws-lc, reply kept", "aws-lc", "", "keeping") },
    Line { bytes_target: "≤ 512", ..line("portable", "portable", "", "") },
    Line { ratio_target: "≥ 0.3", ..line("synthetic", "synthetic", "issue", "open") },
    Line { ratio_target: "≥ 0.3", ..line("synthetic, reply kept", "synthetic", "", "keeping") },
    line("a map and nothing else", "map", "issue", "open"),
    line("naive", "naive", "issue", "open"),
    line("valkey, 1 connection", "valkey", "issue1", "open1"),
    line("valkey, 2 connections", "valkey", "issue2", "open2"),
    line("valkey, pipelined", "valkey", "issue64", "open64"),
];

impl Run<'_> {
    fn rates(&self) -> Outcome<()> {
        println!(
            "| | live keys | bytes per key | issues/s | x 1k | x naive | opens/s | x 1k | x naive | targets |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|---|");
        let mut found = BTreeMap::new();
        // The naive design first: it is the baseline.
        for of in ["naive", "aws-lc", "portable", "synthetic", "map", "valkey"] {
            for level in self.levels {
                if let Some(figures) = self.of("rates", of, *level)? {
                    found.insert((of, *level), figures);
                }
            }
        }
        for line in LINES {
            for level in self.levels {
                let Some(figures) = found.get(&(line.of, *level)) else { continue };
                let least = found.get(&(line.of, self.levels[0]));
                let naive = found.get(&("naive", *level)).filter(|_| line.of != "naive");
                let rate = |name: &str, naive_name: &str| {
                    let Some(rate) = figures.get(name) else { return " | | ".to_owned() };
                    let least = ratio(*rate, least.and_then(|least| least.get(name)));
                    let naive = ratio(*rate, naive.and_then(|naive| naive.get(naive_name)));
                    format!("{rate:.0} | {least} | {naive}")
                };
                println!(
                    "| {} | {level} | {:.0} | {} | {} | {} |",
                    line.name,
                    figures.get("bytes").copied().unwrap_or(f64::NAN),
                    rate(line.issue, "issue"),
                    rate(line.open, "open"),
                    [line.bytes_target, line.ratio_target].join(" "),
                );
            }
        }
        for level in self.levels {
            let figures = self.of("rates", "endings", *level)?.unwrap_or_default();
            let bytes = figures.get("bytes").copied().unwrap_or(f64::NAN);
            println!("| endings that are remembered | {level} | {bytes:.0} | | | | | | | |");
        }
        Ok(())
    }

    fn lag(&self) -> Outcome<()> {
        println!(
            "| | live keys | issued and expired/s | per issuer's second | lag p50, ms | p99.9, ms | longest, ms \
             | p99.9 target |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|---|");
        for (of, target) in [("aws-lc", "≤ 10"), ("synthetic", "≤ 10"), ("naive", ""), ("valkey", "")] {
            for level in self.levels {
                let Some(figures) = self.of("lag", of, *level)? else { continue };
                let [live, per_second, per_issuer, p50, p999, max] =
                    ["live", "per_second", "per_issuer_second", "p50", "p999", "max"]
                        .map(|name| figures.get(name).copied().unwrap_or(f64::NAN));
                println!(
                    "| {of} | {live:.0} | {per_second:.0} | {per_issuer:.0} | {p50:.2} | {p999:.2} | {max:.2} \
                     | {target} |"
                );
                std::io::stdout().flush()?;
            }
        }
        Ok(())
    }

    fn aligned(&self) -> Outcome<()> {
        println!(
            "| all due in one millisecond | keys | lag p50, ms | p99.9, ms | longest, ms | µs per key |"
        );
        println!("|---|--:|--:|--:|--:|--:|");
        let levels: &[usize] = if self.short { &SHORT_LEVELS } else { &ALIGNED_LEVELS };
        for of in ["aws-lc", "portable", "synthetic"] {
            for level in levels {
                let Some(figures) = self.of("aligned", of, *level)? else { continue };
                let [p50, p999, max] =
                    ["p50", "p999", "max"].map(|name| figures.get(name).copied().unwrap_or(f64::NAN));
                let each = max * 1000.0 / *level as f64;
                println!("| {of} | {level} | {p50:.2} | {p999:.2} | {max:.2} | {each:.2} |");
                std::io::stdout().flush()?;
            }
        }
        Ok(())
    }

    /// `None` if Valkey is not available.
    fn of(&self, what: &str, of: &str, level: usize) -> Outcome<Option<Figures>> {
        let level = level.to_string();
        let mut arguments = vec![what, of, &level];
        if of == "valkey" {
            let Some(directory) = &self.valkey else { return Ok(None) };
            arguments.push(directory);
        }
        if self.short {
            arguments.push(SHORT);
        }
        figures::of(&arguments).map(Some)
    }
}

fn ratio(rate: f64, other: Option<&f64>) -> String {
    other.map_or(String::new(), |other| format!("{:.2}", rate / other))
}
