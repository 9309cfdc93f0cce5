//! The program: start, configuration errors and shutdown.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ok2cry-parent"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn it_prints_its_address_serves_and_stops_on_a_signal() {
    for signal in ["-TERM", "-INT"] {
        let mut child = program()
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .env("OK2CRY_PARENT_ENCLAVE", "unix:///nothing/listens/here.sock")
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");

        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
    }
}

#[test]
fn it_does_not_start_with_an_invalid_configuration() {
    let variable = program().env("OK2CRY_PARENT_LISTNE", "x").output().unwrap();
    assert_eq!(
        refused(&variable),
        "ok2cry-parent: environment: OK2CRY_PARENT_LISTNE is not a setting; see --help\n"
    );
    assert!(refused(&program().arg("--listne").output().unwrap()).contains("--listne"));
    let nothing = refused(&program().output().unwrap());
    assert!(nothing.contains("enclave is required"), "{nothing}");
}

#[test]
fn it_starts_beside_a_kubernetes_service_of_its_name() {
    let mut child = program()
        .args(["--listen", "localhost:0", "--enclave=unix:///e.sock"])
        .envs([
            ("OK2CRY_PARENT_SERVICE_HOST", "10.0.0.11"),
            ("OK2CRY_PARENT_SERVICE_PORT_HTTP", "8080"),
            ("OK2CRY_PARENT_PORT", "tcp://10.0.0.11:8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_ADDR", "10.0.0.11"),
        ])
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().args(["--enclave=unix:///e.sock", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&format!("cannot listen on {address}")), "{text}");
}

#[test]
fn help_lists_the_settings() {
    let output = program().arg("--help").output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("--enclave <URL>"));
}
