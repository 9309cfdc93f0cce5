//! `make bench`: rates, latencies and processor time of real processes under load, beside a conventional
//! service.
//!
//! Arguments select topics by name. `--short` only shows that everything runs. A refused request ends the
//! program with an error.

mod client;
mod cpu;
mod dialect;
mod drive;
mod link;
mod peer;
mod processes;
mod report;
mod seal;
mod topics;
mod unattested;
mod work;

use drive::{Pace, Plan};
use std::{env, error::Error, fs, io::Write as _, time::Duration};
use topics::TOPICS;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut names: Vec<_> = env::args().skip(1).collect();
    let short = names.iter().any(|name| name == SHORT);
    names.retain(|name| name != SHORT);
    if let Some(unknown) = names.iter().find(|name| TOPICS.iter().all(|(topic, _)| topic != name)) {
        let topics = TOPICS.map(|(topic, _)| topic).join(" ");
        return Err(format!("{unknown}: topics are {topics}").into());
    }
    let mut bench = Bench {
        effort: if short { Effort::SHORT } else { Effort::FULL },
        http_peak: None,
        lone_p99_ms: None,
    };
    let cores = std::thread::available_parallelism()?;
    println!("{cores} cores, load {}", fs::read_to_string("/proc/loadavg")?.trim());
    for (name, topic) in TOPICS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            topic(&mut bench).map_err(|error| format!("{name}: {error}"))?;
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

const SHORT: &str = "--short";

/// The amount of work, and results that topics share.
pub struct Bench {
    pub effort: Effort,
    /// Keys per second over HTTP.
    pub http_peak: Option<f64>,
    pub lone_p99_ms: Option<f64>,
}

impl Bench {
    /// The same with phases of at most this length.
    fn at_most(&self, timed: Duration) -> Self {
        Self { effort: Effort { timed: self.effort.timed.min(timed), ..self.effort }, ..*self }
    }
}

/// The lengths of phases.
#[derive(Clone, Copy)]
pub struct Effort {
    pub warm_up: Duration,
    pub timed: Duration,
    /// In the comparison with the baseline.
    pub rounds: usize,
}

impl Effort {
    const FULL: Self = Self { warm_up: Duration::from_secs(1), timed: Duration::from_secs(5), rounds: 3 };
    const SHORT: Self =
        Self { warm_up: Duration::from_millis(150), timed: Duration::from_millis(350), rounds: 1 };

    /// Closed-loop load: requests follow responses.
    pub fn closed<'a>(&self, watch: &'a [u32]) -> Plan<'a> {
        Plan { pace: Pace::Closed, warm_up: self.warm_up, timed: self.timed, watch, core: None }
    }

    /// The number of messages for a phase with this rate of opens per second and this many requests in
    /// flight.
    pub fn messages(&self, per_second: f64, in_flight: usize) -> usize {
        in_flight + (per_second * (self.warm_up + self.timed).as_secs_f64()) as usize
    }
}
