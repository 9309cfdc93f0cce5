//! What parent and enclave say to each other, one frame each, matched by a correlation id.
//!
//! Many requests may be under way on one stream; responses come in any order. The parent is trusted with nothing
//! here: the enclave decodes every request as strictly as if a stranger had sent it, and the other way round.

use crate::{
    DecodeError, MAX_AAD, MAX_CIPHERTEXT, MAX_COUNT, MAX_PLAINTEXT, Rule,
    batch::Inclusion,
    cbor::{Map, Reader, Writer},
    code::Code,
    descriptor::{ReleaseTo, read_nonce},
    ids::{KeyId, Nonce, Purpose},
    reply::MAX_DESCRIPTOR,
    suite::PublicKey,
};
use core::fmt;
use zeroize::Zeroizing;

/// The longest attestation document that the NSM can answer with, in bytes.
pub const MAX_DOCUMENT: usize = 12_288;

/// A request, with the id that its response will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the parent, unique among the requests under way on a stream.
    pub id: u64,
    /// What is asked.
    pub call: Call,
}

/// What can be asked of an enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Make keys.
    Issue(Issue),
    /// Open one message, once.
    Open(Open),
    /// Ask what became of a key.
    Status(KeyId),
    /// End a key now.
    Destroy(KeyId),
    /// Attest a nonce.
    Attest(Nonce),
    /// Ask how the enclave is.
    Health,
}

/// A request for keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issue {
    /// Ties the keys to this request.
    pub nonce: Nonce,
    /// What the keys are for.
    pub purpose: Purpose,
    /// How long the keys live, in milliseconds.
    pub ttl: u64,
    /// Who reads what the keys open.
    pub release_to: ReleaseTo,
    /// How many keys, 1 to 100.
    pub count: u32,
}

/// A request to open one message.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// The key that it was sealed to.
    pub key_id: KeyId,
    /// HPKE's encapsulated key.
    pub enc: PublicKey,
    /// HPKE's ciphertext.
    pub ciphertext: Vec<u8>,
    /// The caller's context that the message was sealed with.
    pub aad: Vec<u8>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The answer to the request of the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The request's id.
    pub id: u64,
    /// What came of it.
    pub result: Result<Answer, Refusal>,
}

/// What an enclave answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Keys, with the one document that attests them all.
    Issued(Issued),
    /// What the recipient alone can read.
    Sealed(SealedReply),
    /// What the key opened, in `caller` mode.
    Plaintext(Plaintext),
    /// What became of a key.
    State(KeyState),
    /// A record and the document that attests it.
    Attested(Attested),
    /// How the enclave is.
    Health(Health),
}

/// Keys and their proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The attestation document.
    pub document: Vec<u8>,
    /// A descriptor and its place in the document's batch, for each key.
    pub keys: Vec<(Vec<u8>, Inclusion)>,
}

/// A record, its place in a batch, and the batch's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The record.
    pub record: Vec<u8>,
    /// Its place in the batch.
    pub inclusion: Inclusion,
    /// The attestation document of the batch.
    pub document: Vec<u8>,
}

/// A reply and the context that it is sealed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedReply {
    /// The reply record.
    pub reply: Vec<u8>,
    /// The reply context, attested.
    pub context: Attested,
}

/// Plaintext on its way to a caller. Overwritten when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It can still open one message.
    Live,
    /// It has opened one.
    Used,
    /// Its deadline passed before it was used.
    Expired,
    /// It was ended by request, or by too many failed opens.
    Destroyed,
    /// It never was, or it ended longer ago than endings are remembered.
    Unknown,
}

impl KeyState {
    const ALL: [Self; 5] = [Self::Live, Self::Used, Self::Expired, Self::Destroyed, Self::Unknown];

    /// The state's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Destroyed => "destroyed",
            Self::Unknown => "unknown",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// How an enclave is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Keys that can still open a message.
    pub live_keys: u64,
    /// The most keys that it may hold.
    pub capacity: u64,
    /// Endings that are still remembered.
    pub tombstones: u64,
    /// Attestation documents made since boot.
    pub documents: u64,
    /// Records attested since boot.
    pub attested: u64,
    /// Calls to the NSM that failed since boot.
    pub nsm_failures: u64,
    /// Streams closed for a frame that was not understood.
    pub streams_closed: u64,
}

/// A request was refused. Nothing was lost or changed by it, unless the code says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Which rule.
    pub code: Code,
    /// A sentence for people. Holds nothing secret and nothing reusable.
    pub detail: String,
    /// After how many milliseconds it may be worth trying again; 0 if that is not known.
    pub retry_after: u64,
}

impl Refusal {
    /// A refusal that says no more than its code does.
    pub fn new(code: Code) -> Self {
        Self { code, detail: code.title().to_owned(), retry_after: 0 }
    }

    /// A refusal with a sentence of its own, of which 512 bytes are kept.
    pub fn with_detail(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
        Self { code, detail, retry_after: 0 }
    }

    /// The same, worth trying again after `ms` milliseconds.
    pub fn retry_after(self, ms: u64) -> Self {
        Self { retry_after: ms, ..self }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl Request {
    /// The request as one frame's content.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(256);
        w.map(3).key(0).uint(self.id).key(1);
        match &self.call {
            Call::Issue(issue) => {
                w.uint(1).key(2).map(5);
                w.key(0).bytes(issue.nonce.as_bytes()).key(1).text(issue.purpose.as_str());
                w.key(2).uint(issue.ttl).key(3);
                issue.release_to.write(&mut w);
                w.key(4).uint(issue.count.into());
            }
            Call::Open(open) => {
                w.uint(2).key(2).map(4).key(0).bytes(&open.key_id.0).key(1).bytes(open.enc.as_bytes());
                w.key(2).bytes(&open.ciphertext).key(3).bytes(&open.aad);
            }
            Call::Status(id) => {
                w.uint(3).key(2).map(1).key(0).bytes(&id.0);
            }
            Call::Destroy(id) => {
                w.uint(4).key(2).map(1).key(0).bytes(&id.0);
            }
            Call::Attest(nonce) => {
                w.uint(5).key(2).map(1).key(0).bytes(nonce.as_bytes());
            }
            Call::Health => {
                w.uint(6).key(2).map(0);
            }
        }
        w.finish()
    }

    /// Reads one frame's content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("request", bytes);
        let mut m = r.map("map")?;
        m.key(r, "id")?;
        let id = r.uint("id")?;
        m.key(r, "method")?;
        let method = r.uint("method")?;
        m.key(r, "parameters")?;
        let mut p = r.map("parameters")?;
        let call = match method {
            1 => Call::Issue(read_issue(&mut p, r)?),
            2 => Call::Open(read_open(&mut p, r)?),
            3 => Call::Status(read_key_id(&mut p, r)?),
            4 => Call::Destroy(read_key_id(&mut p, r)?),
            5 => {
                p.key(r, "nonce")?;
                Call::Attest(read_nonce(r, "nonce")?)
            }
            6 => Call::Health,
            _ => return Err(r.error("method", Rule::UnknownValue)),
        };
        p.end(r)?;
        m.end(r)?;
        r.end()?;
        Ok(Self { id, call })
    }
}

fn read_issue(p: &mut Map, r: &mut Reader<'_>) -> Result<Issue, DecodeError> {
    p.key(r, "nonce")?;
    let nonce = read_nonce(r, "nonce")?;
    p.key(r, "purpose")?;
    let purpose = Purpose::new(r.text("purpose", 1, 64)?).map_err(|e| r.error("purpose", e.rule))?;
    p.key(r, "ttl")?;
    let ttl = r.uint("ttl")?;
    p.key(r, "release_to")?;
    let release_to = ReleaseTo::read(r)?;
    p.key(r, "count")?;
    let count = r.number("count")?;
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(r.error("count", Rule::Range));
    }
    Ok(Issue { nonce, purpose, ttl, release_to, count })
}

fn read_open(p: &mut Map, r: &mut Reader<'_>) -> Result<Open, DecodeError> {
    let key_id = read_key_id(p, r)?;
    p.key(r, "enc")?;
    let enc = PublicKey::read(r, "enc")?;
    p.key(r, "ciphertext")?;
    let ciphertext = r.bytes("ciphertext", 16, MAX_CIPHERTEXT)?.to_vec();
    p.key(r, "aad")?;
    let aad = r.bytes("aad", 0, MAX_AAD)?.to_vec();
    Ok(Open { key_id, enc, ciphertext, aad })
}

fn read_key_id(p: &mut Map, r: &mut Reader<'_>) -> Result<KeyId, DecodeError> {
    p.key(r, "key_id")?;
    Ok(KeyId(r.array_of("key_id")?))
}

impl Response {
    /// The response as one frame's content. Overwritten when dropped: it may hold a caller's plaintext.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(self.size_hint());
        w.map(3).key(0).uint(self.id).key(1);
        match &self.result {
            Err(refusal) => {
                w.uint(0).key(2).map(3).key(0).text(refusal.code.as_str());
                w.key(1).text(&refusal.detail).key(2).uint(refusal.retry_after);
            }
            Ok(Answer::Issued(issued)) => {
                w.uint(1).key(2).map(2).key(0).bytes(&issued.document);
                w.key(1).array(issued.keys.len() as u64);
                for (descriptor, inclusion) in &issued.keys {
                    w.array(2).bytes(descriptor);
                    inclusion.write(&mut w);
                }
            }
            Ok(Answer::Sealed(sealed)) => {
                w.uint(2).key(2).map(2).key(0).bytes(&sealed.reply).key(1);
                write_attested(&sealed.context, &mut w);
            }
            Ok(Answer::Plaintext(plaintext)) => {
                w.uint(3).key(2).map(1).key(0).bytes(&plaintext.0);
            }
            Ok(Answer::State(state)) => {
                w.uint(4).key(2).map(1).key(0).text(state.as_str());
            }
            Ok(Answer::Attested(attested)) => {
                w.uint(5).key(2).map(1).key(0);
                write_attested(attested, &mut w);
            }
            Ok(Answer::Health(health)) => {
                w.uint(6).key(2).map(7);
                for (key, value) in (0..).zip(health.fields()) {
                    w.key(key).uint(value);
                }
            }
        }
        Zeroizing::new(w.finish())
    }

    /// Reads one frame's content.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("response", bytes);
        let mut m = r.map("map")?;
        m.key(r, "id")?;
        let id = r.uint("id")?;
        m.key(r, "kind")?;
        let kind = r.uint("kind")?;
        m.key(r, "content")?;
        let mut c = r.map("content")?;
        let result = match kind {
            0 => Err(read_refusal(&mut c, r)?),
            1 => Ok(Answer::Issued(read_issued(&mut c, r)?)),
            2 => {
                c.key(r, "reply")?;
                let reply = r.bytes("reply", 1, MAX_REPLY)?.to_vec();
                c.key(r, "context")?;
                Ok(Answer::Sealed(SealedReply { reply, context: read_attested(r)? }))
            }
            3 => {
                c.key(r, "plaintext")?;
                let plaintext = r.bytes("plaintext", 0, MAX_PLAINTEXT)?;
                Ok(Answer::Plaintext(Plaintext(Zeroizing::new(plaintext.to_vec()))))
            }
            4 => {
                c.key(r, "state")?;
                let state = KeyState::from_name(r.text("state", 1, 16)?);
                Ok(Answer::State(state.ok_or_else(|| r.error("state", Rule::UnknownValue))?))
            }
            5 => {
                c.key(r, "attested")?;
                Ok(Answer::Attested(read_attested(r)?))
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

    // A plaintext must not be left behind in a buffer that was outgrown.
    fn size_hint(&self) -> usize {
        match &self.result {
            Ok(Answer::Plaintext(plaintext)) => 64 + plaintext.0.len(),
            Ok(Answer::Issued(issued)) => 256 + issued.document.len() + issued.keys.len() * 1024,
            Ok(Answer::Sealed(sealed)) => 2048 + sealed.reply.len() + sealed.context.document.len(),
            Ok(Answer::Attested(attested)) => 2048 + attested.document.len(),
            _ => 256,
        }
    }
}

/// The longest sentence of a refusal, in bytes.
const MAX_DETAIL: usize = 512;
/// The longest reply record, in bytes.
pub const MAX_REPLY: usize = 256 + MAX_DESCRIPTOR + MAX_AAD + MAX_CIPHERTEXT;

fn read_refusal(c: &mut Map, r: &mut Reader<'_>) -> Result<Refusal, DecodeError> {
    c.key(r, "code")?;
    let code = Code::from_name(r.text("code", 1, 64)?);
    let code = code.ok_or_else(|| r.error("code", Rule::UnknownValue))?;
    c.key(r, "detail")?;
    let detail = r.text("detail", 0, MAX_DETAIL)?.to_owned();
    c.key(r, "retry_after")?;
    Ok(Refusal { code, detail, retry_after: r.uint("retry_after")? })
}

fn read_issued(c: &mut Map, r: &mut Reader<'_>) -> Result<Issued, DecodeError> {
    c.key(r, "document")?;
    let document = r.bytes("document", 1, MAX_DOCUMENT)?.to_vec();
    c.key(r, "keys")?;
    let n = r.array("keys", 1, MAX_COUNT as usize)?;
    let mut keys = Vec::with_capacity(n);
    for _ in 0..n {
        r.array("key", 2, 2)?;
        keys.push((r.bytes("descriptor", 1, MAX_DESCRIPTOR)?.to_vec(), Inclusion::read(r)?));
    }
    Ok(Issued { document, keys })
}

fn write_attested(attested: &Attested, w: &mut Writer) {
    w.array(3).bytes(&attested.record);
    attested.inclusion.write(w);
    w.bytes(&attested.document);
}

fn read_attested(r: &mut Reader<'_>) -> Result<Attested, DecodeError> {
    r.array("attested", 3, 3)?;
    Ok(Attested {
        record: r.bytes("record", 1, MAX_DESCRIPTOR)?.to_vec(),
        inclusion: Inclusion::read(r)?,
        document: r.bytes("document", 1, MAX_DOCUMENT)?.to_vec(),
    })
}

impl Health {
    fn fields(&self) -> [u64; 7] {
        let mut copy = *self;
        copy.fields_mut().map(|field| *field)
    }

    fn fields_mut(&mut self) -> [&mut u64; 7] {
        [
            &mut self.live_keys,
            &mut self.capacity,
            &mut self.tombstones,
            &mut self.documents,
            &mut self.attested,
            &mut self.nsm_failures,
            &mut self.streams_closed,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::tests::public_key;
    use proptest::prelude::*;

    fn requests() -> Vec<Request> {
        let id = KeyId([7; 24]);
        let nonce = Nonce::new([1; 16]).unwrap();
        let issue = Issue {
            nonce: nonce.clone(),
            purpose: Purpose::new("card-pin").unwrap(),
            ttl: 60_000,
            release_to: ReleaseTo::Recipient(public_key(2)),
            count: 3,
        };
        let open = Open { key_id: id, enc: public_key(5), ciphertext: vec![1; 20], aad: vec![2; 3] };
        [
            Call::Issue(issue),
            Call::Open(open),
            Call::Status(id),
            Call::Destroy(id),
            Call::Attest(nonce),
            Call::Health,
        ]
        .into_iter()
        .zip(1 << 40..)
        .map(|(call, id)| Request { id, call })
        .collect()
    }

    fn responses() -> Vec<Response> {
        let inclusion = Inclusion { index: 1, path: vec![[3; 48]; 2] };
        let attested =
            Attested { record: vec![1; 99], inclusion: inclusion.clone(), document: vec![9; 5000] };
        [
            Err(Refusal::new(Code::KeyUsed).retry_after(5)),
            Ok(Answer::Issued(Issued { document: vec![4; 99], keys: vec![(vec![5; 300], inclusion); 100] })),
            Ok(Answer::Sealed(SealedReply { reply: vec![6; 500], context: attested.clone() })),
            Ok(Answer::Plaintext(Plaintext(Zeroizing::new(b"1234".to_vec())))),
            Ok(Answer::State(KeyState::Expired)),
            Ok(Answer::Attested(attested)),
            Ok(Answer::Health(Health { live_keys: 1, streams_closed: 7, ..Health::default() })),
        ]
        .into_iter()
        .zip(0..)
        .map(|(result, id)| Response { id, result })
        .collect()
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for request in requests() {
            let bytes = request.encode();
            assert_eq!(Request::decode(&bytes), Ok(request));
        }
        for response in responses() {
            assert_eq!(Response::decode(&response.encode()), Ok(response));
        }
    }

    #[test]
    fn every_prefix_and_every_suffix_is_refused() {
        for bytes in requests().iter().map(Request::encode) {
            assert!((0..bytes.len()).all(|n| Request::decode(&bytes[..n]).is_err()));
            assert!(Request::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        for bytes in responses().iter().map(Response::encode) {
            assert!((0..bytes.len()).step_by(7).all(|n| Response::decode(&bytes[..n]).is_err()));
            assert!(Response::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn the_largest_answers_fit_a_frame() {
        let inclusion = Inclusion { index: 4095, path: vec![[0; 48]; 12] };
        let issued =
            Issued { document: vec![0; MAX_DOCUMENT], keys: vec![(vec![0; MAX_DESCRIPTOR], inclusion); 100] };
        let response = Response { id: u64::MAX, result: Ok(Answer::Issued(issued)) };
        assert!(response.encode().len() <= crate::frame::MAX_RESPONSE);
        let open = Open {
            key_id: KeyId([0; 24]),
            enc: public_key(1),
            ciphertext: vec![0; MAX_CIPHERTEXT],
            aad: vec![0; MAX_AAD],
        };
        let request = Request { id: u64::MAX, call: Call::Open(open) };
        assert!(request.encode().len() <= crate::frame::MAX_REQUEST);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_never_decode_twice(bytes: Vec<u8>) {
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes.clone());
            }
            let _ = Response::decode(&bytes);
        }

        #[test]
        fn damaged_requests_decode_to_what_they_say_or_not_at_all(
            which in 0..6usize, at: prop::sample::Index, byte: u8
        ) {
            let mut bytes = requests()[which].encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes);
            }
        }
    }
}
