//! `ok2cry` without a service: keys, usage errors, files and network settings.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs::{File, OpenOptions, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

fn ok2cry(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ok2cry"));
    for name in ["OK2CRY_URL", "OK2CRY_ROOT", "OK2CRY_MEASUREMENTS"] {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

/// Outputs that cannot be written: a full disk, and a pipe without a reader.
fn unwritable() -> [Stdio; 2] {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    [full.into(), writer.into()]
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_private_key_is_written_once_with_mode_600() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipient.pem");
    let made = ok2cry(&["recipient", "new", path(&file)]);
    assert!(made.status.success());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    let shown = ok2cry(&["recipient", "show", path(&file)]);
    assert_eq!(made.stdout, shown.stdout);
    assert_eq!(text(&made.stdout).trim().len(), 130);

    let before = std::fs::read(&file).unwrap();
    let again = ok2cry(&["recipient", "new", path(&file)]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn nothing_is_sealed_without_reference_values() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipient.pem");
    let key = ok2cry(&["recipient", "new", path(&file)]);
    let key = text(&key.stdout).trim();
    let common = ["seal", "--url", "http://127.0.0.1:9", "--purpose", "card-pin", "--recipient", key];
    let refused = ok2cry(&common);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--measurements"), "{}", text(&refused.stderr));

    let zeros = format!("0={}", "0".repeat(96));
    let refused = ok2cry(&[&common[..], &["--pcr", &zeros]].concat());
    assert_eq!(refused.status.code(), Some(2), "all-zero PCRs are not reference values");
    let both = format!("0={}", "a".repeat(96));
    let refused = ok2cry(&[&common[..], &["--pcr", &both, "--insecure-without-pcrs"]].concat());
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn unusable_input_is_named_and_the_status_is_2() {
    for (args, named) in [
        (&["status", "--url", "http://127.0.0.1:9", "short"][..], "key id"),
        (
            &[
                "seal",
                "--url",
                "http://127.0.0.1:9",
                "--purpose",
                "p",
                "--recipient",
                "A",
                "--insecure-without-pcrs",
            ],
            "--recipient",
        ),
        (&["seal", "--url", "x", "--purpose", "p"], "--recipient"),
        (&["seal", "--ttl", "5", "--url", "x", "--purpose", "p"], "--ttl"),
        (&["open", "--url", "x", "/nonexistent"], "/nonexistent"),
        (&["attest", "--url", "http://127.0.0.1:9"], "--release-key"),
        (&["attest", "--url", "http://127.0.0.1:9", "--release-key", "/nonexistent"], "/nonexistent"),
        (&["releases", "--url", "http://127.0.0.1:9", "--insecure-without-pcrs"], "--release-key"),
        (&["attest", "--url", "x", "--release-key", "/nonexistent", "--pcr", "0=00"], "must begin with http"),
        (
            &["attest", "--url", "http://127.0.0.1:9", "--release-key", "k", "--pcr", "0=00"],
            "exclude each other",
        ),
        (&["attest", "--url", "http://127.0.0.1:9", "--releases", "bundle.json"], "--release-key"),
        (&["frobnicate"], "frobnicate"),
    ] {
        let output = ok2cry(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(named), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipient.pem");
    for (args, names) in [
        (&["recipient", "new", path(&file)][..], "recipient show"),
        (&["recipient", "show", path(&file)], "recipient show"),
        (&["--help"], "standard output"),
        (&["seal", "--help"], "standard output"),
        (&["--version"], "standard output"),
    ] {
        for stdout in unwritable() {
            if args.contains(&"new") {
                let _ = std::fs::remove_file(&file);
            }
            let command = &mut Command::new(env!("CARGO_BIN_EXE_ok2cry"));
            let output = command.args(args).stdout(stdout).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{args:?}");
            assert!(text(&output.stderr).contains(names), "{args:?}: {}", text(&output.stderr));
        }
    }
    // The private key is written, so the public key can be printed again.
    assert!(ok2cry(&["recipient", "show", path(&file)]).status.success());
}

#[test]
fn an_error_that_cannot_be_printed_keeps_its_status() {
    for json in [&[][..], &["--json"]] {
        for stderr in unwritable() {
            let [stdout, _] = unwritable();
            let command = &mut Command::new(env!("CARGO_BIN_EXE_ok2cry"));
            command.args(json).args(["recipient", "show", "/nonexistent"]);
            let status = command.stdout(stdout).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(2), "{json:?}");
        }
    }
}

#[test]
fn a_private_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recipient.pem");
    assert!(ok2cry(&["recipient", "new", path(&file)]).status.success());
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let refused = ok2cry(&["recipient", "show", path(&file)]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("chmod 600"), "{}", text(&refused.stderr));
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let warned = ok2cry(&["recipient", "show", path(&file)]);
    assert!(warned.status.success() && text(&warned.stderr).starts_with("warning: "));

    // A public key in place of the private one is named, whatever the mode of its file.
    let public = ok2cry_client::recipient_public_key(text(&warned.stdout)).unwrap().to_pem();
    std::fs::write(&file, public).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let refused = ok2cry(&["--json", "recipient", "show", path(&file)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stdout).contains("private_key_invalid"), "{}", text(&refused.stdout));
    assert!(text(&refused.stderr).contains("it is a public key"), "{}", text(&refused.stderr));
}

/// Variables that Kubernetes sets for Services named `ok2cry` and `ok2cry-url`.
#[test]
fn kubernetes_variables_are_not_settings() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ok2cry"));
    for name in ["OK2CRY", "OK2CRY_URL", "OK2CRY_ROOT", "OK2CRY_RELEASES"] {
        for (end, value) in [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "8080"),
            ("SERVICE_PORT_HTTP", "8080"),
            ("PORT", "tcp://10.0.0.1:8080"),
            ("PORT_8080_TCP", "tcp://10.0.0.1:8080"),
            ("PORT_8080_TCP_PROTO", "tcp"),
            ("PORT_8080_TCP_PORT", "8080"),
            ("PORT_8080_TCP_ADDR", "10.0.0.1"),
        ] {
            command.env(format!("{name}_{end}"), value);
        }
    }
    command.env_remove("OK2CRY_URL").args(["attest", "--insecure-without-pcrs"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--url <URL>"), "{}", text(&output.stderr));
    let output = command.args(["--url", "http://127.0.0.1:9"]).output().unwrap();
    assert!(text(&output.stderr).contains("cannot be reached"), "{}", text(&output.stderr));
}

#[test]
fn a_faulty_local_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let pcr = format!("\"PCR0\":\"{}\"", "ab".repeat(48));
    for (content, option, named) in [
        (format!("{{{pcr},{pcr}}}").into_bytes(), "--measurements", "twice"),
        (format!("{{{}}}", pcr.replace("PCR0", "PCR1")).into_bytes(), "--measurements", "PCR0"),
        (b"\xff\xfe{\0".to_vec(), "--measurements", "UTF-16"),
        (b"\x30\x82\x02\x00\xff".to_vec(), "--root", "DER"),
        (b"x".to_vec(), "--root", "--root"),
        (b"x".to_vec(), "--cacert", "--cacert"),
    ] {
        std::fs::write(&file, content).unwrap();
        let mut args = vec!["attest", "--url", "https://127.0.0.1:9", option, path(&file)];
        if option != "--measurements" {
            args.push("--insecure-without-pcrs");
        }
        let output = ok2cry(&args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named) && !said.contains("document is refused"), "{named}: {said}");
    }
}

#[test]
fn the_recipient_may_be_pem_or_a_jwk_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = (dir.path().join("private"), dir.path().join("public"));
    let made = ok2cry(&["recipient", "new", path(&private)]);
    let key = text(&made.stdout).trim().to_owned();
    std::fs::write(&public, &key).unwrap();
    let parsed = ok2cry_client::recipient_public_key(&key).unwrap();
    let seal = |recipient: &str| {
        let common = ["seal", "--url", "http://127.0.0.1:9", "--purpose", "p", "--insecure-without-pcrs"];
        let output = ok2cry(&[&common[..], &["/dev/null", "--recipient", recipient]].concat());
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).to_owned()
    };
    for recipient in [key.as_str(), &parsed.to_pem(), path(&public)] {
        assert!(seal(recipient).contains("cannot be reached"), "{recipient}");
    }
    assert!(seal(path(&private)).contains("it is a private key"), "{}", seal(path(&private)));
    assert!(seal(&format!("{key}A")).contains("--recipient"));
}

/// Loopback addresses are reached directly, others through the proxy, which an error names.
#[test]
fn a_proxy_is_named_and_not_used_for_loopback() {
    let attest = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ok2cry"));
        command.env("HTTPS_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://user:secret@127.0.0.1:9");
        command.env_remove("NO_PROXY").env_remove("no_proxy");
        let output = command.args(["attest", "--insecure-without-pcrs", "--url", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).to_owned()
    };
    let (plain, secure) = (attest("http://keys.invalid"), attest("https://keys.invalid"));
    assert!(plain.contains("through the proxy 127.0.0.1:9 (http_proxy)"), "{plain}");
    assert!(secure.contains("through the proxy 127.0.0.1:9 (HTTPS_PROXY)"), "{secure}");
    assert!(!plain.contains("secret"), "{plain}");
    for url in ["http://127.0.0.1:9", "https://localhost:9", "http://[::1]:9"] {
        assert!(!attest(url).contains("proxy"), "{url}");
    }
}

/// Answers one connection with these bytes.
fn answering(answer: &'static [u8]) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answer);
    });
    format!("127.0.0.1:{port}")
}

#[test]
fn the_wrong_scheme_is_named() {
    let bad_request = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let alert = b"\x15\x03\x01\x00\x02\x02\x46";
    for (scheme, answer, named) in [
        ("https", &bad_request[..], "is it an http:// service?"),
        ("http", alert, "is it an https:// service?"),
        ("http", bad_request, "is it an https:// service?"),
        ("http", b"", "is it an https:// service?"),
    ] {
        let url = format!("{scheme}://{}", answering(answer));
        let output = ok2cry(&["attest", "--insecure-without-pcrs", "--url", &url]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named), "{scheme}: {said}");
    }
}

/// `SSL_CERT_FILE` is used, and is an error if it holds no certificate.
#[test]
fn a_certificate_file_without_certificates_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    File::create(&empty).unwrap();
    for file in [path(&empty), "/nonexistent.pem"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ok2cry"));
        command.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
        command.args(["attest", "--insecure-without-pcrs", "--url", "https://127.0.0.1:9"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("SSL_CERT_FILE"), "{}", text(&output.stderr));
    }
}
