//! A module of our own: its PKI and its signer, with a handle on every byte before it is signed.
//!
//! The writers are made by hand and share nothing with the crate, because libraries refuse to write what must be refused.
//! `the_test_signer_speaks_cose` holds this signer to other people's decoders.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "test code, of which each test file uses a part"
)]

pub(crate) mod cbor;
pub(crate) mod der;

use ok2cry_attest_verify::TrustAnchor;
use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey};

/// 2026-01-15T12:00:00Z.
pub(crate) const NOW_MS: u64 = 1_768_478_400_000;
/// The leaf of [`Enclave::new`] becomes valid at 11:59:50 and the document is made five seconds later.
pub(crate) const LEAF_NOT_BEFORE_MS: u64 = NOW_MS - 10_000;
pub(crate) const LEAF_NOT_AFTER_MS: u64 = NOW_MS + 3 * 60 * 60 * 1000;
pub(crate) const TIMESTAMP_MS: u64 = NOW_MS - 5_000;

pub(crate) const ECDSA_SHA384: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
pub(crate) const ECDSA_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_P384: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 0x22];
pub(crate) const EC_P256: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

pub(crate) const LEAF: usize = 4;
pub(crate) const INSTANCE: usize = 3;

/// The PCR values of the enclave: PCR0 is 48 times 0xa0, and so on; from PCR5 on they are zero.
pub(crate) fn pcr(index: u8) -> [u8; 48] {
    if index < 5 { [0xa0 + index; 48] } else { [0; 48] }
}

/// A key per place in the chain, the same in every run.
pub(crate) fn key(place: usize) -> SigningKey {
    SigningKey::from_slice(&[place as u8 + 1; 48]).unwrap()
}

/// One certificate before it is signed.
#[derive(Clone)]
pub(crate) struct Cert {
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) validity: (Vec<u8>, Vec<u8>),
    pub(crate) key_algorithm: Vec<u8>,
    pub(crate) point: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
    pub(crate) after_extensions: Vec<u8>,
    pub(crate) inner_algorithm: Vec<u8>,
    pub(crate) outer_algorithm: Vec<u8>,
    /// The place in the chain whose key signs.
    pub(crate) signer: usize,
    pub(crate) on_signature: fn(Vec<u8>) -> Vec<u8>,
    pub(crate) on_der: fn(Vec<u8>) -> Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) id: Vec<u8>,
    pub(crate) critical: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Extension {
    pub(crate) fn new(id: &[u8], critical: bool, value: Vec<u8>) -> Self {
        Self { id: id.to_vec(), critical: if critical { vec![1, 1, 0xff] } else { vec![] }, value }
    }

    pub(crate) fn basic_constraints(ca: bool, path_len: Option<u8>) -> Self {
        let ca = if ca { vec![1, 1, 0xff] } else { vec![] };
        let path_len = path_len.map_or(vec![], |len| der::uint(&[len]));
        Self::new(&[0x55, 0x1d, 19], true, der::seq(&[&ca, &path_len]))
    }

    /// keyUsage of up to eight bits, the first one as the highest.
    pub(crate) fn key_usage(bits: u8) -> Self {
        Self::new(&[0x55, 0x1d, 15], true, der::bit_string(bits.trailing_zeros() as u8, &[bits]))
    }
}

impl Cert {
    /// The certificate at a place of a well-formed chain of five.
    pub(crate) fn at(place: usize) -> Self {
        let names = ["root", "regional", "zonal", "instance", "i-0123-enc0123.test-1.aws", "beyond the leaf"];
        let (from, to) = [
            ("200101000000Z", "491231235959Z"),
            ("260105120000Z", "260125120000Z"),
            ("260112120000Z", "260118120000Z"),
            ("260115000000Z", "260116000000Z"),
            ("260115115950Z", "260115150000Z"),
            ("260115115950Z", "260115150000Z"),
        ][place];
        let extensions = match place {
            0 => vec![Extension::basic_constraints(true, None), Extension::key_usage(0x86)],
            1..=3 => {
                let subject_key_id = Extension::new(&[0x55, 0x1d, 14], false, der::tlv(4, &[7; 20]));
                let path_len = Some(3 - place as u8);
                vec![Extension::basic_constraints(true, path_len), subject_key_id, Extension::key_usage(0x04)]
            }
            _ => vec![Extension::basic_constraints(false, None), Extension::key_usage(0xc0)],
        };
        let point = key(place).verifying_key().to_sec1_point(false);
        Self {
            version: der::tlv(0xa0, &der::uint(&[2])),
            serial: der::uint(&[0xf0 + place as u8, 2, 3]),
            issuer: der::name(names[place.saturating_sub(1)]),
            subject: der::name(names[place]),
            validity: (der::utc_time(from), der::utc_time(to)),
            key_algorithm: EC_P384.to_vec(),
            point: point.as_bytes().to_vec(),
            extensions,
            after_extensions: vec![],
            inner_algorithm: ECDSA_SHA384.to_vec(),
            outer_algorithm: ECDSA_SHA384.to_vec(),
            signer: place.saturating_sub(1),
            on_signature: |signature| signature,
            on_der: |der| der,
        }
    }

    pub(crate) fn sign(&self) -> Vec<u8> {
        let extensions: Vec<_> = self
            .extensions
            .iter()
            .map(|e| der::seq(&[&der::tlv(6, &e.id), &e.critical, &der::tlv(4, &e.value)]))
            .collect();
        let extensions = match extensions.is_empty() {
            true => vec![],
            false => der::tlv(0xa3, &der::tlv(0x30, &extensions.concat())),
        };
        let tbs = der::seq(&[
            &self.version,
            &self.serial,
            &der::tlv(0x30, &self.inner_algorithm),
            &self.issuer,
            &der::seq(&[&self.validity.0, &self.validity.1]),
            &self.subject,
            &der::seq(&[&der::tlv(0x30, &self.key_algorithm), &der::bit_string(0, &self.point)]),
            &extensions,
            &self.after_extensions,
        ]);
        let signature: Signature = key(self.signer).sign(&tbs);
        let (r, s) = signature.split_bytes();
        let signature = (self.on_signature)(der::seq(&[&der::uint(&r), &der::uint(&s)]));
        let der = der::seq(&[&tbs, &der::tlv(0x30, &self.outer_algorithm), &der::bit_string(0, &signature)]);
        (self.on_der)(der)
    }

    /// The extension with this last byte of its id: 19 is basicConstraints, 15 keyUsage.
    pub(crate) fn extension(&mut self, id: u8) -> &mut Extension {
        self.extensions.iter_mut().find(|extension| extension.id.ends_with(&[id])).unwrap()
    }

    pub(crate) fn without_extension(&mut self, id: u8) {
        self.extensions.retain(|extension| !extension.id.ends_with(&[id]));
    }
}

/// Everything that goes into one document. Change what you like, then [`Enclave::document`].
#[derive(Clone)]
pub(crate) struct Enclave {
    /// Root first, leaf last.
    pub(crate) certs: Vec<Cert>,
    pub(crate) on_cabundle: fn(&mut Vec<Vec<u8>>),
    pub(crate) on_certificate: fn(Vec<u8>) -> Vec<u8>,
    /// Key and value as CBOR. `certificate` and `cabundle` are filled in when their value is empty.
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) indefinite: bool,
    pub(crate) on_payload: fn(Vec<u8>) -> Vec<u8>,
    /// What comes before the protected header.
    pub(crate) prefix: Vec<u8>,
    pub(crate) protected: Vec<u8>,
    pub(crate) unprotected: Vec<u8>,
    pub(crate) payload_item: fn(&[u8]) -> Vec<u8>,
    /// The place in the chain whose key signs the document.
    pub(crate) signer: usize,
    pub(crate) on_signature: fn(&mut Vec<u8>),
    pub(crate) suffix: Vec<u8>,
}

impl Enclave {
    /// A document like those of real modules.
    pub(crate) fn new() -> Self {
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

    /// [`Enclave::new`], changed.
    pub(crate) fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut this = Self::new();
        change(&mut this);
        this
    }

    pub(crate) fn set(&mut self, field: &str, value: Vec<u8>) {
        let key = cbor::text(field);
        self.fields.iter_mut().find(|(k, _)| *k == key).unwrap().1 = value;
    }

    pub(crate) fn remove(&mut self, field: &str) {
        let key = cbor::text(field);
        self.fields.retain(|(k, _)| *k != key);
    }

    /// The PCRs as given, in place of those of [`Enclave::new`].
    pub(crate) fn set_pcrs(&mut self, pcrs: impl IntoIterator<Item = (u64, Vec<u8>)>) {
        let pcrs: Vec<_> =
            pcrs.into_iter().map(|(index, value)| (cbor::uint(index), cbor::bytes(&value))).collect();
        self.set("pcrs", cbor::map(&pcrs));
    }

    pub(crate) fn anchor(&self) -> TrustAnchor {
        TrustAnchor::from_der(&self.certs[0].sign()).unwrap()
    }

    pub(crate) fn document(&self) -> Vec<u8> {
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
    pub(crate) fn envelope(&self, payload: &[u8]) -> Vec<u8> {
        let signed = [
            &[0x84][..],
            &cbor::text("Signature1"),
            &cbor::bytes(&[0xa1, 0x01, 0x38, 0x22]),
            &cbor::bytes(b""),
            &cbor::bytes(payload),
        ]
        .concat();
        let signature: Signature = key(self.signer).sign(&signed);
        let mut signature = signature.to_bytes().to_vec();
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
