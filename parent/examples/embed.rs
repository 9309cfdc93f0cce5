//! Serves the HTTP API from within another program, calls `/readyz` once, and shuts down.
//!
//! ```console
//! $ ok2cry-enclave-dev --listen unix:///tmp/enclave.sock &
//! $ cargo run -p ok2cry-parent --example embed -- unix:///tmp/enclave.sock
//! 200 {"status":"ready"}
//! ```
//!
//! The exit status is 1 unless the enclave is ready.

use ok2cry_parent::{Config, EnclaveUrl, bind, serve};
use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    time::sleep,
};

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: embed URL, such as unix:///tmp/enclave.sock")?;
    let mut config = Config::new(url.parse::<EnclaveUrl>()?);
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));

    let listener = bind(config.listen).await?;
    let address = listener.local_addr()?;
    let (shut_down, shutdown) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(config, listener, async { drop(shutdown.await) }));

    // The first connection to the enclave may take a moment.
    let mut answer = (String::new(), String::new());
    for _ in 0..50 {
        answer = get(address, "/readyz").await?;
        if answer.0 == "200" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let (status, body) = answer;
    println!("{status} {body}");

    let _ = shut_down.send(());
    server.await??;
    Ok(if status == "200" { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends one request without an HTTP library, and returns the response's status and body.
async fn get(address: SocketAddr, path: &str) -> Result<(String, String), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or("the response has no body")?;
    let status = head.split(' ').nth(1).ok_or("the response has no status")?;
    Ok((status.to_owned(), body.to_owned()))
}
