//! Releases, made with the program in folders.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod common;

use base64ct::{Base64, Encoding};
use common::engineers::{BUILT, Engineers, ORIGIN, PUBLISH, VERIFY, measured};
use ok2cry_attest_forge::release::Log;
use ok2cry_release::publication::LogSigner;
use ok2cry_tlog::{Tile, VerifierKey};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[test]
fn a_release_is_signed_published_renewed_and_revoked() {
    let us = Engineers::new();
    us.refused("root_missing", PUBLISH);
    us.root();
    us.refused("signed_already", &["sign", "--key", "root-1.pem", "root.json"]);
    let manifest = us.signed_manifest("1.0.0");
    let first = [PUBLISH, &["--root", "root.json", "--manifest", &manifest]].concat();
    us.refused("key_not_in_root", &[&first[..3], &["--list-key", "other.pem"], &first[5..]].concat());
    us.done(&first);
    assert!(us.done(VERIFY).contains("accepted 1.0.0"));

    us.refused("release_listed_already", &[PUBLISH, &["--manifest", &manifest]].concat());
    us.refused("release_not_there", &[PUBLISH, &["--revoke", "1.2.3"]].concat());
    us.refused("list_outlives_root", &[PUBLISH, &["--hours", "99999"]].concat());
    us.refused("list_below_minimum", &[PUBLISH, &["--minimum-version", "2.0.0"]].concat());
    us.done(PUBLISH);
    assert!(us.done(VERIFY).contains("holds 4 entries"));

    us.done(&[PUBLISH, &["--revoke", "1.0.0"]].concat());
    us.refused("no_release_accepted", VERIFY);

    fs::write(us.path("image"), "another image").unwrap();
    let other = us.signed_manifest("1.0.0");
    us.refused("release_version_taken", &[PUBLISH, &["--manifest", &other]].concat());
}

#[test]
fn a_builder_signs_its_own_build_only() {
    let us = Engineers::new();
    let manifest = us.manifest("1.0.0");
    let sign = [&["sign", "--key", "builder-1.pem"], BUILT, &[&manifest]].concat();
    us.refused("manifest_not_as_built", &["sign", "--key", "builder-1.pem", &manifest]);
    for (name, content, differs) in
        [("image", "another image".to_owned(), "the image"), ("measured.json", measured('b'), "a register")]
    {
        let before = fs::read(us.path(name)).unwrap();
        fs::write(us.path(name), content).unwrap();
        let (status, _, stderr) = us.run(&sign);
        assert_eq!(status, Some(1));
        assert!(stderr.contains(differs), "{stderr}");
        fs::write(us.path(name), before).unwrap();
    }
    // Another encoding of the same content is other bytes, and the signature would be over those.
    let envelope = fs::read_to_string(us.path(&manifest)).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&envelope).unwrap();
    let payload = Base64::decode_vec(json["payload"].as_str().unwrap()).unwrap();
    let spaced = String::from_utf8(payload).unwrap().replacen('{', "{ ", 1);
    json["payload"] = Base64::encode_string(spaced.as_bytes()).into();
    fs::write(us.path(&manifest), json.to_string()).unwrap();
    let (_, _, stderr) = us.run(&sign);
    assert!(stderr.contains("the way it is written"), "{stderr}");
    fs::write(us.path(&manifest), envelope).unwrap();
    us.done(&sign);

    // A mock's measurements are refused under AWS's root.
    us.refused("measurements_not_computed", &[&sign[..2], &sign[2..7], &[&manifest]].concat());
    us.refused("release_json_invalid", &["sign", "--key", "builder-1.pem", "measured.json"]);
    us.refused("key_invalid", &["sign", "--key", "log.pem", &manifest]);
}

#[test]
fn private_keys_are_owner_only_and_never_overwritten() {
    let us = Engineers::new();
    let before = fs::read(us.path("log.pem")).unwrap();
    let (status, ..) = us.run(&["keygen", "log.pem"]);
    assert_eq!(status, Some(2));
    assert_eq!(fs::read(us.path("log.pem")).unwrap(), before);
    for name in ["log.pem", "root-1.pem"] {
        assert_eq!(fs::metadata(us.path(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn nothing_is_published_into_a_damaged_folder() {
    let us = Engineers::new();
    us.root();
    let manifest = us.signed_manifest("1.0.0");
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", &manifest]].concat());
    let damage = |name: &str, change: &dyn Fn(&mut Vec<u8>), code: &str| {
        let path = us.path("site").join(name);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&path, bad).unwrap();
        us.refused(code, PUBLISH);
        fs::write(&path, good).unwrap();
    };
    damage("log/tile/entries/000.p/3", &|b| b[100] ^= 1, "site_damaged");
    damage("log/tile/entries/000.p/3", &|b| b.truncate(100), "site_damaged");
    damage("log/tile/entries/000.p/3", &|b| b.push(0), "site_damaged");
    damage("bundle.json", &|b| b.truncate(100), "release_json_invalid");
    damage("log/checkpoint", &|b| b.truncate(20), "note_invalid");
    // A party with the folder but without the log's key writes another log.
    let forged = LogSigner::generate().unwrap();
    let key = VerifierKey::parse(&us.vkey).unwrap();
    let text = fs::read_to_string(us.path("site/log/checkpoint")).unwrap();
    let text = format!("{}\n", text.split_once("\n\n").unwrap().0);
    damage("log/checkpoint", &|b| *b = forged.note(&key, &text).into_bytes(), "checkpoint_signature_invalid");
    us.done(PUBLISH);
}

#[test]
fn only_one_process_publishes_at_a_time() {
    let us = Engineers::new();
    us.root();
    let manifest = us.signed_manifest("1.0.0");
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", &manifest]].concat());
    let lock = fs::File::create(us.path("site/.lock")).unwrap();
    lock.lock().unwrap();
    us.refused("site_busy", PUBLISH);
    drop(lock);
    us.done(PUBLISH);
}

/// The next publication continues from any interrupted one, also if the log's tiles fill up between the size
/// that clients have seen and the present size.
#[test]
fn the_next_publication_continues_an_interrupted_one() {
    let us = Engineers::new();
    us.root();
    let manifest = us.signed_manifest("1.0.0");
    begin_with(&us, 252);
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", &manifest]].concat());
    us.done(VERIFY);
    let published =
        ["bundle.json", "list.json"].map(|name| (name, fs::read(us.path("site").join(name)).unwrap()));
    for _ in 0..4 {
        us.done(PUBLISH);
    }
    // As if all four had been interrupted after their checkpoint.
    for (name, content) in published {
        fs::write(us.path("site").join(name), content).unwrap();
    }
    // As if another had been interrupted before its checkpoint.
    fs::write(us.path("site/log/tile/0/001.p/4"), "half a tile").unwrap();
    us.done(PUBLISH);
    assert!(us.done(VERIFY).contains("list 6 "));
}

/// An attempt that replaces the log key is interrupted after its checkpoint.
#[test]
fn the_log_key_can_be_replaced_after_an_interruption() {
    let us = Engineers::new();
    us.root();
    let manifest = us.signed_manifest("1.0.0");
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", &manifest]].concat());
    let bundle = fs::read(us.path("site/bundle.json")).unwrap();

    let vkey = us.done(&["keygen", "--log", ORIGIN, "log-2.pem"]).trim().to_owned();
    fs::rename(us.path("root.json"), us.path("root-first.json")).unwrap();
    let us = Engineers { vkey, ..us };
    us.root_of_version("2");
    let exchange: Vec<_> =
        PUBLISH.iter().map(|arg| if *arg == "log.pem" { "log-2.pem" } else { arg }).collect();
    us.refused("key_not_in_root", &[PUBLISH, &["--root", "root.json"]].concat());
    us.done(&[exchange.as_slice(), &["--root", "root.json"]].concat());
    fs::write(us.path("site/bundle.json"), bundle).unwrap();
    us.refused("checkpoint_unsigned", PUBLISH);
    us.done(&[exchange.as_slice(), &["--root", "root.json"]].concat());
    assert!(us.done(VERIFY).contains("root document 2"));
    us.done(&exchange);
}

/// Writes a log of foreign entries into an empty folder.
fn begin_with(us: &Engineers, size: usize) {
    let log = Log((0..size).map(|i| format!("entry {i}").into_bytes()).collect());
    let put = |path: &str, content: &[u8]| {
        let path = us.path("site/log").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let bundle: Vec<u8> = log
        .0
        .iter()
        .flat_map(|e| [&u16::try_from(e.len()).unwrap().to_be_bytes(), e.as_slice()].concat())
        .collect();
    put(&Tile::of(0, 0, size as u64).unwrap().entries_path(), &bundle);
    for (path, content) in log.tiles() {
        put(&path, &content);
    }
    let signer = LogSigner::from_pem(&fs::read_to_string(us.path("log.pem")).unwrap()).unwrap();
    let text = format!("{ORIGIN}\n{size}\n{}\n", Base64::encode_string(&log.root(size)));
    put("checkpoint", signer.note(&VerifierKey::parse(&us.vkey).unwrap(), &text).as_bytes());
}

#[test]
fn codes_and_rows_of_the_guide_match() {
    use ok2cry_release::publication::PublicationFault;
    use std::collections::BTreeSet;
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/release-guide.md");
    let guide = fs::read_to_string(guide).unwrap();
    let rows: BTreeSet<_> =
        guide.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(rows, BTreeSet::from_iter(PublicationFault::CODES.iter().copied()));
}
