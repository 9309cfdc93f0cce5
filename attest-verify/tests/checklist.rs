//! `docs/attestation.md` names every code, and a test that exists for each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::Path;

use ok2cry_attest_verify::Error;

#[test]
fn the_checklist_names_every_code_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../docs/attestation.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();

    let codes: Vec<_> = Error::all_codes().collect();
    for code in &codes {
        assert_eq!(rows.iter().filter(|row| row.first() == Some(code)).count(), 1, "{code}");
    }
    for row in &rows {
        assert!(codes.contains(row.first().unwrap()), "{row:?}");
    }

    let sources = sources(root);
    for row in &rows {
        let test = row.last().unwrap();
        assert!(sources.contains(&format!("fn {test}()")), "{row:?}: there is no such test");
        assert!(sources.contains(&format!("\"{}\"", row.first().unwrap())), "{row:?}: no test expects it");
    }
}

/// The tests, and the hostile documents that they judge.
fn sources(root: &Path) -> String {
    let folders = ["tests", "tests/suite", "../tests/forge/src/cases"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let files =
        files.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "rs"));
    files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}
