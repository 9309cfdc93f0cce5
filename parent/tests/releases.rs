//! The published releases under `/v1/release`.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test that panics fails")]

mod common;

use common::{FakeEnclave, TestService};
use std::{fs, os::unix::fs::symlink};

#[tokio::test]
async fn only_files_of_the_published_folder_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    fs::create_dir_all(site.join("log/tile/0")).unwrap();
    fs::create_dir_all(site.join("root")).unwrap();
    for (path, content) in [
        ("bundle.json", "{}"),
        ("log/checkpoint", "origin\n"),
        ("log/tile/0/000", "hashes"),
        ("log/tile/0/001.p", ""),
        ("root/1.json", "{\"root\":1}"),
        (".lock", "secret"),
        ("../key.pem", "secret"),
    ] {
        fs::write(site.join(path), content).unwrap();
    }
    symlink(folder.path(), site.join("manifests")).unwrap();

    let mut config = FakeEnclave::answering().config();
    config.release_site = Some(site.clone());
    let service = TestService::new(&config);
    let immutable = "public, max-age=31536000, immutable";
    for (path, kind, caching, text) in [
        ("", "application/json", "no-cache", "{}"),
        ("/bundle.json", "application/json", "no-cache", "{}"),
        ("/log/checkpoint", "text/plain; charset=utf-8", "no-cache", "origin\n"),
        ("/log/tile/0/000", "application/octet-stream", immutable, "hashes"),
        ("/root/1.json", "application/json", immutable, "{\"root\":1}"),
    ] {
        let answer = service.get(&format!("/v1/release{path}")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, text), "{path}");
        assert_eq!(
            (answer.header("content-type"), answer.header("cache-control")),
            (kind, caching),
            "{path}"
        );
    }
    for path in [
        "/",
        "/.lock",
        "/..%2fkey.pem",
        "/%2e%2e/key.pem",
        "/manifests/key.pem",
        "/root/2.json",
        "/log/tile/0",
        "/log/tile/0/001.p",
        "/log/tile/0/002",
        "/log%00/checkpoint",
    ] {
        let answer = service.get(&format!("/v1/release{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    // A new version of a file is served at once.
    fs::write(site.join("bundle.json"), "{\"next\":1}").unwrap();
    assert_eq!(service.get("/v1/release").await.text, "{\"next\":1}");
}

#[tokio::test]
async fn without_a_release_site_there_are_no_releases() {
    let answer = FakeEnclave::answering().service().get("/v1/release").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert_eq!(answer.detail(), "no releases are published here");
}
