//! HPKE in other languages: opens of one message, base mode, DHKEM(P-384, HKDF-SHA384), HKDF-SHA384,
//! AES-256-GCM.
//!
//! Every library opens the same message with a key that it has imported before, in a process of its own.
//! Their time is the processor time of all threads of that process. The programs are in `peers/`.

use crate::rows::Row;
use hpke::{Kem as _, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha384, kem::DhP384HkdfSha384};
use std::{
    error::Error,
    path::Path,
    process::{Command, Output},
};

const PLAINTEXT: &[u8] = b"1234567890123456";

/// A library in another language: its name, and the program that runs a script of `peers/`.
const PEERS: [(&str, &[&str], &str); 3] = [
    ("Python cryptography", &["python3"], "open.py"),
    ("Go crypto/hpke", &["go", "run"], "open.go"),
    ("npm hpke on Node", &["node"], "open.mjs"),
];

/// Prints the table, with the rows of our providers measured before. `rounds` of `round_ms` each; the best
/// counts.
pub fn table(rows: &[Row], rounds: usize, round_ms: u64) -> Result<(), Box<dyn Error>> {
    let ours: Vec<_> = rows.iter().filter(|row| row.name.ends_with(": open 16 bytes")).collect();
    let fastest_ns = ours.iter().map(|row| row.best_ns).fold(f64::MAX, f64::min);
    println!("| HPKE opens, P-384, base mode | µs | per second | x fastest of ours |");
    println!("|---|--:|--:|--:|");
    let print = |name: &str, ns: f64| {
        let (us, per_second, ratio) = (ns / 1000.0, 1e9 / ns, fastest_ns / ns);
        println!("| {name} | {us:.1} | {per_second:.0} | {ratio:.2} |");
    };
    ours.iter().for_each(|row| print(&row.name, row.best_ns));
    let message = Message::new()?;
    for (name, command, script) in PEERS {
        match message.open_by(command, script, rounds, round_ms) {
            Ok((version, ns)) => print(&format!("{name} {version}"), ns),
            Err(why) => println!("| {name} | SKIPPED: {why} | | |"),
        }
    }
    Ok(())
}

/// A private key, and a message to it, in hexadecimal.
struct Message {
    scalar: String,
    enc: String,
    ciphertext: String,
}

impl Message {
    fn new() -> Result<Self, Box<dyn Error>> {
        let (private, public) = DhP384HkdfSha384::gen_keypair();
        let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
            &OpModeS::Base,
            &public,
            b"info",
            PLAINTEXT,
            b"",
        )?;
        Ok(Self { scalar: hex(&private.to_bytes()), enc: hex(&enc.to_bytes()), ciphertext: hex(&ciphertext) })
    }

    /// The library's version, and the nanoseconds of an open in its best round. The error says why there is
    /// none.
    fn open_by(
        &self,
        command: &[&str],
        script: &str,
        rounds: usize,
        round_ms: u64,
    ) -> Result<(String, f64), String> {
        let (program, arguments) = command.split_first().ok_or("no program")?;
        let output = Command::new(program)
            .args(arguments)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script))
            .args([&self.scalar, &self.enc, &self.ciphertext, &hex(PLAINTEXT)])
            .args([rounds.to_string(), round_ms.to_string()])
            // The release that is installed, and no other that Go would fetch.
            .env("GOTOOLCHAIN", "local")
            .output();
        let Output { status, stdout, stderr } =
            output.map_err(|error| format!("`{program}` does not start: {error}"))?;
        if !status.success() {
            let stderr = String::from_utf8_lossy(&stderr);
            let line =
                stderr.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
            return Err(format!("`{}` failed: {line}", command.join(" ")));
        }
        let text = String::from_utf8_lossy(&stdout);
        let figures = text.trim().split_once(' ').and_then(|(version, ns)| Some((version, ns.parse().ok()?)));
        figures.map(|(version, ns)| (version.to_owned(), ns)).ok_or(format!("it prints {text:?}"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
