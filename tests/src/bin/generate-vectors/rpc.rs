//! What parent and enclave say to each other, and how it is framed.

use crate::{
    Result,
    fixtures::{self, Hex, KeyPair, ReleaseToJson, TIME, hex, nonce},
    key_descriptor::above_the_prime,
    raw::{RawMap, Refused, array, bytes, text, uint},
};
use ok2cry_attest_forge::Y_ABOVE_THE_PRIME;
use ok2cry_protocol::{
    MAX_AAD, MAX_CIPHERTEXT, Record, Rule,
    batch::Inclusion,
    code::Code,
    descriptor::DeliverTo,
    frame::{self, FrameError, MAX_REQUEST, MAX_RESPONSE},
    ids::Purpose,
    rpc::{
        Answer, Attested, Call, Health, Issue, Issued, KeyState, Open, Plaintext, Refusal, Request, Response,
        SealedReply,
    },
    statement::Statement,
};
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct File {
    about: &'static str,
    requests: Vec<RequestCase>,
    invalid_requests: Vec<Refused>,
    responses: Vec<ResponseCase>,
    invalid_responses: Vec<Refused>,
    streams: Vec<Stream>,
    long_streams: Vec<LongStream>,
}

#[derive(Serialize)]
struct RequestCase {
    encoding: Hex,
    id: u64,
    #[serde(flatten)]
    call: CallJson,
}

#[derive(Serialize)]
#[serde(tag = "method", content = "parameters", rename_all = "snake_case")]
enum CallJson {
    Issue { nonce: Hex, purpose: String, ttl: u64, release_to: ReleaseToJson, count: u32 },
    Open { key_id: Hex, enc: Hex, ciphertext: Hex, aad: Hex },
    Status { key_id: Hex },
    Destroy { key_id: Hex },
    Attest { nonce: Hex },
    Health {},
}

#[derive(Serialize)]
pub(crate) struct ResponseCase {
    encoding: Hex,
    id: u64,
    #[serde(flatten)]
    content: AnswerJson,
}

#[derive(Serialize)]
#[serde(tag = "kind", content = "content", rename_all = "snake_case")]
enum AnswerJson {
    Refused { code: &'static str, detail: String, retry_after: u64 },
    Issued { document: Hex, keys: Vec<KeyJson> },
    Sealed { reply: Hex, context: AttestedJson },
    Plaintext { plaintext: Hex },
    State { state: &'static str },
    Attested { attested: AttestedJson },
    Health { health: [u64; 7] },
}

#[derive(Serialize)]
struct KeyJson {
    descriptor: Hex,
    index: u64,
    path: Vec<Hex>,
}

#[derive(Serialize)]
struct AttestedJson {
    record: Hex,
    index: u64,
    path: Vec<Hex>,
    document: Hex,
}

/// What a reader makes of a stream that ends after these bytes.
#[derive(Serialize)]
struct Stream {
    name: &'static str,
    limit: usize,
    bytes: Hex,
    frames: Vec<Hex>,
    /// Why the stream is closed; null if it ends between frames.
    closed: Option<&'static str>,
}

/// A stream that is made by a rule: `bytes`, and then one byte again and again.
#[derive(Serialize)]
struct LongStream {
    name: &'static str,
    limit: usize,
    bytes: Hex,
    byte: u8,
    count: usize,
    /// How long the frames are that come out; all their bytes are `byte`.
    frame_lengths: Vec<usize>,
    closed: Option<&'static str>,
}

pub(crate) fn file() -> Result<File> {
    Ok(File {
        about: "Requests and responses between parent and enclave, and their frames (docs/protocol.md, \
            Frames). Documents and replies in here are placeholders: this layer hands them on unread.",
        requests: requests()?.into_iter().zip(0..).map(request_case).collect(),
        invalid_requests: invalid_requests()?,
        responses: responses()?
            .into_iter()
            .zip(0..)
            .map(|(result, id)| ResponseCase::of(id, result))
            .collect(),
        invalid_responses: invalid_responses()?,
        streams: streams()?,
        long_streams: long_streams()?,
    })
}

fn requests() -> Result<Vec<Call>> {
    let key_id = fixtures::descriptor()?.key_id;
    let issue = Issue {
        nonce: nonce("client nonce")?,
        purpose: Purpose::new("card-pin")?,
        ttl: 120_000,
        deliver_to: DeliverTo::Recipient(KeyPair::of("recipient")?.public_key),
        count: 1,
    };
    let open = Open {
        key_id,
        enc: KeyPair::of("ephemeral 1")?.public_key,
        ciphertext: vec![0xc1; 20],
        aad: b"order 4711".to_vec(),
    };
    Ok(vec![
        Call::Issue(issue.clone()),
        Call::Issue(Issue { deliver_to: DeliverTo::Caller, count: 100, ..issue.clone() }),
        // Whether a ttl will do is the enclave's configuration's business, not the decoder's.
        Call::Issue(Issue { ttl: 0, ..issue }),
        Call::Open(open.clone()),
        Call::Open(Open { ciphertext: vec![0xc1; 16], aad: Vec::new(), ..open.clone() }),
        Call::Open(Open { ciphertext: vec![0xc1; MAX_CIPHERTEXT], aad: vec![0xaa; MAX_AAD], ..open }),
        Call::Status(key_id),
        Call::Destroy(key_id),
        Call::Attest(nonce("statement nonce")?),
        Call::Health,
    ])
}

fn request_case((call, id): (Call, u64)) -> RequestCase {
    let request = Request { id, call };
    let encoding = Hex(request.encode());
    let call = match request.call {
        Call::Issue(i) => CallJson::Issue {
            nonce: hex(i.nonce.as_bytes()),
            purpose: i.purpose.to_string(),
            ttl: i.ttl,
            release_to: (&i.deliver_to).into(),
            count: i.count,
        },
        Call::Open(o) => CallJson::Open {
            key_id: hex(o.key_id.0),
            enc: hex(o.enc.as_bytes()),
            ciphertext: Hex(o.ciphertext),
            aad: Hex(o.aad),
        },
        Call::Status(id) => CallJson::Status { key_id: hex(id.0) },
        Call::Destroy(id) => CallJson::Destroy { key_id: hex(id.0) },
        Call::Attest(nonce) => CallJson::Attest { nonce: hex(nonce.as_bytes()) },
        Call::Health => CallJson::Health {},
    };
    RequestCase { encoding, id, call }
}

fn invalid_requests() -> Result<Vec<Refused>> {
    const NAMES: &[&str] = &["id", "method", "parameters"];
    let key_id = fixtures::descriptor()?.key_id;
    let enc = KeyPair::of("ephemeral 1")?.public_key;
    let call = |names, method, parameters: Vec<Vec<u8>>| {
        let p = RawMap::new("request", names, parameters);
        Broken { method, parameters: p }
    };
    let status = call(&["key_id"], 3, vec![bytes(&key_id.0)]);
    let open = call(
        &["key_id", "enc", "ciphertext", "aad"],
        2,
        vec![bytes(&key_id.0), bytes(enc.as_bytes()), bytes(&[0xc1; 20]), bytes(b"order 4711")],
    );
    let issue = call(
        &["nonce", "purpose", "ttl", "release_to", "count"],
        1,
        vec![bytes(&[1; 16]), text("card-pin"), uint(120_000), array(&[uint(0)]), uint(1)],
    );
    let outer =
        RawMap::new("request", NAMES, [uint(7), uint(3), status.parameters.encode()]).ending_in("key_id");
    let length = |min, max| Rule::Length { min, max };
    let mut all = outer.structural();
    all.extend([
        outer.bad("method 0", "method", uint(0), &Rule::UnknownValue),
        outer.bad("method 7", "method", uint(7), &Rule::UnknownValue),
        outer.bad("method as text", "method", text("status"), &Rule::WrongType),
        outer.bad("negative id", "id", vec![0x20], &Rule::WrongType),
        status.bad("status of a key id of 23 bytes", "key_id", bytes(&[0; 23]), &length(24, 24)),
        status.without("status without a key id", "key_id"),
        status.plus("status with more than a key id", &Rule::Unknown(1)),
        open.without("open without an aad", "aad"),
        open.plus("open with more than it takes", &Rule::Unknown(4)),
        open.bad("enc off the curve", "enc", bytes(&[4; 97]), &Rule::NotOnCurve),
        open.bad("enc the identity", "enc", bytes(&[0]), &length(97, 97)),
        open.bad(
            "ciphertext without a whole tag",
            "ciphertext",
            bytes(&[0; 15]),
            &length(16, MAX_CIPHERTEXT),
        ),
        open.bad("ciphertext of 4113 bytes", "ciphertext", bytes(&[0; 4113]), &length(16, MAX_CIPHERTEXT)),
        open.bad("aad of 1025 bytes", "aad", bytes(&[0; 1025]), &length(0, MAX_AAD)),
        open.bad("aad null", "aad", vec![0xf6], &Rule::WrongType),
        issue.bad("nonce of 15 bytes", "nonce", bytes(&[1; 15]), &length(16, 64)),
        issue.bad("nonce of 65 bytes", "nonce", bytes(&[1; 65]), &length(16, 64)),
        issue.bad("purpose with a capital", "purpose", text("Card-pin"), &Rule::Charset),
        issue.bad("negative ttl", "ttl", vec![0x20], &Rule::WrongType),
        issue.bad("released to nobody", "release_to", array(&[]), &length(1, 3)),
        issue.bad("count 0", "count", uint(0), &Rule::Range),
        issue.bad("count 101", "count", uint(101), &Rule::Range),
        issue.bad("count above 32 bits", "count", uint(1 << 32), &Rule::Range),
        issue.plus("issue with more than it takes", &Rule::Unknown(5)),
    ]);
    all.extend(outer.renumbered());
    let suite = |kem| array(&[uint(kem), uint(2), uint(2)]);
    let to = |suite, key: &[u8]| array(&[uint(1), suite, bytes(key)]);
    let recipient = KeyPair::of("recipient")?.public_key;
    let of_another_suite = issue.parameters.with("release_to", to(suite(0x10), recipient.as_bytes()));
    all.extend([
        issue.refused(
            "recipient of another suite",
            &of_another_suite.encode(),
            "suite",
            &Rule::UnsupportedSuite,
        ),
        issue.bad("recipient off the curve", "release_to", to(suite(0x11), &[4; 97]), &Rule::NotOnCurve),
        open.bad("enc whose x is above the prime", "enc", above_the_prime(), &Rule::NotOnCurve),
        open.bad("enc whose y is above the prime", "enc", bytes(&Y_ABOVE_THE_PRIME), &Rule::NotOnCurve),
    ]);
    Ok(all)
}

/// A request whose parameters are to be broken.
struct Broken {
    method: u64,
    parameters: RawMap,
}

impl Broken {
    fn bad(&self, name: &str, field: &'static str, value: Vec<u8>, rule: &Rule) -> Refused {
        self.refused(name, &self.parameters.with(field, value).encode(), field, rule)
    }

    fn without(&self, name: &str, last: &'static str) -> Refused {
        self.refused(name, &self.parameters.without_last().encode(), last, &Rule::Missing)
    }

    fn plus(&self, name: &str, rule: &Rule) -> Refused {
        self.refused(name, &self.parameters.plus_next(uint(0)), "map", rule)
    }

    fn refused(&self, name: &str, parameters: &[u8], field: &'static str, rule: &Rule) -> Refused {
        let names = &["id", "method", "parameters"];
        let values = [uint(7), uint(self.method), parameters.to_vec()];
        let encoding = RawMap::new("request", names, values).encode();
        self.parameters.refused(name, encoding, field, rule)
    }
}

fn responses() -> Result<Vec<std::result::Result<Answer, Refusal>>> {
    let record = Statement { nonce: nonce("statement nonce")?, time: TIME }.encode();
    let inclusion = Inclusion { index: 2, path: vec![[0x11; 48], [0x22; 48]] };
    let attested = Attested { record, inclusion: inclusion.clone(), document: vec![0xd0; 40].into() };
    let descriptor = fixtures::descriptor()?.encode();
    let alone = (descriptor.clone(), Inclusion::default());
    let two =
        vec![(descriptor.clone(), inclusion.clone()), (descriptor, Inclusion { index: 3, ..inclusion })];
    let states = [KeyState::Live, KeyState::Used, KeyState::Expired, KeyState::Destroyed, KeyState::Unknown];
    let health = Health {
        live_keys: 1,
        capacity: 1_000_000,
        tombstones: 3,
        documents: 4,
        attested: 5,
        nsm_failures: 6,
        streams_closed: 7,
    };
    let answers = [
        Answer::Issued(Issued { document: vec![0xd0; 40].into(), keys: vec![alone] }),
        Answer::Issued(Issued { document: vec![0xd0; 40].into(), keys: two }),
        Answer::Sealed(SealedReply { reply: vec![0x5e; 40], context: attested.clone() }),
        Answer::Plaintext(Plaintext(b"1234".to_vec().into())),
        Answer::Plaintext(Plaintext(Vec::new().into())),
        Answer::Attested(attested),
        Answer::Health(health),
    ];
    let place = || Inclusion { index: 0, path: vec![] };
    let record =
        |length| Attested { record: vec![1; length], inclusion: place(), document: vec![0xd0; 40].into() };
    let key = |length| (vec![5; length], place());
    let full = Inclusion { index: 4095, path: vec![[0x11; 48]; 12] };
    // At the ends of what the rules allow.
    let limits = [
        Answer::Sealed(SealedReply { reply: vec![0x5e], context: record(1) }),
        Answer::Sealed(SealedReply { reply: vec![0x5e; 5_904], context: record(512) }),
        Answer::Issued(Issued { document: vec![0xd0].into(), keys: vec![key(1)] }),
        Answer::Issued(Issued { document: vec![0xd0; 12_288].into(), keys: vec![key(512)] }),
        Answer::Issued(Issued { document: vec![0xd0; 40].into(), keys: vec![key(20); 100] }),
        Answer::Attested(Attested { inclusion: full, ..record(20) }),
        Answer::Plaintext(Plaintext(vec![0x31; 4096].into())),
    ];
    let detail = Refusal { detail: "d".repeat(512), retry_after: u64::MAX >> 11, ..Refusal::new(Code::Busy) };
    let refusals = [
        Refusal::new(Code::KeyUsed),
        Refusal::with_detail(Code::StoreFull, "no room").with_retry_after_ms(1500),
    ];
    Ok(refusals
        .map(Err)
        .into_iter()
        .chain(answers.map(Ok))
        .chain(states.map(|state| Ok(Answer::State(state))))
        .chain(limits.map(Ok))
        .chain([Err(detail)])
        .collect())
}

impl ResponseCase {
    pub(crate) fn encoding(&self) -> &Hex {
        &self.encoding
    }

    /// The same in other words.
    pub(crate) fn encoded_as(self, encoding: Vec<u8>) -> Self {
        Self { encoding: Hex(encoding), ..self }
    }

    pub(crate) fn of(id: u64, result: std::result::Result<Answer, Refusal>) -> Self {
        let response = Response { id, result };
        let encoding = hex(&*response.encode());
        let content = match response.result {
            Err(r) => {
                AnswerJson::Refused { code: r.code.as_str(), detail: r.detail, retry_after: r.retry_after }
            }
            Ok(Answer::Issued(issued)) => AnswerJson::Issued {
                document: Hex(issued.document.to_vec()),
                keys: issued
                    .keys
                    .into_iter()
                    .map(|(descriptor, i)| KeyJson {
                        descriptor: Hex(descriptor),
                        index: i.index,
                        path: i.path.iter().map(hex).collect(),
                    })
                    .collect(),
            },
            Ok(Answer::Sealed(s)) => {
                AnswerJson::Sealed { reply: Hex(s.reply), context: attested_json(s.context) }
            }
            Ok(Answer::Plaintext(p)) => AnswerJson::Plaintext { plaintext: hex(&*p.0) },
            Ok(Answer::State(state)) => AnswerJson::State { state: state.as_str() },
            Ok(Answer::Attested(a)) => AnswerJson::Attested { attested: attested_json(a) },
            Ok(Answer::Health(h)) => AnswerJson::Health {
                health: [
                    h.live_keys,
                    h.capacity,
                    h.tombstones,
                    h.documents,
                    h.attested,
                    h.nsm_failures,
                    h.streams_closed,
                ],
            },
        };
        Self { encoding, id, content }
    }
}

fn attested_json(a: Attested) -> AttestedJson {
    AttestedJson {
        record: Hex(a.record),
        index: a.inclusion.index,
        path: a.inclusion.path.iter().map(hex).collect(),
        document: Hex(a.document.to_vec()),
    }
}

fn invalid_responses() -> Result<Vec<Refused>> {
    const NAMES: &[&str] = &["id", "kind", "content"];
    let content = |values: &[Vec<u8>]| RawMap::new("response", &[], values.to_vec()).encode();
    let map = RawMap::new("response", NAMES, [uint(7), uint(4), content(&[text("live")])]).ending_in("state");
    let with =
        |kind, values: &[Vec<u8>]| map.with("kind", uint(kind)).with("content", content(values)).encode();
    let refused =
        |name, kind, values: &[Vec<u8>], field, rule| map.refused(name, with(kind, values), field, &rule);
    let length = |min, max| Rule::Length { min, max };
    let hash = || bytes(&[0x11; 48]);
    let inclusion = |path: &[Vec<u8>]| array(&[uint(2), array(path)]);
    let record = || bytes(&[1; 20]);
    let document = || bytes(&[0xd0; 40]);
    let attested = |path: &[Vec<u8>]| array(&[record(), inclusion(path), document()]);
    let key = array(&[bytes(&[1; 20]), inclusion(&[])]);
    let keys = |n| array(&vec![key.clone(); n]);
    let mut all = map.structural();
    all.extend([
        map.bad("kind 7", "kind", uint(7), &Rule::UnknownValue),
        refused("state that does not exist", 4, &[text("lively")], "state", Rule::UnknownValue),
        refused("state in capitals", 4, &[text("LIVE")], "state", Rule::UnknownValue),
        refused(
            "code that does not exist",
            0,
            &[text("no_such_code"), text(""), uint(0)],
            "code",
            Rule::UnknownValue,
        ),
        refused(
            "detail of 513 bytes",
            0,
            &[text("key_used"), text(&"x".repeat(513)), uint(0)],
            "detail",
            length(0, 512),
        ),
        refused(
            "refusal without retry_after",
            0,
            &[text("key_used"), text("")],
            "retry_after",
            Rule::Missing,
        ),
        refused("issued without keys", 1, &[document(), keys(0)], "keys", length(1, 100)),
        refused("issued with 101 keys", 1, &[document(), keys(101)], "keys", length(1, 100)),
        refused("issued with an empty document", 1, &[bytes(&[]), keys(1)], "document", length(1, 12_288)),
        refused(
            "issued with a huge document",
            1,
            &[bytes(&[0; 12_289]), keys(1)],
            "document",
            length(1, 12_288),
        ),
        refused("plaintext of 4097 bytes", 3, &[bytes(&[0; 4097])], "plaintext", length(0, 4096)),
        refused("path of 13 hashes", 5, &[attested(&vec![hash(); 13])], "path", length(0, 12)),
        refused("path with a hash of 47 bytes", 5, &[attested(&[bytes(&[1; 47])])], "path", length(48, 48)),
        refused(
            "attested without a document",
            5,
            &[array(&[record(), inclusion(&[])])],
            "attested",
            length(3, 3),
        ),
        refused("sealed without its context", 2, &[bytes(&[1])], "context", Rule::Missing),
        refused("health with a number missing", 6, &vec![uint(0); 6], "health", Rule::Missing),
        refused("health with a number too many", 6, &vec![uint(0); 8], "map", Rule::Unknown(7)),
    ]);
    let of = |record: &[u8]| array(&[bytes(record), inclusion(&[]), document()]);
    let issued = |descriptor: &[u8]| array(&[array(&[bytes(descriptor), inclusion(&[])])]);
    let sealed = |name, reply: &[u8], rule| refused(name, 2, &[bytes(reply), of(&[1; 20])], "reply", rule);
    all.extend([
        sealed("sealed with an empty reply", &[], length(1, 5904)),
        sealed("sealed with a reply of 5905 bytes", &[1; 5905], length(1, 5904)),
        refused("sealed with an empty context", 2, &[bytes(&[1]), of(&[])], "record", length(1, 512)),
        refused(
            "sealed with a context of 513 bytes",
            2,
            &[bytes(&[1]), of(&[1; 513])],
            "record",
            length(1, 512),
        ),
        refused("attested with an empty record", 5, &[of(&[])], "record", length(1, 512)),
        refused("attested with a record of 513 bytes", 5, &[of(&[1; 513])], "record", length(1, 512)),
        refused(
            "issued with an empty descriptor",
            1,
            &[document(), issued(&[])],
            "descriptor",
            length(1, 512),
        ),
        refused(
            "issued with a descriptor of 513 bytes",
            1,
            &[document(), issued(&[1; 513])],
            "descriptor",
            length(1, 512),
        ),
        refused(
            "issued with a descriptor alone",
            1,
            &[document(), array(&[array(&[bytes(&[1])])])],
            "key",
            length(2, 2),
        ),
        refused("an empty code", 0, &[text(""), text(""), uint(0)], "code", length(1, 64)),
        refused("an empty state", 4, &[text("")], "state", length(1, 16)),
        refused(
            "a code that only clients make",
            0,
            &[text("record_invalid"), text(""), uint(0)],
            "code",
            Rule::UnknownValue,
        ),
    ]);
    Ok(all)
}

/// Both sides of the longest frames, and a frame that is as long as the other direction's may be.
fn long_streams() -> Result<Vec<LongStream>> {
    let stream = |name, limit: usize, length: usize, count, closed: Option<FrameError>| {
        let whole = closed.is_none() && count == length;
        Ok(LongStream {
            name,
            limit,
            bytes: hex(u32::try_from(length)?.to_be_bytes()),
            byte: 0xf6,
            count,
            frame_lengths: if whole { vec![length] } else { vec![] },
            closed: closed.map(FrameError::reason),
        })
    };
    let too_long = |length: usize, limit| {
        Ok::<_, std::num::TryFromIntError>(FrameError::TooLong { length: u32::try_from(length)?, limit })
    };
    let (request, response) = (MAX_REQUEST, MAX_RESPONSE);
    [
        stream("the longest response", response, response, response, None),
        stream(
            "the longest response, and a byte of it missing",
            response,
            response,
            response - 1,
            Some(FrameError::Truncated),
        ),
        stream(
            "a byte more than the longest response",
            response,
            response + 1,
            response + 1,
            Some(too_long(response + 1, response)?),
        ),
        stream("the longest request", request, request, request, None),
        stream(
            "a byte more than the longest request",
            request,
            request + 1,
            request + 1,
            Some(too_long(request + 1, request)?),
        ),
        stream(
            "a request as long as responses may be",
            request,
            response,
            response,
            Some(too_long(response, request)?),
        ),
        stream("a response longer than requests may be", response, request + 1, request + 1, None),
    ]
    .into_iter()
    .collect()
}

fn streams() -> Result<Vec<Stream>> {
    let one = Request { id: 1, call: Call::Health }.encode();
    let two = Request { id: 2, call: Call::Health }.encode();
    let (one_framed, two_framed) = (frame::encode(&one), frame::encode(&two));
    let stream = |name, limit, bytes: Vec<u8>, frames: &[&[u8]], closed: Option<FrameError>| Stream {
        name,
        limit,
        bytes: Hex(bytes),
        frames: frames.iter().map(hex).collect(),
        closed: closed.map(FrameError::reason),
    };
    let too_long = |length: u32, limit| FrameError::TooLong { length, limit };
    let beyond_request = u32::try_from(MAX_REQUEST)? + 1;
    let beyond_response = u32::try_from(MAX_RESPONSE)? + 1;
    // Frames are cut here, and not read.
    let longest = vec![0xf6; MAX_REQUEST];
    Ok(vec![
        stream("no frame", MAX_REQUEST, Vec::new(), &[], None),
        stream("one frame", MAX_REQUEST, one_framed.clone(), &[&one], None),
        stream("two frames", MAX_REQUEST, [&one_framed[..], &two_framed].concat(), &[&one, &two], None),
        stream("an empty frame", MAX_REQUEST, vec![0; 4], &[], Some(FrameError::Empty)),
        stream(
            "an empty frame after a good one",
            MAX_REQUEST,
            [&one_framed[..], &[0; 4], &two_framed].concat(),
            &[&one],
            Some(FrameError::Empty),
        ),
        stream("half a length", MAX_REQUEST, vec![0, 0], &[], Some(FrameError::Truncated)),
        stream("a length and nothing", MAX_REQUEST, vec![0, 0, 0, 5], &[], Some(FrameError::Truncated)),
        stream(
            "a frame cut off after a good one",
            MAX_REQUEST,
            [&one_framed[..], two_framed.split_last().map_or(&[], |(_, rest)| rest)].concat(),
            &[&one],
            Some(FrameError::Truncated),
        ),
        stream(
            "a request longer than requests may be",
            MAX_REQUEST,
            beyond_request.to_be_bytes().to_vec(),
            &[],
            Some(too_long(beyond_request, MAX_REQUEST)),
        ),
        stream(
            "a length that is text",
            MAX_RESPONSE,
            b"GET / HTTP/1.1\r\n".to_vec(),
            &[],
            Some(too_long(u32::from_be_bytes(*b"GET "), MAX_RESPONSE)),
        ),
        stream(
            "the greatest length",
            MAX_RESPONSE,
            vec![0xff; 4],
            &[],
            Some(too_long(u32::MAX, MAX_RESPONSE)),
        ),
        stream("the longest request", MAX_REQUEST, frame::encode(&longest), &[&longest], None),
        stream(
            "a response longer than responses may be",
            MAX_RESPONSE,
            beyond_response.to_be_bytes().to_vec(),
            &[],
            Some(too_long(beyond_response, MAX_RESPONSE)),
        ),
    ])
}
