//! The size of one attested key on the wire, and a client's time to verify it.

use super::{CONNECTIONS, IN_FLIGHT, STREAMS};
use crate::{
    Bench, Outcome,
    client::{Client, Way, issued},
    cpu::thread_ns,
    link::Link,
    processes::{Ours, Setup},
    report::Table,
    work,
};
use ok2cry_attest_verify::{CheckTime, Provider};
use std::time::Duration;

const BATCH: u32 = 100;

pub fn topic(bench: &mut Bench) -> Outcome<()> {
    // Sizes need no long phases.
    let bench = &bench.at_most(Duration::from_secs(1));
    let mut table = Table::new();
    let ours = Ours::start(&Setup::SERVICE)?;
    let mut client = Client::new(&ours, Way::Http)?;
    bytes(bench, &mut table, "HTTP, alone", &client, &mut ours.connections(1)?)?;
    let busy = format!("HTTP, {CONNECTIONS} connections");
    bytes(bench, &mut table, &busy, &client, &mut ours.connections(CONNECTIONS)?)?;
    client.count = BATCH;
    bytes(bench, &mut table, "HTTP, 100 in one request", &client, &mut ours.connections(1)?)?;
    let mut socket = Client::new(&ours, Way::Socket)?;
    bytes(bench, &mut table, "socket, alone", &socket, &mut ours.streams(1, 1)?)?;
    let busy = format!("socket, {IN_FLIGHT} in flight");
    bytes(bench, &mut table, &busy, &socket, &mut ours.streams(STREAMS, IN_FLIGHT)?)?;
    socket.count = BATCH;
    bytes(bench, &mut table, "socket, 100 in one request", &socket, &mut ours.streams(1, 1)?)?;
    client.count = 1;
    verifying(bench, &mut table, &ours, &mut client)?;
    table.print("On the wire, and at the client");
    Ok(())
}

fn bytes(bench: &Bench, table: &mut Table, figure: &str, client: &Client, links: &mut [Link]) -> Outcome<()> {
    let (phase, _) = work::issue(links, client, 0, &bench.effort.closed(&[]))?;
    let per_key = phase.bytes_per_answer() / f64::from(client.count);
    table.plain(format!("{figure}: bytes of answer per key"), format!("{per_key:.0}"));
    Ok(())
}

fn verifying(bench: &Bench, table: &mut Table, ours: &Ours, client: &mut Client) -> Outcome<()> {
    const SAMPLES: usize = 20;
    for (count, name) in [(1, "alone"), (BATCH, "in a batch of 100")] {
        client.count = count;
        let mut links = ours.connections(1)?;
        let (_, asked) = work::issue(&mut links, client, 2 * SAMPLES, &bench.effort.closed(&[]))?;
        let (mut cold, mut warm) = (Vec::new(), Vec::new());
        let mut documents = Vec::new();
        for (n, asked) in asked.into_iter().enumerate() {
            let request = asked.request.ok_or("no request")?;
            let answer = issued(asked.answer.ok_or("no answer")?)?;
            let (time, fresh) = (CheckTime::system(), ours.trust()?);
            let is_cold = n % 2 == 0;
            let trust = if is_cold { &fresh } else { client.trust() };
            let begun = thread_ns();
            let keys = request.verify_response(&answer, trust, &time)?;
            let each = (thread_ns() - begun) / keys.len() as f64;
            if is_cold { &mut cold } else { &mut warm }.push(each);
            documents.push(answer.document);
        }
        // The first one fills the verifier's cache.
        for (state, times) in [("cold", &cold[..]), ("warm", warm.get(1..).unwrap_or_default())] {
            table.plain(format!("verify_response per key, {name}, {state}"), us(times));
        }
        if count == 1 {
            for provider in Provider::all() {
                let verifier = ours.verifier(provider)?;
                let (mut cold, mut warm) = (Vec::new(), Vec::new());
                for document in &documents {
                    let (time, fresh) = (CheckTime::system(), ours.verifier(provider)?);
                    for (verifier, times) in [(&fresh, &mut cold), (&verifier, &mut warm)] {
                        let begun = thread_ns();
                        verifier.verify(document, &time)?;
                        times.push(thread_ns() - begun);
                    }
                }
                let name = provider.name();
                table.plain(format!("the document alone, {name}, cold"), us(&cold));
                table.plain(
                    format!("the document alone, {name}, warm"),
                    us(warm.get(1..).unwrap_or_default()),
                );
            }
        }
    }
    Ok(())
}

/// The median, in microseconds.
fn us(times: &[f64]) -> String {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).map_or(String::new(), |ns| format!("{:.1} µs", ns / 1000.0))
}
