//! `ok2cry-release`: builds the enclave image, measures any, and publishes releases.
//!
//! Exit status: 0 done, 1 refused (`refused: <code>: <sentence>` on stderr), 2 wrong usage, unreadable input,
//! or a report that could not be written.

mod arguments;
mod images;
mod inspect;
mod output;
mod releases;

use clap::{Parser, Subcommand};
use ok2cry_release::{error::Error, moment};
use output::Report;
use std::{path::PathBuf, process::ExitCode};

/// Builds the enclave image, measures any EIF, and publishes releases.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the PCRs of an enclave image file as `nitro-cli` does, and its properties and signer on stderr.
    Measure {
        /// The image: any EIF.
        file: PathBuf,
        /// Print everything as JSON, refusals too.
        #[arg(long)]
        json: bool,
        /// When the signing certificate must be valid, if not now: 2026-01-31T12:00:00Z, or Unix
        /// milliseconds.
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<u64>,
    },
    /// Write an image without its signature section. A release's digests are those of this file.
    Unsigned {
        /// The image.
        file: PathBuf,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Verify the signature of another build of the same image, and put it into yours. A second builder
    /// without the signing key gets the same file in this way.
    Attach {
        /// Your own image.
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// The signed image.
        #[arg(long, value_name = "FILE")]
        signature_of: PathBuf,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    #[cfg(feature = "build")]
    /// Build an image, print its PCRs as `nitro-cli` does, and write a manifest beside it.
    Build(build::BuildArguments),
    #[command(flatten)]
    Releases(Box<arguments::ReleaseCommand>),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error, std::env::args().any(|argument| argument == "--json")),
    };
    let json = matches!(arguments.command, Command::Measure { json: true, .. });
    match run(&arguments.command) {
        Ok(report) => output::deliver(&report),
        Err(error) => output::refuse(&error, json),
    }
}

fn run(command: &Command) -> Result<Report, Error> {
    match command {
        Command::Measure { file, json, at } => images::measure(file, *json, *at),
        Command::Unsigned { file, out } => images::unsigned(file, out),
        Command::Attach { image, signature_of, out } => images::attach(image, signature_of, out),
        #[cfg(feature = "build")]
        Command::Build(arguments) => {
            build::run(arguments).map(|measurements| measurements.to_nitro_cli_json().into())
        }
        Command::Releases(command) => releases::run(command),
    }
}

fn time(text: &str) -> Result<u64, String> {
    moment::parse(text).ok_or_else(|| "a time is 2026-01-31T12:00:00Z, or Unix milliseconds".into())
}

#[cfg(feature = "build")]
mod build {
    use super::{Error, images::read};
    use ok2cry_attest_verify::CheckTime;
    use ok2cry_release::{
        durable::{Readers, replace},
        eif::MAX_EIF_LEN,
        image::{Image, SignerFiles},
        inputs::Inputs,
        measure::Measurements,
    };
    use std::path::PathBuf;

    #[derive(clap::Args)]
    pub(super) struct BuildArguments {
        /// The kernel, a bzImage.
        #[arg(long, value_name = "FILE")]
        kernel: PathBuf,
        /// The `.config` that the kernel was built with.
        #[arg(long, value_name = "FILE")]
        kernel_config: PathBuf,
        /// A file with the kernel's command line.
        #[arg(long, value_name = "FILE")]
        cmdline: PathBuf,
        /// The enclave program, a static executable.
        #[arg(long, value_name = "FILE")]
        init: PathBuf,
        /// The enclave's configuration. It is measured.
        #[arg(long, value_name = "FILE")]
        configuration: PathBuf,
        /// The versions of the tools, as `image/toolchain` prints them.
        #[arg(long, value_name = "FILE")]
        toolchain: PathBuf,
        /// Let the configuration drop checks ([development]). The manifest says so; the image is not a
        /// release.
        #[arg(long)]
        development: bool,
        /// The private key that signs the image, PEM.
        #[arg(long, value_name = "FILE", requires = "signing_certificate")]
        signing_key: Option<PathBuf>,
        /// The key's certificate, PEM, which fills PCR8. Its issuers' certificates may follow in the file.
        #[arg(long, value_name = "FILE", requires = "signing_key")]
        signing_certificate: Option<PathBuf>,
        /// The image to write. The manifest is written beside it, with the extension `.manifest.json`.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    }

    pub(super) fn run(arguments: &BuildArguments) -> Result<Measurements, Error> {
        let inputs = Inputs {
            kernel: read(&arguments.kernel, MAX_EIF_LEN)?,
            kernel_config: read(&arguments.kernel_config, MAX_EIF_LEN)?,
            cmdline: read(&arguments.cmdline, MAX_EIF_LEN)?,
            init: read(&arguments.init, MAX_EIF_LEN)?,
            configuration: read(&arguments.configuration, MAX_EIF_LEN)?,
            toolchain: read(&arguments.toolchain, MAX_EIF_LEN)?,
            development: arguments.development,
        };
        let signer = arguments.signing_key.clone().zip(arguments.signing_certificate.clone());
        let signer = signer.map(|(key, certificate)| SignerFiles { key, certificate });
        let image = Image::build(&inputs.check()?, signer.as_ref(), &CheckTime::system())?;
        replace(&arguments.out.with_extension("manifest.json"), image.manifest.as_bytes(), Readers::All)?;
        replace(&arguments.out, &image.eif, Readers::All)?;
        Ok(image.measurements)
    }
}
