//! Who takes part. Each is asked to verify the document before it is measured.

use std::time::Duration;

use nsm_nitro_enclave_utils::api::nsm::AttestationDoc;
use nsm_nitro_enclave_utils::time::Time;
use nsm_nitro_enclave_utils::verify::AttestationDocVerifierExt;
use ok2cry_attest_forge::{Enclave, LEAF, NOW_MS, der};
use ok2cry_attest_verify::{CheckTime, Provider, TrustAnchor, Verifier};
use time::OffsetDateTime;

use crate::document::Document;
use crate::limit::signatures;
use crate::processor_time;

pub struct Contender {
    pub name: &'static str,
    pub is_limit: bool,
    pub is_peer: bool,
    /// Verifies some documents; says how many and how long it took.
    pub run: Box<dyn FnMut() -> (u32, Duration)>,
}

pub fn contenders(document: &Document) -> Vec<Contender> {
    let all = signatures(document);
    let mut contenders = vec![Contender {
        is_limit: true,
        ..timed("limit: its five signatures by aws-lc-rs", move || {
            all.iter().for_each(|signed| signed.verify())
        })
    }];
    contenders.extend(ours(document));
    if document.is_real {
        contenders.extend(peers(document));
    }
    contenders
}

fn ours(document: &Document) -> Vec<Contender> {
    let time = CheckTime::exactly(document.time_ms);
    let cold = |provider: Provider| {
        let (root, bytes) = (document.root.clone(), document.bytes.clone());
        // A verifier that has never seen anything, each time.
        move || {
            Verifier::new(root.clone()).with_provider(provider).verify(&bytes, &time).expect("accepted");
        }
    };
    let warm = {
        let verifier = Verifier::new(document.root.clone()).with_provider(Provider::aws_lc_rs());
        let bytes = document.bytes.clone();
        move || {
            verifier.verify(&bytes, &time).expect("accepted");
        }
    };
    vec![
        timed("attest-verify, cold", cold(Provider::aws_lc_rs())),
        unseen_leaves(),
        timed("attest-verify, warm, remembered leaf", warm),
        timed("attest-verify, cold, provider p384", cold(Provider::p384())),
    ]
}

/// No two real documents at hand share an instance CA, so these are forged: as many certificates and signatures.
fn unseen_leaves() -> Contender {
    let documents: Vec<_> = (0..=200_u8)
        .map(|serial| Enclave::with(|e| e.certs[LEAF].serial = der::uint(&[1, serial])).document())
        .collect();
    let root = TrustAnchor::from_der(&Enclave::new().root()).expect("the forge's root");
    let time = CheckTime::at(NOW_MS);
    let run = move || {
        let verifier = Verifier::new(root.clone()).with_provider(Provider::aws_lc_rs());
        let (first, unseen) = documents.split_first().expect("documents");
        verifier.verify(first, &time).expect("accepted");
        let begun = processor_time();
        for document in unseen {
            verifier.verify(document, &time).expect("accepted");
        }
        (200, processor_time() - begun)
    };
    let name = "attest-verify, warm, unseen leaf (forged documents)";
    Contender { name, is_limit: false, is_peer: false, run: Box::new(run) }
}

fn peers(document: &Document) -> Vec<Contender> {
    let bytes = || document.bytes.clone();
    let time_ms = document.time_ms;
    let nitro_attest = {
        let bytes = bytes();
        let now = OffsetDateTime::from_unix_timestamp((time_ms / 1000 + 1).cast_signed()).expect("a time");
        move || {
            let document: nitro_attest::UnparsedAttestationDoc = bytes.as_slice().into();
            document.parse_and_verify(now).expect("accepted by nitro_attest");
        }
    };
    let utils = {
        let (bytes, root) = (bytes(), document.root.as_der().to_vec());
        move || {
            let time = Time::new(Box::new(move || time_ms + 1000));
            AttestationDoc::from_cose(&bytes, &root, time).expect("accepted by nsm-nitro-enclave-utils");
        }
    };
    let validation = {
        let bytes = bytes();
        move || {
            attestation_doc_validation::validate_and_parse_attestation_doc(&bytes)
                .expect("accepted by attestation-doc-validation");
        }
    };
    let peer = |contender| Contender { is_peer: true, ..contender };
    vec![
        peer(timed("nitro_attest 0.2.0", nitro_attest)),
        peer(timed("nsm-nitro-enclave-utils 0.1.3", utils)),
        peer(timed("attestation-doc-validation 0.10.1", validation)),
    ]
}

fn timed(name: &'static str, mut verify: impl FnMut() + 'static) -> Contender {
    let run = move || {
        let begun = processor_time();
        (0..10).for_each(|_| verify());
        (10, processor_time() - begun)
    };
    Contender { name, is_limit: false, is_peer: false, run: Box::new(run) }
}
