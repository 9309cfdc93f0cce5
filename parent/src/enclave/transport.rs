//! Where the enclave is, and how to connect to it.

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
        /// The enclave's context id.
        cid: u32,
        /// Its port.
        port: u32,
    },
    /// `vsock+unix:///path:PORT`: a Unix socket that asks for a vsock port first, as vhost-device-vsock and
    /// Firecracker offer it.
    VsockUnix {
        /// The socket.
        path: PathBuf,
        /// The port behind it.
        port: u32,
    },
}

/// A stream of bytes to an enclave.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl EnclaveUrl {
    /// Opens one stream. Has no deadline of its own.
    ///
    /// # Errors
    /// What the system said, or [`io::ErrorKind::InvalidData`] if the far side of `vsock+unix` does not answer
    /// `CONNECT` as it should.
    pub async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Vsock { cid, port } => {
                Ok(Box::new(VsockStream::connect(VsockAddr::new(*cid, *port)).await?))
            }
            Self::VsockUnix { path, port } => {
                let mut stream = UnixStream::connect(path).await?;
                ask_for_port(&mut stream, *port).await?;
                Ok(Box::new(stream))
            }
        }
    }
}

// Byte by byte: whatever follows the line already belongs to the enclave's first frame.
async fn ask_for_port<S: Stream>(stream: &mut S, port: u32) -> io::Result<()> {
    const LONGEST: usize = "OK 4294967295\n".len();
    let refused = |rule| io::Error::new(io::ErrorKind::InvalidData, rule);
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
    let mut line = Vec::with_capacity(LONGEST);
    while line.last() != Some(&b'\n') {
        if line.len() == LONGEST {
            return Err(refused("the answer to CONNECT is too long"));
        }
        line.push(stream.read_u8().await?);
    }
    let answered = line.strip_prefix(b"OK ").and_then(|rest| rest.strip_suffix(b"\n"));
    match answered {
        Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(refused("the answer to CONNECT is not OK and a port")),
    }
}

/// Why a text is not the address of an enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// None of the schemes that exist.
    #[error("must be unix:///PATH, vsock://CID:PORT or vsock+unix:///PATH:PORT")]
    Scheme,
    /// A path that is relative, empty or holds a NUL.
    #[error("the socket's path must be absolute, as in unix:///run/enclave.sock")]
    Path,
    /// A path that no Unix socket can have.
    #[error("the socket's path is longer than the system's limit of {MAX_SOCKET_PATH} bytes")]
    PathTooLong,
    /// Something that is no CID.
    #[error("the CID must be a decimal number from 0 to 4294967295")]
    Cid,
    /// Something that is no port.
    #[error("the port must be given as a decimal number from 0 to 4294967295")]
    Port,
}

// sockaddr_un has 108 bytes, one of them for the NUL.
const MAX_SOCKET_PATH: usize = 107;

impl FromStr for EnclaveUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(Self::Unix(socket_path(path)?));
        }
        if let Some(address) = text.strip_prefix("vsock://") {
            let (cid, port) = address.split_once(':').ok_or(UrlError::Port)?;
            let cid = number(cid).ok_or(UrlError::Cid)?;
            return Ok(Self::Vsock { cid, port: number(port).ok_or(UrlError::Port)? });
        }
        if let Some(address) = text.strip_prefix("vsock+unix://") {
            let (path, port) = address.rsplit_once(':').ok_or(UrlError::Port)?;
            let path = socket_path(path)?;
            return Ok(Self::VsockUnix { path, port: number(port).ok_or(UrlError::Port)? });
        }
        Err(UrlError::Scheme)
    }
}

impl TryFrom<String> for EnclaveUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
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

fn socket_path(path: &str) -> Result<PathBuf, UrlError> {
    if path.len() < 2 || !path.starts_with('/') || path.contains('\0') {
        return Err(UrlError::Path);
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(UrlError::PathTooLong);
    }
    Ok(path.into())
}

// `u32::from_str` would take a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_is_read_and_shown_alike() {
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
    fn an_address_that_is_wrong_says_how() {
        let long = format!("unix:///{}", "a".repeat(107));
        for (text, error) in [
            ("", UrlError::Scheme),
            ("http://localhost", UrlError::Scheme),
            ("UNIX:///run/e.sock", UrlError::Scheme),
            ("unix://run/e.sock", UrlError::Path),
            ("unix:///", UrlError::Path),
            ("unix:///a\0b", UrlError::Path),
            (&long, UrlError::PathTooLong),
            ("vsock://16", UrlError::Port),
            ("vsock://16:", UrlError::Port),
            ("vsock://16:+5", UrlError::Port),
            ("vsock://16:5000/", UrlError::Port),
            ("vsock://16:4294967296", UrlError::Port),
            ("vsock://:5000", UrlError::Cid),
            ("vsock://x:5000", UrlError::Cid),
            ("vsock+unix:///run/e.sock", UrlError::Port),
            ("vsock+unix://e.sock:1", UrlError::Path),
        ] {
            assert_eq!(text.parse::<EnclaveUrl>(), Err(error), "{text:?}");
        }
    }

    async fn answer_to_connect(answer: &[u8]) -> io::Result<Vec<u8>> {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(answer).await?;
        ask_for_port(&mut near, 5000).await?;
        let mut asked = [0; 13];
        far.read_exact(&mut asked).await?;
        assert_eq!(&asked, b"CONNECT 5000\n");
        drop(far);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await?;
        Ok(rest)
    }

    #[tokio::test]
    async fn the_connect_handshake_takes_one_line_and_no_byte_more() {
        assert_eq!(answer_to_connect(b"OK 1073741824\nframe").await.unwrap(), b"frame");
        for bad in [&b"ERR\n"[..], b"OK \n", b"OK x\n", b"ok 5\n", b"OK 12345678901\n", b"OK 5 and then on\n"]
        {
            let kind = answer_to_connect(bad).await.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidData, "{:?}", bad.escape_ascii().to_string());
        }
    }
}
