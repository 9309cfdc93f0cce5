//! Resident memory per key. Each kind of key is measured in a fresh process: memory that a process has used
//! before and not returned would hide the cost.

use ok2cry_enclave::keys::crypto::{CryptoProvider, PrivateKey, Provider};
use std::{env, error::Error, fs, hint::black_box, process::Command, sync::Arc, time::Instant};
use zeroize::Zeroizing;

/// The first argument of a process that measures for [`table`].
pub const CHILD: &str = "memory";
/// What a store would keep to import at every open: the scalar, and a reference count.
const SCALAR: &str = "scalar";

/// Prints bytes per key, at this number of keys.
pub fn table(keys: usize) -> Result<(), Box<dyn Error>> {
    println!("| key kept as | bytes per key at {keys} keys | first key, ms |");
    println!("|---|--:|--:|");
    for kind in [SCALAR].into_iter().chain(CryptoProvider::ALL.iter().map(|provider| provider.name())) {
        let output = Command::new(env::current_exe()?).args([CHILD, kind, &keys.to_string()]).output()?;
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Measures one kind of key, and prints its row.
pub fn child(kind: &str, keys: usize) -> Result<(), Box<dyn Error>> {
    if kind == SCALAR {
        let bytes = grow(keys, || Some(Arc::new(Zeroizing::new([1_u8; 48]))))?;
        println!("| a scalar, to be imported | {bytes} | |");
        return Ok(());
    }
    let crypto: &'static dyn Provider = kind.parse::<CryptoProvider>()?.provider();
    let begun = Instant::now();
    black_box(crypto.generate());
    let first_ms = begun.elapsed().as_secs_f64() * 1e3;
    let bytes = grow(keys, || crypto.generate().map(|(key, _): (Arc<dyn PrivateKey>, _)| key))?;
    println!("| {kind} | {bytes} | {first_ms:.0} |");
    Ok(())
}

/// Bytes of resident memory that each of `count` keys takes, without the list that holds them.
fn grow<T>(count: usize, mut make: impl FnMut() -> Option<T>) -> Result<usize, Box<dyn Error>> {
    let before = resident_bytes()?;
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        keys.push(make().ok_or("no key")?);
    }
    let grown = resident_bytes()?.saturating_sub(before + size_of_val(keys.as_slice()));
    black_box(&keys);
    Ok(grown / count)
}

fn resident_bytes() -> Result<usize, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}
