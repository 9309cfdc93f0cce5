//! A file as a response body, read in chunks. A slow reader holds one chunk in memory instead of the whole
//! file.

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    fs::File,
    future::Future,
    io::{self, Read},
    mem,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::{JoinHandle, spawn_blocking},
};

/// The maximum length of a chunk, in bytes.
const CHUNK: usize = 32 * 1024;

/// The body. Its length is the file's length when it was opened. If the file is truncated later, the body
/// fails.
pub(super) struct FileBody {
    source: Source,
    /// The number of bytes not returned yet.
    remaining: u64,
    _permit: OwnedSemaphorePermit,
}

enum Source {
    /// The next chunk, and the file unless it is the last chunk.
    Chunk(Bytes, Option<File>),
    Rest(File),
    Reading(JoinHandle<io::Result<(Bytes, Option<File>)>>),
    Ended,
}

/// An open file and its first chunk.
pub(super) struct OpenFile {
    first: Bytes,
    rest: Option<File>,
    length: u64,
}

impl OpenFile {
    /// Opens a file of at most `max_length` bytes. Blocks the thread.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it is not a regular file, [`io::ErrorKind::FileTooLarge`] if it is
    /// longer, or the system's error.
    pub(super) fn open(path: &Path, max_length: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if metadata.len() > max_length {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (first, rest) = read_chunk(file, metadata.len())?;
        Ok(Self { first, rest, length: metadata.len() })
    }

    /// The body. It holds `permit` until it is dropped.
    pub(super) fn into_body(self, permit: OwnedSemaphorePermit) -> FileBody {
        FileBody { source: Source::Chunk(self.first, self.rest), remaining: self.length, _permit: permit }
    }
}

fn read_chunk(mut file: File, remaining: u64) -> io::Result<(Bytes, Option<File>)> {
    let length = usize::try_from(remaining).map_or(CHUNK, |n| n.min(CHUNK));
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok((bytes.into(), (remaining > length as u64).then_some(file)))
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match mem::replace(&mut self.source, Source::Ended) {
                Source::Chunk(chunk, rest) => {
                    self.source = rest.map_or(Source::Ended, Source::Rest);
                    self.remaining -= chunk.len() as u64;
                    return Poll::Ready((!chunk.is_empty()).then(|| Ok(Frame::data(chunk))));
                }
                // Read only when the previous chunk was taken: no chunk is read ahead.
                Source::Rest(file) => {
                    let remaining = self.remaining;
                    self.source = Source::Reading(spawn_blocking(move || read_chunk(file, remaining)));
                }
                Source::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(context) else {
                        self.source = Source::Reading(reading);
                        return Poll::Pending;
                    };
                    match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
                        Ok((chunk, rest)) => self.source = Source::Chunk(chunk, rest),
                        Err(error) => {
                            tracing::error!(%error, "a published file cannot be read to its end");
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                }
                Source::Ended => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::{io::Write, sync::Arc};
    use tokio::sync::Semaphore;

    fn body(content: &[u8], permits: &Arc<Semaphore>) -> (FileBody, tempfile::NamedTempFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let opened = OpenFile::open(file.path(), u64::MAX).unwrap();
        (opened.into_body(permits.clone().try_acquire_owned().unwrap()), file)
    }

    #[tokio::test]
    async fn a_file_is_read_whole_in_chunks() {
        let permits = Arc::new(Semaphore::new(1));
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            let (mut body, _file) = body(&content, &permits);
            assert_eq!(body.size_hint().exact(), Some(length as u64));
            let mut whole = Vec::new();
            while let Some(frame) = body.frame().await {
                let chunk = frame.unwrap().into_data().unwrap();
                assert!((1..=CHUNK).contains(&chunk.len()));
                whole.extend_from_slice(&chunk);
            }
            assert!(whole == content, "{length}");
            assert!(body.is_end_stream());
            assert_eq!(permits.available_permits(), 0);
            drop(body);
            assert_eq!(permits.available_permits(), 1);
        }
    }

    #[tokio::test]
    async fn a_truncated_file_fails_the_body() {
        let permits = Arc::new(Semaphore::new(1));
        let (mut body, file) = body(&[7; 3 * CHUNK], &permits);
        assert!(body.frame().await.unwrap().is_ok());
        file.as_file().set_len(CHUNK as u64 + 1).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none());
        assert!(!body.is_end_stream());
    }
}
