//! The enclave's address, and how to connect to it.

use serde::Deserialize;
use std::{fmt, io, path::PathBuf, str::FromStr};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
};
use tokio_vsock::{VsockAddr, VsockStream};

/// The address of an enclave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum EnclaveUrl {
    /// `unix:///path`: a Unix socket, for development.
    Unix(PathBuf),
    /// `vsock://CID:PORT`: an enclave of this instance.
    Vsock {
        /// The enclave's context identifier (CID).
        cid: u32,
        /// The enclave's port.
        port: u32,
    },
    /// `vsock+unix:///path:PORT`: a Unix socket that expects `CONNECT PORT` first, as vhost-device-vsock and
    /// Firecracker do.
    VsockUnix {
        /// The socket.
        path: PathBuf,
        /// The vsock port behind it.
        port: u32,
    },
}

/// A byte stream to an enclave.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl EnclaveUrl {
    /// Opens one stream. Has no timeout.
    ///
    /// # Errors
    /// The system's error, or [`io::ErrorKind::InvalidData`] if the peer of `vsock+unix` does not answer
    /// `CONNECT` with `OK` and a port.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Vsock { cid, port } => {
                Ok(Box::new(VsockStream::connect(VsockAddr::new(*cid, *port)).await?))
            }
            Self::VsockUnix { path, port } => {
                let mut stream = UnixStream::connect(path).await?;
                request_port(&mut stream, *port).await?;
                Ok(Box::new(stream))
            }
        }
    }
}

// Reads byte by byte: the bytes after the line belong to the enclave's first frame.
async fn request_port<S: ByteStream>(stream: &mut S, port: u32) -> io::Result<()> {
    const MAX_LINE: usize = "OK 4294967295\n".len();
    let invalid = |rule| io::Error::new(io::ErrorKind::InvalidData, rule);
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let mut line = Vec::with_capacity(MAX_LINE);
    while line.last() != Some(&b'\n') {
        if line.len() == MAX_LINE {
            return Err(invalid("the answer to CONNECT is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let port = line.strip_prefix(b"OK ").and_then(|rest| rest.strip_suffix(b"\n"));
    match port {
        Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(invalid("the answer to CONNECT is not OK and a port")),
    }
}

/// Why a text is not an enclave's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnclaveUrlError {
    /// The scheme is unknown.
    #[error("must be unix:///PATH, vsock://CID:PORT or vsock+unix:///PATH:PORT")]
    Scheme,
    /// The path is relative, empty, or contains a NUL byte.
    #[error("the socket's path must be absolute, as in unix:///run/enclave.sock")]
    Path,
    /// The path is longer than a Unix socket's may be.
    #[error("the socket's path is longer than the system's limit of {MAX_SOCKET_PATH} bytes")]
    PathTooLong,
    /// The CID is not a number in range.
    #[error("the CID must be a decimal number from 0 to 4294967295")]
    Cid,
    /// The port is missing or is not a number in range.
    #[error("the port must be given as a decimal number from 0 to 4294967295")]
    Port,
}

// sockaddr_un has 108 bytes; one of them is the terminating NUL.
const MAX_SOCKET_PATH: usize = 107;

impl FromStr for EnclaveUrl {
    type Err = EnclaveUrlError;

    fn from_str(text: &str) -> Result<Self, EnclaveUrlError> {
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(Self::Unix(socket_path(path)?));
        }
        if let Some(address) = text.strip_prefix("vsock://") {
            let (cid, port) = address.split_once(':').ok_or(EnclaveUrlError::Port)?;
            let cid = number(cid).ok_or(EnclaveUrlError::Cid)?;
            return Ok(Self::Vsock { cid, port: number(port).ok_or(EnclaveUrlError::Port)? });
        }
        if let Some(address) = text.strip_prefix("vsock+unix://") {
            let (path, port) = address.rsplit_once(':').ok_or(EnclaveUrlError::Port)?;
            let path = socket_path(path)?;
            return Ok(Self::VsockUnix { path, port: number(port).ok_or(EnclaveUrlError::Port)? });
        }
        Err(EnclaveUrlError::Scheme)
    }
}

impl TryFrom<String> for EnclaveUrl {
    type Error = EnclaveUrlError;

    fn try_from(text: String) -> Result<Self, EnclaveUrlError> {
        text.parse()
    }
}

impl fmt::Display for EnclaveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::VsockUnix { path, port } => write!(f, "vsock+unix://{}:{port}", path.display()),
        }
    }
}

fn socket_path(path: &str) -> Result<PathBuf, EnclaveUrlError> {
    if path.len() < 2 || !path.starts_with('/') || path.contains('\0') {
        return Err(EnclaveUrlError::Path);
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(EnclaveUrlError::PathTooLong);
    }
    Ok(path.into())
}

// `u32::from_str` alone would accept a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_round_trips() {
        for text in [
            "unix:///run/e.sock",
            "vsock://16:5000",
            "vsock+unix:///run/a:b.sock:5000",
            "vsock://4294967295:0",
        ] {
            assert_eq!(text.parse::<EnclaveUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_invalid_address_names_the_rule() {
        let long = format!("unix:///{}", "a".repeat(107));
        for (text, error) in [
            ("", EnclaveUrlError::Scheme),
            ("http://localhost", EnclaveUrlError::Scheme),
            ("UNIX:///run/e.sock", EnclaveUrlError::Scheme),
            ("unix://run/e.sock", EnclaveUrlError::Path),
            ("unix:///", EnclaveUrlError::Path),
            ("unix:///a\0b", EnclaveUrlError::Path),
            (&long, EnclaveUrlError::PathTooLong),
            ("vsock://16", EnclaveUrlError::Port),
            ("vsock://16:", EnclaveUrlError::Port),
            ("vsock://16:+5", EnclaveUrlError::Port),
            ("vsock://16:5000/", EnclaveUrlError::Port),
            ("vsock://16:4294967296", EnclaveUrlError::Port),
            ("vsock://:5000", EnclaveUrlError::Cid),
            ("vsock://x:5000", EnclaveUrlError::Cid),
            ("vsock+unix:///run/e.sock", EnclaveUrlError::Port),
            ("vsock+unix://e.sock:1", EnclaveUrlError::Path),
        ] {
            assert_eq!(text.parse::<EnclaveUrl>(), Err(error), "{text:?}");
        }
    }

    async fn answer_to_connect(answer: &[u8]) -> io::Result<Vec<u8>> {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(answer).await?;
        request_port(&mut near, 5000).await?;
        let mut request = [0; 13];
        far.read_exact(&mut request).await?;
        assert_eq!(&request, b"CONNECT 5000\n");
        drop(far);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await?;
        Ok(rest)
    }

    #[tokio::test]
    async fn the_connect_handshake_reads_one_line_only() {
        assert_eq!(answer_to_connect(b"OK 1073741824\nframe").await.unwrap(), b"frame");
        for bad in [&b"ERR\n"[..], b"OK \n", b"OK x\n", b"ok 5\n", b"OK 12345678901\n", b"OK 5 and then on\n"]
        {
            let kind = answer_to_connect(bad).await.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidData, "{:?}", bad.escape_ascii().to_string());
        }
    }
}
