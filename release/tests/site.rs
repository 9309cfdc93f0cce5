//! The audit compares every published file with the log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::engineers::{Engineers, PUBLISH, VERIFY};
use ok2cry_release::publication::{Site, Weight};
use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// Two releases, the first revoked, and some renewals, so that there are tiles of several checkpoints.
fn published() -> Engineers {
    let us = Engineers::new();
    us.root();
    let (old, new) = (us.signed_manifest("1.0.0"), us.signed_manifest("1.1.0"));
    us.done(&[PUBLISH, &["--root", "root.json", "--manifest", &old]].concat());
    us.done(&[PUBLISH, &["--manifest", &new, "--revoke", "1.0.0"]].concat());
    us.done(PUBLISH);
    us
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

fn is_whole(site: &Path) -> bool {
    let findings = Site::open(site).and_then(|site| Ok((site.bundle().is_some(), site.audit()?)));
    findings.is_ok_and(|(bundle, findings)| bundle && findings.iter().all(|f| f.weight == Weight::Note))
}

/// Expects `verify` and `publish` to refuse, and `verify` to name the file.
#[track_caller]
fn damaged(us: &Engineers, path: &str) {
    let (status, stdout, stderr) = us.run(VERIFY);
    assert_eq!(status, Some(1), "{path}: {stderr}");
    let named = stdout.lines().any(|line| line.starts_with(&format!("DAMAGED: {path}: ")));
    assert!(named && stderr.starts_with("refused: site_damaged: "), "{path}: {stdout}{stderr}");
    assert!(!stdout.contains("all present"), "{stdout}");
    us.refused("site_damaged", PUBLISH);
}

#[test]
fn an_intact_folder_passes() {
    let us = published();
    let said = us.done(VERIFY);
    assert!(
        said.contains("holds 6 entries, all present, and every file of the folder matches them"),
        "{said}"
    );
    assert!(!said.contains("DAMAGED") && !said.contains("note:"), "{said}");
}

/// For each file: one byte changed, truncated, emptied, one byte longer, another file's content, removed.
#[test]
fn every_damaged_file_is_detected() {
    let us = published();
    let site = us.path("site");
    let all = files(&site);
    assert!(all.len() > 12, "{all:?}");
    let signed_by_the_log = "log/checkpoint";
    for path in all.iter().filter(|path| *path != ".lock" && *path != signed_by_the_log) {
        let good = fs::read(site.join(path)).unwrap();
        let mut flipped = good.clone();
        let middle = good.len() / 2;
        flipped[middle] ^= 1;
        let longer = [&good[..], b" "].concat();
        let another =
            fs::read(site.join(if path == "list.json" { "root/1.json" } else { "list.json" })).unwrap();
        let mut bad = vec![flipped, good[..good.len() - 1].to_vec(), Vec::new(), another];
        // Additional space in the bundle does not change its content.
        if path != "bundle.json" {
            bad.push(longer);
        }
        for bad in bad {
            fs::write(site.join(path), bad).unwrap();
            assert!(!is_whole(&site), "{path}");
            assert!(Site::open_to_publish(&site).is_err(), "{path}");
        }
        fs::remove_file(site.join(path)).unwrap();
        // Old partial tiles and unlisted documents may be missing: a mirror that starts today has none.
        let needed = !path.contains(".p/") || path.ends_with(".p/6");
        let needed = needed && path != "manifests/1.0.0.json";
        assert_eq!(
            (is_whole(&site), Site::open_to_publish(&site).is_ok()),
            (!needed, !needed),
            "{path} is gone"
        );
        fs::write(site.join(path), good).unwrap();
    }
    // The audit does not verify signatures; client and publisher do.
    let path = site.join(signed_by_the_log);
    let good = fs::read(&path).unwrap();
    for at in [0, good.len() / 2, good.len() - 20] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, bad).unwrap();
        assert_eq!((us.run(VERIFY).0, us.run(PUBLISH).0), (Some(1), Some(1)), "byte {at}");
    }
    fs::write(&path, good).unwrap();
    us.done(VERIFY);
    us.done(PUBLISH);
}

#[test]
fn misplaced_documents_are_named() {
    let us = published();
    let site = us.path("site");
    let with = |path: &str, content: &[u8]| {
        let before = fs::read(site.join(path)).ok();
        fs::create_dir_all(site.join(path).parent().unwrap()).unwrap();
        fs::write(site.join(path), content).unwrap();
        damaged(&us, path);
        match before {
            Some(before) => fs::write(site.join(path), before).unwrap(),
            None => fs::remove_file(site.join(path)).unwrap(),
        }
    };
    let of = |path: &str| fs::read(site.join(path)).unwrap();
    // The revoked release in place of the listed one, and the reverse.
    with("manifests/1.1.0.json", &of("manifests/1.0.0.json"));
    with("manifests/1.0.0.json", &of("manifests/1.1.0.json"));
    with("manifests/6.6.6.json", &of("manifests/1.1.0.json"));
    with("manifests/latest.json", &of("manifests/1.1.0.json"));
    with("root/2.json", &of("root/1.json"));
    with("list.json", b"junk");
    with("log/tile/0/000.p/5", &of("log/tile/0/000.p/3"));
    with("log/tile/1/000", b"");
    with("log/tile/0/999", &[0; 8192]);
    with("log/tile/00/000", b"");
    with("log/notes.txt", b"");
    // An earlier list.
    let old = list_of_entry(&of("log/tile/entries/000.p/6"), 2);
    assert!(old.starts_with(b"{\"payloadType\""));
    with("list.json", &old);
}

/// Entry `n` of a bundle of entries.
fn list_of_entry(bundle: &[u8], n: usize) -> Vec<u8> {
    let mut rest = bundle;
    for _ in 0..n {
        rest = &rest[2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]))..];
    }
    rest[2..][..usize::from(u16::from_be_bytes([rest[0], rest[1]]))].to_vec()
}

#[test]
fn parts_of_the_bundle_are_compared_with_the_log() {
    let us = published();
    let path = us.path("site/bundle.json");
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        fs::write(&path, bad.to_string()).unwrap();
        let (status, stdout, _) = us.run(VERIFY);
        assert_eq!(status, Some(1));
        assert!(stdout.contains("DAMAGED: bundle.json: "), "{stdout}");
        us.refused("site_damaged", PUBLISH);
    };
    with(&|bundle| bundle["list"]["index"] = 0.into());
    with(&|bundle| bundle["list"]["index"] = 99.into());
    with(&|bundle| bundle["manifests"][0]["index"] = 1.into());
    with(&|bundle| bundle["roots"][0]["envelope"] = bundle["list"]["envelope"].clone());
    with(&|bundle| bundle["tiles"]["tile/0/000.p/6"] = "AAAA".into());
    with(&|bundle| bundle["tiles"]["tile/0/000.p/5"] = "".into());
    with(&|bundle| bundle["tiles"]["../../etc/passwd"] = "".into());
    fs::write(&path, good.to_string()).unwrap();
    us.done(VERIFY);
}

#[test]
fn foreign_files_are_named_and_are_not_damage() {
    let us = published();
    let site = us.path("site");
    fs::write(site.join("index.html"), "hello").unwrap();
    fs::write(site.join("list.json.partial"), "half").unwrap();
    let said = us.done(VERIFY);
    assert!(said.contains("note: index.html: does not belong to a release"), "{said}");
    assert!(said.contains("note: list.json.partial: "), "{said}");
    us.done(PUBLISH);
    fs::remove_file(site.join("index.html")).unwrap();
    let long = format!("{}deep", "folder/".repeat(20));
    fs::create_dir_all(site.join(&long)).unwrap();
    let (status, stdout, _) = us.run(VERIFY);
    assert_eq!(status, Some(1), "{stdout}");
}

#[test]
fn irregular_files_are_named_and_never_block() {
    let us = published();
    let list = us.path("site/list.json");
    fs::remove_file(&list).unwrap();
    assert!(Command::new("mkfifo").arg(&list).status().unwrap().success());
    damaged(&us, "list.json");
    fs::remove_file(&list).unwrap();
    symlink("nowhere", &list).unwrap();
    damaged(&us, "list.json");
    fs::remove_file(&list).unwrap();
    symlink(us.path("site"), &list).unwrap();
    damaged(&us, "list.json");
    let bundle = us.path("site/bundle.json");
    fs::remove_file(&bundle).unwrap();
    assert!(Command::new("mkfifo").arg(&bundle).status().unwrap().success());
    us.refused("site_damaged", VERIFY);
}

/// `verify` of a mirror that was copied during a publication.
#[test]
fn a_mirror_taken_during_a_publication_is_not_damaged() {
    let us = published();
    let site = us.path("site");
    let before =
        ["bundle.json", "list.json", "log/checkpoint"].map(|path| (path, fs::read(site.join(path)).unwrap()));
    us.done(PUBLISH);
    let after =
        ["bundle.json", "list.json", "log/checkpoint"].map(|path| (path, fs::read(site.join(path)).unwrap()));
    // Tiles first, then the checkpoint, then the list, then the bundle.
    for done in 0..3 {
        for (path, content) in &before {
            fs::write(site.join(path), content).unwrap();
        }
        for (path, content) in after.iter().rev().take(done) {
            fs::write(site.join(path), content).unwrap();
        }
        let _ = fs::remove_file(us.path("memory.json"));
        let said = us.done(VERIFY);
        assert!(said.contains("note: "), "{done}: {said}");
    }
    // Ahead of the checkpoint, and of another log.
    for (path, content) in &before {
        fs::write(site.join(path), content).unwrap();
    }
    let mut ahead = fs::read(site.join("log/tile/0/000.p/7")).unwrap();
    ahead[0] ^= 1;
    fs::write(site.join("log/tile/0/000.p/7"), ahead).unwrap();
    let (status, stdout, stderr) = us.run(VERIFY);
    assert_eq!(status, Some(1), "{stdout}");
    assert!(stderr.contains("does not continue this log"), "{stderr}");
    // The next publication overwrites it.
    us.done(PUBLISH);
    us.done(VERIFY);
}

#[test]
fn the_lock_of_a_folder_is_not_a_link() {
    let us = published();
    let lock = us.path("site/.lock");
    fs::remove_file(&lock).unwrap();
    fs::write(us.path("precious"), "precious").unwrap();
    symlink(us.path("precious"), &lock).unwrap();
    let (status, _, stderr) = us.run(PUBLISH);
    assert_eq!(status, Some(2), "{stderr}");
    assert_eq!(fs::read(us.path("precious")).unwrap(), b"precious");
}

#[test]
fn times_and_keys_are_shown_in_readable_form() {
    let us = published();
    let said = us.done(&["show", "root.json"]);
    for due in [
        "expires_at is 20",
        "Z, in 364 days",
        "root key 1 is ",
        "2 of 2 root keys must sign",
        "signed by root key 2 (",
    ] {
        assert!(said.contains(due), "{due}: {said}");
    }
    let said = us.done(&["show", "--root", "root.json", "1.0.0.json"]);
    assert!(said.contains("created_at is 20") && said.contains("signed by builder 1 ("), "{said}");
    let said = us.done(&["show", "--root", "root.json", "site/list.json"]);
    assert!(said.contains("expires_at is 20") && said.contains("signed by list key 1 ("), "{said}");
    let said = us.done(VERIFY);
    for due in ["until 20", "entry 1: manifest of 1.0.0, ", "signed by present keys: builder 1 ("] {
        assert!(said.contains(due), "{due}: {said}");
    }

    // Signatures without a key id, with an unknown one, or with one of a key that has not signed.
    let with = |change: &dyn Fn(&mut serde_json::Value), due: &str| {
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(us.path("1.0.0.json")).unwrap()).unwrap();
        change(&mut json);
        fs::write(us.path("changed.json"), json.to_string()).unwrap();
        let said = us.done(&["show", "--root", "root.json", "changed.json"]);
        assert!(said.contains(due), "{due}: {said}");
    };
    with(
        &|json| json["signatures"][0]["keyid"] = "".into(),
        "names no key (its keyid is missing), which is not a known builder",
    );
    with(
        &|json| drop(json["signatures"][0].as_object_mut().unwrap().remove("keyid")),
        "its keyid is missing",
    );
    with(
        &|json| json["signatures"][0]["keyid"] = "abc\u{1b}".into(),
        "names abc\\u{1b}, which is not a known builder",
    );
    with(
        &|json| json["signatures"][1]["sig"] = json["signatures"][0]["sig"].clone(),
        "A SIGNATURE NAMES builder 2",
    );
    with(&|json| json["signatures"] = serde_json::json!([]), "not signed yet");
}
