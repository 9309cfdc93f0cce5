//! Frames on the stream between parent and enclave: a big-endian u32 length, then that many bytes.
//!
//! Both ends read with [`FrameReader`] and close the stream at the first [`FrameError`]: after a wrong length
//! the start of the next frame is unknown.

use crate::cbor::Writer;

/// The longest request, in bytes.
pub const MAX_REQUEST: usize = 16 * 1024;
/// The longest response, in bytes: 100 keys with their paths, and one document.
pub const MAX_RESPONSE: usize = 256 * 1024;
/// The most bytes of one write on vsock. Some host drivers lose larger packets.
pub const MAX_WRITE: usize = 16 * 1024;

/// Why a stream must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length of a frame is above the limit.
    #[error("a frame of {length} bytes is longer than the limit of {limit}")]
    TooLong {
        /// The length in the frame.
        length: u32,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A frame has no content.
    #[error("a frame is empty")]
    Empty,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

impl FrameError {
    /// A stable name for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLong { .. } => "frame_too_long",
            Self::Empty => "frame_empty",
            Self::Truncated => "frame_truncated",
        }
    }
}

/// Makes a frame of `body`, which must not be longer than `u32::MAX`. All structures of [`crate::rpc`] are
/// shorter.
pub fn encode(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], body].concat()
}

/// Appends a frame to `out`; `write` writes its content.
pub(crate) fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Writer)) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    let mut w = Writer::after(core::mem::take(out));
    write(&mut w);
    *out = w.finish();
    let length = u32::try_from(out.len() - begin - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(begin..begin + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// Splits a stream into frames. It holds at most one frame beyond the last read. It allocates for bytes that
/// have arrived, not for the length that a frame claims.
pub struct FrameReader {
    limit: usize,
    buffer: Vec<u8>,
    consumed: usize,
}

impl FrameReader {
    /// A reader of frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), consumed: 0 }
    }

    /// Appends bytes that were read from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The content of the next frame, if all of it has arrived.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let Some(rest) = self.buffer.get(self.consumed..) else { return Ok(None) };
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let wanted = usize::try_from(length)
            .ok()
            .filter(|n| *n <= self.limit)
            .ok_or(FrameError::TooLong { length, limit: self.limit })?;
        if wanted == 0 {
            return Err(FrameError::Empty);
        }
        let Some(body) = rest.get(..wanted) else { return Ok(None) };
        self.consumed += 4 + wanted;
        Ok(Some(body))
    }

    /// Checks that the stream did not end inside a frame.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.consumed == self.buffer.len() { Ok(()) } else { Err(FrameError::Truncated) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_do_not_depend_on_how_the_stream_is_split() {
        let stream = [encode(b"one"), encode(b"three"), encode(&[7; 100])].concat();
        for step in 1..stream.len() {
            let mut reader = FrameReader::new(100);
            let mut frames = Vec::new();
            for piece in stream.chunks(step) {
                reader.push(piece);
                while let Some(frame) = reader.next_frame().unwrap() {
                    frames.push(frame.to_vec());
                }
            }
            assert_eq!(frames, [b"one".to_vec(), b"three".to_vec(), vec![7; 100]]);
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn a_wrong_length_ends_the_stream_without_allocating() {
        let mut reader = FrameReader::new(100);
        reader.push(&u32::MAX.to_be_bytes());
        assert_eq!(reader.next_frame(), Err(FrameError::TooLong { length: u32::MAX, limit: 100 }));
        let mut reader = FrameReader::new(100);
        reader.push(&[0; 4]);
        assert_eq!(reader.next_frame(), Err(FrameError::Empty));
        let mut reader = FrameReader::new(100);
        reader.push(&encode(b"half")[..6]);
        assert_eq!(reader.next_frame(), Ok(None));
        assert_eq!(reader.end(), Err(FrameError::Truncated));
    }
}
