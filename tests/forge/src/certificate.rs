//! One certificate. Every part can be changed before it is signed.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use p384::ecdsa::signature::Signer;
use p384::ecdsa::{Signature, SigningKey};

use crate::der;

/// Contents of the `AlgorithmIdentifier` of ecdsa-with-SHA384.
pub const ECDSA_SHA384: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
/// Contents of the `AlgorithmIdentifier` of ecdsa-with-SHA256.
pub const ECDSA_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// Contents of the `AlgorithmIdentifier` of a P-384 key.
pub const EC_P384: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 5, 0x2b, 0x81, 4, 0, 0x22];
/// Contents of the `AlgorithmIdentifier` of a P-256 key.
pub const EC_P256: &[u8] =
    &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];

/// The leaf's place in the chain of five.
pub const LEAF: usize = 4;
/// The instance CA's place, which issues the leaf.
pub const INSTANCE: usize = 3;

/// The key of a place in the chain, the same in every run. The keys are public: for tests only.
#[must_use]
pub fn key(place: usize) -> &'static SigningKey {
    static KEYS: LazyLock<Vec<SigningKey>> =
        LazyLock::new(|| (1..=10).map(|byte| SigningKey::from_slice(&[byte; 48]).unwrap()).collect());
    &KEYS[place]
}

/// The signature (RFC 6979) of `message` by the key of this place. Recent signatures are cached, because most
/// messages repeat.
pub(crate) fn sign(place: usize, message: &[u8]) -> Signature {
    type Made = HashMap<(usize, Vec<u8>), Signature>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let made = || MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let question = (place, message.to_vec());
    if let Some(signature) = made().get(&question) {
        return *signature;
    }
    let signature = key(place).sign(message);
    let mut made = made();
    if made.len() >= 256 {
        made.clear();
    }
    made.insert(question, signature);
    signature
}

/// One certificate before it is signed.
#[derive(Clone, Debug)]
pub struct Cert {
    /// `[0]` with the version, or nothing.
    pub version: Vec<u8>,
    /// INTEGER.
    pub serial: Vec<u8>,
    /// Name.
    pub issuer: Vec<u8>,
    /// Name.
    pub subject: Vec<u8>,
    /// notBefore and notAfter, each a time.
    pub validity: (Vec<u8>, Vec<u8>),
    /// Contents of the key's `AlgorithmIdentifier`.
    pub key_algorithm: Vec<u8>,
    /// Contents of the key's BIT STRING.
    pub point: Vec<u8>,
    /// In order. Without extensions the field is omitted.
    pub extensions: Vec<Extension>,
    /// Bytes after the extensions.
    pub after_extensions: Vec<u8>,
    /// Contents of the `AlgorithmIdentifier` within the signed part.
    pub inner_algorithm: Vec<u8>,
    /// Contents of the `AlgorithmIdentifier` beside the signature.
    pub outer_algorithm: Vec<u8>,
    /// The place in the chain whose key signs.
    pub signer: usize,
    /// Changes the signature, which is DER.
    pub on_signature: fn(Vec<u8>) -> Vec<u8>,
    /// Changes the whole certificate.
    pub on_der: fn(Vec<u8>) -> Vec<u8>,
}

/// One extension before it is encoded.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Contents of the OID.
    pub id: Vec<u8>,
    /// BOOLEAN, or nothing.
    pub critical: Vec<u8>,
    /// Contents of the OCTET STRING.
    pub value: Vec<u8>,
}

impl Extension {
    /// An extension by the contents of its OID and of its OCTET STRING.
    #[must_use]
    pub fn new(id: &[u8], critical: bool, value: Vec<u8>) -> Self {
        Self { id: id.to_vec(), critical: if critical { vec![1, 1, 0xff] } else { vec![] }, value }
    }

    /// basicConstraints.
    #[must_use]
    pub fn basic_constraints(ca: bool, path_len: Option<u8>) -> Self {
        let ca = if ca { vec![1, 1, 0xff] } else { vec![] };
        let path_len = path_len.map_or(vec![], |len| der::uint(&[len]));
        Self::new(&[0x55, 0x1d, 19], true, der::seq(&[&ca, &path_len]))
    }

    /// keyUsage of up to eight bits, the first one as the highest.
    #[must_use]
    pub fn key_usage(bits: u8) -> Self {
        Self::new(&[0x55, 0x1d, 15], true, der::bit_string(bits.trailing_zeros() as u8, &[bits]))
    }
}

impl Cert {
    /// The certificate at a place of a well-formed chain of five.
    #[must_use]
    pub fn at(place: usize) -> Self {
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

    /// The signed part.
    #[must_use]
    pub fn tbs(&self) -> Vec<u8> {
        let extensions: Vec<_> = self
            .extensions
            .iter()
            .map(|e| der::seq(&[&der::tlv(6, &e.id), &e.critical, &der::tlv(4, &e.value)]))
            .collect();
        let extensions = match extensions.is_empty() {
            true => vec![],
            false => der::tlv(0xa3, &der::tlv(0x30, &extensions.concat())),
        };
        der::seq(&[
            &self.version,
            &self.serial,
            &der::tlv(0x30, &self.inner_algorithm),
            &self.issuer,
            &der::seq(&[&self.validity.0, &self.validity.1]),
            &self.subject,
            &der::seq(&[&der::tlv(0x30, &self.key_algorithm), &der::bit_string(0, &self.point)]),
            &extensions,
            &self.after_extensions,
        ])
    }

    /// The signature as DER.
    #[must_use]
    pub fn signature(&self) -> Vec<u8> {
        let signature = sign(self.signer, &self.tbs());
        let (r, s) = signature.split_bytes();
        (self.on_signature)(der::seq(&[&der::uint(&r), &der::uint(&s)]))
    }

    /// The certificate as DER.
    #[must_use]
    pub fn sign(&self) -> Vec<u8> {
        let algorithm = der::tlv(0x30, &self.outer_algorithm);
        (self.on_der)(der::seq(&[&self.tbs(), &algorithm, &der::bit_string(0, &self.signature())]))
    }

    /// Pads the certificate to a length in bytes, with an extension without meaning.
    pub fn pad_to(&mut self, length: usize) {
        self.extensions.push(Extension::new(&[0x2a, 3, 4], false, vec![0; 300]));
        // A byte of padding is a byte of the certificate, but the length of the signature changes by a byte
        // or two.
        for _ in 0..64 {
            let missing = length as i64 - self.sign().len() as i64;
            if missing == 0 {
                return;
            }
            let filler = &mut self.extensions.last_mut().unwrap().value;
            let wanted = filler.len() as i64 + missing;
            filler.resize(usize::try_from(wanted).unwrap(), 0);
        }
        // The lengths alternated: try other padding.
        self.extensions.pop();
        self.serial = der::uint(&[&self.serial[2..], &[1]].concat());
        self.pad_to(length);
    }

    /// The extension with this last byte of its id: 19 is basicConstraints, 15 keyUsage.
    pub fn extension(&mut self, id: u8) -> &mut Extension {
        self.extensions.iter_mut().find(|extension| extension.id.ends_with(&[id])).unwrap()
    }

    /// Removes the extension with this last byte of its id.
    pub fn without_extension(&mut self, id: u8) {
        self.extensions.retain(|extension| !extension.id.ends_with(&[id]));
    }
}
