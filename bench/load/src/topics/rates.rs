//! Attested keys per second: at the enclave's socket, over HTTP, and with a slow NSM.

use super::{CONNECTIONS, IN_FLIGHT, STREAMS};
use crate::{
    Bench, Outcome,
    client::{Client, Way},
    drive::Phase,
    processes::{Ours, Setup},
    report::{Table, Target, rate},
    work,
};

/// The interface, and the number of requests in flight.
const SOCKET: (Way, usize) = (Way::Socket, IN_FLIGHT);
const HTTP: (Way, usize) = (Way::Http, CONNECTIONS);

pub fn socket(bench: &mut Bench) -> Outcome<()> {
    let mut table = Table::new();
    let plain = issue(bench, &Setup { one_per_document: true, ..Setup::ENCLAVE }, SOCKET)?;
    let batched = issue(bench, &Setup::ENCLAVE, SOCKET)?;
    compared(&mut table, &plain, &batched, 10.0);
    table.print(&format!(
        "Attested keys at the enclave's socket: {STREAMS} streams, {IN_FLIGHT} requests in flight"
    ));
    Ok(())
}

pub fn http(bench: &mut Bench) -> Outcome<()> {
    let mut table = Table::new();
    let plain = issue(bench, &Setup { one_per_document: true, ..Setup::SERVICE }, HTTP)?;
    let batched = issue(bench, &Setup::SERVICE, HTTP)?;
    bench.http_peak = Some(batched.per_second());
    compared(&mut table, &plain, &batched, 5.0);
    table.print(&format!("Attested keys over HTTP: {CONNECTIONS} connections"));
    Ok(())
}

/// The peak of keys per second.
pub fn http_peak(bench: &mut Bench) -> Outcome<f64> {
    if let Some(peak) = bench.http_peak {
        return Ok(peak);
    }
    let peak = issue(bench, &Setup::SERVICE, HTTP)?.per_second();
    bench.http_peak = Some(peak);
    Ok(peak)
}

pub fn slow_nsm(bench: &mut Bench) -> Outcome<()> {
    const USUAL_US: u64 = 1100;
    const LESS: f64 = 20.0;
    // A request waits for half a call and its own. With calls of 20 ms, 1024 in flight are at most 1024 in 30
    // ms.
    for under_way in [2 * IN_FLIGHT, IN_FLIGHT] {
        let mut table = Table::new();
        let mut usual = None;
        for nsm_latency_us in [USUAL_US, 5000, 20_000] {
            let figure = format!("{} ms a document", nsm_latency_us as f64 / 1000.0);
            let setup = Setup { nsm_latency_us, ..Setup::ENCLAVE };
            let phase = issue(bench, &setup, (Way::Socket, under_way))?;
            let per_second = phase.per_second();
            match usual {
                None => table.plain(&figure, rate(per_second)),
                Some(usual) => {
                    let fall = (1.0 - per_second / usual) * 100.0;
                    table.judged(&figure, rate(per_second), fall, Target::AtMost(LESS, " % less"));
                }
            }
            usual = usual.or(Some(per_second));
            table.split(&figure, &phase);
        }
        table.print(&format!("Keys a second with a slow NSM: at the socket, {under_way} requests in flight"));
    }
    Ok(())
}

fn compared(table: &mut Table, plain: &Phase, batched: &Phase, target: f64) {
    table.plain("one document per key", rate(plain.per_second()));
    let times = batched.per_second() / plain.per_second();
    table.judged("batched", rate(batched.per_second()), times, Target::AtLeast(target, "x"));
    for (figure, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        table.plain(
            format!("batched: {figure} at this load"),
            format!("{:.2} ms", batched.latency_ms(quantile)),
        );
    }
    table.plain("batched: bytes per answer", format!("{:.0}", batched.bytes_per_answer()));
    table.split("one document per key", plain);
    table.split("batched", batched);
}

/// A phase of issues at peak load. A sample of the keys is verified.
fn issue(bench: &Bench, setup: &Setup, (way, under_way): (Way, usize)) -> Outcome<Phase> {
    const VERIFIED: usize = 1000;
    let ours = Ours::start(setup)?;
    let client = Client::new(&ours, way)?;
    let mut links = match way {
        Way::Socket => ours.streams(STREAMS, under_way)?,
        Way::Http => ours.connections(under_way)?,
    };
    let (phase, asked) = work::issue(&mut links, &client, VERIFIED, &bench.effort.closed(&ours.pids()))?;
    crate::peer::seal_all(&client, asked)?;
    Ok(phase)
}
