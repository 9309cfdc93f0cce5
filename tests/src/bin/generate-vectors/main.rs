//! Writes the conformance vectors in `tests/vectors/v1`, the same bytes every time.
//!
//! ```text
//! cargo run -p ok2cry-tests --bin generate-vectors             # write the files
//! cargo run -p ok2cry-tests --bin generate-vectors -- --check  # exit 1 if they differ
//! cargo run -p ok2cry-tests --bin generate-vectors -- --seeds DIR  # seeds for fuzzing
//! ```
//!
//! What must be refused is stated by hand, with its field and rule, and not asked of the decoder: the tests
//! that read the files hold the decoder to it. `hpke.json` is not from here, see
//! `tests/interop/known_answers.py`.

mod answers;
mod batch;
mod documents;
mod fixtures;
mod ids;
mod key_descriptor;
mod raw;
mod releases;
mod reply;
mod rpc;
mod seal;

use std::{error::Error, fs, path::Path, process::ExitCode};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        ["--seeds", folder] => releases::seeds(Path::new(folder)),
        _ => {
            eprintln!("usage: generate-vectors [--check | --seeds DIR]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-vectors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    for (name, content) in files()? {
        fs::write(directory().join(name), content)?;
        println!("wrote {name}");
    }
    Ok(())
}

fn check() -> Result<()> {
    let mut different = Vec::new();
    for (name, content) in files()? {
        // A file that cannot be read is not the one that would be written.
        if fs::read_to_string(directory().join(name)).ok().as_ref() == Some(&content) {
            println!("{name} is as generated");
        } else {
            different.push(name);
        }
    }
    if different.is_empty() {
        return Ok(());
    }
    Err(format!("not as generated: {}", different.join(", ")).into())
}

fn files() -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("key-descriptor.json", pretty(&key_descriptor::file()?)?),
        ("batch.json", pretty(&batch::file()?)?),
        ("seal.json", pretty(&seal::file()?)?),
        ("reply.json", pretty(&reply::file()?)?),
        ("ids.json", pretty(&ids::file()?)?),
        ("rpc.json", pretty(&rpc::file()?)?),
        ("documents.json", pretty(&documents::file()?)?),
        ("releases.json", pretty(&releases::file()?)?),
        ("issue.json", pretty(&answers::issue::file()?)?),
        ("replies.json", pretty(&answers::replies::file()?)?),
        ("statements.json", pretty(&answers::statements::file()?)?),
        ("trust.json", pretty(&answers::trust::file()?)?),
    ])
}

fn pretty(file: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(file)? + "\n")
}

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/v1"))
}
