//! Statements of an enclave: which ones answer a nonce.

use super::{
    Accepted, Client, Common, DOCUMENTS, Expected, Forge, Refused, Verdict, base64url, common, inclusion,
    nonce_32, ours, release_without, strict,
};
use crate::{
    Result,
    fixtures::{Hex, hex},
    raw,
};
use ok2cry_attest_forge::{NOW_MS, TIMESTAMP_MS};
use ok2cry_protocol::{Record as _, ids::Nonce, statement::Statement};
use serde::Serialize;
use serde_json::json;

#[derive(Serialize)]
pub(crate) struct File {
    #[serde(flatten)]
    common: Common,
    cases: Vec<Case>,
}

#[derive(Serialize)]
struct Case {
    name: String,
    nonce: Hex,
    #[serde(flatten)]
    client: Client,
    expected: Expected<Attested>,
}

/// What is known then.
#[derive(Serialize)]
struct Attested {
    instance_id: Hex,
    document_ms: u64,
    log_size: u64,
    log_root: Hex,
}

struct World {
    forge: Forge,
    statement: Statement,
    nonce: Vec<u8>,
    on_record: fn(Vec<u8>) -> Vec<u8>,
}

impl World {
    fn new() -> Self {
        let nonce = nonce_32("statement").to_vec();
        let statement = Statement { nonce: Nonce::new(nonce.clone()).unwrap(), time: TIMESTAMP_MS };
        Self { forge: Forge::new(NOW_MS), statement, nonce, on_record: |record| record }
    }

    fn case(&self, name: &str, verdict: Verdict) -> Case {
        let record = (self.on_record)(self.statement.encode());
        let (document, places) = self.forge.attest(std::slice::from_ref(&record));
        let mut answer = inclusion(&places[0]);
        answer["record"] = base64url(&record).into();
        answer["document"] = base64url(&document).into();
        let mut batch = ok2cry_attest_forge::Batch::of(&[record]);
        (self.forge.on_batch)(&mut batch);
        Case {
            name: name.to_owned(),
            nonce: hex(&self.nonce),
            client: self.forge.client(answer),
            expected: verdict.of(|| Attested {
                instance_id: hex(self.forge.instance().0),
                document_ms: TIMESTAMP_MS,
                log_size: batch.log_size,
                log_root: Hex(batch.log_root),
            }),
        }
    }
}

type Change = (&'static str, Verdict, fn(&mut World));

pub(crate) fn file() -> Result<File> {
    let mut cases = Vec::new();
    let mut add = |name: &str, verdict, change: &dyn Fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        cases.push(world.case(name, verdict));
    };
    for (name, verdict, change) in [good(), rules(), order()].concat() {
        add(name, verdict, &change);
    }
    for (name, code, change) in DOCUMENTS {
        add(name, Refused(code), &|w| change(&mut w.forge));
    }
    for (name, verdict, change) in strict::cases() {
        add(&name, verdict, &|w| change(&mut w.forge));
    }
    Ok(File {
        common: common(
            "Statements about a nonce, and what whoever asked must decide about them (docs/protocol.md, \
             Statement). All documents are genuine. How to read a case: tests/vectors/README.md.",
        ),
        cases,
    })
}

fn good() -> Vec<Change> {
    vec![
        ("a statement", Accepted, |_| {}),
        ("a statement alone in its batch", Accepted, |w| w.forge.others = (0, 0)),
        ("the shortest nonce", Accepted, |w| ask(w, &[7; 16])),
        ("the longest nonce", Accepted, |w| ask(w, &[7; 64])),
        ("a batch header with a log", Accepted, |w| {
            w.forge.on_batch = |b| (b.log_size, b.log_root) = ((1 << 53) - 1, vec![7; 32]);
        }),
        ("a document of exactly a minute", Accepted, |w| w.forge.now_ms = TIMESTAMP_MS + 60_000),
        ("a clock that is behind by the leeway", Accepted, |w| w.forge.now_ms = TIMESTAMP_MS - 60_000),
        ("made 60,000 ms before the document", Accepted, |w| w.statement.time -= 60_000),
        ("made 60,000 ms after the document", Accepted, |w| w.statement.time += 60_000),
        ("a document of the second of two releases", Accepted, |w| {
            w.forge.releases = Some(vec![release_without(&[0, 1, 2]), ours()]);
        }),
    ]
}

fn rules() -> Vec<Change> {
    const PLACE: Verdict = Refused("not_in_batch");
    const RECORD: Verdict = Refused("record_invalid");
    const NONCE: Verdict = Refused("nonce_mismatch");
    const FAR: Verdict = Refused("time_far_from_document");
    vec![
        ("a document of a minute and a millisecond", Refused("document_too_old"), |w| {
            w.forge.now_ms = TIMESTAMP_MS + 60_001;
        }),
        ("a document from the future", Refused("document_from_future"), |w| {
            w.forge.now_ms = TIMESTAMP_MS - 60_001;
        }),
        ("the index of another record", PLACE, |w| w.forge.on_answer = |a| a["index"] = 3.into()),
        ("an empty path", PLACE, |w| w.forge.on_answer = |a| a["path"] = json!([])),
        ("a path of 13 hashes", PLACE, |w| {
            w.forge.on_answer = |a| {
                let path = a["path"].as_array_mut().unwrap();
                path.resize(13, path[0].clone());
            };
        }),
        ("a statement that was not attested", PLACE, |w| {
            w.forge.on_answer = |a| {
                let other = Statement { time: TIMESTAMP_MS + 1, ..World::new().statement };
                a["record"] = base64url(&other.encode()).into();
            };
        }),
        ("a statement with a byte after it", RECORD, |w| w.on_record = |r| [r, vec![0]].concat()),
        ("a statement of another version", RECORD, |w| {
            w.on_record = |mut r| {
                r[21] = b'2';
                r
            };
        }),
        ("another record in the place of the statement", RECORD, |w| w.on_record = |_| raw::text("a record")),
        ("another nonce", NONCE, |w| w.nonce[31] ^= 1),
        ("the beginning of the nonce", NONCE, |w| w.statement.nonce = Nonce::new(&w.nonce[..16]).unwrap()),
        ("the nonce and more", NONCE, |w| {
            w.statement.nonce = Nonce::new([&w.nonce[..], &[0]].concat()).unwrap();
        }),
        ("made 60,001 ms before the document", FAR, |w| w.statement.time -= 60_001),
        ("made 60,001 ms after the document", FAR, |w| w.statement.time += 60_001),
        ("made at the beginning of time", FAR, |w| w.statement.time = 0),
        ("made at the end of time", FAR, |w| w.statement.time = (1 << 53) - 1),
    ]
}

/// Two rules broken at once: the first is reported.
fn order() -> Vec<Change> {
    vec![
        ("an old document of another release", Refused("document_too_old"), |w| {
            w.forge.releases = Some(vec![release_without(&[0])]);
            w.forge.now_ms = TIMESTAMP_MS + 60_001;
        }),
        ("a malformed statement that is not in the batch", Refused("not_in_batch"), |w| {
            w.forge.on_answer = |a| a["record"] = "AA".into();
        }),
        ("a malformed statement about another nonce", Refused("record_invalid"), |w| {
            w.nonce[0] ^= 1;
            w.on_record = |r| [r, vec![0]].concat();
        }),
        ("another nonce, far from the document", Refused("nonce_mismatch"), |w| {
            w.nonce[0] ^= 1;
            w.statement.time = 0;
        }),
        ("JSON: an answer that is a list of its fields", Refused("answer_invalid"), |w| {
            w.forge.on_answer = |a| *a = json!([a["record"], a["index"], a["path"], a["document"]]);
        }),
        ("JSON: no record", Refused("answer_invalid"), |w| {
            w.forge.on_answer = |a| drop(a.as_object_mut().unwrap().remove("record"));
        }),
        ("JSON: a record that is null", Refused("answer_invalid"), |w| {
            w.forge.on_answer = |a| a["record"] = serde_json::Value::Null;
        }),
    ]
}

fn ask(world: &mut World, nonce: &[u8]) {
    world.nonce = nonce.to_vec();
    world.statement.nonce = Nonce::new(nonce).unwrap();
}
