//! Every command fails if its output cannot be written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::{
    ORDINARY, SIGNATURE, eif,
    engineers::{BUILT, Engineers, ORIGIN, PUBLISH, VERIFY},
    signer::LASTING,
};
use ok2cry_release::{eif::Eif, measure::Measurements};
use std::{
    fs::{self, File, OpenOptions},
    io::pipe,
    process::{Command, Stdio},
};

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn closed() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Exit status and stderr of the program with this standard output.
fn with_stdout(us: &Engineers, args: &[&str], stdout: Stdio) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_ok2cry-release");
    let output = Command::new(program)
        .args(args)
        .current_dir(us.folder.path())
        .env_clear()
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// One invocation of every command. Each must succeed.
fn commands(us: &Engineers) -> Vec<Vec<String>> {
    let pcr0 = Measurements::of(&Eif::parse(&eif(4, ORDINARY)).unwrap()).unwrap().pcr0;
    fs::write(us.path("image.eif"), eif(4, ORDINARY)).unwrap();
    let section = LASTING.section(&pcr0);
    fs::write(us.path("signed.eif"), eif(4, &[ORDINARY, &[(SIGNATURE, &section[..])]].concat())).unwrap();
    us.root();
    let manifest = us.signed_manifest("1.0.0");
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", &manifest]].concat());
    let other = us.manifest("1.1.0");
    let owned = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let mut root = vec!["root", "--product", "test", "--version", "2", "--attestation-root"];
    root.extend(["attestation-root.pem", "--root-key", "root-1.pub", "--manifest-key", "builder-1.pub"]);
    root.extend(["--list-key", "list.pub", "--log-key", &us.vkey, "--out", "root-2.json"]);
    let mut new = vec!["manifest", "--product", "test", "--version", "1.2.0", "--out", "1.2.0.json"];
    new.extend([
        "--repository",
        "https://git.example",
        "--commit",
        "0000000000000000000000000000000000000000",
    ]);
    vec![
        owned(&["--help"]),
        owned(&["--version"]),
        owned(&["measure", "--help"]),
        owned(&["measure", "image.eif"]),
        owned(&["measure", "--json", "image.eif"]),
        owned(&["unsigned", "signed.eif", "--out", "unsigned.eif"]),
        owned(&["attach", "--image", "image.eif", "--signature-of", "signed.eif", "--out", "attached.eif"]),
        owned(&["keygen", "NEW"]),
        owned(&["keygen", "--log", ORIGIN, "NEW"]),
        owned(&["keygen", "--witness", "witness.example", "NEW"]),
        owned(&["public", "list.pem"]),
        owned(&["public", "--log", ORIGIN, "log.pem"]),
        owned(&root),
        owned(&[new.as_slice(), BUILT].concat()),
        owned(&[&["sign", "--key", "builder-1.pem"], BUILT, &[&other]].concat()),
        owned(&["show", "root.json"]),
        owned(PUBLISH),
        owned(VERIFY),
        owned(&[
            "verify",
            "--key",
            "root-1.pub",
            "--attestation-root",
            "attestation-root.pem",
            "site/bundle.json",
        ]),
        owned(&["checkpoint-hash", "site"]),
        owned(&[&["revoke"], &PUBLISH[1..], &["1.0.0"]].concat()),
    ]
}

fn every_command_fails_with(stdout: impl Fn() -> Stdio, why: &str) {
    let us = Engineers::new();
    for (number, command) in commands(&us).into_iter().enumerate() {
        let name = format!("new-{number}.pem");
        let args: Vec<_> = command.iter().map(|arg| if arg == "NEW" { name.as_str() } else { arg }).collect();
        let (status, stderr) = with_stdout(&us, &args, stdout());
        assert_eq!(status, Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains("error: ") && stderr.contains(why), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        if args[0] == "keygen" {
            // The message says how to print the lost public half again.
            assert!(stderr.contains("ok2cry-release public"), "{stderr}");
            let kind = if args.len() == 2 { &[][..] } else { &["--log", ORIGIN] };
            us.done(&[&["public"], kind, &[&name]].concat());
        }
    }
}

#[test]
fn no_command_succeeds_on_a_full_disk() {
    every_command_fails_with(full, "No space left on device");
}

#[test]
fn no_command_succeeds_on_a_closed_pipe() {
    every_command_fails_with(closed, "Broken pipe");
}

#[test]
fn a_failing_standard_error_is_not_a_panic() {
    let us = Engineers::new();
    fs::write(us.path("image.eif"), eif(4, ORDINARY)).unwrap();
    for (args, expected) in [
        // Standard error is part of the output.
        (&["measure", "image.eif"][..], 2),
        (&["measure", "log.pem"], 2),
        (&["measure", "nowhere"], 2),
        (&["measure"], 2),
        (&["checkpoint-hash", "image"], 2),
    ] {
        for stderr in [full(), closed()] {
            let program = env!("CARGO_BIN_EXE_ok2cry-release");
            let stdout = Stdio::from(File::create(us.path("out")).unwrap());
            let mut command = Command::new(program);
            command.args(args).current_dir(us.folder.path()).env_clear().stdout(stdout).stderr(stderr);
            assert_eq!(command.status().unwrap().code(), Some(expected), "{args:?}");
        }
    }
}
