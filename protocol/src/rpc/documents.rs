//! Documents cross a stream once, however many answers need them.
//!
//! A stream has [`PLACES`] for documents. A frame of its own puts one into a place, and answers name the place. The enclave
//! decides which document makes room for a new one; the parent puts them where it is told.

use super::{Answer, MAX_DOCUMENT, Response, request::read_id};
use crate::{
    DecodeError, Rule,
    cbor::{Reader, Writer},
    document::Document,
    frame,
};

/// How many documents a stream has at a time: some 64 × 4.5 kB, at most 64 × [`MAX_DOCUMENT`].
pub const PLACES: usize = 64;

/// The kind of a frame that is no answer, among the kinds of answers.
pub(super) const KIND: u64 = 8;

/// Writes answers to one stream.
#[derive(Default)]
pub struct Sent {
    places: Vec<Place>,
    /// Counts uses.
    now: u64,
}

struct Place {
    document: Document,
    last_used: u64,
}

impl Sent {
    /// Appends a response to `out` as a frame, after a frame with its document if the parent does not have that.
    pub fn write(&mut self, response: &Response, out: &mut Vec<u8>) {
        let place = response.result.as_ref().ok().and_then(Answer::document).map(|document| {
            let (place, is_new) = self.place(document);
            if is_new {
                frame::append(out, |w| {
                    w.map(3).key(0).uint(place).key(1).uint(KIND).key(2).map(1).key(0).bytes(document);
                });
            }
            place
        });
        frame::append(out, |w| response.write(w, place));
    }

    /// Where the document is, and whether it has to be put there: then the one that was not used for longest is there no more.
    fn place(&mut self, document: &Document) -> (u64, bool) {
        self.now += 1;
        let known = self.places.iter().position(|place| place.document.is_clone_of(document));
        let is_new = known.is_none();
        let at = known.unwrap_or_else(|| {
            let place = Place { document: document.clone(), last_used: 0 };
            if self.places.len() < PLACES {
                self.places.push(place);
                return self.places.len() - 1;
            }
            let oldest = self.places.iter_mut().enumerate().min_by_key(|(_, place)| place.last_used);
            oldest.map_or(0, |(at, oldest)| {
                *oldest = place;
                at
            })
        });
        if let Some(place) = self.places.get_mut(at) {
            place.last_used = self.now;
        }
        (at as u64, is_new)
    }
}

/// Reads answers from one stream.
#[derive(Debug, Default)]
pub struct Received {
    places: Vec<Option<Document>>,
}

impl Received {
    /// Reads one frame's content: an answer, or `None` for a document that answers to come will name.
    ///
    /// # Errors
    ///
    /// If it is neither, or names a place without a document.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Response>, DecodeError> {
        let r = &mut Reader::new("response", bytes);
        let mut m = r.map("map")?;
        let place = read_id(&mut m, r)?;
        m.key(r, "kind")?;
        if r.uint("kind")? != KIND {
            return Response::decode_with(bytes, Some(self)).map(Some);
        }
        m.key(r, "content")?;
        let mut c = r.map("content")?;
        c.key(r, "document")?;
        let document = r.bytes("document", 1, MAX_DOCUMENT)?;
        c.end(r)?;
        m.end(r)?;
        r.end()?;
        let place = usize::try_from(place).ok().filter(|place| *place < PLACES);
        let place = place.ok_or_else(|| r.error("place", Rule::Range))?;
        if self.places.len() <= place {
            self.places.resize(place + 1, None);
        }
        if let Some(at) = self.places.get_mut(place) {
            *at = Some(document.to_vec().into());
        }
        Ok(None)
    }

    pub(super) fn at(&self, place: u64) -> Option<&Document> {
        self.places.get(usize::try_from(place).ok()?)?.as_ref()
    }
}

impl Answer {
    fn document(&self) -> Option<&Document> {
        match self {
            Self::Issued(issued) => Some(&issued.document),
            Self::Sealed(sealed) => Some(&sealed.context.document),
            Self::Attested(attested) => Some(&attested.document),
            Self::Plaintext(_) | Self::State(_) | Self::Health(_) => None,
        }
    }
}

/// The document itself, or the number of its place.
pub(super) fn write_document(document: &Document, place: Option<u64>, w: &mut Writer) {
    match place {
        Some(place) => w.uint(place),
        None => w.bytes(document),
    };
}

pub(super) fn read_document(
    r: &mut Reader<'_>,
    received: Option<&Received>,
) -> Result<Document, DecodeError> {
    match received {
        Some(received) if r.is_uint() => {
            let place = r.uint("document")?;
            received.at(place).cloned().ok_or_else(|| r.error("document", Rule::UnknownValue))
        }
        _ => Ok(r.bytes("document", 1, MAX_DOCUMENT)?.to_vec().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::Inclusion,
        frame::{FrameReader, MAX_RESPONSE},
        rpc::{Attested, Issued, KeyState, Plaintext},
    };
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    fn issued(document: &Document) -> Response {
        let keys = vec![(vec![5; 300], Inclusion::default())];
        Response { id: 7, result: Ok(Answer::Issued(Issued { document: document.clone(), keys })) }
    }

    fn documents(n: u8) -> Vec<Document> {
        (0..n).map(|i| Document::from(vec![i; 5000])).collect()
    }

    /// What arrives of what was written, and how many frames that were.
    fn transfer(sent: &mut Sent, received: &mut Received, response: &Response) -> (Response, usize) {
        let (mut out, mut reader) = (Vec::new(), FrameReader::new(MAX_RESPONSE));
        sent.write(response, &mut out);
        reader.push(&out);
        let mut frames = 0;
        while let Some(frame) = reader.next_frame().unwrap() {
            frames += 1;
            if let Some(response) = received.read(frame).unwrap() {
                assert_eq!(reader.next_frame(), Ok(None));
                return (response, frames);
            }
        }
        panic!("no response")
    }

    #[test]
    fn a_document_crosses_once() {
        let (mut sent, mut received) = (Sent::default(), Received::default());
        let document = &documents(1)[0];
        let attested =
            Attested { record: vec![1], inclusion: Inclusion::default(), document: document.clone() };
        let attested = Response { id: 8, result: Ok(Answer::Attested(attested)) };
        assert_eq!(transfer(&mut sent, &mut received, &issued(document)), (issued(document), 2));
        assert_eq!(transfer(&mut sent, &mut received, &attested), (attested, 1));
        let (again, frames) = transfer(&mut sent, &mut received, &issued(document));
        assert_eq!((&again, frames), (&issued(document), 1));
        // Another with the same bytes is another: nobody compares them.
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents(1)[0])).1, 2);
    }

    #[test]
    fn the_one_that_was_not_used_for_longest_makes_room() {
        let (mut sent, mut received) = (Sent::default(), Received::default());
        let documents = documents(u8::try_from(PLACES).unwrap() + 1);
        for document in &documents[..PLACES] {
            transfer(&mut sent, &mut received, &issued(document));
        }
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[0])).1, 1);
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[PLACES])).1, 2);
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[0])).1, 1);
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[1])).1, 2);
        assert_eq!((sent.places.len(), received.places.len()), (PLACES, PLACES));
    }

    #[test]
    fn places_are_few_and_empty_ones_hold_nothing() {
        let mut received = Received::default();
        let frame = |place: u64, content: &dyn Fn(&mut Writer)| {
            let mut w = Writer::default();
            w.map(3).key(0).uint(place).key(1).uint(KIND).key(2);
            content(&mut w);
            w.finish()
        };
        let good = |w: &mut Writer| {
            w.map(1).key(0).bytes(&[1]);
        };
        for place in [PLACES as u64, u64::MAX] {
            assert_eq!(received.read(&frame(place, &good)).unwrap_err().field, "place");
        }
        let none = |w: &mut Writer| {
            w.map(1).key(0).bytes(&[]);
        };
        assert_eq!(received.read(&frame(0, &none)).unwrap_err().field, "document");
        assert!(received.places.is_empty());
        assert_eq!(received.read(&frame(3, &good)), Ok(None));
        for (place, is_there) in [(0, false), (3, true), (4, false), (u64::MAX, false)] {
            let mut w = Writer::default();
            issued(&documents(1)[0]).write(&mut w, Some(place));
            let read = received.read(&w.finish());
            assert_eq!(read.map_err(|e| e.field).is_ok(), is_there, "{place}");
        }
        // Nor is a place anything outside of a stream.
        let mut w = Writer::default();
        issued(&documents(1)[0]).write(&mut w, Some(3));
        assert_eq!(Response::decode(&w.finish()).unwrap_err().field, "document");
    }

    #[test]
    fn an_answer_without_a_document_is_one_frame() {
        let (mut sent, mut received) = (Sent::default(), Received::default());
        for answer in
            [Answer::State(KeyState::Live), Answer::Plaintext(Plaintext(Zeroizing::new(b"1234".to_vec())))]
        {
            let response = Response { id: 1, result: Ok(answer) };
            assert_eq!(transfer(&mut sent, &mut received, &response), (response, 1));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(uses in prop::collection::vec(0_usize..100, 1..300)) {
            let (mut sent, mut received) = (Sent::default(), Received::default());
            let documents = documents(100);
            for at in uses {
                let response = issued(&documents[at]);
                prop_assert_eq!(&transfer(&mut sent, &mut received, &response).0, &response);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(frames: Vec<Vec<u8>>) {
            let mut received = Received::default();
            for frame in frames {
                let _ = received.read(&frame);
            }
        }
    }
}
