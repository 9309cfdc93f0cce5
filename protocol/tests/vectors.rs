//! The frozen vectors in `tests/vectors/v1`: valid cases decode to the named values and encode to the same
//! bytes, and invalid cases are refused with the named field and rule.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::indexing_slicing, reason = "a vector without a field is a failure too")]

use hpke::{
    Deserializable, Kem as _, OpModeR, Serializable,
    aead::{AeadCtxR, AesGcm256},
    kdf::HkdfSha384,
    kem::DhP384HkdfSha384 as Kem,
};
use ok2cry_protocol::{
    DecodeError, Encoded, Record,
    batch::{BatchHeader, Inclusion},
    code::Code,
    descriptor::{DeliverTo, KeyDescriptor},
    document::Document,
    frame::{self, FrameReader},
    hash,
    ids::{ContextId, InstanceId, KeyId, Nonce, Purpose},
    merkle::{Tree, leaf_hash},
    reply::{DigestInput, Reply, ReplyContext, ReplySecret},
    rpc::{
        Answer, Attested, Call, Health, Issue, Issued, KeyState, Open, Plaintext, Refusal, Request, Response,
        ResponseReader, ResponseWriter, SealedReply,
    },
    statement::Statement,
    suite::{PublicKey, Suite, reply_info, seal_info},
};
use serde_json::Value;

mod descriptors {
    use super::*;

    #[test]
    fn descriptors_have_one_encoding() {
        for case in list(&file("key-descriptor.json")["valid"]) {
            let fields = &case["fields"];
            let expected = KeyDescriptor {
                key_id: KeyId(bytes(&fields["key_id"]).try_into().unwrap()),
                suite: suite(&fields["suite"]),
                public_key: point(&fields["public_key"]),
                issued_at: number(&fields["issued_at"]),
                expires_at: number(&fields["expires_at"]),
                purpose: Purpose::new(text(&fields["purpose"])).unwrap(),
                deliver_to: deliver_to(&fields["release_to"]),
                client_nonce: nonce(&fields["client_nonce"]),
            };
            let encoding = bytes(&case["encoding"]);
            assert_eq!(expected.encode(), encoding, "{}", case["name"]);
            let decoded = Encoded::<KeyDescriptor>::decode(&encoding).unwrap();
            assert_eq!(*decoded, expected, "{}", case["name"]);
            assert_eq!(decoded.hash().to_vec(), bytes(&case["hash"]), "{}", case["name"]);

            let derived = &case["derived"];
            assert_eq!(decoded.key_id.to_base64url(), text(&derived["key_id"]));
            assert_eq!(decoded.key_id.instance().to_string(), text(&derived["instance_id"]));
            assert_eq!(decoded.public_key.to_pem(), text(&derived["public_key_pem"]));
            assert_eq!(seal_info(decoded.hash()), bytes(&derived["info"]));
        }
    }

    #[test]
    fn invalid_descriptors_are_refused() {
        refused::<KeyDescriptor>(&file("key-descriptor.json")["invalid"], 100);
    }
}

mod identifiers {
    use super::*;

    #[test]
    fn ids_have_the_derived_values() {
        let ids = file("ids.json");
        for case in list(&ids["instance_ids"]) {
            let id = InstanceId::of_log_key(&bytes(&case["log_key"]));
            assert_eq!(id.0.to_vec(), bytes(&case["instance_id"]));
        }
        for case in list(&ids["key_ids"]) {
            let id = KeyId(bytes(&case["bytes"]).try_into().unwrap());
            assert_eq!(id.to_base64url(), text(&case["base64url"]));
            assert_eq!(KeyId::from_base64url(text(&case["base64url"])), Ok(id));
            assert_eq!(id.instance().0.to_vec(), bytes(&case["instance_id"]));
        }
        for case in list(&ids["invalid_key_ids"]) {
            assert_refused(case, &KeyId::from_base64url(text(&case["text"])));
        }
    }

    #[test]
    fn each_of_several_keys_has_its_derived_nonce() {
        for case in list(&file("ids.json")["nonces"]) {
            let (nonce, count) = (nonce(&case["nonce"]), u32::try_from(number(&case["count"])).unwrap());
            let expected = list(&case["client_nonces"]);
            assert_eq!(expected.len(), usize::try_from(count).unwrap());
            for (i, expected) in (0..count).zip(expected) {
                assert_eq!(nonce.for_key(i, count).as_bytes(), bytes(expected));
            }
        }
    }

    #[test]
    fn statements_have_one_encoding() {
        let statements = &file("ids.json")["statements"];
        for case in list(&statements["valid"]) {
            let expected = Statement { nonce: nonce(&case["nonce"]), time: number(&case["time"]) };
            assert_eq!(expected.encode(), bytes(&case["encoding"]), "{}", case["name"]);
            assert_eq!(Statement::decode(&bytes(&case["encoding"])), Ok(expected), "{}", case["name"]);
        }
        refused::<Statement>(&statements["invalid"], 30);
    }
}

mod batches {
    use super::*;

    #[test]
    fn trees_have_the_roots_and_paths_of_the_vectors() {
        for tree in list(&file("batch.json")["trees"]) {
            let size = number(&tree["size"]);
            let rebuilt = Tree::new((0..size).map(|i| leaf_hash(&record(i))).collect()).unwrap();
            assert_eq!(rebuilt.root().to_vec(), bytes(&tree["root"]), "{size}");
            let header = BatchHeader::decode(&bytes(&tree["user_data"])).unwrap();
            assert_eq!((header.root, header.size), (rebuilt.root(), size));
            for case in list(&tree["inclusions"]) {
                let inclusion = inclusion(case);
                assert_eq!(bytes(&case["record"]), record(inclusion.index));
                assert_eq!(rebuilt.path(usize::try_from(inclusion.index).unwrap()), inclusion.path);
                assert!(inclusion.proves(&bytes(&case["record"]), &header), "{} of {size}", inclusion.index);
            }
        }
    }

    #[test]
    fn wrong_inclusion_proofs_are_refused() {
        let file = file("batch.json");
        let cases = list(&file["refused"]);
        assert!(cases.len() >= 25);
        for case in cases {
            let header = BatchHeader {
                root: bytes(&case["root"]).try_into().unwrap(),
                size: number(&case["size"]),
                log_size: 0,
                log_root: [0; 32],
            };
            assert!(!inclusion(case).proves(&bytes(&case["record"]), &header), "{}", case["name"]);
        }
    }

    #[test]
    fn batch_headers_have_one_encoding() {
        let headers = &file("batch.json")["headers"];
        for case in list(&headers["valid"]) {
            let expected = BatchHeader {
                root: bytes(&case["root"]).try_into().unwrap(),
                size: number(&case["size"]),
                log_size: number(&case["log_size"]),
                log_root: bytes(&case["log_root"]).try_into().unwrap(),
            };
            assert_eq!(expected.encode(), bytes(&case["encoding"]), "{}", case["name"]);
            assert_eq!(BatchHeader::decode(&bytes(&case["encoding"])), Ok(expected), "{}", case["name"]);
        }
        refused::<BatchHeader>(&headers["invalid"], 40);
    }

    fn record(i: u64) -> Vec<u8> {
        let nonce = Nonce::new(u128::from(i).to_be_bytes()).unwrap();
        Statement { nonce, time: 1_800_000_000_000 + i }.encode()
    }
}

mod messages {
    use super::*;

    #[test]
    fn the_hpke_crate_gives_the_known_answers() {
        let file = file("hpke.json");
        assert_eq!(suite(&file["suite"]), Suite::P384);
        for case in list(&file["cases"]) {
            for (ikm, private, public) in [("ikmR", "skRm", "pkRm"), ("ikmE", "skEm", "enc")] {
                let derived = Kem::derive_keypair(&bytes(&case[ikm]));
                assert_eq!(derived.0.to_bytes().to_vec(), bytes(&case[private]));
                assert_eq!(derived.1.to_bytes().to_vec(), bytes(&case[public]));
            }
            let mut receiver = receiver(&case["skRm"], &case["enc"], &bytes(&case["info"]));
            for (e, sequence) in list(&case["encryptions"]).iter().zip(0..) {
                assert_eq!(number(&e["sequence"]), sequence);
                let opened = receiver.open(&bytes(&e["ct"]), &bytes(&e["aad"]));
                assert_eq!(opened.unwrap(), bytes(&e["pt"]), "{}", case["name"]);
            }
            for e in list(&case["exports"]) {
                let mut value = vec![0; usize::try_from(number(&e["L"])).unwrap()];
                receiver.export(&bytes(&e["exporter_context"]), &mut value).unwrap();
                assert_eq!(value, bytes(&e["exported_value"]), "{}", case["name"]);
            }
        }
    }

    #[test]
    fn sealed_messages_open_with_the_scalar() {
        let file = file("seal.json");
        let (private, public) = Kem::derive_keypair(&bytes(&file["key"]["ikm"]));
        assert_eq!(private.to_bytes().to_vec(), bytes(&file["key"]["private_key"]));
        assert_eq!(public.to_bytes().to_vec(), bytes(&file["key"]["public_key"]));
        for case in list(&file["sealed"]) {
            let descriptor = Encoded::<KeyDescriptor>::decode(&bytes(&case["descriptor"])).unwrap();
            assert_eq!(descriptor.public_key, point(&file["key"]["public_key"]));
            assert_eq!(seal_info(descriptor.hash()), bytes(&case["info"]), "{}", case["name"]);
            assert_eq!(open(&file, case).unwrap(), bytes(&case["plaintext"]), "{}", case["name"]);

            let (aad, ciphertext) = (bytes(&case["aad"]), bytes(&case["ciphertext"]));
            let (descriptor, enc) = (descriptor.hash(), &point(&case["enc"]));
            let input = DigestInput { descriptor, enc, aad: &aad, ciphertext: &ciphertext };
            assert_eq!(input.request_digest().to_vec(), bytes(&case["request_digest"]), "{}", case["name"]);
        }
    }

    #[test]
    fn changed_messages_do_not_open() {
        let file = file("seal.json");
        for case in list(&file["must_not_open"]) {
            assert_eq!(open(&file, case), None, "{}", case["name"]);
        }
    }

    fn open(file: &Value, case: &Value) -> Option<Vec<u8>> {
        let info = seal_info(&hash(&[&bytes(&case["descriptor"])]));
        let mut receiver = receiver(&file["key"]["private_key"], &case["enc"], &info);
        receiver.open(&bytes(&case["ciphertext"]), &bytes(&case["aad"])).ok()
    }
}

mod replies {
    use super::*;

    #[test]
    fn replies_open_for_their_recipient() {
        let file = file("reply.json");
        let case = &file["context"];
        let instance = InstanceId::of_log_key(&bytes(&case["log_key"]));
        let context = ReplyContext {
            context_id: ContextId(bytes(&case["context_id"]).try_into().unwrap()),
            suite: suite(&case["suite"]),
            recipient: point(&case["recipient"]),
            enc: point(&case["enc"]),
            created_at: number(&case["created_at"]),
            expires_at: number(&case["expires_at"]),
        };
        assert_eq!(context.encode(), bytes(&case["record"]));
        assert_eq!(ReplyContext::decode(&bytes(&case["record"])), Ok(context.clone()));
        assert_eq!(reply_info(instance, context.context_id), bytes(&case["info"]));

        for case in list(&file["replies"]) {
            let reply = Reply::decode(&bytes(&case["record"])).unwrap();
            assert_eq!(reply.encode(), bytes(&case["record"]), "{}", case["name"]);
            assert_eq!(reply.descriptor.bytes(), bytes(&case["descriptor"]));
            assert_eq!(reply.aad, bytes(&case["aad"]));
            assert_eq!(reply.request_digest.to_vec(), bytes(&case["request_digest"]));
            assert_eq!(reply.ciphertext, bytes(&case["ciphertext"]));

            let exporter_context = reply.binding().exporter_context();
            assert_eq!(exporter_context, bytes(&case["exporter_context"]), "{}", case["name"]);
            assert_eq!(exporter_context, [&b"ok2cry v1 reply"[..], &bytes(&case["binding"])].concat());
            let secret = secret(&file, &context, instance, &reply);
            assert_eq!(secret.0.to_vec(), bytes(&case["secret"]), "{}", case["name"]);
            let plaintext = secret.open(&reply.ciphertext, &reply.binding()).unwrap();
            assert_eq!(*plaintext, bytes(&case["plaintext"]), "{}", case["name"]);

            let secret = ReplySecret(bytes(&case["secret"]).try_into().unwrap());
            assert_eq!(secret.seal(&plaintext, &reply.binding()).unwrap(), reply.ciphertext);
        }
        let first = &file["replies"][0];
        let answered = &super::file("seal.json")["sealed"][0];
        for field in ["descriptor", "aad", "request_digest", "plaintext"] {
            assert_eq!(first[field], answered[field], "the first reply answers the first message");
        }
    }

    #[test]
    fn replies_open_in_no_other_context() {
        let file = file("reply.json");
        for case in list(&file["must_be_refused"]) {
            assert!(accept(&file, case).is_none(), "{}", case["name"]);
        }
    }

    #[test]
    fn invalid_contexts_and_replies_are_refused() {
        let file = file("reply.json");
        refused::<ReplyContext>(&file["invalid_contexts"], 40);
        refused::<Reply>(&file["invalid_replies"], 40);
    }

    /// Opens a reply as a recipient does after it has accepted the document.
    fn accept(file: &Value, case: &Value) -> Option<Vec<u8>> {
        let own = point(&file["recipient"]["public_key"]);
        let instance = InstanceId(bytes(&case["instance_id"]).try_into().unwrap());
        let context = ReplyContext::decode(&bytes(&case["context"])).unwrap();
        let reply = Reply::decode(&bytes(&case["reply"])).unwrap();
        let ours = context.recipient == own
            && reply.descriptor.deliver_to == DeliverTo::Recipient(own)
            && reply.descriptor.key_id.instance() == instance
            && reply.context_id == context.context_id;
        let secret = secret(file, &context, instance, &reply);
        let opened = secret.open(&reply.ciphertext, &reply.binding());
        opened.filter(|_| ours).map(|plaintext| plaintext.to_vec())
    }

    fn secret(file: &Value, context: &ReplyContext, instance: InstanceId, reply: &Reply) -> ReplySecret {
        let enc = Value::from(hex(context.enc.as_bytes()));
        let info = reply_info(instance, context.context_id);
        let receiver = receiver(&file["recipient"]["private_key"], &enc, &info);
        let mut secret = ReplySecret([0; 44]);
        receiver.export(&reply.binding().exporter_context(), &mut secret.0).unwrap();
        secret
    }
}

mod frames {
    use super::*;

    #[test]
    fn requests_have_one_encoding() {
        let file = file("rpc.json");
        for case in list(&file["requests"]) {
            let request = Request { id: number(&case["id"]), call: call(case) };
            assert_eq!(hex(&request.encode()), text(&case["encoding"]));
            assert_eq!(Request::decode(&bytes(&case["encoding"])), Ok(request));
        }
        for case in list(&file["invalid_requests"]) {
            assert_refused(case, &Request::decode(&bytes(&case["encoding"])));
        }
    }

    #[test]
    fn responses_have_one_encoding() {
        let file = file("rpc.json");
        for case in list(&file["responses"]) {
            let response = Response { id: number(&case["id"]), result: answer(case) };
            assert_eq!(hex(&response.encode()), text(&case["encoding"]));
            assert_eq!(Response::decode(&bytes(&case["encoding"])), Ok(response.clone()));
            // A stream may carry whole documents too.
            assert_eq!(ResponseReader::default().read(&bytes(&case["encoding"])), Ok(Some(response)));
        }
        for case in list(&file["invalid_responses"]) {
            assert_refused(case, &Response::decode(&bytes(&case["encoding"])));
            assert!(ResponseReader::default().read(&bytes(&case["encoding"])).is_err(), "{case}");
        }
    }

    #[test]
    fn frames_do_not_depend_on_how_a_stream_arrives() {
        for case in list(&file("rpc.json")["streams"]) {
            let stream = bytes(&case["bytes"]);
            for pieces in [1, 3, stream.len().max(1)] {
                let mut reader = FrameReader::new(usize::try_from(number(&case["limit"])).unwrap());
                let (mut frames, mut closed) = (Vec::new(), None);
                'stream: for piece in stream.chunks(pieces) {
                    reader.push(piece);
                    loop {
                        match reader.next_frame() {
                            Ok(Some(frame)) => frames.push(hex(frame)),
                            Ok(None) => break,
                            Err(error) => {
                                closed = Some(error.reason());
                                break 'stream;
                            }
                        }
                    }
                }
                let closed = closed.or_else(|| reader.end().err().map(|error| error.reason()));
                assert_eq!(Value::from(frames), case["frames"], "{}", case["name"]);
                assert_eq!(Value::from(closed), case["closed"], "{}", case["name"]);
            }
        }
    }

    #[test]
    fn the_longest_frames_are_taken_and_no_longer_ones() {
        for case in list(&file("rpc.json")["long_streams"]) {
            let size = |field: &str| usize::try_from(number(&case[field])).unwrap();
            let byte = u8::try_from(number(&case["byte"])).unwrap();
            let stream = [bytes(&case["bytes"]), vec![byte; size("count")]].concat();
            let mut reader = FrameReader::new(size("limit"));
            let (mut lengths, mut closed) = (Vec::new(), None);
            'stream: for piece in stream.chunks(16_384) {
                reader.push(piece);
                loop {
                    match reader.next_frame() {
                        Ok(Some(frame)) => {
                            assert!(frame.iter().all(|found| *found == byte), "{}", case["name"]);
                            lengths.push(frame.len());
                        }
                        Ok(None) => break,
                        Err(error) => {
                            closed = Some(error.reason());
                            break 'stream;
                        }
                    }
                }
            }
            let closed = closed.or_else(|| reader.end().err().map(|error| error.reason()));
            assert_eq!(Value::from(lengths), case["frame_lengths"], "{}", case["name"]);
            assert_eq!(Value::from(closed), case["closed"], "{}", case["name"]);
        }
    }

    #[test]
    fn documents_are_sent_once_and_found_in_their_slots() {
        let streams = file("documents.json");
        let mut written = 0;
        for stream in list(&streams["streams"]) {
            let (mut received, mut responses, mut read) = (ResponseReader::default(), Vec::new(), Vec::new());
            for frame in list(&stream["frames"]) {
                let got = received.read(&bytes(&frame["encoding"]));
                if frame["place"].is_null() {
                    let response = Response { id: number(&frame["id"]), result: answer(frame) };
                    assert_eq!(got, Ok(Some(response.clone())), "{}", stream["name"]);
                    responses.push(response);
                } else {
                    assert_eq!(got, Ok(None), "{}", stream["name"]);
                }
                read.extend(frame::encode(&bytes(&frame["encoding"])));
            }
            if stream["written"] == true {
                assert_eq!(hex(&write(responses)), hex(&read), "{}", stream["name"]);
                written += 1;
            }
        }
        assert!(written >= 3, "{written}");
    }

    /// What an enclave writes if equal documents are clones of one.
    fn write(responses: Vec<Response>) -> Vec<u8> {
        let (mut sent, mut documents, mut out) =
            (ResponseWriter::default(), Vec::<Document>::new(), Vec::new());
        for mut response in responses {
            let document = match &mut response.result {
                Ok(Answer::Issued(issued)) => Some(&mut issued.document),
                Ok(Answer::Sealed(sealed)) => Some(&mut sealed.context.document),
                Ok(Answer::Attested(attested)) => Some(&mut attested.document),
                _ => None,
            };
            if let Some(document) = document {
                match documents.iter().find(|known| *known == document) {
                    Some(known) => *document = known.clone(),
                    None => documents.push(document.clone()),
                }
            }
            sent.write(&response, &mut out);
        }
        out
    }

    #[test]
    fn an_invalid_document_frame_closes_the_stream() {
        for case in list(&file("documents.json")["must_be_refused"]) {
            let mut received = ResponseReader::default();
            for frame in list(&case["before"]) {
                received.read(&bytes(frame)).unwrap();
            }
            assert_refused(case, &received.read(&bytes(&case["encoding"])));
        }
    }

    fn call(case: &Value) -> Call {
        let p = &case["parameters"];
        let key_id = || KeyId(bytes(&p["key_id"]).try_into().unwrap());
        match text(&case["method"]) {
            "issue" => Call::Issue(Issue {
                nonce: nonce(&p["nonce"]),
                purpose: Purpose::new(text(&p["purpose"])).unwrap(),
                ttl: number(&p["ttl"]),
                deliver_to: deliver_to(&p["release_to"]),
                count: u32::try_from(number(&p["count"])).unwrap(),
            }),
            "open" => Call::Open(Open {
                key_id: key_id(),
                enc: point(&p["enc"]),
                ciphertext: bytes(&p["ciphertext"]),
                aad: bytes(&p["aad"]),
            }),
            "status" => Call::Status(key_id()),
            "destroy" => Call::Destroy(key_id()),
            "attest" => Call::Attest(nonce(&p["nonce"])),
            "health" => Call::Health,
            other => panic!("{other}"),
        }
    }

    fn answer(case: &Value) -> Result<Answer, Refusal> {
        let c = &case["content"];
        Ok(match text(&case["kind"]) {
            "refused" => {
                return Err(Refusal::with_detail(
                    Code::from_name(text(&c["code"])).unwrap(),
                    text(&c["detail"]),
                )
                .with_retry_after_ms(number(&c["retry_after"])));
            }
            "issued" => Answer::Issued(Issued {
                document: bytes(&c["document"]).into(),
                keys: list(&c["keys"]).iter().map(|k| (bytes(&k["descriptor"]), inclusion(k))).collect(),
            }),
            "sealed" => {
                Answer::Sealed(SealedReply { reply: bytes(&c["reply"]), context: attested(&c["context"]) })
            }
            "plaintext" => Answer::Plaintext(Plaintext(bytes(&c["plaintext"]).into())),
            "state" => Answer::State(KeyState::from_name(text(&c["state"])).unwrap()),
            "attested" => Answer::Attested(attested(&c["attested"])),
            "health" => {
                let n: Vec<u64> = list(&c["health"]).iter().map(number).collect();
                Answer::Health(Health {
                    live_keys: n[0],
                    capacity: n[1],
                    tombstones: n[2],
                    documents: n[3],
                    attested: n[4],
                    nsm_failures: n[5],
                    streams_closed: n[6],
                })
            }
            other => panic!("{other}"),
        })
    }

    fn attested(case: &Value) -> Attested {
        Attested {
            record: bytes(&case["record"]),
            inclusion: inclusion(case),
            document: bytes(&case["document"]).into(),
        }
    }
}

mod page {
    use super::*;

    #[test]
    fn the_bytes_in_the_protocol_page_are_in_the_vectors() {
        let page = format!("{}/../docs/protocol.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(page).unwrap();
        let mut known = Vec::new();
        for name in
            ["key-descriptor.json", "batch.json", "reply.json", "ids.json", "rpc.json", "documents.json"]
        {
            collect(&file(name), &mut known);
        }
        let blocks: Vec<_> = page.split("```hex\n").skip(1).filter_map(|b| b.split("```").next()).collect();
        assert!(blocks.len() >= 8);
        for block in blocks {
            let digits = |line: &str| line.split('#').next().unwrap().replace(' ', "");
            let bytes: String = block.lines().map(digits).collect();
            assert!(known.contains(&bytes), "no vector is {bytes}");
        }
    }

    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(fields) => fields.values().for_each(|field| collect(field, into)),
            _ => {}
        }
    }
}

/// Asserts that every case is refused as it says, and that there are at least so many.
fn refused<T: Record + std::fmt::Debug>(cases: &Value, at_least: usize) {
    assert!(list(cases).len() >= at_least, "only {} cases", list(cases).len());
    for case in list(cases) {
        assert_refused(case, &T::decode(&bytes(&case["encoding"])));
    }
}

fn assert_refused<T: std::fmt::Debug>(case: &Value, result: &Result<T, DecodeError>) {
    let expected = format!("{}: {}: {}", text(&case["structure"]), text(&case["field"]), text(&case["rule"]));
    match result {
        Err(error) => assert_eq!(error.to_string(), expected, "{}", case["name"]),
        Ok(accepted) => panic!("{} was taken for {accepted:?}", case["name"]),
    }
}

fn receiver(private: &Value, enc: &Value, info: &[u8]) -> AeadCtxR<AesGcm256, HkdfSha384, Kem> {
    let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&bytes(private)).unwrap();
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&bytes(enc)).unwrap();
    hpke::setup_receiver(&OpModeR::Base, &private, &enc, info).unwrap()
}

fn deliver_to(value: &Value) -> DeliverTo {
    if value == "caller" {
        return DeliverTo::Caller;
    }
    assert_eq!(suite(&value["suite"]), Suite::P384);
    DeliverTo::Recipient(point(&value["public_key"]))
}

fn inclusion(case: &Value) -> Inclusion {
    let path = list(&case["path"]).iter().map(|h| bytes(h).try_into().unwrap()).collect();
    Inclusion { index: number(&case["index"]), path }
}

fn suite(value: &Value) -> Suite {
    let numbers: Vec<u16> = list(value).iter().map(|n| u16::try_from(number(n)).unwrap()).collect();
    Suite { kem: numbers[0], kdf: numbers[1], aead: numbers[2] }
}

fn point(value: &Value) -> PublicKey {
    PublicKey::new(&bytes(value)).unwrap()
}

fn nonce(value: &Value) -> Nonce {
    Nonce::new(bytes(value)).unwrap()
}

fn file(name: &str) -> Value {
    let path = format!("{}/../tests/vectors/v1/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value).as_bytes();
    assert!(digits.len().is_multiple_of(2), "hex has two digits a byte");
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
