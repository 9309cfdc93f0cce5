//! The memory of a parent, measured with real processes.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

const MIB: u64 = 1 << 20;

struct ParentProcess {
    child: Child,
    address: String,
}

impl ParentProcess {
    fn start(site: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ok2cry-parent"))
            .args([
                "--listen=127.0.0.1:0",
                "--enclave=unix:///nothing/listens/here.sock",
                "--log-level=error",
            ])
            .arg(format!("--release-site={}", site.display()))
            .args(args)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address }
    }

    /// The peak resident memory, in bytes.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Requests `path` and reads the first line of the response. The rest is then being sent.
    fn request(&self, path: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        (stream, String::from_utf8(line).unwrap())
    }
}

impl Drop for ParentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn site(bundle: u64) -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    // A sparse file.
    File::create(site.path().join("bundle.json")).unwrap().set_len(bundle).unwrap();
    fs::write(site.path().join("list.json"), "{}").unwrap();
    site
}

#[test]
fn a_stalled_reader_holds_one_chunk_of_a_file() {
    const READERS: u64 = 64;
    let site = site(16 * MIB);
    let parent = ParentProcess::start(site.path(), &["--max-connections=256"]);
    let before = parent.peak();
    let readers: Vec<_> = (0..READERS).map(|_| parent.request("/v1/release")).collect();
    assert!(readers.iter().all(|(_, line)| line.starts_with("HTTP/1.1 200 ")));
    let held = parent.peak() - before;
    assert!(held < READERS * MIB / 4 + 16 * MIB, "{} MiB for {READERS} readers", held / MIB);
    // A reader that reads gets the whole file.
    let (mut reader, _) = parent.request("/v1/release");
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert!(rest.len() as u64 > 16 * MIB);
    let again = parent.peak() - before;
    assert!(again < READERS * MIB / 4 + 16 * MIB, "{} MiB", again / MIB);
}

#[test]
fn file_readers_leave_half_of_the_connections_free() {
    let site = site(16 * MIB);
    let parent = ParentProcess::start(site.path(), &["--max-connections=16"]);
    let slow: Vec<_> = (0..8).map(|_| parent.request("/v1/release")).collect();
    assert!(slow.iter().all(|(_, line)| line.starts_with("HTTP/1.1 200 ")));
    let (mut refused, line) = parent.request("/v1/release/list.json");
    assert!(line.starts_with("HTTP/1.1 503 "), "{line}");
    let mut rest = String::new();
    refused.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"code\":\"busy\"") && rest.contains("retry-after: 1"), "{rest}");
    assert!(parent.request("/healthz").1.starts_with("HTTP/1.1 200 "));
}

#[test]
fn pages_and_metrics_stay_small() {
    let site = site(1);
    let parent = ParentProcess::start(site.path(), &[]);
    // The maximum number of labels: every route with every method.
    for path in
        ["/v1/keys", "/v1/keys/x", "/v1/keys/x/open", "/v1/attestation", "/v1/release", "/v1/release/x"]
            .into_iter()
            .chain(["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/nothing"])
    {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let mut stream = TcpStream::connect(&parent.address).unwrap();
            write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
    }
    for path in ["/metrics", "/openapi.json", "/docs"] {
        let (mut stream, line) = parent.request(path);
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() < 300 * 1024, "{path}: {} bytes", rest.len());
    }
}
