//! Writes the attestation documents in `tests/vectors/attestation`, right ones and hostile ones, with the
//! verdict that every verifier must reach. The same bytes every time.
//!
//! ```text
//! cargo run -p ok2cry-tests --bin generate-attestation-vectors                 # write the files
//! cargo run -p ok2cry-tests --bin generate-attestation-vectors -- --check  # exit 1 if they differ
//! cargo run -p ok2cry-tests --bin generate-attestation-vectors -- --seeds DIR  # seeds for fuzzing
//! ```
//!
//! The verdicts stand beside the changes in `tests/forge/src/cases` and are not asked of the verifier: the
//! tests that read the files hold the verifier to them.

mod file;
mod policies;

use std::{error::Error, fs, path::Path, process::ExitCode};

use file::{Case, File};
use ok2cry_attest_forge::cases;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        ["--seeds", folder] => seeds(Path::new(folder)),
        _ => {
            eprintln!("usage: generate-attestation-vectors [--check | --seeds DIR]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-attestation-vectors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    for (name, file) in files()? {
        fs::write(directory().join(name), file.to_json()?)?;
        println!("wrote {name}: {} cases", file.cases.len());
    }
    Ok(())
}

fn check() -> Result<()> {
    let mut different = Vec::new();
    for (name, file) in files()? {
        // A file that cannot be read is not the one that would be written.
        if fs::read_to_string(directory().join(name)).ok() == Some(file.to_json()?) {
            println!("{name} is as generated: {} cases", file.cases.len());
        } else {
            different.push(name);
        }
    }
    if different.is_empty() {
        return Ok(());
    }
    Err(format!("not as generated: {}", different.join(", ")).into())
}

/// `decode/` takes a document as it is, `verify/` one with a byte of options before it.
fn seeds(folder: &Path) -> Result<()> {
    for target in ["decode", "verify"] {
        fs::create_dir_all(folder.join(target))?;
    }
    for (name, file) in files()? {
        for (number, case) in file.cases.iter().enumerate() {
            let name = format!("{}-{number:03}", name.trim_end_matches(".json"));
            let document = case.document();
            fs::write(folder.join("decode").join(&name), document)?;
            fs::write(folder.join("verify").join(&name), [&[0][..], document].concat())?;
        }
    }
    Ok(())
}

fn files() -> Result<Vec<(&'static str, File)>> {
    let refused = |cases: &[cases::Case]| File::new(cases.iter().map(Case::refused).collect());
    let judged = |cases: &[&[cases::Judged]]| -> Result<File> {
        let cases = cases.iter().flat_map(|cases| cases.iter());
        Ok(File::new(cases.map(Case::judged).collect::<Result<_>>()?))
    };
    let dos = cases::RAW.iter().map(Case::raw).chain(cases::DOS.iter().map(Case::refused)).collect();
    Ok(vec![
        ("valid.json", judged(&[cases::VALID])?),
        ("envelope.json", refused(cases::ENVELOPE)),
        ("payload.json", refused(cases::PAYLOAD)),
        ("pcrs.json", refused(cases::PCRS)),
        ("certificates.json", refused(cases::CERTIFICATES)),
        ("chain.json", refused(&[cases::CHAIN, cases::ISSUED_BY_LEAF, cases::ROLES].concat())),
        ("time.json", refused(cases::TIME)),
        ("clock.json", judged(&[cases::CLOCK])?),
        ("debug.json", judged(&[cases::DEBUG])?),
        ("dos.json", File::new(dos)),
        ("policy.json", File::new(policies::cases()?)),
    ])
}

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/attestation"))
}
