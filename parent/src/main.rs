//! `ok2cry-parent`: see `--help`.

use ok2cry_parent::{
    Config, ConfigError, Error, bind,
    config::{LogFormat, LogLevel},
    serve,
};
use std::{env, io::Write, process::ExitCode};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::{filter::LevelFilter, fmt};

/// The maximum number of threads that read published files. Each holds a stack and a chunk of a file.
const FILE_THREADS: usize = 16;

fn main() -> ExitCode {
    let variables =
        env::vars_os().map(|(n, v)| (n.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()));
    let config = match Config::load(env::args_os(), variables) {
        Ok(config) => config,
        // clap exits with 0 for help and version, and with 2 for an invalid flag.
        Err(ConfigError::Flags(error)) => error.exit(),
        Err(error) => {
            eprintln!("ok2cry-parent: {error}");
            return ExitCode::from(2);
        }
    };
    init_logging(&config);
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(FILE_THREADS).build();
    let system = |source| Error::System { what: "threads", source };
    match runtime.map_err(system).and_then(|runtime| runtime.block_on(run(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ok2cry-parent: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Error> {
    let system = |what| move |source| Error::System { what, source };
    let mut terminate = signal(SignalKind::terminate()).map_err(system("a handler for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("a handler for SIGINT"))?;
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(system("the address of the listening socket"))?;
    // Tests and scripts wait for this line. The service also runs with a closed stdout.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
    let enclave = config.enclave.to_string();
    tracing::info!(%address, enclave, "listening");
    serve(config, listener, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

fn init_logging(config: &Config) {
    let level = match config.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let subscriber = fmt().with_max_level(level).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    // Log the location only: a panic's message may contain data that the code was processing.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panic");
    }));
}
