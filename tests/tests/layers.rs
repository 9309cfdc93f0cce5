//! Which crates may depend on which, by cargo's own metadata.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    process::Command,
};

/// The layers, lowest first: each crate, and the crates of the workspace that it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("ok2cry-tlog", &[]),
    ("ok2cry-protocol", &[]),
    ("ok2cry-attest-verify", &[]),
    ("ok2cry-attest-forge", &[]),
    ("ok2cry-release-verify", &["ok2cry-attest-verify", "ok2cry-tlog"]),
    ("ok2cry-client", &["ok2cry-protocol", "ok2cry-attest-verify", "ok2cry-release-verify", "ok2cry-tlog"]),
    ("ok2cry-cli", &["ok2cry-client"]),
    ("ok2cry-enclave", &["ok2cry-protocol", "ok2cry-attest-verify"]),
    ("ok2cry-mock-nsm", &["ok2cry-enclave", "ok2cry-protocol", "ok2cry-attest-verify"]),
    ("ok2cry-parent", &["ok2cry-protocol"]),
    ("ok2cry-audit", &["ok2cry-protocol", "ok2cry-tlog"]),
    (
        "ok2cry-testkit",
        &[
            "ok2cry-protocol",
            "ok2cry-attest-verify",
            "ok2cry-release-verify",
            "ok2cry-client",
            "ok2cry-enclave",
            "ok2cry-mock-nsm",
        ],
    ),
    (
        "ok2cry-demo",
        &[
            "ok2cry-protocol",
            "ok2cry-attest-verify",
            "ok2cry-release-verify",
            "ok2cry-client",
            "ok2cry-testkit",
        ],
    ),
];

#[test]
fn a_release_image_cannot_hold_mock_parts() {
    let tree = crates_of(&["-p", "ok2cry-enclave", "--edges", "normal,build", "--target", "all"]);
    assert!(tree.contains("ok2cry-protocol") && tree.contains("aws-nitro-enclaves-nsm-api"), "{tree:?}");
    for mock in ["ok2cry-mock-nsm", "ok2cry-attest-forge", "coset", "x509-cert"] {
        assert!(!tree.contains(mock), "the enclave depends on {mock}");
    }
    // The same query finds them where they belong.
    let mock = crates_of(&["-p", "ok2cry-mock-nsm", "--edges", "normal,build", "--target", "all"]);
    assert!(mock.contains("coset") && mock.contains("ok2cry-enclave"));
}

#[test]
fn an_enclave_holds_no_http_no_tls_and_no_command_line() {
    let tree = crates_of(&["-p", "ok2cry-enclave", "--edges", "normal", "--target", "all"]);
    for foreign in ["axum", "hyper", "ureq", "rustls", "clap", "reqwest"] {
        assert!(!tree.contains(foreign), "the enclave depends on {foreign}");
    }
}

#[test]
fn only_the_nsm_driver_uses_the_unmaintained_cbor_library() {
    let users = cargo_tree(&["--workspace", "--invert", "serde_cbor", "--depth", "1", "--prefix", "depth"]);
    let direct = users.lines().filter_map(|line| line.strip_prefix('1')).filter_map(|l| l.split(' ').next());
    assert_eq!(direct.collect::<BTreeSet<_>>(), BTreeSet::from(["aws-nitro-enclaves-nsm-api"]), "{users}");
}

#[test]
fn crates_depend_on_lower_layers_only() {
    let packages = workspace();
    for (name, allowed) in LAYERS {
        let used = packages.get(*name).unwrap_or(&BTreeSet::new()).clone();
        let allowed: BTreeSet<String> = allowed.iter().map(|n| (*n).to_owned()).collect();
        assert!(used.is_subset(&allowed), "{name} depends on {used:?}, allowed are {allowed:?}");
    }
    let known: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).chain(["ok2cry-tests"]).collect();
    let unknown: Vec<_> = packages.keys().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are missing in this test's list of layers");
    for name in known {
        assert!(packages.contains_key(name), "{name} is no longer in the workspace");
    }
}

fn crates_of(args: &[&str]) -> BTreeSet<String> {
    let tree = cargo_tree(&[args, &["--prefix", "none", "--format", "{p}"]].concat());
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn cargo_tree(args: &[&str]) -> String {
    cargo(&[&["tree", "--locked"], args].concat())
}

/// The crates of the workspace, and which others of it each depends on.
fn workspace() -> BTreeMap<String, BTreeSet<String>> {
    let json = cargo(&["metadata", "--locked", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&json).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies.filter(|d| d["path"].is_string() && d["kind"] != "dev");
            (text(&package["name"]), ours.map(|d| text(&d["name"])).collect())
        })
        .collect()
}

fn cargo(args: &[&str]) -> String {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = Command::new(cargo).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
