//! What a disposable key costs, in time and memory, under each crypto provider and in the libraries beneath them.
//!
//! One run prints one table, whose ratios are comparable. Time is the thread's own processor time, the best of several
//! rounds in which all rows take turns, so that a busy machine changes little. Memory is the growth of resident memory
//! in a fresh process that does nothing but make keys.

mod memory;
mod rows;

use rows::Row;
use rustix::time::{ClockId, clock_gettime};
use std::{env, error::Error};

const ROUNDS: usize = 15;
/// Processor time that a row gets in a round, in nanoseconds.
const ROUND_NS: f64 = 20e6;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(kind) = env::args().nth(1) {
        return memory::child(&kind);
    }

    let mut rows = rows::all()?;
    measure(&mut rows);
    println!("| operation | µs | per second | ratio |");
    println!("|---|--:|--:|--:|");
    for row in &rows {
        let baseline = rows.iter().find(|other| other.name == row.baseline);
        let ratio = baseline.map_or(String::new(), |other| format!("{:.2}x", other.best_ns / row.best_ns));
        let per_second = 1e9 / row.best_ns;
        println!("| {} | {:.1} | {per_second:.0} | {ratio} |", row.name, row.best_ns / 1000.0);
    }
    println!();
    memory::table()
}

fn measure(rows: &mut [Row]) {
    for row in rows.iter_mut() {
        row.best_ns = time(row, 3);
    }
    for _ in 0..ROUNDS {
        for row in rows.iter_mut() {
            let times = (ROUND_NS / row.best_ns).max(1.0) as u32;
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
