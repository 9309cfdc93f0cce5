//! Responses as frames.

use super::{
    Answer, Attested, Health, Issued, KeyState, MAX_DETAIL, MAX_REPLY, Plaintext, Refusal, Response,
    SealedReply,
    documents::{ResponseReader, read_document, write_document},
    request::read_id,
};
use crate::{
    DecodeError, MAX_COUNT, MAX_PLAINTEXT, Rule,
    batch::{Inclusion, MAX_PATH},
    cbor::{Map, Reader, Writer},
    code::Code,
    reply::MAX_DESCRIPTOR,
};
use zeroize::Zeroizing;

impl Response {
    /// Encodes the content of a frame, with the document in it. Overwritten when dropped: it may hold
    /// plaintext.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(self.max_len());
        self.write(&mut w, None);
        Zeroizing::new(w.finish())
    }

    /// Writes the response, with the number of its document's slot instead of the document if there is one.
    pub(super) fn write(&self, w: &mut Writer, slot: Option<u64>) {
        w.map(3).key(0).uint(self.id).key(1);
        match &self.result {
            Err(refusal) => {
                w.uint(0).key(2).map(3).key(0).text(refusal.code.as_str());
                w.key(1).text(&refusal.detail).key(2).uint(refusal.retry_after);
            }
            Ok(Answer::Issued(issued)) => {
                w.uint(1).key(2).map(2).key(0);
                write_document(&issued.document, slot, w);
                w.key(1).array(issued.keys.len() as u64);
                for (descriptor, inclusion) in &issued.keys {
                    w.array(2).bytes(descriptor);
                    inclusion.write(w);
                }
            }
            Ok(Answer::Sealed(sealed)) => {
                w.uint(2).key(2).map(2).key(0).bytes(&sealed.reply).key(1);
                write_attested(&sealed.context, slot, w);
            }
            Ok(Answer::Plaintext(plaintext)) => {
                w.uint(3).key(2).map(1).key(0).bytes(&plaintext.0);
            }
            Ok(Answer::State(state)) => {
                w.uint(4).key(2).map(1).key(0).text(state.as_str());
            }
            Ok(Answer::Attested(attested)) => {
                w.uint(5).key(2).map(1).key(0);
                write_attested(attested, slot, w);
            }
            Ok(Answer::Health(health)) => {
                w.uint(6).key(2).map(7);
                for (key, value) in (0..).zip(health.fields()) {
                    w.key(key).uint(value);
                }
            }
        }
    }

    /// Decodes the content of a frame that holds its document.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, None)
    }

    /// Decodes the content of a frame, which may name a slot instead of a document.
    pub(super) fn decode_with(bytes: &[u8], slots: Option<&ResponseReader>) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("response", bytes);
        let mut m = r.map("map")?;
        let id = read_id(&mut m, r)?;
        m.key(r, "kind")?;
        let kind = r.uint("kind")?;
        m.key(r, "content")?;
        let mut c = r.map("content")?;
        let result = match kind {
            0 => Err(read_refusal(&mut c, r)?),
            1 => Ok(Answer::Issued(read_issued(&mut c, r, slots)?)),
            2 => {
                c.key(r, "reply")?;
                let reply = r.bytes("reply", 1..=MAX_REPLY)?.to_vec();
                c.key(r, "context")?;
                Ok(Answer::Sealed(SealedReply { reply, context: read_attested(r, slots)? }))
            }
            3 => {
                c.key(r, "plaintext")?;
                let plaintext = r.bytes("plaintext", 0..=MAX_PLAINTEXT)?;
                Ok(Answer::Plaintext(Plaintext(Zeroizing::new(plaintext.to_vec()))))
            }
            4 => {
                c.key(r, "state")?;
                let state = KeyState::from_name(r.text("state", 1..=16)?);
                Ok(Answer::State(state.ok_or_else(|| r.error("state", Rule::UnknownValue))?))
            }
            5 => {
                c.key(r, "attested")?;
                Ok(Answer::Attested(read_attested(r, slots)?))
            }
            6 => {
                let mut health = Health::default();
                for field in health.fields_mut() {
                    c.key(r, "health")?;
                    *field = r.uint("health")?;
                }
                Ok(Answer::Health(health))
            }
            _ => return Err(r.error("kind", Rule::UnknownValue)),
        };
        c.end(r)?;
        m.end(r)?;
        r.end()?;
        Ok(Self { id, result })
    }

    /// An upper bound of the encoded length, with frames and document, in bytes.
    ///
    /// A buffer of this capacity does not grow, and so leaves no copy of a plaintext behind.
    pub fn max_len(&self) -> usize {
        /// Names, lengths and headers of frames.
        const FRAMES: usize = 64;
        const PATH: usize = 16 + MAX_PATH * 50;
        let attested = |attested: &Attested| attested.record.len() + PATH + attested.document.len();
        FRAMES
            + match &self.result {
                Err(refusal) => 96 + refusal.detail.len(),
                Ok(Answer::Issued(issued)) => {
                    let keys = issued.keys.iter().map(|(descriptor, _)| 8 + descriptor.len() + PATH);
                    issued.document.len() + keys.sum::<usize>()
                }
                Ok(Answer::Sealed(sealed)) => sealed.reply.len() + attested(&sealed.context),
                Ok(Answer::Plaintext(plaintext)) => plaintext.0.len(),
                Ok(Answer::State(_)) => 16,
                Ok(Answer::Attested(a)) => attested(a),
                Ok(Answer::Health(_)) => 100,
            }
    }
}

fn read_refusal(c: &mut Map, r: &mut Reader<'_>) -> Result<Refusal, DecodeError> {
    c.key(r, "code")?;
    let code = Code::from_name(r.text("code", 1..=64)?);
    let code = code.ok_or_else(|| r.error("code", Rule::UnknownValue))?;
    c.key(r, "detail")?;
    let detail = r.text("detail", 0..=MAX_DETAIL)?.to_owned();
    c.key(r, "retry_after")?;
    Ok(Refusal { code, detail, retry_after: r.uint("retry_after")? })
}

fn read_issued(
    c: &mut Map,
    r: &mut Reader<'_>,
    slots: Option<&ResponseReader>,
) -> Result<Issued, DecodeError> {
    c.key(r, "document")?;
    let document = read_document(r, slots)?;
    c.key(r, "keys")?;
    let n = r.array("keys", 1..=MAX_COUNT as usize)?;
    let mut keys = Vec::with_capacity(n);
    for _ in 0..n {
        r.array("key", 2..=2)?;
        keys.push((r.bytes("descriptor", 1..=MAX_DESCRIPTOR)?.to_vec(), Inclusion::read(r)?));
    }
    Ok(Issued { document, keys })
}

fn write_attested(attested: &Attested, slot: Option<u64>, w: &mut Writer) {
    w.array(3).bytes(&attested.record);
    attested.inclusion.write(w);
    write_document(&attested.document, slot, w);
}

fn read_attested(r: &mut Reader<'_>, slots: Option<&ResponseReader>) -> Result<Attested, DecodeError> {
    r.array("attested", 3..=3)?;
    Ok(Attested {
        record: r.bytes("record", 1..=MAX_DESCRIPTOR)?.to_vec(),
        inclusion: Inclusion::read(r)?,
        document: read_document(r, slots)?,
    })
}
