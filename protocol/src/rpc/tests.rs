use super::*;
use crate::MAX_PLAINTEXT;
use crate::descriptor::tests::public_key;
use proptest::prelude::*;

fn requests() -> Vec<Request> {
    let id = KeyId([7; 24]);
    let nonce = Nonce::new([1; 16]).unwrap();
    let issue = Issue {
        nonce: nonce.clone(),
        purpose: Purpose::new("card-pin").unwrap(),
        ttl: 60_000,
        deliver_to: DeliverTo::Recipient(public_key(2)),
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
        Attested { record: vec![1; 99], inclusion: inclusion.clone(), document: vec![9; 5000].into() };
    [
        Err(Refusal::new(Code::KeyUsed).with_retry_after_ms(5)),
        Ok(Answer::Issued(Issued {
            document: vec![4; 99].into(),
            keys: vec![(vec![5; 300], inclusion); 100],
        })),
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

/// A buffer that grows would leave a copy of the plaintext behind.
#[test]
fn no_response_is_longer_than_its_capacity() {
    let inclusion = Inclusion { index: 4095, path: vec![[0; 48]; 12] };
    let document = Document::from(vec![0; MAX_DOCUMENT]);
    let context = Attested {
        record: vec![0; MAX_DESCRIPTOR],
        inclusion: inclusion.clone(),
        document: document.clone(),
    };
    let health = Health {
        live_keys: u64::MAX,
        capacity: u64::MAX,
        tombstones: u64::MAX,
        documents: u64::MAX,
        attested: u64::MAX,
        nsm_failures: u64::MAX,
        streams_closed: u64::MAX,
    };
    let largest = [
        Err(Refusal { retry_after: u64::MAX, ..Refusal::with_detail(Code::ALL[0], "x".repeat(MAX_DETAIL)) }),
        Ok(Answer::Issued(Issued { document, keys: vec![(vec![0; MAX_DESCRIPTOR], inclusion); 100] })),
        Ok(Answer::Sealed(SealedReply { reply: vec![0; MAX_REPLY], context: context.clone() })),
        Ok(Answer::Plaintext(Plaintext(Zeroizing::new(vec![0; MAX_PLAINTEXT])))),
        Ok(Answer::Attested(context)),
        Ok(Answer::Health(health)),
    ];
    let refusals = Code::ALL.iter().map(|code| Err(Refusal::new(*code)));
    let results = largest.into_iter().chain(refusals);
    for response in results.map(|result| Response { id: u64::MAX, result }).chain(responses()) {
        let mut written = Vec::new();
        ResponseWriter::default().write(&response, &mut written);
        assert!(written.len() <= response.max_len(), "{} of {}", written.len(), response.max_len());
        assert!(response.encode().len() <= response.max_len());
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
    let issued = Issued {
        document: vec![0; MAX_DOCUMENT].into(),
        keys: vec![(vec![0; MAX_DESCRIPTOR], inclusion); 100],
    };
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
    fn damaged_requests_decode_strictly_or_not_at_all(
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
