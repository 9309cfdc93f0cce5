//! The time from power on to the first attested key of a booted image: `make bench-image`. Medians of ten
//! boots.
//!
//! The kernel's share ends with its console line that it starts PID 1. The machine is emulated (TCG): compare
//! ratios only.

use ok2cry_mock_nsm::{MockPki, TimeSource};
use ok2cry_protocol::{
    descriptor::DeliverTo,
    ids::{Nonce, Purpose},
    rpc::{Answer, Call, Issue},
};
use ok2cry_testkit::{
    image::{self, Parts},
    machine::{Boot, Machine},
};
use std::{error::Error, path::Path, time::Instant};

const BOOTS: usize = 10;
/// The configuration of released images.
const CONFIG: &str = include_str!("../../../image/enclave.toml");

fn main() -> Result<(), Box<dyn Error>> {
    let folder = image::machine_folder().ok_or("OK2CRY_TEST_MACHINE is not set: run make bench-image")?;
    let image = Parts::new(&folder, CONFIG).build(&folder)?;
    let mut boots = (0..BOOTS).map(|_| boot(&folder, &image.eif())).collect::<Result<Vec<_>, _>>()?;
    let mut median = |of: fn(&Times) -> f64| {
        boots.sort_by(|a, b| of(a).total_cmp(&of(b)));
        boots.get(BOOTS / 2).map_or(f64::NAN, of)
    };
    let (kernel, served, key) = (median(|t| t.kernel_s), median(|t| t.served_s), median(|t| t.key_s));
    println!("from power on, median of {BOOTS} boots under TCG:");
    println!("  PID 1 starts                      {kernel:.2} s   1.00x");
    println!("  it serves                         {served:.2} s   {:.2}x", served / kernel);
    println!("  first attested key                {key:.2} s   {:.2}x   target: at most 1.20x", key / kernel);
    Ok(())
}

#[derive(Clone, Copy)]
struct Times {
    kernel_s: f64,
    served_s: f64,
    key_s: f64,
}

fn boot(folder: &Path, eif: &Path) -> Result<Times, Box<dyn Error>> {
    let pki = MockPki::generate(TimeSource::System.now_ms())?;
    let machine = Machine::start(folder, &Boot::new(eif.to_owned(), pki))?;
    let serves = Instant::now();
    let issue = Issue {
        nonce: Nonce::new([7; 32]).map_err(|_| "no nonce")?,
        purpose: Purpose::new("card-pin").map_err(|_| "no purpose")?,
        ttl: 60_000,
        deliver_to: DeliverTo::Recipient(*ok2cry_client::RecipientKey::generate()?.public_key()),
        count: 1,
    };
    let Ok(Answer::Issued(_)) = machine.stream()?.call(Call::Issue(issue))? else {
        return Err("the enclave issued no key".into());
    };
    let served_s = machine.took().as_secs_f64();
    let key_s = served_s + serves.elapsed().as_secs_f64();
    let kernel_s = machine.kernel_took().ok_or("the console has no line about PID 1")?.as_secs_f64();
    Ok(Times { kernel_s, served_s, key_s })
}
