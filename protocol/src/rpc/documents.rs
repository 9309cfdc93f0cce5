//! Each document is sent once per stream, however many responses refer to it.
//!
//! A stream has [`DOCUMENT_SLOTS`] slots. A frame of its own puts a document into a slot, and responses name
//! the slot. The writer, the enclave, chooses the slot and replaces the least recently used document.
//!
//! Errors name the field of a slot `place`, as the vectors do.

use super::{Answer, MAX_DOCUMENT, Response, request::read_id};
use crate::{
    DecodeError, Rule,
    cbor::{Reader, Writer},
    document::Document,
    frame,
};

/// The number of document slots of a stream. 64 documents of some 4.5 kB, of [`MAX_DOCUMENT`] at most.
pub const DOCUMENT_SLOTS: usize = 64;

/// The kind of a frame that holds a document, beside the kinds of responses.
pub(super) const KIND: u64 = 8;

/// Writes responses to one stream.
#[derive(Default)]
pub struct ResponseWriter {
    slots: Vec<Slot>,
    /// The number of uses so far.
    uses: u64,
}

struct Slot {
    document: Document,
    last_used: u64,
}

impl ResponseWriter {
    /// Appends a response to `out` as a frame. If its document is not in a slot, a frame with the document
    /// precedes it.
    pub fn write(&mut self, response: &Response, out: &mut Vec<u8>) {
        let slot = response.result.as_ref().ok().and_then(Answer::document).map(|document| {
            let (slot, is_new) = self.slot(document);
            if is_new {
                frame::append(out, |w| {
                    w.map(3).key(0).uint(slot).key(1).uint(KIND).key(2).map(1).key(0).bytes(document);
                });
            }
            slot
        });
        frame::append(out, |w| response.write(w, slot));
    }

    /// The slot of the document, and whether the document must be sent first. A new document replaces the
    /// least recently used one.
    fn slot(&mut self, document: &Document) -> (u64, bool) {
        self.uses += 1;
        let known = self.slots.iter().position(|slot| slot.document.is_clone_of(document));
        let is_new = known.is_none();
        let at = known.unwrap_or_else(|| {
            let slot = Slot { document: document.clone(), last_used: 0 };
            if self.slots.len() < DOCUMENT_SLOTS {
                self.slots.push(slot);
                return self.slots.len() - 1;
            }
            let oldest = self.slots.iter_mut().enumerate().min_by_key(|(_, slot)| slot.last_used);
            oldest.map_or(0, |(at, oldest)| {
                *oldest = slot;
                at
            })
        });
        if let Some(slot) = self.slots.get_mut(at) {
            slot.last_used = self.uses;
        }
        (at as u64, is_new)
    }
}

/// Reads responses from one stream.
#[derive(Debug, Default)]
pub struct ResponseReader {
    slots: Vec<Option<Document>>,
}

impl ResponseReader {
    /// Decodes the content of a frame: a response, or `None` for a document that later responses name.
    ///
    /// # Errors
    ///
    /// If the frame is invalid, or names an empty slot.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Response>, DecodeError> {
        let r = &mut Reader::new("response", bytes);
        let mut m = r.map("map")?;
        let slot = read_id(&mut m, r)?;
        m.key(r, "kind")?;
        if r.uint("kind")? != KIND {
            return Response::decode_with(bytes, Some(self)).map(Some);
        }
        m.key(r, "content")?;
        let mut c = r.map("content")?;
        c.key(r, "document")?;
        let document = r.bytes("document", 1..=MAX_DOCUMENT)?;
        c.end(r)?;
        m.end(r)?;
        r.end()?;
        let slot = usize::try_from(slot).ok().filter(|slot| *slot < DOCUMENT_SLOTS);
        let slot = slot.ok_or_else(|| r.error("place", Rule::Range))?;
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, None);
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Some(document.to_vec().into());
        }
        Ok(None)
    }

    fn document(&self, slot: u64) -> Option<&Document> {
        self.slots.get(usize::try_from(slot).ok()?)?.as_ref()
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

/// Writes the document, or the number of its slot.
pub(super) fn write_document(document: &Document, slot: Option<u64>, w: &mut Writer) {
    match slot {
        Some(slot) => w.uint(slot),
        None => w.bytes(document),
    };
}

pub(super) fn read_document(
    r: &mut Reader<'_>,
    slots: Option<&ResponseReader>,
) -> Result<Document, DecodeError> {
    match slots {
        Some(slots) if r.is_uint() => {
            let slot = r.uint("document")?;
            slots.document(slot).cloned().ok_or_else(|| r.error("document", Rule::UnknownValue))
        }
        _ => Ok(r.bytes("document", 1..=MAX_DOCUMENT)?.to_vec().into()),
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

    /// Writes and reads a response; also returns the number of frames.
    fn transfer(
        writer: &mut ResponseWriter,
        slots: &mut ResponseReader,
        response: &Response,
    ) -> (Response, usize) {
        let (mut out, mut reader) = (Vec::new(), FrameReader::new(MAX_RESPONSE));
        writer.write(response, &mut out);
        reader.push(&out);
        let mut frames = 0;
        while let Some(frame) = reader.next_frame().unwrap() {
            frames += 1;
            if let Some(response) = slots.read(frame).unwrap() {
                assert_eq!(reader.next_frame(), Ok(None));
                return (response, frames);
            }
        }
        panic!("no response")
    }

    #[test]
    fn a_document_is_sent_once() {
        let (mut sent, mut received) = (ResponseWriter::default(), ResponseReader::default());
        let document = &documents(1)[0];
        let attested =
            Attested { record: vec![1], inclusion: Inclusion::default(), document: document.clone() };
        let attested = Response { id: 8, result: Ok(Answer::Attested(attested)) };
        assert_eq!(transfer(&mut sent, &mut received, &issued(document)), (issued(document), 2));
        assert_eq!(transfer(&mut sent, &mut received, &attested), (attested, 1));
        let (again, frames) = transfer(&mut sent, &mut received, &issued(document));
        assert_eq!((&again, frames), (&issued(document), 1));
        // Equal bytes alone do not make documents one: they are not compared.
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents(1)[0])).1, 2);
    }

    #[test]
    fn the_least_recently_used_document_is_replaced() {
        let (mut sent, mut received) = (ResponseWriter::default(), ResponseReader::default());
        let documents = documents(u8::try_from(DOCUMENT_SLOTS).unwrap() + 1);
        for document in &documents[..DOCUMENT_SLOTS] {
            transfer(&mut sent, &mut received, &issued(document));
        }
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[0])).1, 1);
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[DOCUMENT_SLOTS])).1, 2);
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[0])).1, 1);
        assert_eq!(transfer(&mut sent, &mut received, &issued(&documents[1])).1, 2);
        assert_eq!((sent.slots.len(), received.slots.len()), (DOCUMENT_SLOTS, DOCUMENT_SLOTS));
    }

    #[test]
    fn slots_are_bounded_and_empty_ones_are_refused() {
        let mut received = ResponseReader::default();
        let frame = |slot: u64, content: &dyn Fn(&mut Writer)| {
            let mut w = Writer::default();
            w.map(3).key(0).uint(slot).key(1).uint(KIND).key(2);
            content(&mut w);
            w.finish()
        };
        let good = |w: &mut Writer| {
            w.map(1).key(0).bytes(&[1]);
        };
        for slot in [DOCUMENT_SLOTS as u64, u64::MAX] {
            assert_eq!(received.read(&frame(slot, &good)).unwrap_err().field, "place");
        }
        let none = |w: &mut Writer| {
            w.map(1).key(0).bytes(&[]);
        };
        assert_eq!(received.read(&frame(0, &none)).unwrap_err().field, "document");
        assert!(received.slots.is_empty());
        assert_eq!(received.read(&frame(3, &good)), Ok(None));
        for (slot, is_there) in [(0, false), (3, true), (4, false), (u64::MAX, false)] {
            let mut w = Writer::default();
            issued(&documents(1)[0]).write(&mut w, Some(slot));
            let read = received.read(&w.finish());
            assert_eq!(read.map_err(|e| e.field).is_ok(), is_there, "{slot}");
        }
        // Outside a stream a slot means nothing.
        let mut w = Writer::default();
        issued(&documents(1)[0]).write(&mut w, Some(3));
        assert_eq!(Response::decode(&w.finish()).unwrap_err().field, "document");
    }

    #[test]
    fn a_response_without_a_document_is_one_frame() {
        let (mut sent, mut received) = (ResponseWriter::default(), ResponseReader::default());
        for answer in
            [Answer::State(KeyState::Live), Answer::Plaintext(Plaintext(Zeroizing::new(b"1234".to_vec())))]
        {
            let response = Response { id: 1, result: Ok(answer) };
            assert_eq!(transfer(&mut sent, &mut received, &response), (response, 1));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(uses in prop::collection::vec(0_usize..100, 1..300)) {
            let (mut sent, mut received) = (ResponseWriter::default(), ResponseReader::default());
            let documents = documents(100);
            for at in uses {
                let response = issued(&documents[at]);
                prop_assert_eq!(&transfer(&mut sent, &mut received, &response).0, &response);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(frames: Vec<Vec<u8>>) {
            let mut received = ResponseReader::default();
            for frame in frames {
                let _ = received.read(&frame);
            }
        }
    }
}
