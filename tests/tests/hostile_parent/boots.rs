//! Two boots of one image under one root, and two sessions under one document.

use crate::{
    edits::{Edit, descriptors, exchanged, replies},
    sessions::{By, Refused, Rendezvous, Session},
};
use ok2cry_attest_verify::{CheckTime, Measurements, TrustAnchor};
use ok2cry_client::{KeyRequest, RecipientKey, Trust};
use ok2cry_enclave::{api::server::Listener, config::Config, run::Enclave};
use ok2cry_mock_nsm::{MockConfig, MockHandle, MockNsm, MockPki, TimeSource};
use ok2cry_testkit::{
    EnclaveStream, HostileParent,
    deployment::{CONFIG, start_parent},
    eventually,
    hostile_parent::{Exchange, Passing, Step},
    process::Process,
    raw_http,
};
use serde_json::Value;
use std::{
    mem,
    path::PathBuf,
    sync::{Arc, LazyLock},
    thread,
};
use tempfile::TempDir;

/// A parent that starts the enclave twice has two boots of one image under one root.
#[test]
fn two_boots_of_one_image_cannot_speak_for_each_other() {
    use By::*;
    let boots = [Boot::start(), Boot::start()];
    let trust = trust_in_boots();
    let recipient = RecipientKey::generate().unwrap();
    let cases: [(&str, Step, Edit, By, &str); 9] = [
        ("whole issue answers", Step::IssueAnswer, exchanged(""), Client, "nonce_mismatch"),
        ("documents", Step::IssueAnswer, exchanged("/document"), Client, "not_in_batch"),
        (
            "instances",
            Step::IssueAnswer,
            descriptors(|a, b| mem::swap(&mut a.key_id, &mut b.key_id)),
            Client,
            "not_in_batch",
        ),
        (
            "the keys that messages are for",
            Step::OpenRequest,
            Box::new(|a, b| mem::swap(&mut a.path, &mut b.path)),
            Service,
            "unknown_key",
        ),
        ("whole requests", Step::OpenRequest, Box::new(mem::swap), Service, "unknown_key"),
        ("replies", Step::OpenAnswer, exchanged("/sealed/reply"), Recipient, "reply_context_mismatch"),
        ("contexts", Step::OpenAnswer, exchanged("/sealed/context"), Recipient, "reply_context_mismatch"),
        ("documents", Step::OpenAnswer, exchanged("/sealed/context/document"), Recipient, "not_in_batch"),
        (
            "replies that name the other's context",
            Step::OpenAnswer,
            replies(|a, b| {
                mem::swap(a, b);
                mem::swap(&mut a.context_id, &mut b.context_id);
            }),
            Recipient,
            "instance_mismatch",
        ),
    ];
    for (name, step, edit, by, code) in cases {
        let rendezvous = Arc::new(Rendezvous::new(step, edit));
        let proxies = ["a", "b"].map(|session| {
            let (rendezvous, boot) = (Arc::clone(&rendezvous), &boots[usize::from(session == "b")]);
            HostileParent::start(&boot.url, move |e: &Exchange, p: &mut Passing| rendezvous.tamper(e, p))
                .unwrap()
        });
        let purpose = "card-pin";
        let sessions = ["a", "b"].map(|name| Session {
            name,
            purpose,
            ttl_ms: 60_000,
            aad: "order",
            recipient: &recipient,
        });
        let outcomes = rendezvous.run(&sessions, &trust, |name| proxies[usize::from(name == "b")].url(name));
        assert!(rendezvous.changed(), "{name}: the swap changed nothing");
        for outcome in outcomes {
            assert_eq!(outcome, Err(Refused { by, code: code.into() }), "{name} of two boots");
        }
    }
}

/// Group commit attests keys of different clients by one document. They must not become interchangeable.
#[test]
fn keys_of_two_sessions_under_one_document_stay_apart() {
    let (boot, trust) = (Boot::start(), trust_in_boots());
    let recipient = RecipientKey::generate().unwrap();
    let request =
        || KeyRequest::new("card-pin", std::time::Duration::from_secs(60), recipient.public_key()).unwrap();
    let (first, second) = (request(), request());

    // While the NSM is blocked by a first call, both requests join the next batch.
    boot.nsm.hang();
    let calls = boot.nsm.calls();
    let url = &boot.url;
    let post = |json: String| raw_http::post(url, "/v1/keys", &json).unwrap().body;
    let answers = thread::scope(|scope| {
        scope.spawn(|| post(request().to_json()));
        eventually("the NSM is called", || (boot.nsm.calls() > calls).then_some(()));
        let waiting = [first.to_json(), second.to_json()].map(|json| scope.spawn(move || post(json)));
        eventually("both requests wait at the enclave", || {
            let mut stream = EnclaveStream::connect(&boot.socket).unwrap();
            (stream.health().unwrap().live_keys == 3).then_some(())
        });
        boot.nsm.release();
        waiting.map(|thread| serde_json::from_slice::<Value>(&thread.join().unwrap()).unwrap())
    });
    let [mut a, mut b] = answers;
    assert_eq!(a["document"], b["document"]);
    mem::swap(&mut a, &mut b);
    let refused = first.verify(a.to_string().as_bytes(), &trust, &CheckTime::system());
    assert_eq!(refused.unwrap_err().code(), "nonce_mismatch");
    mem::swap(&mut a["keys"][0]["descriptor"], &mut b["keys"][0]["descriptor"]);
    let refused = second.verify(a.to_string().as_bytes(), &trust, &CheckTime::system());
    assert_eq!(refused.unwrap_err().code(), "not_in_batch");
}

/// One root for all enclaves of this process, as real enclaves share AWS's.
static PKI: LazyLock<MockPki> = LazyLock::new(|| MockPki::generate(TimeSource::System.now_ms()).unwrap());

fn trust_in_boots() -> Trust {
    let release = Measurements::new(MockConfig::default().measurements()).unwrap();
    Trust::new(TrustAnchor::from_pem(&PKI.root_pem()).unwrap(), [release]).unwrap()
}

/// An enclave in this process, so that tests control its root and its NSM. The parent is a process.
struct Boot {
    url: String,
    socket: PathBuf,
    nsm: MockHandle,
    _parent: Process,
    _runtime: tokio::runtime::Runtime,
    _folder: TempDir,
}

impl Boot {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("enclave.sock");
        let nsm = MockNsm::new(PKI.clone(), MockConfig::default());
        let handle = nsm.handle();
        let enclave = Enclave::start(Config::from_toml(CONFIG).unwrap(), Box::new(nsm)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let guard = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        drop(guard);
        runtime.spawn(enclave.serve(Listener::Unix(listener), std::future::pending()));
        let (parent, url) = start_parent(&socket, &[], &[]).unwrap();
        Self { url, socket, nsm: handle, _parent: parent, _runtime: runtime, _folder: folder }
    }
}
