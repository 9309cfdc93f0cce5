//! The tests that the documentation names exist, and its links lead to files.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of all functions in all Rust sources.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).unwrap();
                let after_fn = text.split("fn ").skip(1);
                names.extend(after_fn.filter_map(|rest| rest.split(['(', '<']).next().map(str::to_owned)));
            }
        }
    }
    names
}

#[test]
fn every_test_that_the_docs_name_exists() {
    let functions = functions();
    for page in ["docs/threat-model.md", "docs/INVARIANTS.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let mut named = 0;
        for row in text.lines().filter(|line| line.starts_with("| ")) {
            let Some(cell) = row.trim_end_matches([' ', '|']).rsplit('|').next() else { continue };
            for name in cell.split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
                assert!(functions.contains(name), "{page} names {name}, which does not exist");
                named += 1;
            }
        }
        assert!(named > 15, "{page} names only {named} tests");
    }
}

#[test]
fn paths_in_the_development_guide_exist() {
    let text = fs::read_to_string(root().join("docs/development.md")).unwrap();
    // Folders of what is built, of a user, and of what a reader is to add.
    let absent = ["/", "target/", "~/", "services/", ".github/allowed_signers"];
    let is_path = |code: &&str| code.contains('/') && !code.contains([' ', '\n', '@', ':']);
    let code = text.split('`').skip(1).step_by(2).filter(is_path);
    let paths: Vec<_> = code.filter(|path| !absent.iter().any(|prefix| path.starts_with(prefix))).collect();
    assert!(paths.len() > 30, "the guide names only {} paths", paths.len());
    for path in paths {
        assert!(root().join(path).exists(), "docs/development.md names {path}, which does not exist");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages: Vec<_> = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().path()).collect();
    pages.extend(
        [
            "README.md",
            "CONTRIBUTING.md",
            "RELEASING.md",
            "SECURITY.md",
            "clients/js/README.md",
            "tests/README.md",
            "fuzz/README.md",
        ]
        .map(|name| root().join(name)),
    );
    for page in pages.iter().filter(|page| page.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let there = page.parent().unwrap().join(file);
            assert!(there.exists(), "{} links to {target}", page.display());
        }
    }
}
