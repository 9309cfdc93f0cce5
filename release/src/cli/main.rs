//! `ok2cry-release`: builds the enclave image, measures any, and publishes releases.
//!
//! Exit status: 0 done, 1 refused (`refused: <code>: <sentence>` on stderr), 2 usage or unreadable input.

mod arguments;
mod releases;

use clap::{Parser, Subcommand};
use ok2cry_release::{
    eif::{Eif, MAX_EIF_LEN},
    error::{EifFault, Error},
    measure::Measurements,
};
use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Builds the enclave image, measures any EIF, and publishes releases.
#[derive(Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the PCRs of an enclave image file, as `nitro-cli` does.
    Measure {
        /// The image, ours or anybody's.
        file: PathBuf,
    },
    #[cfg(feature = "build")]
    /// Build an image, print its PCRs as `nitro-cli` does, and write a manifest beside it.
    Build(build::Arguments),
    #[command(flatten)]
    Releases(Box<arguments::Command>),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Measure { file } => measure(&file).map(|measurements| measurements.to_nitro_cli_json()),
        #[cfg(feature = "build")]
        Command::Build(arguments) => {
            build::run(&arguments).map(|measurements| measurements.to_nitro_cli_json())
        }
        Command::Releases(command) => releases::run(&command),
    };
    match done {
        Ok(said) => {
            // Whoever has read enough may hang up.
            let _ = writeln!(std::io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(error @ Error::Io { .. }) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("refused: {}: {error}", error.code());
            ExitCode::from(1)
        }
    }
}

fn measure(file: &Path) -> Result<Measurements, Error> {
    Measurements::of(&Eif::parse(&read(file)?)?)
}

/// A file, unless it is longer than any image.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_EIF_LEN + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::Io { path: path.display().to_string(), source })?;
    if bytes.len() as u64 > MAX_EIF_LEN {
        return Err(EifFault::TooLarge.into());
    }
    Ok(bytes)
}

#[cfg(feature = "build")]
mod build {
    use super::{Error, Measurements, read};
    use ok2cry_release::{
        durable::replace,
        image::{Image, Signer},
        inputs::Inputs,
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
        /// Its certificate, PEM: fills PCR8.
        #[arg(long, value_name = "FILE", requires = "signing_key")]
        signing_certificate: Option<PathBuf>,
        /// Where to write the image; the manifest goes beside it, with the extension `.manifest.json`.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    }

    pub(super) fn run(arguments: &Arguments) -> Result<Measurements, Error> {
        let inputs = Inputs {
            kernel: read(&arguments.kernel)?,
            kernel_config: read(&arguments.kernel_config)?,
            cmdline: read(&arguments.cmdline)?,
            init: read(&arguments.init)?,
            configuration: read(&arguments.configuration)?,
            toolchain: read(&arguments.toolchain)?,
            development: arguments.development,
        };
        let signer = arguments.signing_key.clone().zip(arguments.signing_certificate.clone());
        let signer = signer.map(|(key, certificate)| Signer { key, certificate });
        let image = Image::build(&inputs.check()?, signer.as_ref())?;
        replace(&arguments.out.with_extension("manifest.json"), image.manifest.as_bytes())?;
        replace(&arguments.out, &image.eif)?;
        Ok(image.measurements)
    }
}
