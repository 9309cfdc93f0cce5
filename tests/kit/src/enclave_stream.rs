//! Frames sent to the enclave directly, valid or not.

use crate::{HarnessError, wait::DEADLINE};
use ok2cry_protocol::{
    frame::{self, FrameReader, MAX_RESPONSE},
    rpc::{Answer, Call, Health, Refusal, Request, Response, ResponseReader},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
};

/// One stream to the enclave, in the parent's place.
#[derive(Debug)]
pub struct EnclaveStream {
    stream: UnixStream,
    received: ResponseReader,
    next_id: u64,
}

impl EnclaveStream {
    /// Connects to the enclave at `socket`.
    ///
    /// # Errors
    ///
    /// If it does not listen.
    pub fn connect(socket: &Path) -> Result<Self, HarnessError> {
        let stream =
            UnixStream::connect(socket).map_err(|e| HarnessError::new(format!("the enclave: {e}")))?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(|e| HarnessError::new(e.to_string()))?;
        Ok(Self { stream, received: ResponseReader::default(), next_id: 0 })
    }

    /// Connects to the enclave behind vsock port `port` of the machine whose backend listens at `socket`.
    ///
    /// # Errors
    ///
    /// If nothing listens at the port.
    pub fn connect_through(socket: &Path, port: u32) -> Result<Self, HarnessError> {
        let mut stream = Self::connect(socket)?;
        stream.send(format!("CONNECT {port}\n").as_bytes())?;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            let read = stream.stream.read_exact(&mut byte);
            read.map_err(|e| HarnessError::new(format!("no answer to CONNECT {port}: {e}")))?;
            line.extend(byte);
        }
        if line.starts_with(b"OK ") {
            Ok(stream)
        } else {
            Err(HarnessError::new(format!("CONNECT {port} was refused")))
        }
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    ///
    /// If the stream breaks, or the response is malformed or has another id.
    pub fn call(&mut self, call: Call) -> Result<Result<Answer, Refusal>, HarnessError> {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&frame::encode(&Request { id, call }.encode()))?;
        let response = self.response()?;
        if response.id != id {
            return Err(HarnessError::new(format!(
                "expected a response to request {id}, found one to {}",
                response.id
            )));
        }
        Ok(response.result)
    }

    /// Requests the enclave's health.
    ///
    /// # Errors
    ///
    /// As [`EnclaveStream::call`].
    pub fn health(&mut self) -> Result<Health, HarnessError> {
        match self.call(Call::Health)? {
            Ok(Answer::Health(health)) => Ok(health),
            other => Err(HarnessError::new(format!("expected a health response, found {other:?}"))),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// If the enclave has closed the stream.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), HarnessError> {
        self.stream.write_all(bytes).map_err(|e| HarnessError::new(format!("writing to the enclave: {e}")))
    }

    /// Writes bytes without blocking until the stream accepts no more. Returns how many it accepted.
    ///
    /// # Errors
    ///
    /// If the enclave has closed the stream.
    pub fn send_what_is_taken(&mut self, bytes: &[u8]) -> Result<usize, HarnessError> {
        let failed = |e: std::io::Error| HarnessError::new(format!("writing to the enclave: {e}"));
        self.stream.set_nonblocking(true).map_err(failed)?;
        let mut sent = 0;
        let result = loop {
            match self.stream.write(bytes.get(sent..).unwrap_or_default()) {
                Ok(0) => break Ok(sent),
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(sent),
                Err(e) => break Err(failed(e)),
            }
        };
        self.stream.set_nonblocking(false).map_err(failed)?;
        result
    }

    /// Closes the stream's sending half.
    ///
    /// # Errors
    ///
    /// If the stream is closed already.
    pub fn finish(&self) -> Result<(), HarnessError> {
        self.stream.shutdown(Shutdown::Write).map_err(|e| HarnessError::new(e.to_string()))
    }

    /// Reads one response.
    ///
    /// # Errors
    ///
    /// If the stream ends first, or the response is malformed.
    pub fn response(&mut self) -> Result<Response, HarnessError> {
        let mut frames = FrameReader::new(MAX_RESPONSE);
        let broken = |e: &dyn std::fmt::Display| HarnessError::new(format!("reading from the enclave: {e}"));
        loop {
            // Byte by byte, so that this reader consumes nothing of the next response.
            let mut byte = [0];
            self.stream.read_exact(&mut byte).map_err(|e| broken(&e))?;
            frames.push(&byte);
            if let Some(body) = frames.next_frame().map_err(|e| broken(&e))? {
                if let Some(response) = self.received.read(body).map_err(|e| broken(&e))? {
                    return Ok(response);
                }
                frames = FrameReader::new(MAX_RESPONSE);
            }
        }
    }

    /// Waits until the enclave closes the stream, and returns how many bytes it sent before it did.
    ///
    /// # Errors
    ///
    /// If it does not close.
    pub fn until_closed(mut self) -> Result<usize, HarnessError> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => Ok(rest.len()),
            // The kernel resets a stream that is closed with unread data.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(rest.len()),
            Err(e) => Err(HarnessError::new(format!("the enclave does not close the stream: {e}"))),
        }
    }
}
