//! `ok2cry-release`: builds the enclave image, measures any, and publishes releases.
//!
//! Exit status: 0 done, 1 refused (`refused: <code>: <sentence>` on stderr), 2 usage, unreadable input, or a report that could
//! not be written.

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
    /// Print the PCRs of an enclave image file, as `nitro-cli` does; what else it is, and who signed it, on stderr.
    Measure {
        /// The image, ours or anybody's.
        file: PathBuf,
        /// All of it as JSON, refusals too.
        #[arg(long)]
        json: bool,
        /// When the certificate that signed the image has to be valid, if not now: 2026-01-31T12:00:00Z, or Unix milliseconds.
        #[arg(long, value_name = "TIME", value_parser = time)]
        at: Option<u64>,
    },
    /// Write an image without its signature section: the file that a release's digests are of.
    Unsigned {
        /// The image.
        file: PathBuf,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put the signature of another build of the same image into yours, after checking it: how a second builder, who does not
    /// have the key, comes to the same file.
    Attach {
        /// Your own image.
        #[arg(long, value_name = "FILE")]
        image: PathBuf,
        /// The signed image.
        #[arg(long, value_name = "FILE")]
        signature_of: PathBuf,
        /// Where to write yours with that signature.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    #[cfg(feature = "build")]
    /// Build an image, print its PCRs as `nitro-cli` does, and write a manifest beside it.
    Build(build::Arguments),
    #[command(flatten)]
    Releases(Box<arguments::Command>),
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
        image::{Image, Signer},
        inputs::Inputs,
        measure::Measurements,
    };
    use std::path::PathBuf;

    #[derive(clap::Args)]
    pub(super) struct Arguments {
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
        /// The enclave's configuration, which becomes part of what is measured.
        #[arg(long, value_name = "FILE")]
        configuration: PathBuf,
        /// The versions of the tools, as `image/toolchain` prints them.
        #[arg(long, value_name = "FILE")]
        toolchain: PathBuf,
        /// Let the configuration drop checks ([development]): the image is no release, and its manifest says so.
        #[arg(long)]
        development: bool,
        /// The private key that signs the image, PEM.
        #[arg(long, value_name = "FILE", requires = "signing_certificate")]
        signing_key: Option<PathBuf>,
        /// Its certificate, PEM: fills PCR8. Certificates that issued it may follow in the file.
        #[arg(long, value_name = "FILE", requires = "signing_key")]
        signing_certificate: Option<PathBuf>,
        /// Where to write the image; the manifest goes beside it, with the extension `.manifest.json`.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    }

    pub(super) fn run(arguments: &Arguments) -> Result<Measurements, Error> {
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
        let signer = signer.map(|(key, certificate)| Signer { key, certificate });
        let image = Image::build(&inputs.check()?, signer.as_ref(), &CheckTime::system())?;
        replace(
            &arguments.out.with_extension("manifest.json"),
            image.manifest.as_bytes(),
            Readers::Everybody,
        )?;
        replace(&arguments.out, &image.eif, Readers::Everybody)?;
        Ok(image.measurements)
    }
}
