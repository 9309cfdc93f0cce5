//! A sealed reply that is kept for retries of its request.

use crate::platform::memory::budget::Charge;
use ok2cry_protocol::{
    Encoded, MAX_AAD, MAX_CIPHERTEXT,
    batch::{Inclusion, MAX_PATH},
    descriptor::KeyDescriptor,
    document::Document,
    reply::MAX_DESCRIPTOR,
    rpc::{Attested, MAX_DOCUMENT, Open, SealedReply},
};
use std::sync::Arc;

/// The most bytes of a context's proof: the longest record, path and document.
pub(super) const MAX_PROOF: usize = MAX_DESCRIPTOR + MAX_PATH * 48 + MAX_DOCUMENT;
/// The bytes that one recipient needs for one reply, while its last context is still held.
pub(crate) const MIN_SHARE: usize = 2 * MAX_PROOF + OVERHEAD + MAX_DESCRIPTOR + MAX_AAD + MAX_CIPHERTEXT;
/// The bytes of a reply beside its parts: the record's names, lengths, ids and digest, and the store's entry.
const OVERHEAD: usize = 320;

/// What a recipient needs to trust a context. It is counted while any reply holds it.
#[derive(Debug)]
pub(super) struct ContextProof {
    pub(super) record: Vec<u8>,
    pub(super) inclusion: Inclusion,
    pub(super) document: Document,
    pub(super) _charge: Charge,
}

/// A reply that is ready to be sent, again and again.
#[derive(Debug)]
pub(crate) struct StoredReply {
    pub(super) reply: Box<[u8]>,
    pub(super) proof: Arc<ContextProof>,
    pub(super) _charge: Charge,
}

impl StoredReply {
    /// The most bytes of the reply to `open`: what to charge before it is made.
    pub(crate) fn max_bytes(descriptor: &Encoded<KeyDescriptor>, open: &Open) -> usize {
        OVERHEAD + descriptor.bytes().len() + open.aad.len() + open.ciphertext.len()
    }

    /// The reply as it goes to the parent.
    pub(crate) fn to_answer(&self) -> SealedReply {
        let ContextProof { record, inclusion, document, .. } = &*self.proof;
        let context =
            Attested { record: record.clone(), inclusion: inclusion.clone(), document: document.clone() };
        SealedReply { reply: self.reply.to_vec(), context }
    }
}
