//! One document. Every part can be changed before it is signed, and some after.

use crate::certificate::{Cert, LEAF, sign};
use crate::{TIMESTAMP_MS, cbor, pcr};

/// The parts of one document. Change any, then call [`Enclave::document`].
#[derive(Clone, Debug)]
pub struct Enclave {
    /// Root first, leaf last.
    pub certs: Vec<Cert>,
    /// Changes the entries of `cabundle`.
    pub on_cabundle: fn(&mut Vec<Vec<u8>>),
    /// Changes `certificate`.
    pub on_certificate: fn(Vec<u8>) -> Vec<u8>,
    /// Key and value as CBOR. `certificate` and `cabundle` are filled in when their value is empty.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the payload's map is of indefinite length, as it is since 2025.
    pub indefinite: bool,
    /// Changes the payload before it is signed.
    pub on_payload: fn(Vec<u8>) -> Vec<u8>,
    /// The bytes before the protected header.
    pub prefix: Vec<u8>,
    /// The protected header, as a CBOR item.
    pub protected: Vec<u8>,
    /// The unprotected header, as a CBOR item.
    pub unprotected: Vec<u8>,
    /// Encodes the payload as a CBOR item. The signature covers the payload itself.
    pub payload_item: fn(&[u8]) -> Vec<u8>,
    /// The place in the chain whose key signs the document.
    pub signer: usize,
    /// Changes the document's signature.
    pub on_signature: fn(&mut Vec<u8>),
    /// The bytes after the signature.
    pub suffix: Vec<u8>,
}

impl Default for Enclave {
    fn default() -> Self {
        Self::new()
    }
}

impl Enclave {
    /// A document like those of real modules.
    #[must_use]
    pub fn new() -> Self {
        let pcrs: Vec<_> =
            (0..16).map(|index| (cbor::uint(index.into()), cbor::bytes(&pcr(index)))).collect();
        let fields = [
            ("module_id", cbor::text("i-0123-enc0123")),
            ("digest", cbor::text("SHA384")),
            ("timestamp", cbor::uint(TIMESTAMP_MS)),
            ("pcrs", cbor::map(&pcrs)),
            ("certificate", vec![]),
            ("cabundle", vec![]),
            ("public_key", cbor::NULL.to_vec()),
            ("user_data", cbor::bytes(b"the user's data")),
            ("nonce", cbor::bytes(b"0123456789abcdef")),
        ];
        Self {
            certs: (0..5).map(Cert::at).collect(),
            on_cabundle: |_| {},
            on_certificate: |der| der,
            fields: fields.map(|(key, value)| (cbor::text(key), value)).to_vec(),
            indefinite: true,
            on_payload: |payload| payload,
            prefix: vec![0x84],
            protected: cbor::bytes(&[0xa1, 0x01, 0x38, 0x22]),
            unprotected: vec![0xa0],
            payload_item: cbor::bytes,
            signer: LEAF,
            on_signature: |_| {},
            suffix: vec![],
        }
    }

    /// [`Enclave::new`] with a change.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut this = Self::new();
        change(&mut this);
        this
    }

    /// Sets a field to a CBOR item.
    pub fn set(&mut self, field: &str, value: Vec<u8>) {
        let key = cbor::text(field);
        self.fields.iter_mut().find(|(k, _)| *k == key).unwrap().1 = value;
    }

    /// Removes a field.
    pub fn remove(&mut self, field: &str) {
        let key = cbor::text(field);
        self.fields.retain(|(k, _)| *k != key);
    }

    /// Replaces the PCRs of [`Enclave::new`].
    pub fn set_pcrs(&mut self, pcrs: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        let pcrs: Vec<_> =
            pcrs.into_iter().map(|(index, value)| (cbor::uint(index), cbor::bytes(&value))).collect();
        self.set("pcrs", cbor::map(&pcrs));
    }

    /// The root certificate that the document's chain begins with, as DER.
    #[must_use]
    pub fn root(&self) -> Vec<u8> {
        self.certs[0].sign()
    }

    /// The whole document.
    #[must_use]
    pub fn document(&self) -> Vec<u8> {
        let (leaf, issuers) = self.certs.split_last().unwrap();
        let mut cabundle: Vec<_> = issuers.iter().map(Cert::sign).collect();
        (self.on_cabundle)(&mut cabundle);
        let cabundle: Vec<_> = cabundle.iter().map(|der| cbor::bytes(der)).collect();
        let mut fields = self.fields.clone();
        for (key, value) in fields.iter_mut().filter(|(_, value)| value.is_empty()) {
            *value = match *key == cbor::text("certificate") {
                true => cbor::bytes(&(self.on_certificate)(leaf.sign())),
                false => cbor::array(&cabundle),
            };
        }
        let payload = if self.indefinite { cbor::indefinite_map(&fields) } else { cbor::map(&fields) };
        self.envelope(&(self.on_payload)(payload))
    }

    /// Signs any payload.
    #[must_use]
    pub fn envelope(&self, payload: &[u8]) -> Vec<u8> {
        let signed = [
            &[0x84][..],
            &cbor::text("Signature1"),
            &cbor::bytes(&[0xa1, 0x01, 0x38, 0x22]),
            &cbor::bytes(b""),
            &cbor::bytes(payload),
        ]
        .concat();
        let mut signature = sign(self.signer, &signed).to_bytes().to_vec();
        (self.on_signature)(&mut signature);
        [
            &self.prefix[..],
            &self.protected,
            &self.unprotected,
            &(self.payload_item)(payload),
            &cbor::bytes(&signature),
            &self.suffix,
        ]
        .concat()
    }
}
