//! An attestation document: bytes that many answers share.

use core::{fmt, ops::Deref};
use std::sync::Arc;
#[cfg(feature = "http")]
use {
    base64ct::{Base64UrlUnpadded, Encoding},
    serde_json::value::RawValue,
    std::sync::OnceLock,
};

/// The bytes of an attestation document, unverified. Clones share the bytes and their JSON text.
#[derive(Clone)]
pub struct Document(Arc<Inner>);

struct Inner {
    bytes: Box<[u8]>,
    #[cfg(feature = "http")]
    json: OnceLock<Option<Box<RawValue>>>,
}

impl Document {
    /// Whether both are clones of the same value. Equal bytes alone do not make a clone.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The document as a JSON string in base64url without padding. It is encoded once for all clones. It is
    /// never `None`: base64url needs no escapes.
    #[cfg(feature = "http")]
    pub(crate) fn json(&self) -> Option<&RawValue> {
        let json =
            || RawValue::from_string(format!("\"{}\"", Base64UrlUnpadded::encode_string(&self.0.bytes)));
        self.0.json.get_or_init(|| json().ok()).as_deref()
    }
}

impl From<Vec<u8>> for Document {
    fn from(bytes: Vec<u8>) -> Self {
        let bytes = bytes.into_boxed_slice();
        Self(Arc::new(Inner {
            bytes,
            #[cfg(feature = "http")]
            json: OnceLock::new(),
        }))
    }
}

impl Deref for Document {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Document {}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.len())
    }
}
