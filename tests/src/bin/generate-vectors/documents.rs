//! Streams on which documents have places.

use crate::{
    Result,
    fixtures::{Hex, hex},
    raw::{RawMap, Refused, array, bytes, text, uint},
    rpc::ResponseCase,
};
use ok2cry_protocol::{
    Rule,
    batch::Inclusion,
    rpc::{Answer, Attested, Issued, KeyState, SealedReply},
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    streams: Vec<Stream>,
    must_be_refused: Vec<Closed>,
}

#[derive(Serialize)]
struct Stream {
    name: &'static str,
    /// Whether the enclave writes exactly these frames for these responses, where equal documents are one and
    /// the same.
    written: bool,
    frames: Vec<Frame>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Frame {
    Put { encoding: Hex, place: u64, document: Hex },
    Response(ResponseCase),
}

/// A frame that closes the stream, and those before it, which are good.
#[derive(Serialize)]
struct Closed {
    before: Vec<Hex>,
    #[serde(flatten)]
    frame: Refused,
}

pub(crate) fn file() -> Result<File> {
    Ok(File {
        about: "Documents that cross a stream once: a frame of kind 8 puts one into a place, and answers \
            name the place (docs/protocol.md, Frames). Each stream begins with no documents. Documents in \
            here are placeholders.",
        streams: streams(),
        must_be_refused: refused(),
    })
}

const A: u8 = 0xda;
const B: u8 = 0xdb;
const LAST: u64 = 63;

fn streams() -> Vec<Stream> {
    let stream = |name, written, frames| Stream { name, written, frames };
    let state = || Frame::Response(ResponseCase::of(9, Ok(Answer::State(KeyState::Live))));
    vec![
        stream("one document for two answers", true, vec![put(0, A), issued(1, A, 0), attested(2, A, 0)]),
        stream(
            "two documents, used by turns",
            true,
            vec![put(0, A), sealed(1, A, 0), put(1, B), issued(2, B, 1), sealed(3, A, 0), attested(4, B, 1)],
        ),
        stream("answers without documents between", true, vec![state(), put(0, A), issued(1, A, 0), state()]),
        stream(
            "another document in the same place",
            false,
            vec![put(0, A), issued(1, A, 0), put(0, B), issued(2, B, 0)],
        ),
        stream("the last place, and no other", false, vec![put(LAST, A), attested(1, A, LAST)]),
        stream("a document that nobody names", false, vec![put(0, A), put(1, B), issued(1, A, 0)]),
        stream(
            "a document in the answer itself",
            false,
            vec![put(0, A), Frame::Response(ResponseCase::of(1, Ok(Answer::Issued(issue(B)))))],
        ),
    ]
}

fn refused() -> Vec<Closed> {
    const NAMES: &[&str] = &["place", "kind", "content"];
    let content = |document| RawMap::new("response", &["document"], [document]);
    let frame =
        |place, document| RawMap::new("response", NAMES, [uint(place), uint(8), content(document).encode()]);
    let good = || bytes(&[A; 40]);
    let plain = frame(0, good());
    let refused = |name, encoding, field, rule| Closed {
        before: Vec::new(),
        frame: plain.refused(name, encoding, field, &rule),
    };
    let length = || Rule::Length { min: 1, max: 12_288 };
    let extra = plain.with("content", content(good()).plus_next(uint(0))).encode();
    let after = |before: Frame, name, answer: Frame| Closed {
        before: vec![before.encoding().clone()],
        frame: plain.refused(name, answer.encoding().0.clone(), "document", &Rule::UnknownValue),
    };
    vec![
        refused("a place beyond the last", frame(LAST + 1, good()).encode(), "place", Rule::Range),
        refused("the greatest place", frame(u64::MAX, good()).encode(), "place", Rule::Range),
        refused("a place as text", plain.with("place", text("0")).encode(), "id", Rule::WrongType),
        refused("an empty document", frame(0, bytes(&[])).encode(), "document", length()),
        refused("a huge document", frame(0, bytes(&[A; 12_289])).encode(), "document", length()),
        refused("a place instead of a document", frame(0, uint(0)).encode(), "document", Rule::WrongType),
        refused("no document", plain.with("content", vec![0xa0]).encode(), "document", Rule::Missing),
        refused("more than a document", extra, "map", Rule::Unknown(1)),
        refused("a byte after the end", [plain.encode(), vec![0]].concat(), "end", Rule::Trailing),
        refused(
            "an answer that names an empty place",
            issued(1, A, 0).encoding().0.clone(),
            "document",
            Rule::UnknownValue,
        ),
        after(put(0, A), "an answer that names the place beside it", attested(1, A, 1)),
        after(put(LAST, A), "an answer that names a place beyond the last", sealed(1, A, LAST + 1)),
    ]
}

fn put(place: u64, document: u8) -> Frame {
    let content = RawMap::new("response", &[], [bytes(&[document; 40])]).encode();
    let encoding = RawMap::new("response", &[], [uint(place), uint(8), content]).encode();
    Frame::Put { encoding: Hex(encoding), place, document: hex([document; 40]) }
}

fn issued(id: u64, document: u8, place: u64) -> Frame {
    let keys = array(&[array(&[bytes(&[5; 20]), inclusion()])]);
    naming(id, 1, vec![uint(place), keys], Answer::Issued(issue(document)))
}

fn sealed(id: u64, document: u8, place: u64) -> Frame {
    let answer = Answer::Sealed(SealedReply { reply: vec![0x5e; 20], context: attest(document) });
    naming(id, 2, vec![bytes(&[0x5e; 20]), attested_at(place)], answer)
}

fn attested(id: u64, document: u8, place: u64) -> Frame {
    naming(id, 5, vec![attested_at(place)], Answer::Attested(attest(document)))
}

/// An answer whose document is in a place, written by hand.
fn naming(id: u64, kind: u64, content: Vec<Vec<u8>>, answer: Answer) -> Frame {
    let content = RawMap::new("response", &[], content).encode();
    let encoding = RawMap::new("response", &[], [uint(id), uint(kind), content]).encode();
    Frame::Response(ResponseCase::of(id, Ok(answer)).encoded_as(encoding))
}

fn issue(document: u8) -> Issued {
    Issued { document: vec![document; 40].into(), keys: vec![(vec![5; 20], Inclusion::default())] }
}

fn attest(document: u8) -> Attested {
    Attested { record: vec![1; 20], inclusion: Inclusion::default(), document: vec![document; 40].into() }
}

fn attested_at(place: u64) -> Vec<u8> {
    array(&[bytes(&[1; 20]), inclusion(), uint(place)])
}

fn inclusion() -> Vec<u8> {
    array(&[uint(0), array(&[])])
}

impl Frame {
    fn encoding(&self) -> &Hex {
        match self {
            Self::Put { encoding, .. } => encoding,
            Self::Response(case) => case.encoding(),
        }
    }
}
