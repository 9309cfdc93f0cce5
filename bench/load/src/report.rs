//! Tables.

use crate::drive::Phase;

/// The figures of one topic.
pub struct Table(Vec<[String; 5]>);

/// The target of a figure.
#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
}

impl Table {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// A figure without a target.
    pub fn plain(&mut self, figure: impl Into<String>, measured: String) {
        self.0.push([figure.into(), measured, String::new(), String::new(), String::new()]);
    }

    /// A figure whose `value` has a target.
    pub fn judged(&mut self, figure: impl Into<String>, measured: String, value: f64, target: Target) {
        let (text, met, unit) = match target {
            Target::AtLeast(limit, unit) => (format!("≥ {limit}{unit}"), value >= limit, unit),
            Target::AtMost(limit, unit) => (format!("≤ {limit}{unit}"), value <= limit, unit),
        };
        let verdict = if met { "met" } else { "MISSED" };
        self.0.push([figure.into(), measured, format!("{value:.2}{unit}"), text, verdict.to_owned()]);
    }

    pub fn print(&self, title: &str) {
        println!("\n### {title}\n");
        println!("| figure | measured | against | target | |");
        println!("|---|--:|--:|--:|---|");
        for row in &self.0 {
            println!("| {} |", row.join(" | "));
        }
    }

    /// Processor time per operation, by process and by thread, for profiling.
    pub fn split(&mut self, figure: &str, phase: &Phase) {
        let answers = phase.answers as f64;
        for (process, split) in ["server", "parent"].iter().zip(&phase.cpu) {
            let names = split.by_name();
            let threads = names.iter().map(|(name, used)| (name, used / answers / 1000.0));
            let threads = threads.filter(|(_, us)| *us >= 0.05);
            let threads: Vec<_> = threads.map(|(name, us)| format!("{name} {us:.1}")).collect();
            self.plain(format!("{figure}: µs of {process} threads"), threads.join(", "));
        }
        let own = phase.own_cpu_ns / answers / 1000.0;
        self.plain(format!("{figure}: µs of the load generator"), format!("{own:.1}"));
    }
}

pub fn rate(per_second: f64) -> String {
    format!("{per_second:.0}/s")
}
