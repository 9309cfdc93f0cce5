use crate::{DecodeError, Hash, hash};

/// A record with one deterministic encoding.
pub trait Record: Sized {
    /// The bytes of `self`.
    fn encode(&self) -> Vec<u8>;
    /// Reads a record strictly: every byte must be as [`Record::encode`] writes it.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// A record with the bytes that it came in and their hash.
///
/// The bytes are the authority: they are what was hashed into a batch and what binds a message to its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded<T> {
    bytes: Box<[u8]>,
    hash: Hash,
    value: T,
}

impl<T: Record> Encoded<T> {
    /// Takes bytes from outside.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = T::decode(bytes)?;
        Ok(Self { bytes: bytes.into(), hash: hash(&[bytes]), value })
    }

    /// Encodes a record of one's own making.
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
