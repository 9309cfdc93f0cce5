//! Generates inputs, mostly invalid ones, with the Rust implementation's verdicts, for comparison with
//! another language.
//!
//! ```text
//! cargo run -p ok2cry-tests --bin differential -- COUNT [SEED] | node clients/js/test/differential.mjs
//! ```
//!
//! Each line is a case of `tests/vectors` in JSON, with the verdict of the Rust implementation as `expected`.
//! Documents and releases are changed *before* the forge signs them, so that most changes pass the signature
//! checks. The same seed makes the same cases.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test equipment, which fails by panicking"
)]

mod answers;
mod documents;
mod records;
mod releases;
mod rng;
mod structure;

use std::io::{BufWriter, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use ok2cry_attest_forge::NOW_MS;
use rng::Rng;
use serde_json::json;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().ok());
    let (Some(Some(count)), seed) = (arguments.next(), arguments.next().flatten().unwrap_or(1)) else {
        eprintln!("usage: differential COUNT [SEED]");
        std::process::exit(2);
    };
    let mut written = 0_u64;
    let real = documents::real();
    let mut out = BufWriter::new(std::io::stdout().lock());
    for number in 0..count {
        let mut rng = Rng::new(seed.wrapping_mul(0x1_0000_0000).wrapping_add(number));
        let mut case = match rng.below(12) {
            0 if !real.is_empty() => documents::changed(&mut rng, &real),
            0 | 1 => records::changed(&mut rng),
            2..=6 => match quietly(|| documents::forge(&mut rng)) {
                Some((root, document)) => documents::judged(&mut rng, &root, &document, NOW_MS),
                None => continue,
            },
            7..=9 => releases::forged(&mut rng),
            _ => answers::changed(&mut rng),
        };
        case["name"] = format!("seed {seed}, case {number}").into();
        written += 1;
        writeln!(out, "{case}")?;
    }
    // The reader does not see this program's exit status. Without this line it has ended early.
    writeln!(out, "{}", json!({"kind": "end", "cases": written}))?;
    out.flush()
}

/// The forge panics on changes that have no encoding; those give no case. Nothing else may panic.
fn quietly<T>(forge: impl FnOnce() -> T) -> Option<T> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let made = catch_unwind(AssertUnwindSafe(forge)).ok();
    set_hook(hook);
    made
}
