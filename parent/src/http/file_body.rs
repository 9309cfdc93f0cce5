//! A file as the body of a response, read one piece at a time: a reader that is slow, or does not read at all, holds
//! one piece and not the file.

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

/// The most bytes of a file that are read at once.
const PIECE: usize = 32 * 1024;

/// The rest of a file. Its length is the file's when it was opened; if the file turns out shorter, the response breaks.
pub(super) struct FileBody {
    source: Source,
    /// Bytes that were not handed out yet.
    left: u64,
    _place: OwnedSemaphorePermit,
}

enum Source {
    /// The next piece, and the file if more follows.
    Piece(Bytes, Option<File>),
    Rest(File),
    Reading(JoinHandle<io::Result<(Bytes, Option<File>)>>),
    Ended,
}

/// A file that was opened and whose first piece was read.
pub(super) struct Opened {
    piece: Bytes,
    rest: Option<File>,
    length: u64,
}

impl Opened {
    /// Opens a file of at most `most` bytes. Blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if it is not a file, [`io::ErrorKind::FileTooLarge`] if it is longer, or the
    /// system's own.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if about.len() > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let (piece, rest) = read_piece(file, about.len())?;
        Ok(Self { piece, rest, length: about.len() })
    }

    /// The body. It keeps `place` until the last piece was handed out.
    pub(super) fn into_body(self, place: OwnedSemaphorePermit) -> FileBody {
        FileBody { source: Source::Piece(self.piece, self.rest), left: self.length, _place: place }
    }
}

fn read_piece(mut file: File, left: u64) -> io::Result<(Bytes, Option<File>)> {
    let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok((bytes.into(), (left > length as u64).then_some(file)))
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
                Source::Piece(piece, rest) => {
                    self.source = rest.map_or(Source::Ended, Source::Rest);
                    self.left -= piece.len() as u64;
                    return Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))));
                }
                // Only now, when the piece before was taken: no piece is held in advance.
                Source::Rest(file) => {
                    let left = self.left;
                    self.source = Source::Reading(spawn_blocking(move || read_piece(file, left)));
                }
                Source::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(context) else {
                        self.source = Source::Reading(reading);
                        return Poll::Pending;
                    };
                    match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
                        Ok((piece, rest)) => self.source = Source::Piece(piece, rest),
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
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::{io::Write, sync::Arc};
    use tokio::sync::Semaphore;

    fn body(content: &[u8], places: &Arc<Semaphore>) -> (FileBody, tempfile::NamedTempFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let opened = Opened::open(file.path(), u64::MAX).unwrap();
        (opened.into_body(places.clone().try_acquire_owned().unwrap()), file)
    }

    #[tokio::test]
    async fn a_file_comes_in_pieces_and_whole() {
        let places = Arc::new(Semaphore::new(1));
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            let (mut body, _file) = body(&content, &places);
            assert_eq!(body.size_hint().exact(), Some(length as u64));
            let mut whole = Vec::new();
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!((1..=PIECE).contains(&piece.len()));
                whole.extend_from_slice(&piece);
            }
            assert!(whole == content, "{length}");
            assert!(body.is_end_stream());
            assert_eq!(places.available_permits(), 0);
            drop(body);
            assert_eq!(places.available_permits(), 1);
        }
    }

    #[tokio::test]
    async fn a_file_that_was_cut_breaks_the_body() {
        let places = Arc::new(Semaphore::new(1));
        let (mut body, file) = body(&[7; 3 * PIECE], &places);
        assert!(body.frame().await.unwrap().is_ok());
        file.as_file().set_len(PIECE as u64 + 1).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none());
        assert!(!body.is_end_stream());
    }
}
