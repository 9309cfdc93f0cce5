//! How much of an enclave's processor time is elliptic curves.
//!
//! Judged by what a library takes alone on the machine, at its best. Under load every core is busy, and cores that share execution
//! units then take longer for the same: what that alone makes of the figure is printed beside it.

use super::{IN_FLIGHT, STREAMS};
use crate::{
    Bench, Outcome,
    client::{Client, Way},
    cpu::{NSM, alone_ns, busy_ns},
    drive::Phase,
    processes::{Ours, Setup},
    report::{Table, Target, rate},
    work,
};
use aws_lc_rs::agreement::{ECDH_P384, PrivateKey, UnparsedPublicKey, agree};
use p384::{SecretKey, ecdh::diffie_hellman};

pub fn topic(bench: &mut Bench) -> Outcome<()> {
    let mut table = Table::new();
    for (provider, raw, opens) in [("aws-lc", aws_lc as fn() -> _, 9000.0), ("portable", portable, 2000.0)] {
        let ours = Ours::start(&Setup { provider, ..Setup::ENCLAVE })?;
        let client = Client::new(&ours, Way::Socket)?;
        let pids = ours.pids();
        let plan = bench.effort.closed(&pids);
        let [generate, agree]: [Raw; 2] = raw()?;
        let keep = bench.effort.messages(opens, IN_FLIGHT);
        let (issued, asked) = work::issue(&mut ours.streams(STREAMS, IN_FLIGHT)?, &client, keep, &plan)?;
        let opened = work::open(&mut ours.streams(STREAMS, IN_FLIGHT)?, &client, asked, &plan)?;
        row(&mut table, &format!("{provider}: issue"), &issued, &generate, 0.65);
        row(&mut table, &format!("{provider}: open, key kept ready"), &opened, &agree, 0.6);
    }
    table.print("Elliptic curves, part of the enclave's processor time without the NSM's thread");
    Ok(())
}

fn row(table: &mut Table, figure: &str, phase: &Phase, raw: &Raw, target: f64) {
    let Some(cpu) = phase.cpu.first() else { return };
    let each = |ns: f64| ns / phase.answers as f64 / 1000.0;
    let all = each(cpu.without_nsm_ns());
    let [alone, busy] = [raw.alone_ns, raw.busy_ns].map(|ns| ns / 1000.0);
    let nsm = each(cpu.by_name().get(NSM).copied().unwrap_or(0.0));
    let measured = format!("{alone:.1} of {all:.1} µs, NSM {nsm:.1} µs");
    table.judged(figure, measured, alone / all, Target::AtLeast(target, ""));
    table.plain(
        format!("{figure}: by the library's time with every core busy"),
        format!("{busy:.1} µs, {:.2}", busy / all),
    );
    table.plain(format!("{figure}: rate"), rate(phase.per_second()));
    table.split(figure, phase);
}

/// What a library takes.
struct Raw {
    alone_ns: f64,
    busy_ns: f64,
}

const ROUNDS: usize = 31;
const TIMES: usize = 100;

fn raw<T>(work: impl Fn() -> T + Sync) -> Raw {
    Raw { alone_ns: alone_ns(ROUNDS, TIMES, &work), busy_ns: busy_ns(ROUNDS, TIMES, &work) }
}

/// Making a key, and ECDH with one that is kept ready.
fn aws_lc() -> Outcome<[Raw; 2]> {
    let (ours, theirs) = (PrivateKey::generate(&ECDH_P384)?, PrivateKey::generate(&ECDH_P384)?);
    let theirs = theirs.compute_public_key()?;
    Ok([
        raw(|| PrivateKey::generate(&ECDH_P384).and_then(|key| key.compute_public_key())),
        raw(|| {
            agree(&ours, UnparsedPublicKey::new(&ECDH_P384, theirs.as_ref()), (), |shared| {
                std::hint::black_box(shared);
                Ok(())
            })
        }),
    ])
}

fn portable() -> Outcome<[Raw; 2]> {
    let (ours, theirs) = (p384_key()?, p384_key()?.public_key());
    Ok([
        raw(|| p384_key().map(|key| key.public_key()).ok()),
        raw(|| *diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine()).raw_secret_bytes()),
    ])
}

fn p384_key() -> Outcome<SecretKey> {
    let mut scalar = [0; 48];
    getrandom::fill(&mut scalar)?;
    Ok(SecretKey::from_slice(&scalar)?)
}
