//! How requests share documents, with a module that the tests hold.

#![allow(clippy::unwrap_used, reason = "helpers of tests: clippy.toml's list is for #[test]")]

use super::*;
use crate::platform::{
    clock::ManualClock,
    compute_pool::QueueId,
    nsm::{AttestationRequest, NsmError, forged::ForgedNsm},
};
use ok2cry_attest_verify::TrustAnchor;
use ok2cry_protocol::{Record as _, batch::BatchHeader};
use std::{
    ops::ControlFlow,
    sync::mpsc::{Receiver, Sender, channel},
};

/// A module that reports the size of each batch, and answers when it is released.
struct HeldNsm {
    inner: ForgedNsm,
    sizes: Sender<u64>,
    released: Receiver<()>,
}

impl Nsm for HeldNsm {
    fn attest(&mut self, request: &AttestationRequest<'_>) -> Result<Vec<u8>, NsmError> {
        self.sizes.send(header(request.user_data.unwrap()).size).unwrap();
        self.released.recv().unwrap();
        self.inner.attest(request)
    }

    fn root_certificate(&self) -> &[u8] {
        self.inner.root_certificate()
    }
}

#[tokio::test]
async fn a_job_without_room_in_a_batch_is_in_the_next() {
    let (attester, sizes, release) = start(ComputePool::start().unwrap());
    let records = |job: u8, n: u8| (0..n).map(|i| vec![job, i]).collect::<Vec<_>>();
    let mut jobs = Vec::new();
    let mut submit = |job: u8, n: u8| {
        let (answer, attestation) = oneshot::channel();
        attester.submit(&records(job, n), ok2cry_attest_forge::TIMESTAMP_MS, answer);
        jobs.push((records(job, n), attestation));
    };
    submit(0, 1);
    let mut called = vec![sizes.recv().unwrap()];
    // All of these are queued while the module is busy.
    for (job, n) in [(1, 1), (2, 2), (3, 3), (4, 1), (5, 1), (6, 1)] {
        submit(job, n);
    }
    for _ in 0..5 {
        release.send(()).unwrap();
        called.push(sizes.recv().unwrap());
    }
    release.send(()).unwrap();
    assert_eq!(called, [1, 1, 2, 3, 2, 1]);
    for (records, attestation) in jobs {
        let Attestation { document, inclusions } = attestation.await.unwrap().unwrap();
        let verified = verifier(&ForgedNsm::new(ManualClock::default())).verify_historical(&document);
        let header = header(verified.unwrap().user_data().unwrap());
        assert_eq!(inclusions.len(), records.len());
        assert!(records.iter().zip(&inclusions).all(|(record, proof)| proof.proves(record, &header)));
    }
}

#[tokio::test]
async fn a_pool_that_stays_behind_does_not_delay_a_call_for_ever() {
    let pool = ComputePool::with_threads(0).unwrap();
    pool.enqueue(QueueId::default(), || ControlFlow::Continue(()));
    assert!(pool.is_behind());
    let (attester, sizes, release) = start(pool);
    release.send(()).unwrap();
    attester.attest(&[b"record"], ok2cry_attest_forge::TIMESTAMP_MS).await.unwrap();
    assert_eq!(sizes.recv(), Ok(1));
}

/// An attester with batches of two at most, the sizes of its batches, and the release of its module.
fn start(pool: ComputePool) -> (Attester, Receiver<u64>, Sender<()>) {
    let clock = ManualClock::default();
    let time = TrustedTime::new(Arc::new(clock.clone()));
    let (sizes, called) = channel();
    let (release, released) = channel();
    let inner = ForgedNsm::new(clock);
    let verifier = verifier(&inner);
    let nsm = Box::new(HeldNsm { inner, sizes, released });
    let config = AttesterConfig { nsm, verifier, log_key: vec![1; 44], time, pool, max_batch: 2 };
    (Attester::start(config).unwrap(), called, release)
}

fn verifier(nsm: &ForgedNsm) -> Verifier {
    Verifier::new(TrustAnchor::from_der(nsm.root_certificate()).unwrap())
}

fn header(user_data: &[u8]) -> BatchHeader {
    BatchHeader::decode(user_data).unwrap()
}
