//! The frozen answers in `tests/vectors/v1` get the listed verdicts: accepted keys, replies and statements,
//! and the codes of refusals. A module of the crate, because the nonce of a request cannot be set from
//! outside.

use crate::{
    Error, Expected, KeyRequest, Message, RecipientKey, ReplayEntry, ReplayGuard, ReplaySet, Trust,
    VerifiedKey,
    answer::{read_attested, read_opened, read_sealed},
};
use ok2cry_attest_verify::{CheckTime, Measurements, Policy, TrustAnchor};
use ok2cry_protocol::{
    http::OpenResponse,
    ids::{Nonce, Purpose},
    suite::PublicKey,
};
use p384::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use std::{collections::HashMap, convert::Infallible, time::Duration};

#[test]
fn keys_are_accepted_and_refused_as_the_vectors_say() {
    judge("issue.json", 200, |file, case, trust| {
        let time = time(file, case);
        let verified = request(&case["request"]).verify(&body(case), trust, &time);
        let found = verdict(verified.as_ref().map(|keys| keys.iter().map(key_json).collect::<Value>()));
        let mut outcomes = vec![(case["expected"].clone(), found)];
        if let (Some(seal), Ok(keys)) = (case.get("seal"), verified) {
            let time = CheckTime { now_ms: number(&seal["now_ms"]), ..time };
            let key = keys.into_iter().next().unwrap();
            let (plaintext, aad) = (&*bytes(&seal["plaintext"]), &*bytes(&seal["aad"]));
            let sealed = key.seal(&Message { plaintext, aad }, &time);
            outcomes.push((seal["expected"].clone(), verdict(sealed.as_ref().map(|_| json!(true)))));
        }
        outcomes
    });
}

#[test]
fn replies_are_accepted_and_refused_as_the_vectors_say() {
    judge("replies.json", 190, |file, case, trust| {
        let trust = case.get("max_age_ms").map_or(trust.clone(), |max| {
            trust.clone().with_max_reply_age(Duration::from_millis(number(max)))
        });
        let recipient = recipient(case.get("recipient").unwrap_or(&file["recipient"]));
        let purpose = Purpose::new(text(&case["expect"]["purpose"])).unwrap();
        let aad = bytes(&case["expect"]["aad"]);
        let mut guard = Recorder::default();
        for hash in case.get("seen").map_or(&[][..], list) {
            let descriptor_hash = bytes(hash).try_into().unwrap();
            let Ok(_) = guard.insert(&ReplayEntry { descriptor_hash, forget_at_ms: u64::MAX, now_ms: 0 });
        }
        let expected = &case["expected"];
        let until = &expected["accepted"]["remember_until_ms"];
        let mut open = || {
            let opened = read_sealed(&body(case)).and_then(|reply| {
                let expected = Expected { purpose: &purpose, aad: &aad };
                Ok(recipient.open(&reply, &expected, &trust, &time(file, case), &mut guard)?)
            });
            verdict(opened.as_ref().map(|opened| {
                let forget_at = guard.forget_at_ms;
                let is_long_enough = forget_at >= until.as_u64().unwrap_or_default();
                json!({
                    "plaintext": hex(&opened.plaintext),
                    "descriptor_hash": hex(opened.descriptor.hash()),
                    "remember_until_ms": if is_long_enough { until.clone() } else { forget_at.into() },
                })
            }))
        };
        let again = match expected.get("accepted") {
            Some(_) => json!({"refused": "reply_replayed"}),
            None => expected.clone(),
        };
        vec![(expected.clone(), open()), (again, open())]
    });
}

#[test]
fn answers_to_callers_are_read_as_the_vectors_say() {
    let file = file("replies.json");
    for case in list(&file["caller_answers"]) {
        let answer = read_opened(text(&case["answer"]).as_bytes());
        let read = match &answer {
            Ok(OpenResponse::Plaintext(plaintext)) => Ok(json!({"plaintext": hex(&plaintext.0)})),
            // A caller that requested plaintext refuses a sealed reply.
            Ok(OpenResponse::Sealed(_)) => Err(&Error::DeliveryMode),
            Err(error) => Err(error),
        };
        assert_eq!(verdict(read), case["expected"], "{}", case["name"]);
    }
    assert!(list(&file["caller_answers"]).len() > 15);
}

#[test]
fn statements_are_accepted_and_refused_as_the_vectors_say() {
    judge("statements.json", 130, |file, case, trust| {
        let nonce = Nonce::new(bytes(&case["nonce"])).unwrap();
        let batch = read_attested(&body(case))
            .and_then(|answer| trust.verify_statement(&nonce, &answer, &time(file, case)));
        let found = verdict(batch.as_ref().map(|batch| {
            let (log_size, log_root) = batch.log_head();
            json!({
                "instance_id": batch.instance().to_string(),
                "document_ms": batch.timestamp_ms(),
                "log_size": log_size,
                "log_root": hex(&log_root),
            })
        }));
        vec![(case["expected"].clone(), found)]
    });
}

#[test]
fn anchors_and_measurements_are_taken_as_the_vectors_say() {
    let file = file("trust.json");
    let check = |name: &Value, expected: &Value, found: Result<Value, ok2cry_attest_verify::Error>| {
        let found = match found {
            Ok(accepted) => json!({"accepted": accepted}),
            Err(error) => json!({"refused": error.code()}),
        };
        assert_eq!(found, *expected, "{name}");
    };
    for case in list(&file["anchors"]) {
        let anchor = match case.get("der") {
            Some(der) => TrustAnchor::from_der(&bytes(der)),
            None => TrustAnchor::from_pem(text(&case["pem"])),
        };
        let found = anchor.map(|anchor| hex(&anchor.fingerprint()).into());
        check(&case["name"], &case["expected"], found);
    }
    let pcrs = |set: &Value| -> Vec<(u8, [u8; 48])> {
        let of = |pcr: &Value| (u8::try_from(number(&pcr[0])).unwrap(), bytes(&pcr[1]).try_into().unwrap());
        list(set).iter().map(of).collect()
    };
    for case in list(&file["measurements"]) {
        check(&case["name"], &case["expected"], Measurements::new(pcrs(&case["pcrs"])).map(|_| json!(true)));
    }
    for case in list(&file["policies"]) {
        let releases = list(&case["releases"]).iter().map(|set| Measurements::new(pcrs(set)).unwrap());
        check(&case["name"], &case["expected"], Policy::new(releases).map(|_| json!(true)));
    }
    assert!(list(&file["anchors"]).len() > 25);
    for case in list(&file["recipients"]) {
        let key = crate::recipient_public_key(text(&case["text"]));
        let found = verdict(key.as_ref().map(|key| hex(key.as_bytes()).into()));
        assert_eq!(found, case["expected"], "{}", case["name"]);
    }
    assert!(list(&file["recipients"]).len() > 25);
    for case in list(&file["measurement_files"]) {
        let read = crate::measurements::from_nitro_cli_json(text(&case["text"]));
        let found = verdict(
            read.as_ref().map(|set| set.iter().map(|(index, value)| json!([index, hex(value)])).collect()),
        );
        assert_eq!(found, case["expected"], "{}", case["name"]);
    }
    assert!(list(&file["measurement_files"]).len() > 30);
}

/// Expected and found.
type Outcome = (Value, Value);

/// Checks every case of a file with a new client, and with one that has verified the cases before it.
fn judge(name: &str, at_least: usize, outcomes: impl Fn(&Value, &Value, &Trust) -> Vec<Outcome>) {
    let file = file(name);
    let mut experienced: HashMap<String, Trust> = HashMap::new();
    for case in list(&file["cases"]) {
        let accepted = format!("{} {}", case["attestation_root"], case["releases"]);
        let experienced = experienced.entry(accepted).or_insert_with(|| trust(&file, case));
        for trust in [&trust(&file, case), &*experienced] {
            for (expected, found) in outcomes(&file, case, trust) {
                assert_eq!(found, expected, "{name}: {}", case["name"]);
            }
        }
    }
    assert!(list(&file["cases"]).len() >= at_least, "{name}");
}

fn trust(file: &Value, case: &Value) -> Trust {
    let of = |field: &str| case.get(field).unwrap_or(&file[field]).clone();
    let anchor = TrustAnchor::from_der(&bytes(&of("attestation_root"))).unwrap();
    let releases = of("releases");
    let releases = list(&releases).iter().map(|set| {
        let pcrs = set.as_object().unwrap().iter();
        let pcrs = pcrs.map(|(index, pcr)| (index.parse().unwrap(), bytes(pcr).try_into().unwrap()));
        Measurements::new(pcrs).unwrap()
    });
    Trust::new(anchor, releases).unwrap()
}

fn request(asked: &Value) -> KeyRequest {
    let (purpose, ttl) = (text(&asked["purpose"]), Duration::from_millis(number(&asked["ttl"])));
    let request = match text(&asked["recipient"]) {
        "caller" => KeyRequest::insecure_deliver_to_caller(purpose, ttl),
        point => KeyRequest::new(purpose, ttl, &PublicKey::new(&unhex(point)).unwrap()),
    };
    let request = request.unwrap().with_nonce(Nonce::new(bytes(&asked["nonce"])).unwrap());
    request.with_count(u32::try_from(number(&asked["count"])).unwrap()).unwrap()
}

fn key_json(key: &VerifiedKey) -> Value {
    json!({
        "key_id": key.key_id().to_base64url(),
        "instance_id": key.instance().to_string(),
        "public_key": hex(key.descriptor().public_key.as_bytes()),
        "issued_at": key.descriptor().issued_at,
        "expires_at": key.expires_at_ms(),
        "descriptor_hash": hex(key.descriptor().hash()),
    })
}

fn recipient(pair: &Value) -> RecipientKey {
    let key = p384::SecretKey::from_slice(&bytes(&pair["private_key"])).unwrap();
    let recipient = RecipientKey::from_pem(&key.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
    assert_eq!(recipient.public_key().as_bytes()[..], bytes(&pair["public_key"]));
    recipient
}

/// A replay guard that also keeps the last `forget_at_ms`.
#[derive(Default)]
struct Recorder {
    set: ReplaySet,
    forget_at_ms: u64,
}

impl ReplayGuard for Recorder {
    type Error = Infallible;

    fn insert(&mut self, entry: &ReplayEntry) -> Result<bool, Infallible> {
        self.forget_at_ms = entry.forget_at_ms;
        self.set.insert(entry)
    }
}

fn verdict(result: Result<Value, &Error>) -> Value {
    match result {
        Ok(accepted) => json!({"accepted": accepted}),
        Err(error) => json!({"refused": error.code()}),
    }
}

fn time(file: &Value, case: &Value) -> CheckTime {
    CheckTime { now_ms: number(&case["now_ms"]), leeway_ms: number(&file["leeway_ms"]) }
}

fn body(case: &Value) -> Vec<u8> {
    match case.get("answer_bytes") {
        Some(body) => bytes(body),
        None => {
            let then = case.get("answer_then").map(|then| (text(&then["text"]), number(&then["count"])));
            let then = then.map_or(String::new(), |(text, count)| text.repeat(count.try_into().unwrap()));
            [text(&case["answer"]), &then].concat().into_bytes()
        }
    }
}

fn file(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/v1/");
    serde_json::from_slice(&std::fs::read(format!("{folder}{name}")).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(text(value))
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
