//! How much of an enclave's processor time is elliptic curves.
//!
//! The enclave runs on one core, and the libraries alone on the same core before and after each phase. Cores
//! that share execution units would distort the comparison.

use super::{IN_FLIGHT, STREAMS};
use crate::{
    Bench, Outcome,
    client::{Client, Way},
    cpu::{NSM, on_core, thread_ns_of},
    drive::{Phase, Plan},
    processes::{OTHER_CORE, Ours, SERVER_CORE, Setup},
    report::{Table, Target, rate},
    work,
};
use aws_lc_rs::agreement::{ECDH_P384, PrivateKey, UnparsedPublicKey, agree};
use p384::{SecretKey, ecdh::diffie_hellman};
use std::hint::black_box;

pub fn topic(bench: &mut Bench) -> Outcome<()> {
    let mut table = Table::new();
    for (provider, raw, opens) in [("aws-lc", aws_lc()?, 6000.0), ("portable", portable()?, 1600.0)] {
        let ours = Ours::start(&Setup { provider, pinned: true, ..Setup::ENCLAVE })?;
        let client = Client::new(&ours, Way::Socket)?;
        let pids = ours.pids();
        let plan = Plan { core: Some(OTHER_CORE), ..bench.effort.closed(&pids) };
        let keep = bench.effort.messages(opens, IN_FLIGHT);
        let streams = || ours.streams(STREAMS, IN_FLIGHT);
        let (generate, (issued, asked)) =
            beside(&*raw.generate, || work::issue(&mut streams()?, &client, keep, &plan))?;
        row(&mut table, &format!("{provider}: issue"), &issued, generate, 0.65);
        let (agree, opened) = beside(&*raw.agree, || work::open(&mut streams()?, &client, asked, &plan))?;
        row(&mut table, &format!("{provider}: open, key kept ready"), &opened, agree, 0.6);
    }
    table
        .print("Elliptic curves, part of the enclave's processor time without the NSM's thread: on one core");
    Ok(())
}

fn row(table: &mut Table, figure: &str, phase: &Phase, raw_us: f64, target: f64) {
    let Some(cpu) = phase.cpu.first() else { return };
    let each_us = |ns: f64| ns / phase.answers as f64 / 1000.0;
    let all = each_us(cpu.without_nsm_ns());
    let nsm = each_us(cpu.by_name().get(NSM).copied().unwrap_or(0.0));
    let measured = format!("{raw_us:.1} of {all:.1} µs, NSM {nsm:.1} µs");
    table.judged(figure, measured, raw_us / all, Target::AtLeast(target, ""));
    table.plain(format!("{figure}: rate"), rate(phase.per_second()));
    table.split(figure, phase);
}

/// A phase's figures, and the time of `raw` on the same core in microseconds: the smaller of the medians
/// before and after.
fn beside<T>(raw: &dyn Fn() -> Outcome<()>, phase: impl FnOnce() -> Outcome<T>) -> Outcome<(f64, T)> {
    const ROUNDS: usize = 25;
    const TIMES: usize = 100;
    let median_ns = || {
        let rounds = || (0..ROUNDS).map(|_| thread_ns_of(TIMES, raw)).collect::<Outcome<Vec<_>>>();
        let mut taken = on_core(Some(SERVER_CORE), rounds)?;
        taken.sort_by(f64::total_cmp);
        Outcome::Ok(taken[ROUNDS / 2])
    };
    let before = median_ns()?;
    let found = phase()?;
    Ok((before.min(median_ns()?) / TIMES as f64 / 1000.0, found))
}

/// A library's work for a key, and for an open with a key that is kept ready.
struct Raw {
    generate: Box<dyn Fn() -> Outcome<()>>,
    agree: Box<dyn Fn() -> Outcome<()>>,
}

fn aws_lc() -> Outcome<Raw> {
    let (ours, theirs) = (PrivateKey::generate(&ECDH_P384)?, PrivateKey::generate(&ECDH_P384)?);
    let theirs = theirs.compute_public_key()?;
    Ok(Raw {
        generate: Box::new(|| {
            black_box(PrivateKey::generate(&ECDH_P384)?.compute_public_key()?);
            Ok(())
        }),
        agree: Box::new(move || {
            agree(&ours, UnparsedPublicKey::new(&ECDH_P384, theirs.as_ref()), "refused".into(), |shared| {
                black_box(shared);
                Ok(())
            })
        }),
    })
}

fn portable() -> Outcome<Raw> {
    let (ours, theirs) = (p384_key()?, p384_key()?.public_key());
    Ok(Raw {
        generate: Box::new(|| {
            black_box(p384_key()?.public_key());
            Ok(())
        }),
        agree: Box::new(move || {
            black_box(diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine()));
            Ok(())
        }),
    })
}

fn p384_key() -> Outcome<SecretKey> {
    let mut scalar = [0; 48];
    getrandom::fill(&mut scalar)?;
    Ok(SecretKey::from_slice(&scalar)?)
}
