//! The log lines of requests. This test has a file of its own, because it captures all log lines of the
//! process.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use common::{Action, FakeEnclave, issue_body, key_id, matching_answer, open_body};
use ok2cry_protocol::{code::Code, rpc::Call};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// One thread, so that the thread's subscriber receives the events of every task.
#[tokio::test(flavor = "current_thread")]
async fn log_lines_contain_no_secrets_and_no_identifiers() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber =
        fmt().with_max_level(tracing::Level::TRACE).json().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let enclave = FakeEnclave::start(|call| match call {
        Call::Open(_) => Action::Answer(Err(Code::OpenFailed.into())),
        Call::Destroy(_) => Action::SendAndClose(Vec::new()),
        call => Action::Answer(Ok(matching_answer(call))),
    });
    let service = enclave.service();
    let id = key_id();
    let issued = service.post("/v1/keys", issue_body().to_string()).await;
    let opened = service.post(&format!("/v1/keys/{id}/open"), open_body().to_string()).await;
    service.delete(&format!("/v1/keys/{id}")).await;
    let nonce = issue_body()["nonce"].as_str().unwrap().to_owned();
    service.get(&format!("/v1/attestation?nonce={nonce}")).await;
    service.get(&format!("/unknown/{id}?nonce={nonce}")).await;
    service.post("/v1/keys", format!("{{\"{id}\": \"{nonce}\"}}")).await;

    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = lines.iter().filter(|l| l["fields"]["message"] == "request").collect();
    let logged: Vec<_> = requests
        .iter()
        .map(|line| {
            let f = &line["fields"];
            let text = |name: &str| f[name].as_str().unwrap_or("").to_owned();
            (text("method"), text("route"), f["status"].as_u64().unwrap(), text("code"))
        })
        .collect();
    let line = |m: &str, r: &str, s: u64, c: &str| (m.to_owned(), r.to_owned(), s, c.to_owned());
    assert_eq!(
        logged,
        [
            line("POST", "/v1/keys", 200, ""),
            line("POST", "/v1/keys/{id}/open", 422, "open_failed"),
            line("DELETE", "/v1/keys/{id}", 503, "enclave_unavailable"),
            line("GET", "/v1/attestation", 200, ""),
            line("GET", "unmatched", 404, "not_found"),
            line("POST", "/v1/keys", 400, "body_invalid"),
        ]
    );
    assert!(requests.iter().all(|line| line["fields"]["duration_us"].is_u64()));
    assert_eq!(requests[0]["fields"]["request_id"], issued.header("x-request-id"));
    assert_eq!(requests[1]["fields"]["request_id"], opened.header("x-request-id"));

    let secret = open_body();
    for hidden in
        [id.as_str(), &nonce, secret["ciphertext"].as_str().unwrap(), secret["aad"].as_str().unwrap()]
    {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
}
