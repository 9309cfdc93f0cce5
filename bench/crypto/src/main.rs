//! `make bench-crypto`: what a disposable key costs, in time and memory, under each crypto provider, in the
//! libraries beneath them, and in HPKE libraries of other languages.
//!
//! Only ratios within one run are comparable. Time is processor time, the best of several rounds. Rows of the
//! first table are measured in turn in each round, so that a busy machine changes little. Memory is the
//! growth of resident memory in a fresh process that only makes keys. `--short` only shows that everything
//! runs.

mod memory;
mod peers;
mod rows;

use rows::Row;
use rustix::time::{ClockId, clock_gettime};
use std::{env, error::Error};

/// Rounds, and processor time of a row in a round.
const ROUNDS: usize = 15;
const ROUND_MS: u64 = 20;
const KEYS: usize = 100_000;
/// What `--short` has instead.
const SHORT_KEYS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (rounds, keys) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [memory::CHILD, kind, keys] => return memory::child(kind, keys.parse()?),
        ["--short"] => (1, SHORT_KEYS),
        [] => (ROUNDS, KEYS),
        _ => return Err("usage: ok2cry-bench-crypto [--short]".into()),
    };

    let mut rows = rows::all()?;
    measure(&mut rows, rounds);
    println!("| operation | µs | per second | ratio |");
    println!("|---|--:|--:|--:|");
    for row in &rows {
        let baseline = rows.iter().find(|other| other.name == row.baseline);
        let ratio = baseline.map_or(String::new(), |other| format!("{:.2}x", other.best_ns / row.best_ns));
        let per_second = 1e9 / row.best_ns;
        println!("| {} | {:.1} | {per_second:.0} | {ratio} |", row.name, row.best_ns / 1000.0);
    }
    println!();
    peers::table(&rows, rounds, ROUND_MS)?;
    println!();
    memory::table(keys)
}

fn measure(rows: &mut [Row], rounds: usize) {
    for row in rows.iter_mut() {
        row.best_ns = time(row, 3);
    }
    for _ in 0..rounds {
        for row in rows.iter_mut() {
            let times = (ROUND_MS as f64 * 1e6 / row.best_ns).max(1.0) as u32;
            row.best_ns = row.best_ns.min(time(row, times));
        }
    }
}

/// Nanoseconds per call.
fn time(row: &mut Row, times: u32) -> f64 {
    let begun = processor_ns();
    for _ in 0..times {
        (row.work)();
    }
    (processor_ns() - begun) / f64::from(times)
}

fn processor_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}
