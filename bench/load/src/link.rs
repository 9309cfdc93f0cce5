//! One non-blocking connection: its output, its input, and its requests in flight.

use crate::{
    Outcome,
    dialect::{Answer, Reader},
};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
};
use std::{
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

pub struct Link {
    stream: OwnedFd,
    reader: Reader,
    /// The limit of requests in flight.
    depth: usize,
    in_flight: usize,
    outgoing: Vec<u8>,
    sent: usize,
}

impl Link {
    /// A stream to the enclave.
    pub fn frames(socket: &Path, depth: usize) -> Outcome<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(stream.into(), Reader::frames(), depth))
    }

    /// An HTTP connection, with one request in flight.
    pub fn http(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(stream.into(), Reader::http(), 1))
    }

    fn new(stream: OwnedFd, reader: Reader, depth: usize) -> Self {
        Self { stream, reader, depth, in_flight: 0, outgoing: Vec::new(), sent: 0 }
    }

    pub fn has_room(&self) -> bool {
        self.in_flight < self.depth
    }

    /// Registers a request with this number, and returns the buffer for it.
    pub fn ask(&mut self, number: u64) -> &mut Vec<u8> {
        self.in_flight += 1;
        self.reader.asked(number);
        &mut self.outgoing
    }

    /// Reverts the last [`Self::ask`], of which nothing was written.
    pub fn ask_nothing(&mut self) {
        self.in_flight -= 1;
        if let Reader::Http { waiting, .. } = &mut self.reader {
            waiting.pop_back();
        }
    }

    /// Sends without blocking. True if output is left.
    pub fn flush(&mut self) -> Outcome<bool> {
        while self.sent < self.outgoing.len() {
            match rustix::io::write(&self.stream, &self.outgoing[self.sent..]) {
                Ok(more) => self.sent += more,
                Err(Errno::AGAIN) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(false)
    }

    /// Reads without blocking.
    pub fn receive(&mut self, scratch: &mut [u8], mut each: impl FnMut(Answer<'_>)) -> Outcome<()> {
        loop {
            let arrived = match rustix::io::read(&self.stream, &mut *scratch) {
                Ok(0) => return Err("a connection was closed".into()),
                Ok(arrived) => arrived,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let in_flight = &mut self.in_flight;
            self.reader.push(&scratch[..arrived], |answer| {
                *in_flight -= 1;
                each(answer);
            })?;
            if arrived < scratch.len() {
                return Ok(());
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
