//! What a user would build instead of an enclave: disposable keys in Valkey, behind axum, without
//! attestation.
//!
//! It is built well: a multi-threaded runtime, one multiplexed connection, precomputed tables.

mod agreement;
mod service;

use agreement::Provider;
use clap::Parser;
use std::{
    error::Error,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
};
use tokio::net::TcpListener;

/// Disposable keys in Valkey, behind axum.
#[derive(Parser)]
struct Args {
    /// The HTTP address to listen at. Port 0 is any free port.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// Valkey's address: `redis+unix:///path` or `redis://host:port`.
    #[arg(long)]
    valkey: String,
    /// The library that makes and uses keys.
    #[arg(long)]
    provider: Provider,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let valkey = redis::Client::open(args.valkey)?.get_multiplexed_async_connection().await?;
    let listener = TcpListener::bind(args.listen).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{}", listener.local_addr()?)?;
    stdout.flush()?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, service::router(args.provider, valkey)).await?;
    Ok(())
}
