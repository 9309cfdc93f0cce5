//! Resident memory per key. A process that made other things before has room to spare and would hide the cost, so every
//! kind of key gets a process of its own.

use ok2cry_enclave::keys::crypto::{CryptoProvider, PrivateKey, Provider};
use std::{env, error::Error, fs, hint::black_box, process::Command, sync::Arc, time::Instant};
use zeroize::Zeroizing;

const KEYS: usize = 100_000;
/// What a store would keep to import at every open: the scalar, and a counter of references.
const SCALAR: &str = "scalar";

pub fn table() -> Result<(), Box<dyn Error>> {
    println!("| key kept as | bytes per key at {KEYS} keys | first key, ms |");
    println!("|---|--:|--:|");
    for kind in [SCALAR].into_iter().chain(CryptoProvider::ALL.iter().map(|provider| provider.name())) {
        let output = Command::new(env::current_exe()?).arg(kind).output()?;
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

pub fn child(kind: &str) -> Result<(), Box<dyn Error>> {
    if kind == SCALAR {
        let bytes = grow(|| Some(Arc::new(Zeroizing::new([1_u8; 48]))))?;
        println!("| a scalar, to be imported | {bytes} | |");
        return Ok(());
    }
    let crypto: &'static dyn Provider = kind.parse::<CryptoProvider>()?.provider();
    let begun = Instant::now();
    black_box(crypto.generate());
    let first_ms = begun.elapsed().as_secs_f64() * 1e3;
    let bytes = grow(|| crypto.generate().map(|(key, _): (Arc<dyn PrivateKey>, _)| key))?;
    println!("| {kind} | {bytes} | {first_ms:.0} |");
    Ok(())
}

/// Bytes of resident memory that each of [`KEYS`] keys takes, without the list that holds them.
fn grow<T>(mut make: impl FnMut() -> Option<T>) -> Result<usize, Box<dyn Error>> {
    let before = resident_bytes()?;
    let mut keys = Vec::with_capacity(KEYS);
    for _ in 0..KEYS {
        keys.push(make().ok_or("no key")?);
    }
    let grown = resident_bytes()?.saturating_sub(before + size_of_val(keys.as_slice()));
    black_box(&keys);
    Ok(grown / KEYS)
}

fn resident_bytes() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}
