use crate::{DecodeError, Hash, hash};

/// A record with one deterministic encoding.
pub trait Record: Sized {
    /// The bytes of `self`.
    fn encode(&self) -> Vec<u8>;
    /// Reads a record strictly: only the bytes that [`Record::encode`] writes are accepted.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A record, its bytes, and their hash.
///
/// Batches and messages refer to the hash of the bytes, so the bytes are never encoded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded<T> {
    bytes: Box<[u8]>,
    hash: Hash,
    value: T,
}

impl<T: Record> Encoded<T> {
    /// Decodes bytes that were received.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = T::decode(bytes)?;
        Ok(Self { bytes: bytes.into(), hash: hash(&[bytes]), value })
    }

    /// Encodes a record.
    pub fn new(value: T) -> Self {
        let bytes = value.encode().into_boxed_slice();
        Self { hash: hash(&[&bytes]), bytes, value }
    }
}

impl<T> Encoded<T> {
    /// The record's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// H over the record's bytes.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }
}

impl<T> core::ops::Deref for Encoded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
