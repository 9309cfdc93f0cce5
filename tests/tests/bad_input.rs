//! Each malformed input is refused with its own code, and affects no other request.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::RecipientKey;
use ok2cry_protocol::{
    cbor::Writer,
    code::Code::{self, *},
    frame::{self, MAX_REQUEST},
    ids::Nonce,
    rpc::{Answer, Call, KeyState, Open, Request},
};
use ok2cry_testkit::{Deployment, EnclaveStream, Options, any_hpke, eventually, raw_http};
use serde_json::{Value, json};
use std::io::Write as _;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn a_bad_issue_request_gets_its_own_code() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let good = issue_body();
    assert_eq!(post(&deployment, "/v1/keys", &good.to_string()), Ok(200));
    let text = good.to_string();

    let not_json = ["", " ", "{", "nonsense", "null", "[]", "\"\"", "1", "{}{}", "\u{feff}{}"];
    for body in not_json.map(str::to_owned).into_iter().chain([format!("{text} x"), format!("[{text}]")]) {
        assert_eq!(post(&deployment, "/v1/keys", &body), Err(BodyInvalid), "{body:?}");
    }
    let deep = format!("{{\"nonce\":{}", "[".repeat(10_000));
    assert_eq!(post(&deployment, "/v1/keys", &deep), Err(BodyInvalid));
    let not_utf8 = raw_http::request(deployment.url(), "POST", "/v1/keys", JSON, b"{\"purpose\":\"\xff\"}");
    assert_eq!(not_utf8.unwrap().refusal().unwrap(), BodyInvalid);

    let twice = text.replacen('{', "{\"ttl\":1,", 1);
    assert_eq!(post(&deployment, "/v1/keys", &twice), Err(BodyInvalid));
    for field in ["nonce", "purpose", "ttl", "recipient"] {
        let mut lacking = good.clone();
        lacking.as_object_mut().unwrap().remove(field);
        assert_eq!(post(&deployment, "/v1/keys", &lacking.to_string()), Err(BodyInvalid), "without {field}");
    }

    for (place, value, code) in bad_issue_fields() {
        let mut bad = good.clone();
        match bad.pointer_mut(place) {
            Some(part) => *part = value.clone(),
            None => bad[&place[1..]] = value.clone(),
        }
        assert_eq!(post(&deployment, "/v1/keys", &bad.to_string()), Err(code), "{place} = {value}");
    }
    for (what, point) in invalid_points() {
        let mut bad = good.clone();
        bad["recipient"]["public_key"] = json!(Base64UrlUnpadded::encode_string(&point));
        assert_eq!(post(&deployment, "/v1/keys", &bad.to_string()), Err(RecipientKeyInvalid), "{what}");
    }
    for (place, name) in [("", "ttl_ms"), ("/recipient", "key")] {
        let mut bad = good.clone();
        bad.pointer_mut(place).unwrap()[name] = json!(1);
        let code = if place.is_empty() { BodyInvalid } else { RecipientInvalid };
        assert_eq!(post(&deployment, "/v1/keys", &bad.to_string()), Err(code), "{place}/{name}");
    }
    undisturbed(&deployment, 1);
}

/// A place in a good issue request, a bad value for it, and the code of the refusal.
fn bad_issue_fields() -> Vec<(&'static str, Value, Code)> {
    let bytes = |n: usize| json!(Base64UrlUnpadded::encode_string(&vec![7; n]));
    vec![
        ("/nonce", bytes(15), NonceInvalid),
        ("/nonce", bytes(65), NonceInvalid),
        ("/nonce", json!(""), NonceInvalid),
        ("/nonce", json!("not base64!"), BodyInvalid),
        ("/nonce", json!("BwcHBwcHBwcHBwcHBwcHBw=="), BodyInvalid),
        ("/nonce", json!("++++++++++++++++++++++++"), BodyInvalid),
        ("/nonce", json!("BwcHBwcHBwcHBwcHBwcHBx"), BodyInvalid),
        ("/nonce", json!(7), BodyInvalid),
        ("/nonce", Value::Null, BodyInvalid),
        ("/purpose", json!(""), PurposeInvalid),
        ("/purpose", json!("Card PIN"), PurposeInvalid),
        ("/purpose", json!("p".repeat(65)), PurposeInvalid),
        ("/purpose", json!("card-pin\u{0}"), PurposeInvalid),
        ("/purpose", json!("other"), PurposeUnknown),
        ("/purpose", json!(["card-pin"]), BodyInvalid),
        ("/ttl", json!(0), TtlOutOfRange),
        ("/ttl", json!(600_001), TtlOutOfRange),
        ("/ttl", json!(u64::MAX), TtlOutOfRange),
        ("/ttl", json!(-1), TtlOutOfRange),
        ("/ttl", json!("60000"), BodyInvalid),
        ("/ttl", json!(1.5), BodyInvalid),
        ("/count", json!(0), CountOutOfRange),
        ("/count", json!(101), CountOutOfRange),
        ("/count", json!(-1), CountOutOfRange),
        ("/count", json!(1u64 << 32), CountOutOfRange),
        ("/count", Value::Null, BodyInvalid),
        ("/recipient", json!("caller"), CallerNotAllowed),
        ("/recipient", json!("nobody"), RecipientInvalid),
        ("/recipient", json!(""), RecipientInvalid),
        ("/recipient", json!(7), RecipientInvalid),
        ("/recipient", Value::Null, RecipientInvalid),
        ("/recipient", json!({}), RecipientInvalid),
        ("/recipient/suite", json!([17, 2]), RecipientInvalid),
        ("/recipient/suite", json!([17, 2, 65_536]), RecipientInvalid),
        ("/recipient/suite", json!([16, 1, 1]), SuiteUnsupported),
        ("/recipient/suite", json!([17, 2, 3]), SuiteUnsupported),
        ("/recipient/suite", json!([0, 0, 0]), SuiteUnsupported),
        ("/recipient/public_key", json!("not base64!"), BodyInvalid),
        ("/recipient/public_key", json!(""), RecipientKeyInvalid),
    ]
}

#[test]
fn a_bad_open_request_gets_its_own_code() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let message = key
        .seal(&ok2cry_client::Message { plaintext: b"1234", aad: b"order 17" }, &CheckTime::system())
        .unwrap();
    let good = serde_json::to_value(message.body()).unwrap();
    let path = format!("/v1/keys/{}/open", message.key_id.to_base64url());

    let bytes = |n: usize| json!(Base64UrlUnpadded::encode_string(&vec![7; n]));
    for (field, value, code) in [
        ("enc", json!(""), EncInvalid),
        ("enc", json!("A"), BodyInvalid),
        ("enc", Value::Null, BodyInvalid),
        ("ciphertext", json!(""), CiphertextInvalid),
        ("ciphertext", bytes(15), CiphertextInvalid),
        ("ciphertext", bytes(4113), CiphertextInvalid),
        ("ciphertext", json!("\u{fc}"), BodyInvalid),
        ("aad", bytes(1025), AadInvalid),
        ("aad", json!("AA=="), BodyInvalid),
        ("aad", json!({}), BodyInvalid),
        ("plaintext", json!("MTIzNA"), BodyInvalid),
    ] {
        let mut bad = good.clone();
        bad[field] = value.clone();
        assert_eq!(post(&deployment, &path, &bad.to_string()), Err(code), "{field} = {value}");
    }
    for field in ["enc", "ciphertext", "aad"] {
        let mut lacking = good.clone();
        lacking.as_object_mut().unwrap().remove(field);
        assert_eq!(post(&deployment, &path, &lacking.to_string()), Err(BodyInvalid), "without {field}");
    }
    for (what, point) in invalid_points() {
        let mut bad = good.clone();
        bad["enc"] = json!(Base64UrlUnpadded::encode_string(&point));
        assert_eq!(post(&deployment, &path, &bad.to_string()), Err(EncInvalid), "{what}");
    }
    // The longest allowed fields are not refused for their length.
    for (field, value) in [("ciphertext", bytes(4112)), ("ciphertext", bytes(16)), ("aad", bytes(1024))] {
        let mut longest = good.clone();
        longest[field] = value;
        assert_eq!(post(&deployment, &path, &longest.to_string()), Err(OpenFailed), "the longest {field}");
    }
    // The key is still usable.
    assert_eq!(post(&deployment, &path, &good.to_string()), Ok(200));
    undisturbed(&deployment, 0);
}

#[test]
fn a_bad_address_method_query_or_type_gets_its_own_code() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let body = issue_body().to_string();
    let id = "A".repeat(32);
    let (key, open) = (format!("/v1/keys/{id}"), format!("/v1/keys/{id}/open"));
    let nonce = Base64UrlUnpadded::encode_string(&[7; 32]);
    let attestation = |query: &str| format!("/v1/attestation?{query}");
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let form: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

    for (method, path, headers, body, code) in [
        ("GET", "/", JSON, "", NotFound),
        ("GET", "/v1", JSON, "", NotFound),
        ("POST", "/v1/keys/", JSON, &body, NotFound),
        ("POST", "/v2/keys", JSON, &body, NotFound),
        ("POST", "/v1/v1/keys", JSON, &body, NotFound),
        ("POST", "//v1/keys", JSON, &body, NotFound),
        ("POST", "/keys", JSON, &body, NotFound),
        ("GET", "/v1/keys", JSON, "", MethodNotAllowed),
        ("PUT", "/v1/keys", JSON, &body, MethodNotAllowed),
        ("POST", &key, JSON, "{}", MethodNotAllowed),
        ("GET", &open, JSON, "", MethodNotAllowed),
        ("POST", "/v1/attestation", JSON, "{}", MethodNotAllowed),
        ("POST", "/v1/keys", &[], &body, MediaTypeUnsupported),
        ("POST", "/v1/keys", text, &body, MediaTypeUnsupported),
        ("POST", "/v1/keys", form, &body, MediaTypeUnsupported),
        ("POST", &open, text, "{}", MediaTypeUnsupported),
        ("POST", "/v1/keys?ttl=1", JSON, &body, QueryInvalid),
        ("GET", &format!("{key}?x"), JSON, "", QueryInvalid),
        ("GET", "/v1/attestation", JSON, "", QueryInvalid),
        ("GET", &attestation("nonce=!"), JSON, "", QueryInvalid),
        ("GET", &attestation("nonce=AA=="), JSON, "", QueryInvalid),
        ("GET", &attestation(&format!("nonce={nonce}&nonce={nonce}")), JSON, "", QueryInvalid),
        ("GET", &attestation(&format!("nonce={nonce}&x=1")), JSON, "", QueryInvalid),
        ("GET", &attestation("nonce=AAAA"), JSON, "", NonceInvalid),
        ("GET", &attestation(&format!("nonce={}", "A".repeat(85))), JSON, "", QueryInvalid),
        ("GET", &attestation(&format!("nonce={}", "A".repeat(87))), JSON, "", NonceInvalid),
        ("GET", &key, JSON, "", UnknownKey),
        ("DELETE", &key, JSON, "", UnknownKey),
        ("GET", "/v1/keys/AAAA", JSON, "", KeyIdInvalid),
        ("GET", &format!("/v1/keys/{id}A"), JSON, "", KeyIdInvalid),
        ("GET", &format!("/v1/keys/{}", "+".repeat(32)), JSON, "", KeyIdInvalid),
        ("GET", &format!("/v1/keys/{}", "%FF".repeat(32)), JSON, "", KeyIdInvalid),
        ("DELETE", "/v1/keys/%2e%2e", JSON, "", KeyIdInvalid),
        ("POST", "/v1/keys/x/open", JSON, "{}", KeyIdInvalid),
    ] {
        let answer = raw_http::request(deployment.url(), method, path, headers, body.as_bytes()).unwrap();
        assert_eq!(answer.refusal().unwrap(), code, "{method} {path} {headers:?}");
    }
    let charset: &[(&str, &str)] = &[("content-type", "Application/JSON; charset=utf-8")];
    let fine = raw_http::request(deployment.url(), "POST", "/v1/keys", charset, body.as_bytes()).unwrap();
    assert_eq!(fine.status(), 200);
    undisturbed(&deployment, 1);
}

#[test]
fn a_request_without_one_good_host_gets_its_own_code() {
    let deployment = Deployment::start(Options::default()).unwrap();
    for (version, hosts, code) in [
        ("1.1", &[][..], Some(HostInvalid)),
        ("1.1", &["a", "a"], Some(HostInvalid)),
        ("1.1", &["a", "b"], Some(HostInvalid)),
        ("1.1", &[""], Some(HostInvalid)),
        ("1.1", &["a/b"], Some(HostInvalid)),
        ("1.1", &["user@a"], Some(HostInvalid)),
        ("1.1", &["[::1"], Some(HostInvalid)),
        ("1.1", &["a:65536"], Some(HostInvalid)),
        ("1.0", &["a", "b"], Some(HostInvalid)),
        ("1.0", &[], None),
        ("1.1", &["a.example:8080"], None),
        ("1.1", &["[::1]:8080"], None),
    ] {
        let hosts: String = hosts.iter().map(|host| format!("host: {host}\r\n")).collect();
        let request = format!("GET /healthz HTTP/{version}\r\n{hosts}connection: close\r\n\r\n");
        let answer = raw_http::send(deployment.url(), request.as_bytes()).unwrap();
        match code {
            Some(code) => assert_eq!(answer.refusal().unwrap(), code, "{request}"),
            None => assert_eq!(answer.status(), 200, "{request}"),
        }
    }
    undisturbed(&deployment, 0);
}

#[test]
fn a_body_in_another_encoding_gets_its_own_code() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let text = issue_body().to_string();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = format!("\u{feff}{text}").into_bytes();
    let json = ("content-type", "application/json");
    for (headers, body, code, told) in [
        (
            &[json, ("content-encoding", "gzip")][..],
            text.as_bytes(),
            MediaTypeUnsupported,
            "content-encoding: ",
        ),
        (&[json, ("content-encoding", "br")], text.as_bytes(), MediaTypeUnsupported, "content-encoding: "),
        (
            &[("content-type", "application/json; charset=utf-16")],
            &utf16,
            MediaTypeUnsupported,
            "content-type: ",
        ),
        (&[json, json], text.as_bytes(), MediaTypeUnsupported, "content-type: "),
        (&[json], &utf16, BodyInvalid, "body: looks like UTF-16"),
        (&[json], &marked, BodyInvalid, "body: begins with a byte order mark"),
        (&[json], &[0x1f, 0x8b, 8, 0], BodyInvalid, "body: looks like gzip"),
    ] {
        let answer = raw_http::request(deployment.url(), "POST", "/v1/keys", headers, body).unwrap();
        assert_eq!(answer.refusal().unwrap(), code, "{told}");
        assert!(answer.text().contains(&format!("\"detail\":\"{told}")), "{}", answer.text());
    }
    undisturbed(&deployment, 0);
}

#[test]
fn a_body_that_is_too_long_is_refused_without_being_read() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let refused = |bytes: &[u8]| raw_http::send(deployment.url(), bytes).unwrap().refusal().unwrap();
    let head = |rest: &str| {
        format!(
            "POST /v1/keys HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{rest}\r\n\r\n"
        )
    };
    // Announced, but not sent.
    assert_eq!(refused(head("content-length: 16385").as_bytes()), BodyTooLarge);
    assert_eq!(refused(head("content-length: 9223372036854775807").as_bytes()), BodyTooLarge);
    // Chunked, without an announced length or an end.
    let piece = [b"4000\r\n".to_vec(), vec![b' '; 0x4000], b"\r\n".to_vec()].concat();
    let endless = [head("transfer-encoding: chunked").into_bytes(), piece.clone(), piece].concat();
    assert_eq!(refused(&endless), BodyTooLarge);
    // Written completely before the answer is read, as most clients do: the answer must not be lost.
    let long = vec![b' '; 8 << 20];
    let mut stream = raw_http::connect(deployment.url()).unwrap();
    stream.write_all(head(&format!("content-length: {}", long.len())).as_bytes()).unwrap();
    stream.write_all(&long).unwrap();
    let answer = raw_http::Message::read(&mut std::io::BufReader::new(stream)).unwrap();
    assert_eq!((answer.refusal().unwrap(), answer.header("connection")), (BodyTooLarge, "close"));
    // The longest allowed body is read, and refused for its contents.
    let longest = [head("content-length: 16384").into_bytes(), vec![b' '; 16384]].concat();
    assert_eq!(refused(&longest), BodyInvalid);
    undisturbed(&deployment, 0);
}

#[test]
fn a_body_that_does_not_arrive_times_out() {
    let options = Options { parent_args: vec!["--body-timeout-ms=200".into()], ..Options::default() };
    let deployment = Deployment::start(options).unwrap();
    let head =
        "POST /v1/keys HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    assert_eq!(raw_http::send(deployment.url(), head.as_bytes()).unwrap().refusal().unwrap(), RequestTimeout);
    undisturbed(&deployment, 0);
}

#[test]
fn bytes_that_are_not_http_end_only_their_connection() {
    let deployment = Deployment::start(Options::default()).unwrap();
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", &[0; 64], &[b'A'; 100_000]]
    {
        let mut stream = raw_http::connect(deployment.url()).unwrap();
        let _ = stream.write_all(bytes);
        // A 4xx of hyper or nothing, then the end of the stream.
        let mut answer = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    undisturbed(&deployment, 0);
}

/// In the parent's place a peer sends malformed frames.
#[test]
fn a_malformed_frame_closes_its_stream_and_no_other() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let mut bystander = deployment.stream().unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let good_open = {
        let message = any_hpke::seal(key.descriptor(), b"1234", b"").unwrap();
        let (key_id, enc) = (message.key_id, message.enc);
        Open { key_id, enc, ciphertext: message.ciphertext, aad: message.aad }
    };
    let open = Request { id: 1, call: Call::Open(good_open.clone()) }.encode();
    let bad = bad_frames(&good_open);
    // The unchanged frames are accepted.
    let mut control = deployment.stream().unwrap();
    assert!(control.call(Call::Health).unwrap().is_ok());
    control.send(&frame::encode(&issue(16, "card-pin", 1))).unwrap();
    assert!(control.response().unwrap().result.is_ok());
    assert_eq!(open_with(&good_open, good_open.enc.as_bytes()), open);

    for (n, (what, bytes)) in (1..).zip(&bad) {
        let mut stream = deployment.stream().unwrap();
        stream.send(bytes).unwrap();
        assert_eq!(stream.until_closed().unwrap(), 0, "{what}");
        eventually("the closed stream to be counted", || {
            let health = bystander.health().unwrap();
            assert!(health.streams_closed <= n, "{what} was counted twice");
            (health.streams_closed == n).then_some(())
        });
    }
    // The other streams still work, the real parent's among them.
    assert!(bystander.call(Call::Health).unwrap().is_ok());
    let state = bystander.call(Call::Status(good_open.key_id)).unwrap();
    assert_eq!(state, Ok(Answer::State(KeyState::Live)));
    assert!(matches!(bystander.call(Call::Open(good_open)).unwrap(), Ok(Answer::Sealed(_))));
    wait_for_log(&deployment, "request_malformed");
    wait_for_log(&deployment, "frame_too_long");
}

/// Malformed frames, by name. Some are this open with another `enc`.
fn bad_frames(good_open: &Open) -> Vec<(String, Vec<u8>)> {
    let health = Request { id: 1, call: Call::Health }.encode();

    let mut bad: Vec<(String, Vec<u8>)> = vec![
        ("a length without end".into(), u32::MAX.to_be_bytes().to_vec()),
        (
            "one byte more than is allowed".into(),
            u32::try_from(MAX_REQUEST + 1).unwrap().to_be_bytes().to_vec(),
        ),
        ("a frame of nothing".into(), vec![0; 4]),
        ("HTTP".into(), b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("zeros".into(), frame::encode(&[0; 100])),
        ("not CBOR".into(), frame::encode(&[0xff; 100])),
        ("the longest garbage".into(), frame::encode(&vec![0x9f; MAX_REQUEST])),
        ("a health request with something behind it".into(), frame::encode(&[&health[..], &[0]].concat())),
        ("half a health request".into(), frame::encode(&health[..health.len() - 1])),
        ("a method that is not there".into(), frame::encode(&request(7, |w| w.map(0)))),
        ("a method without end".into(), frame::encode(&request(u64::MAX, |w| w.map(0)))),
        ("an issue of nothing".into(), frame::encode(&request(1, |w| w.map(0)))),
        ("a status of no key".into(), frame::encode(&request(3, |w| w.map(1).key(0).bytes(&[7; 23])))),
        ("a status with text for an id".into(), {
            frame::encode(&request(3, |w| w.map(1).key(0).text("AAAAAAAAAAAAAAAAAAAAAAAA")))
        }),
        ("a nonce of 15 bytes".into(), frame::encode(&request(5, |w| w.map(1).key(0).bytes(&[7; 15])))),
        ("a nonce of 65 bytes".into(), frame::encode(&request(5, |w| w.map(1).key(0).bytes(&[7; 65])))),
        ("an issue of 101 keys".into(), frame::encode(&issue(16, "card-pin", 101))),
        ("an issue of no keys".into(), frame::encode(&issue(16, "card-pin", 0))),
        ("an issue with a short nonce".into(), frame::encode(&issue(15, "card-pin", 1))),
        ("an issue for no purpose".into(), frame::encode(&issue(16, "", 1))),
        ("an issue for a purpose in capitals".into(), frame::encode(&issue(16, "CARD", 1))),
    ];
    for (what, point) in invalid_points() {
        let framed = frame::encode(&open_with(good_open, &point));
        bad.push((format!("an open with {what} as enc"), framed));
    }
    bad
}

#[test]
fn half_a_frame_blocks_no_other_stream_and_is_counted() {
    let deployment = Deployment::start(Options::default()).unwrap();
    let whole = frame::encode(&Request { id: 1, call: Call::Health }.encode());
    let mut hanging: Vec<EnclaveStream> = Vec::new();
    for cut in 1..whole.len() {
        let mut stream = deployment.stream().unwrap();
        stream.send(&whole[..cut]).unwrap();
        hanging.push(stream);
    }
    // They stay open, and others are served.
    let before = deployment.health().unwrap();
    undisturbed(&deployment, before.live_keys);
    assert_eq!(deployment.health().unwrap().streams_closed, 0);
    // One continues.
    let mut slow = hanging.pop().unwrap();
    slow.send(&whole[whole.len() - 1..]).unwrap();
    assert!(slow.response().unwrap().result.is_ok());

    let cut_off = hanging.len() as u64;
    for stream in hanging {
        stream.finish().unwrap();
        assert_eq!(stream.until_closed().unwrap(), 0);
    }
    eventually("the ends inside frames to be counted", || {
        (deployment.health().unwrap().streams_closed == cut_off).then_some(())
    });
}

#[test]
fn a_peer_that_reads_no_responses_is_disconnected() {
    let mut deployment = Deployment::start(Options::default()).unwrap();
    let mut greedy = deployment.stream().unwrap();
    let one = frame::encode(&Request { id: 1, call: Call::Attest(Nonce::new([7; 64]).unwrap()) }.encode());
    // Responses are sixty times as long as requests. When responses block, the enclave stops reading
    // requests.
    let many = one.repeat(1000);
    let (mut taken, mut served_since) = (0, 0);
    while served_since < 3 {
        // From the point at which the last frame was cut, so that all requests are well-formed.
        let now = greedy.send_what_is_taken(&many[taken % one.len()..]).unwrap();
        taken += now;
        assert!(taken < 10_000_000, "the enclave has read {taken} bytes, and reads on");
        served_since = if now == 0 { served_since + 1 } else { 0 };
        undisturbed_keys(&deployment);
    }
    assert!(taken > 1000 * one.len(), "the enclave stopped reading after {taken} bytes");
    // Then the stream is closed and counted.
    eventually("the stream is closed", || (deployment.health().unwrap().streams_closed == 1).then_some(()));
    // The vsock backend of an emulated enclave keeps the host's side open.
    if deployment.machine().is_none() {
        assert!(greedy.send_what_is_taken(&many).is_err());
    }
    wait_for_log(&deployment, "responses_not_read");
    undisturbed_keys(&deployment);
}

#[test]
fn a_full_store_answers_when_to_retry() {
    let config = "max_ttl_ms = 600000\ncapacity = 3\n[purposes.card-pin]\n".to_owned();
    let deployment = Deployment::start(Options { config, ..Options::default() }).unwrap();
    let recipient = RecipientKey::generate().unwrap();
    let keys: Vec<_> = (0..3).map(|_| deployment.card_pin_key(60_000, &recipient).unwrap()).collect();
    // A full store refuses with `retry-after`, and evicts no key.
    let full = raw_http::post(deployment.url(), "/v1/keys", &issue_body().to_string()).unwrap();
    assert_eq!(full.refusal().unwrap(), StoreFull);
    let wait: u64 = full.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    for key in keys {
        let message =
            key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: b"" }, &CheckTime::system()).unwrap();
        assert_eq!(deployment.open(&message).unwrap().status(), 200);
    }
    assert_eq!(post(&deployment, "/v1/keys", &issue_body().to_string()), Ok(200));
}

fn issue_body() -> Value {
    let recipient = RecipientKey::generate().unwrap();
    json!({
        "nonce": Base64UrlUnpadded::encode_string(&[7; 32]),
        "purpose": "card-pin",
        "ttl": 60_000,
        "recipient": {
            "suite": [17, 2, 2],
            "public_key": Base64UrlUnpadded::encode_string(recipient.public_key().as_bytes()),
        },
    })
}

fn post(deployment: &Deployment, path: &str, json: &str) -> Result<u16, Code> {
    let answer = raw_http::post(deployment.url(), path, json).unwrap();
    if answer.status() == 200 { Ok(200) } else { Err(answer.refusal().unwrap()) }
}

/// Byte strings that are not valid points, by name.
fn invalid_points() -> Vec<(&'static str, Vec<u8>)> {
    let point = RecipientKey::generate().unwrap().public_key().as_bytes().to_vec();
    let with = |at: usize, byte: u8| {
        let mut changed = point.clone();
        changed[at] = byte;
        changed
    };
    let twist = {
        // (0, 0) lies on other curves. An implementation without a check would compute with it.
        let mut zero = vec![0; 97];
        zero[0] = 4;
        zero
    };
    let above = {
        let mut above = vec![0xff; 97];
        above[0] = 4;
        above
    };
    vec![
        ("a point beside the curve", with(96, point[96] ^ 1)),
        ("the point (0, 0)", twist),
        ("coordinates above the prime", above),
        ("the identity", vec![0]),
        ("the identity, padded", vec![0; 97]),
        ("a compressed point", [&[2 + (point[96] & 1)], &point[1..49]].concat()),
        ("a compressed point, padded", [&[2 + (point[96] & 1)], &point[1..49], &[0; 48]].concat()),
        ("a hybrid point", with(0, 6 + (point[96] & 1))),
        ("a point cut short", point[..96].to_vec()),
        ("a point and a byte", [&point[..], &[0]].concat()),
        ("a P-256 point's length", point[..65].to_vec()),
    ]
}

/// A request written by hand, which the codec would not write.
fn request(method: u64, parameters: impl FnOnce(&mut Writer) -> &mut Writer) -> Vec<u8> {
    let mut w = Writer::default();
    w.map(3).key(0).uint(1).key(1).uint(method).key(2);
    parameters(&mut w);
    w.finish()
}

fn issue(nonce: usize, purpose: &str, count: u64) -> Vec<u8> {
    let recipient = RecipientKey::generate().unwrap();
    request(1, |w| {
        w.map(5).key(0).bytes(&vec![7; nonce]).key(1).text(purpose).key(2).uint(60_000);
        w.key(3).array(3).uint(1).array(3).uint(17).uint(2).uint(2).bytes(recipient.public_key().as_bytes());
        w.key(4).uint(count)
    })
}

fn open_with(open: &Open, enc: &[u8]) -> Vec<u8> {
    request(2, |w| {
        w.map(4).key(0).bytes(&open.key_id.0).key(1).bytes(enc);
        w.key(2).bytes(&open.ciphertext).key(3).bytes(&open.aad)
    })
}

/// Asserts that a whole transaction works, and that the enclave has `live_keys` keys and has seen no
/// malformed frame.
fn undisturbed(deployment: &Deployment, live_keys: u64) {
    undisturbed_keys(deployment);
    let health = deployment.health().unwrap();
    assert_eq!((health.live_keys, health.streams_closed), (live_keys, 0));
}

fn undisturbed_keys(deployment: &Deployment) {
    let recipient = RecipientKey::generate().unwrap();
    let key = deployment.card_pin_key(60_000, &recipient).unwrap();
    let message =
        key.seal(&ok2cry_client::Message { plaintext: b"1234", aad: b"" }, &CheckTime::system()).unwrap();
    assert_eq!(deployment.open(&message).unwrap().status(), 200);
    assert_eq!(raw_http::request(deployment.url(), "GET", "/readyz", &[], b"").unwrap().status(), 200);
}

/// Waits for a reason in the enclave's log, which follows the counter.
fn wait_for_log(deployment: &Deployment, reason: &str) {
    eventually("the reason to be logged", || deployment.enclave_stderr().contains(reason).then_some(()));
}
