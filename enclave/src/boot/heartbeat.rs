//! The heartbeat, as AWS's own init sends it: the byte `0xB7` to vsock CID 3, port 9000, which the parent
//! echoes. `nitro-cli run-enclave` waits for it. The enclave serves with or without an answer.

use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_vsock::{VsockAddr, VsockStream};

/// The CID of the parent instance.
const PARENT_CID: u32 = 3;
/// Where `nitro-cli` listens.
const PORT: u32 = 9000;
const BYTE: u8 = 0xB7;
/// How long to wait for the echo.
const ECHO_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the heartbeat once, and logs the outcome.
pub async fn send() {
    let exchange = async { beat(&mut VsockStream::connect(VsockAddr::new(PARENT_CID, PORT)).await?).await };
    match timeout(ECHO_TIMEOUT, exchange).await {
        Ok(Ok(())) => tracing::info!("heartbeat answered"),
        Ok(Err(error)) => tracing::info!(kind = ?error.kind(), "heartbeat not answered"),
        Err(_) => tracing::info!("heartbeat not answered in time"),
    }
}

async fn beat(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(&[BYTE]).await?;
    if stream.read_u8().await? == BYTE { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_heartbeat_is_one_byte_that_comes_back() {
        for (answer, good) in [(0xB7, true), (0, false)] {
            let (mut enclave, mut parent) = tokio::io::duplex(8);
            let parent = tokio::spawn(async move {
                assert_eq!(parent.read_u8().await.unwrap(), 0xB7);
                parent.write_u8(answer).await.unwrap();
            });
            assert_eq!(beat(&mut enclave).await.is_ok(), good);
            parent.await.unwrap();
        }
    }
}
