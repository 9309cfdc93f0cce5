//! The latency of one request: alone, and at 80 % of the peak load.

use super::{CONNECTIONS, rates};
use crate::{
    Bench, Outcome,
    client::{Client, Way},
    drive::{Pace, Phase, Plan},
    processes::{Ours, Setup},
    report::{Table, Target},
    work,
};

pub fn lone(bench: &mut Bench) -> Outcome<()> {
    let mut table = Table::new();
    let phase = alone(bench)?;
    let nsm_ms = Setup::SERVICE.nsm_latency_us as f64 / 1000.0;
    let p99 = phase.latency_ms(0.99);
    table.plain("NSM", format!("{nsm_ms} ms"));
    table.plain("p50", format!("{:.2} ms", phase.latency_ms(0.5)));
    table.judged("p99", format!("{p99:.2} ms"), p99, Target::AtMost(nsm_ms + 1.5, " ms"));
    table.plain("p99.9", format!("{:.2} ms", phase.latency_ms(0.999)));
    table.split("lone", &phase);
    table.print("One issue at a time, over HTTP");
    Ok(())
}

pub fn open_loop(bench: &mut Bench) -> Outcome<()> {
    const PART: f64 = 0.8;
    let mut table = Table::new();
    let peak = rates::http_peak(bench)?;
    let lone = match bench.lone_p99_ms {
        Some(lone) => lone,
        None => alone(bench)?.latency_ms(0.99),
    };
    let phase = issue(bench, Pace::Open(PART * peak), 4 * CONNECTIONS)?;
    let p99 = phase.latency_ms(0.99);
    table.plain("asked for", format!("{:.0}/s", PART * peak));
    table.plain("answered", format!("{:.0}/s", phase.per_second()));
    table.plain("p50", format!("{:.2} ms", phase.latency_ms(0.5)));
    table.judged("p99", format!("{p99:.2} ms"), p99 / lone, Target::AtMost(10.0, "x the lone one's"));
    table.plain("p99.9", format!("{:.2} ms", phase.latency_ms(0.999)));
    table.split("open loop", &phase);
    table.print(
        "At 80 % of the peak: requests at random times, sent in ticks of 0.5 ms, timed from their due times",
    );
    Ok(())
}

fn alone(bench: &mut Bench) -> Outcome<Phase> {
    let phase = issue(bench, Pace::Closed, 1)?;
    bench.lone_p99_ms = Some(phase.latency_ms(0.99));
    Ok(phase)
}

fn issue(bench: &Bench, pace: Pace, connections: usize) -> Outcome<Phase> {
    let ours = Ours::start(&Setup::SERVICE)?;
    let client = Client::new(&ours, Way::Http)?;
    let pids = ours.pids();
    let plan = Plan { pace, ..bench.effort.closed(&pids) };
    Ok(work::issue(&mut ours.connections(connections)?, &client, 0, &plan)?.0)
}
