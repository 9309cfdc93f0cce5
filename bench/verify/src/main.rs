//! `make bench-verify`: attestation documents per second, beside other crates and the limit, which is the
//! five signatures of a document alone.
//!
//! One thread, one process, one document at its own time. Seconds are processor time, and contenders are
//! measured in turn, so that other load affects all alike. `--short` only shows that everything runs.

mod contenders;
mod document;
mod limit;
mod releases;

use std::process::{Command, ExitCode};
use std::time::Duration;

use contenders::{Contender, contenders};
use document::Document;

fn main() -> ExitCode {
    let short = std::env::args().any(|argument| argument == "--short");
    let document = Document::load();
    if std::env::var_os(CLOCK).is_none() {
        return again_at(&document);
    }
    let (rounds, turn) =
        if short { (1, Duration::from_millis(20)) } else { (25, Duration::from_millis(120)) };
    let mut contenders = contenders(&document);
    let mut rates = vec![Vec::new(); contenders.len()];
    // The first round warms caches and clocks up.
    for round in 0..=rounds {
        for (contender, rates) in contenders.iter_mut().zip(&mut rates) {
            let rate = rate(contender, turn);
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    print(&document, &contenders, &rates.iter_mut().map(|rates| median(rates)).collect::<Vec<_>>());
    releases::print(if short { 1 } else { 25 });
    ExitCode::SUCCESS
}

/// See `clock.c`.
const CLOCK: &str = "OK2CRY_BENCH_TIME";

/// This program again, with the document's time as its wall clock.
fn again_at(document: &Document) -> ExitCode {
    let program = std::env::current_exe().expect("the path of this program");
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1)).env(CLOCK, (document.time_ms / 1000 + 1).to_string());
    match again.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Verifications per second.
fn rate(contender: &mut Contender, turn: Duration) -> f64 {
    let begun = processor_time();
    let mut done = 0_u32;
    let mut spent = Duration::ZERO;
    while spent < turn && processor_time() - begun < 4 * turn {
        // Set-up is not counted.
        let (count, took) = (contender.run)();
        done += count;
        spent += took;
    }
    f64::from(done) / spent.as_secs_f64()
}

/// This thread's processor time.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("no negative time")
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn print(document: &Document, contenders: &[Contender], rates: &[f64]) {
    let of = |wanted: fn(&Contender) -> bool| {
        let rates =
            contenders.iter().zip(rates).filter(|(contender, _)| wanted(contender)).map(|(_, rate)| *rate);
        rates.fold(f64::NAN, f64::max)
    };
    let (limit, peer) = (of(|contender| contender.is_limit), of(|contender| contender.is_peer));
    println!("document: {} ({} bytes)\n", document.name, document.bytes.len());
    println!("| | documents/s | x fastest peer | x limit |");
    println!("|---|---:|---:|---:|");
    for (contender, rate) in contenders.iter().zip(rates) {
        println!("| {} | {rate:.0} | {:.2} | {:.2} |", contender.name, rate / peer, rate / limit);
    }
    if peer.is_nan() {
        println!("\nSKIPPED peers: they trust AWS's root only, and ../shared holds no real document");
    }
    println!("\nSKIPPED turnkey_proofs 0.17.1: its qos_core requires libc =0.2.174, tokio 1.54 a newer one");
}
