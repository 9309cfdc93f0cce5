//! Requests to the API and its responses.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use axum::{body::Body, http::Request};
use common::{Action, FakeEnclave, b64, issue_body, key_id, matching_answer, open_body, point};
use ok2cry_protocol::{
    code::Code,
    rpc::{Answer, KeyState, Plaintext, Refusal},
};
use serde_json::{Value, json};

#[tokio::test]
async fn every_call_has_its_response() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();

    let mut body = issue_body();
    body["count"] = json!(3);
    let issued = service.post("/v1/keys", body.to_string()).await;
    assert_eq!(issued.status, 200);
    let keys = issued.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[2]["index"], 2);
    assert_eq!(keys[2]["path"], json!([b64(&[3; 48]), b64(&[3; 48])]));
    assert_eq!(keys[2]["descriptor"], b64(&[5; 300]));
    assert_eq!(issued.json()["document"], b64(&[4; 4000]));
    assert_eq!(issued.header("location"), "");

    let opened = service.post(&format!("/v1/keys/{}/open", key_id()), open_body().to_string()).await;
    assert_eq!((opened.status, &opened.json()["sealed"]["reply"]), (200, &json!(b64(&[6; 500]))));
    assert_eq!(opened.json()["sealed"]["context"]["record"], b64(&[1; 99]));

    let path = format!("/v1/keys/{}", key_id());
    let state = service.get(&path).await;
    assert_eq!((state.status, state.json()), (200, json!({ "state": "live" })));
    let state = service.delete(&path).await;
    assert_eq!((state.status, state.json()), (200, json!({ "state": "destroyed" })));

    let attested = service.get(&format!("/v1/attestation?nonce={}", b64(&[1; 64]))).await;
    assert_eq!((attested.status, &attested.json()["record"]), (200, &json!(b64(&[1; 99]))));

    for response in [issued, opened, state, attested] {
        assert_eq!(response.header("content-type"), "application/json");
        assert_eq!(response.header("cache-control"), "no-store");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("x-request-id").len(), 16);
    }
}

#[tokio::test]
async fn caller_mode_returns_the_plaintext() {
    let enclave = FakeEnclave::start(|_| {
        Action::Answer(Ok(Answer::Plaintext(Plaintext(zeroize::Zeroizing::new(b"1234".to_vec())))))
    });
    let opened =
        enclave.service().post(&format!("/v1/keys/{}/open", key_id()), open_body().to_string()).await;
    assert_eq!((opened.status, opened.json()), (200, json!({ "plaintext": "MTIzNA" })));
    assert_eq!(opened.header("cache-control"), "no-store");
}

#[tokio::test]
async fn an_unknown_key_is_a_problem_but_an_ended_one_is_not() {
    for state in [KeyState::Used, KeyState::Expired, KeyState::Destroyed, KeyState::Unknown] {
        let enclave = FakeEnclave::start(move |_| Action::Answer(Ok(Answer::State(state))));
        let (service, path) = (enclave.service(), format!("/v1/keys/{}", key_id()));
        for answered in [service.get(&path).await, service.delete(&path).await] {
            if state == KeyState::Unknown {
                assert_eq!(answered.code(), "unknown_key");
            } else {
                assert_eq!((answered.status, answered.json()), (200, json!({ "state": state.as_str() })));
            }
        }
    }
}

#[tokio::test]
async fn refusals_of_the_enclave_pass_through_unchanged() {
    for code in Code::ALL {
        let refusal = Refusal::with_detail(*code, "the enclave's detail").with_retry_after_ms(1001);
        let enclave = FakeEnclave::start(move |_| Action::Answer(Err(refusal.clone())));
        let answered = enclave.service().get(&format!("/v1/keys/{}", key_id())).await;
        assert_eq!(answered.code(), code.as_str());
        assert_eq!(answered.detail(), "the enclave's detail");
        assert_eq!(answered.header("retry-after"), "2");
        assert_eq!(answered.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn invalid_issue_requests_name_the_field_and_the_rule() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    let off_curve = b64(&[&[4][..], &[1; 96]].concat());
    let with = |field: &str, value: Value| {
        let mut body = issue_body();
        body[field] = value;
        body.to_string()
    };
    let recipient = |suite: Value, key: &str| with("recipient", json!({ "suite": suite, "public_key": key }));
    let good = issue_body().to_string();
    let without = |field: &str| {
        let mut body = issue_body();
        body.as_object_mut().unwrap().remove(field);
        body.to_string()
    };
    for (body, code, detail) in [
        (String::new(), "body_invalid", "body: is not JSON"),
        (good[..good.len() - 1].to_owned(), "body_invalid", "body: is not JSON"),
        (format!("{good}x"), "body_invalid", "body: is not JSON"),
        (format!("[{good}]"), "body_invalid", "body: must be a JSON object"),
        (with("color", json!(1)), "body_invalid", "body: holds unknown field color"),
        (without("nonce"), "body_invalid", "body: lacks field nonce"),
        (without("recipient"), "body_invalid", "body: lacks field recipient"),
        (good.replacen('{', "{\"ttl\":1,", 1), "body_invalid", "body: holds field ttl twice"),
        (with("nonce", json!("AA==")), "body_invalid", "nonce: is not base64url"),
        (with("nonce", json!("++++")), "body_invalid", "nonce: is not base64url"),
        (with("nonce", json!(7)), "body_invalid", "nonce: must be a string"),
        (with("nonce", json!(b64(&[0; 15]))), "nonce_invalid", "nonce: must have a length from 16 to 64"),
        (with("nonce", json!(b64(&[0; 65]))), "nonce_invalid", "nonce: must have a length from 16 to 64"),
        (with("purpose", json!("Card PIN")), "purpose_invalid", "purpose: may hold"),
        (with("purpose", json!("")), "purpose_invalid", "purpose: must have a length"),
        (with("ttl", json!(0)), "ttl_out_of_range", "ttl: must be at least 1"),
        (with("ttl", json!(-1)), "ttl_out_of_range", "ttl: must be an integer"),
        (with("ttl", json!("60000")), "body_invalid", "ttl: must be an integer"),
        (with("count", json!(0)), "count_out_of_range", "count: must be from 1 to 100"),
        (with("count", json!(101)), "count_out_of_range", "count: must be from 1 to 100"),
        (with("count", json!(4_294_967_296u64)), "count_out_of_range", "count: must be an integer"),
        (with("recipient", json!("anyone")), "recipient_invalid", "recipient: must be \"caller\""),
        (with("recipient", json!(null)), "recipient_invalid", "recipient: must be \"caller\""),
        (with("recipient", json!([[17, 2, 2], "AA"])), "recipient_invalid", "recipient: must be \"caller\""),
        (with("recipient", json!({ "suite": [17, 2, 2] })), "recipient_invalid", "recipient: lacks field"),
        (recipient(json!([17, 2]), &point()), "recipient_invalid", "recipient.suite: must be"),
        (recipient(json!([16, 1, 1]), &point()), "suite_unsupported", "recipient.suite: is not"),
        (recipient(json!([17, 2, 2]), "A+A"), "body_invalid", "recipient.public_key: is not base64url"),
        (
            recipient(json!([17, 2, 2]), &off_curve),
            "recipient_key_invalid",
            "recipient.public_key: is not an",
        ),
        (
            recipient(json!([17, 2, 2]), &b64(&[0])),
            "recipient_key_invalid",
            "recipient.public_key: must have",
        ),
    ] {
        let answered = service.post("/v1/keys", body.clone()).await;
        assert_eq!(answered.code(), code, "{body}");
        assert!(answered.detail().starts_with(detail), "{body}: {}", answered.detail());
        assert_eq!(answered.header("cache-control"), "no-store");
    }
    assert_eq!(service.post("/v1/keys", good).await.status, 200);
    assert_eq!(enclave.received(), 1, "refused requests do not reach the enclave");
}

#[tokio::test]
async fn invalid_open_requests_name_the_field_and_the_rule() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    let with = |field: &str, bytes: &[u8]| {
        let mut body = open_body();
        body[field] = json!(b64(bytes));
        body.to_string()
    };
    let path = format!("/v1/keys/{}/open", key_id());
    for (body, code, detail) in [
        (with("enc", &[4; 97]), "enc_invalid", "enc: is not an uncompressed point"),
        (with("enc", &[]), "enc_invalid", "enc: must have length 97"),
        (with("ciphertext", &[0; 15]), "ciphertext_invalid", "ciphertext: must have from 16 to 4112"),
        (with("ciphertext", &[0; 4113]), "ciphertext_invalid", "ciphertext: must have from 16 to 4112"),
        (with("aad", &[0; 1025]), "aad_invalid", "aad: must not have more than 1024"),
        (r#"{"enc":"AA","ciphertext":"AA"}"#.to_owned(), "body_invalid", "body: lacks field aad"),
        (r#"{"aad":"A"}"#.to_owned(), "body_invalid", "aad: is not base64url"),
    ] {
        let answered = service.post(&path, body).await;
        assert_eq!(answered.code(), code);
        assert!(answered.detail().starts_with(detail), "{}", answered.detail());
    }
    for (id, rule) in [
        ("short", "must have length 32"),
        (&"+".repeat(32), "is not base64url"),
        (&"%ff".repeat(11), "is not UTF-8"),
        (&"A".repeat(33), "must have length 32"),
    ] {
        let path = format!("/v1/keys/{id}");
        let open = service.post(&format!("{path}/open"), open_body().to_string()).await;
        for answered in [open, service.get(&path).await, service.delete(&path).await] {
            assert_eq!(answered.code(), "key_id_invalid");
            assert!(answered.detail().starts_with(&format!("id: {rule}")), "{}", answered.detail());
        }
    }
    let most = json!({ "enc": point(), "ciphertext": b64(&[0; 4112]), "aad": b64(&[0; 1024]) });
    assert_eq!(service.post(&path, most.to_string()).await.status, 200);
    assert_eq!(enclave.received(), 1);
}

#[tokio::test]
async fn query_parameters_are_strict() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    let nonce = b64(&[1; 16]);
    let key = format!("/v1/keys/{}", key_id());
    for (path, code, detail) in [
        ("/v1/attestation".to_owned(), "query_invalid", "nonce: is missing"),
        ("/v1/attestation?".to_owned(), "query_invalid", "nonce: is missing"),
        (format!("/v1/attestation?nonce={nonce}&nonce={nonce}"), "query_invalid", "nonce: is there twice"),
        (format!("/v1/attestation?nonce={nonce}&x=1"), "query_invalid", "x: there is no such"),
        (format!("/v1/attestation?nonce={nonce}&%00=1"), "query_invalid", "(unprintable): there is"),
        ("/v1/attestation?nonce=A%2BAA".to_owned(), "query_invalid", "nonce: is not base64url"),
        ("/v1/attestation?nonce=AAAA".to_owned(), "nonce_invalid", "nonce: must have a length"),
        (format!("{key}?verbose=1"), "query_invalid", "verbose: there is no such"),
    ] {
        let answered = service.get(&path).await;
        assert_eq!(answered.code(), code, "{path}");
        assert!(answered.detail().starts_with(detail), "{path}: {}", answered.detail());
    }
    let answered = service.post("/v1/keys?ttl=5", issue_body().to_string()).await;
    assert_eq!(answered.code(), "query_invalid");
    assert_eq!(enclave.received(), 0);
}

#[tokio::test]
async fn bodies_have_a_media_type_and_a_limit() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    for kind in [None, Some("text/plain"), Some("application/jsonx"), Some("application/cbor")] {
        let mut request = Request::post("/v1/keys");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let answered = service.send(request.body(Body::from(issue_body().to_string())).unwrap()).await;
        assert_eq!(answered.code(), "media_type_unsupported");
    }
    let request = Request::post("/v1/keys").header("content-type", "Application/JSON; charset=utf-8");
    let answered = service.send(request.body(Body::from(issue_body().to_string())).unwrap()).await;
    assert_eq!(answered.status, 200);

    let padded = |n: usize| format!("{:n$}", issue_body().to_string());
    assert_eq!(service.post("/v1/keys", padded(16 * 1024)).await.status, 200);
    assert_eq!(service.post("/v1/keys", padded(16 * 1024 + 1)).await.code(), "body_too_large");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_problems() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    for path in ["/", "/v1", "/v1/keys/", "/v1/keys/a/b", "/v2/keys", "/docs/", "//healthz"] {
        let answered = service.get(path).await;
        assert_eq!(answered.code(), "not_found", "{path}");
        assert_eq!(answered.header("cache-control"), "no-store");
    }
    let answered = service.get("/v1/keys").await;
    assert_eq!((answered.code(), answered.header("allow")), ("method_not_allowed".into(), "POST"));
    let answered = service.post(&format!("/v1/keys/{}", key_id()), "{}").await;
    assert_eq!((answered.code(), answered.header("allow")), ("method_not_allowed".into(), "GET,HEAD,DELETE"));
}

#[tokio::test]
async fn only_pages_of_listed_origins_may_call() {
    let enclave = FakeEnclave::answering();
    let preflight = || {
        Request::options("/v1/keys")
            .header("origin", "https://pay.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(enclave.service().send(preflight()).await.code(), "method_not_allowed");

    let args = |origins: &str| {
        [
            "ok2cry-parent".to_owned(),
            format!("--enclave={}", enclave.url()),
            format!("--cors-allowed-origins={origins}"),
        ]
    };
    for (origins, allowed) in
        [("https://pay.example", "https://pay.example"), ("*", "*"), ("https://other.example", "")]
    {
        let config = ok2cry_parent::Config::load(args(origins), []).unwrap();
        let service = common::TestService::new(&config);
        let answered = service.send(preflight()).await;
        assert_eq!(answered.header("access-control-allow-origin"), allowed);
        // Problems carry the header too, so that pages can read them.
        let request = Request::post("/v1/keys").header("origin", "https://pay.example");
        let answered = service.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answered.code(), "media_type_unsupported");
        assert_eq!(answered.header("access-control-allow-origin"), allowed);
    }
}

#[tokio::test]
async fn pages_may_send_configured_headers_and_cookies() {
    let enclave = FakeEnclave::answering();
    let preflight = |headers: &str| {
        Request::options("/v1/keys")
            .header("origin", "capacitor://localhost")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", headers)
            .body(Body::empty())
            .unwrap()
    };
    let mut args = vec![
        "ok2cry-parent".to_owned(),
        format!("--enclave={}", enclave.url()),
        "--cors-allowed-origins=https://pay.example,capacitor://localhost".to_owned(),
    ];
    let plain = common::TestService::new(&ok2cry_parent::Config::load(args.clone(), []).unwrap());
    let answered = plain.send(preflight("content-type,traceparent")).await;
    assert_eq!(answered.header("access-control-allow-origin"), "capacitor://localhost");
    assert_eq!(answered.header("access-control-allow-headers"), "content-type");
    assert_eq!(answered.header("access-control-allow-credentials"), "");

    args.push("--cors-allowed-headers=traceparent,Authorization".to_owned());
    args.push("--cors-allow-credentials".to_owned());
    let service = common::TestService::new(&ok2cry_parent::Config::load(args, []).unwrap());
    let answered = service.send(preflight("content-type,traceparent,authorization")).await;
    assert_eq!(answered.header("access-control-allow-origin"), "capacitor://localhost");
    assert_eq!(answered.header("access-control-allow-headers"), "content-type,traceparent,authorization");
    assert_eq!(answered.header("access-control-allow-credentials"), "true");
    assert!(answered.header("vary").contains("origin"), "{}", answered.header("vary"));
    let request = Request::get(format!("/v1/keys/{}", key_id())).header("origin", "https://other.example");
    let answered = service.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answered.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn common_mistakes_get_a_hint() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    let answered = service.post("/v1/v1/keys", issue_body().to_string()).await;
    assert_eq!(answered.code(), "not_found");
    assert_eq!(answered.detail(), "path: begins with /v1/v1; the base URL must not end in /v1");
    assert!(service.get("//v1/keys").await.detail().contains("must not end in a slash"));

    let json = ("content-type", "application/json");
    for (headers, code, detail) in [
        (
            vec![json, ("content-encoding", "gzip")],
            "media_type_unsupported",
            "content-encoding: must be left out",
        ),
        (
            vec![("content-type", "application/json; charset=utf-16")],
            "media_type_unsupported",
            "content-type: ",
        ),
        (
            vec![("content-type", "application/x-www-form-urlencoded")],
            "media_type_unsupported",
            "content-type: ",
        ),
        (vec![json], "body_invalid", "body: begins with a byte order mark"),
    ] {
        let mut request = Request::post("/v1/keys");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let body = format!("\u{feff}{}", issue_body());
        let answered = service.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answered.code(), code);
        assert!(answered.detail().starts_with(detail), "{}", answered.detail());
        let accepts =
            if code == "media_type_unsupported" { ("application/json", "identity") } else { ("", "") };
        assert_eq!((answered.header("accept"), answered.header("accept-encoding")), accepts);
    }
    let mut body = issue_body();
    body["count"] = Value::Null;
    let answered = service.post("/v1/keys", body.to_string()).await;
    assert_eq!(
        (answered.code().as_str(), answered.detail().as_str()),
        ("body_invalid", "count: must be an integer from 1 to 100")
    );
    let answered = service.send(Request::options("*").body(Body::empty()).unwrap()).await;
    assert_eq!((answered.status, answered.header("allow")), (204, "GET,HEAD,POST,DELETE"));
    assert_eq!(enclave.received(), 0);
}

#[tokio::test]
async fn operational_endpoints_answer() {
    let enclave = FakeEnclave::answering();
    let service = enclave.service();
    assert_eq!(service.get("/healthz?from=probe").await.json(), json!({ "status": "up" }));
    assert_eq!(service.get("/readyz").await.json(), json!({ "status": "ready" }));
    let metrics = service.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(metrics.text.contains("ok2cry_parent_enclave_reported_live_keys 7"), "{}", metrics.text);
    assert!(metrics.text.ends_with("# EOF\n"));
    assert_eq!(service.get("/openapi.json").await.json()["openapi"], "3.1.0");
    let page = service.get("/docs").await;
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(page.text.contains("/v1/keys/{id}/open"));
}

#[tokio::test]
async fn readiness_needs_the_enclave_but_health_does_not() {
    let config = ok2cry_parent::Config::new("unix:///nothing/listens/here.sock".parse().unwrap());
    let service = common::TestService::new(&config);
    assert_eq!(service.get("/healthz").await.status, 200);
    let answered = service.get("/readyz").await;
    assert_eq!((answered.code(), answered.header("retry-after")), ("enclave_unavailable".into(), "1"));
}

#[tokio::test]
async fn metric_labels_contain_no_input_of_callers() {
    let enclave = FakeEnclave::start(|call| Action::Answer(Ok(matching_answer(call))));
    let service = enclave.service();
    let request = Request::builder().method("SECRETMETHOD").uri("/secret-path");
    service.send(request.body(Body::empty()).unwrap()).await;
    service.get(&format!("/v1/keys/{}", key_id())).await;
    let metrics = service.get("/metrics").await.text;
    assert!(!metrics.contains("SECRET") && !metrics.contains("secret-path") && !metrics.contains(&key_id()));
    assert!(
        metrics.contains("method=\"other\",route=\"unmatched\",status=\"404\",code=\"not_found\""),
        "{metrics}"
    );
    assert!(metrics.contains("route=\"/v1/keys/{id}\",status=\"200\""));
}
