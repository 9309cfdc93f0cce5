//! Comparison with a conventional service: same load, same machine, servers on one core and all else on the
//! other.

use super::CONNECTIONS;
use crate::{
    Bench, Outcome,
    client::{Client, Way},
    drive::{Phase, Plan},
    link::Link,
    peer::Peer,
    processes::{Baseline, OTHER_CORE, Ours, Setup, valkey},
    report::{Table, Target},
    unattested::Unattested,
    work,
};
use std::{path::Path, time::Duration};

#[derive(Clone, Copy)]
enum Contender {
    Ours(&'static str),
    Baseline(&'static str),
}

/// The contenders, measured in turn, with the limit of opens per second that messages are prepared for.
const CONTENDERS: [(Contender, f64); 4] = [
    (Contender::Ours("portable"), 1300.0),
    (Contender::Baseline("p384"), 1300.0),
    (Contender::Ours("aws-lc"), 4500.0),
    (Contender::Baseline("aws-lc-rs"), 4500.0),
];

/// Few connections, so that a document attests few keys.
const FEW: usize = 64;

pub fn topic(bench: &mut Bench) -> Outcome<()> {
    let valkey = valkey()?;
    // Several rounds make up for shorter phases.
    let bench = &bench.at_most(Duration::from_secs(3));
    compare(bench, CONNECTIONS, bench.effort.rounds, &valkey)?;
    compare(bench, FEW, 1, &valkey)
}

fn compare(bench: &Bench, connections: usize, rounds: usize, valkey: &Path) -> Outcome<()> {
    let mut found: [Vec<Found>; 4] = Default::default();
    for _ in 0..rounds {
        for ((contender, opens), found) in CONTENDERS.iter().zip(&mut found) {
            let round = contender.measure(bench, connections, *opens, valkey)?;
            eprintln!("{}: {:.0} keys/s, {:.0} opens/s", contender.name(), round.keys, round.opens);
            found.push(round);
        }
    }
    let mut table = Table::new();
    for ((contender, _), found) in CONTENDERS.iter().zip(&found) {
        let spread = |of: fn(&Found) -> f64| {
            let rounds: Vec<_> = found.iter().map(|found| format!("{:.0}", of(found))).collect();
            format!("{:.0}/s ({})", median(found, of), rounds.join(", "))
        };
        table.plain(format!("{}: keys", contender.name()), spread(|found| found.keys));
        table.plain(format!("{}: opens", contender.name()), spread(|found| found.opens));
        if let Some(last) = found.last() {
            last.split(&mut table, &contender.name());
        }
    }
    let [portable, p384, aws_lc, aws_lc_rs] = &found;
    for (name, ours, theirs, keys, opens) in [
        ("portable to the p384 baseline", portable, p384, 0.8, 0.85),
        ("aws-lc to the p384 baseline", aws_lc, p384, 1.2, 2.5),
        ("aws-lc to the aws-lc-rs baseline", aws_lc, aws_lc_rs, 0.8, 0.8),
    ] {
        for (what, of, target) in
            [("keys", (|found| found.keys) as fn(&Found) -> f64, keys), ("opens", |found| found.opens, opens)]
        {
            let (ours, theirs) = (median(ours, of), median(theirs, of));
            let measured = format!("{ours:.0} to {theirs:.0}");
            table.judged(format!("{name}: {what}"), measured, ours / theirs, Target::AtLeast(target, "x"));
        }
    }
    table.print(&format!("Beside an unattested service: servers on one core, {connections} connections"));
    Ok(())
}

impl Contender {
    fn name(self) -> String {
        match self {
            Self::Ours(provider) => format!("ok2cry {provider}"),
            Self::Baseline(provider) => format!("baseline {provider}"),
        }
    }

    fn measure(self, bench: &Bench, connections: usize, opens: f64, valkey: &Path) -> Outcome<Found> {
        let keep = bench.effort.messages(opens, connections);
        match self {
            Self::Ours(provider) => {
                let ours = Ours::start(&Setup { provider, pinned: true, ..Setup::SERVICE })?;
                let client = Client::new(&ours, Way::Http)?;
                phases(bench, &client, &ours.pids(), keep, || ours.connections(connections))
            }
            Self::Baseline(provider) => {
                let baseline = Baseline::start(provider, valkey)?;
                phases(bench, &Unattested, &baseline.pids(), keep, || baseline.connections(connections))
            }
        }
    }
}

/// One round of one contender.
struct Found {
    keys: f64,
    opens: f64,
    phases: [Phase; 2],
}

impl Found {
    fn split(&self, table: &mut Table, name: &str) {
        for (what, phase) in ["keys", "opens"].iter().zip(&self.phases) {
            table.split(&format!("{name}: {what}"), phase);
        }
    }
}

fn phases(
    bench: &Bench,
    peer: &dyn Peer,
    pids: &[u32],
    keep: usize,
    connect: impl Fn() -> Outcome<Vec<Link>>,
) -> Outcome<Found> {
    let plan = Plan { core: Some(OTHER_CORE), ..bench.effort.closed(pids) };
    let (issued, asked) = work::issue(&mut connect()?, peer, keep, &plan)?;
    let opened = work::open(&mut connect()?, peer, asked, &plan)?;
    Ok(Found { keys: issued.per_second(), opens: opened.per_second(), phases: [issued, opened] })
}

fn median(found: &[Found], of: impl Fn(&Found) -> f64) -> f64 {
    let mut values: Vec<_> = found.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
