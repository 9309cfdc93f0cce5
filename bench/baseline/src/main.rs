//! What a user would build instead of an enclave: disposable keys in Valkey, behind axum. Nobody attests anything.
//!
//! It is well made and unhurt: a multi-threaded runtime, one multiplexed connection, tables precomputed.

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
    /// Where to listen for HTTP; port 0 takes a free one.
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
    /// Where Valkey is: `redis+unix:///path` or `redis://host:port`.
    #[arg(long)]
    valkey: String,
    /// Who makes and uses keys.
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
