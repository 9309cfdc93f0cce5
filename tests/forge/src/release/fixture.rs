//! A fixture: a product, its signers, and its log.

use base64ct::{Base64, Encoding};
use ed25519_dalek::Signer as _;
use p384::ecdsa::{DerSignature, SigningKey};
use p384::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384};

use super::Log;
use crate::NOW_MS;

/// The product.
pub(super) const PRODUCT: &str = "example-enclave";
/// A day in milliseconds.
pub(super) const DAY_MS: u64 = 24 * 3_600_000;
/// SHA-256 of AWS's root certificate, as AWS publishes it.
pub(super) const AWS_ROOT: &str = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";

/// An ECDSA key. The number determines the private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub u8);

impl Key {
    /// DER of the public key.
    #[must_use]
    pub fn der(self) -> Vec<u8> {
        self.signing().verifying_key().to_public_key_der().unwrap().into_vec()
    }

    /// The `keyid` of its signatures.
    #[must_use]
    pub fn id(self) -> String {
        hex(&Sha256::digest(self.der()))
    }

    pub(super) fn sign(self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.signing().sign(message);
        signature.as_bytes().to_vec()
    }

    fn signing(self) -> SigningKey {
        SigningKey::from_slice(&[self.0; 48]).unwrap()
    }
}

/// PEM of public keys, one after another.
#[must_use]
pub fn pem(keys: &[Key]) -> String {
    let of = |key: &Key| {
        let lines: Vec<_> = Base64::encode_string(&key.der()).into_bytes();
        let lines: Vec<_> = lines.chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    };
    keys.iter().map(of).collect()
}

/// An Ed25519 key of a log (type 1) or of a witness (type 4). The number determines the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: u8,
    /// The number of the private key.
    pub secret: u8,
}

impl NoteKey {
    pub(super) fn new(name: &str, kind: u8, secret: u8) -> Self {
        Self { name: name.to_owned(), kind, secret }
    }

    /// `NAME+ID+BASE64`.
    #[must_use]
    pub fn vkey(&self) -> String {
        let key = [&[self.kind], self.public().as_slice()].concat();
        format!("{}+{}+{}", self.name, hex(&self.id()), Base64::encode_string(&key))
    }

    /// The signature line over `text`. A witness's cosignature has the time `seconds`.
    #[must_use]
    pub fn line(&self, text: &str, seconds: u64) -> String {
        let mut bytes = vec![];
        let message = match self.kind {
            4 => {
                bytes.extend_from_slice(&seconds.to_be_bytes());
                format!("cosignature/v1\ntime {seconds}\n{text}")
            }
            _ => text.to_owned(),
        };
        bytes.extend_from_slice(&self.signature(&message));
        self.line_with(&bytes)
    }

    /// A signature line with these bytes in this key's name.
    pub(super) fn line_with(&self, signature: &[u8]) -> String {
        let bytes = [&self.id(), signature].concat();
        format!("— {} {}\n", self.name, Base64::encode_string(&bytes))
    }

    pub(super) fn signature(&self, message: &str) -> [u8; 64] {
        self.signing().sign(message.as_bytes()).to_bytes()
    }

    fn id(&self) -> [u8; 4] {
        let digest = Sha256::new().chain_update(&self.name).chain_update([b'\n', self.kind]);
        digest.chain_update(self.public()).finalize()[..4].try_into().unwrap()
    }

    fn public(&self) -> [u8; 32] {
        self.signing().verifying_key().to_bytes()
    }

    fn signing(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&[self.secret; 32])
    }
}

/// An unsigned document and its signers.
#[derive(Clone, Debug)]
pub struct Unsigned {
    /// DSSE's payload type.
    pub payload_type: &'static str,
    /// The payload, as JSON.
    pub body: Value,
    /// The signers.
    pub by: Vec<Key>,
}

impl Unsigned {
    pub(super) fn payload(&self) -> Vec<u8> {
        self.body.to_string().into_bytes()
    }

    pub(super) fn envelope(&self) -> String {
        envelope(self.payload_type, &self.payload(), &self.by).to_string()
    }
}

/// A DSSE envelope.
#[must_use]
pub fn envelope(payload_type: &str, payload: &[u8], by: &[Key]) -> Value {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    let signatures: Vec<_> = by
        .iter()
        .map(|key| json!({"keyid": key.id(), "sig": Base64::encode_string(&key.sign(&message))}))
        .collect();
    json!({"payload": Base64::encode_string(payload), "payloadType": payload_type, "signatures": signatures})
}

/// The releases of a product at one time.
#[derive(Clone, Debug)]
pub struct ReleaseFixture {
    /// Root documents, the oldest first.
    pub roots: Vec<Unsigned>,
    /// Manifests of the listed releases.
    pub manifests: Vec<Unsigned>,
    /// The list. If its `releases` are empty, they are filled from the manifests.
    pub list: Unsigned,
    /// Entries of the log that come before these documents.
    pub earlier: usize,
    /// The log's key.
    pub log_key: NoteKey,
    /// Witnesses that cosign, each with a time in Unix seconds.
    pub cosigners: Vec<(NoteKey, u64)>,
    /// Changes the log before its checkpoint is made.
    pub on_log: fn(&mut Log),
    /// Changes the checkpoint's text before it is signed.
    pub on_checkpoint: fn(String) -> String,
    /// Changes the bundle.
    pub on_bundle: fn(&mut Value),
}

/// Keys by role, three each.
pub(super) const ROOT_KEYS: [Key; 3] = [Key(0x11), Key(0x12), Key(0x13)];
pub(super) const NEW_ROOT_KEYS: [Key; 3] = [Key(0x14), Key(0x15), Key(0x16)];
pub(super) const BUILDERS: [Key; 3] = [Key(0x21), Key(0x22), Key(0x23)];
pub(super) const LIST_KEYS: [Key; 1] = [Key(0x31)];
pub(super) const STRANGER: Key = Key(0x41);

impl ReleaseFixture {
    /// Releases 1.2.0 and 1.3.0, signed by two of three builders, listed yesterday for a week.
    #[must_use]
    pub fn new() -> Self {
        let log_key = NoteKey::new("releases.example/log", 1, 0x51);
        Self {
            roots: vec![root(1, &ROOT_KEYS, &log_key)],
            manifests: vec![manifest("1.2.0", 0x60), manifest("1.3.0", 0x70)],
            list: Unsigned {
                payload_type: "application/vnd.ok2cry.release-list.v1+json",
                body: json!({
                    "version": 7,
                    "product": PRODUCT,
                    "issued_at": NOW_MS - DAY_MS,
                    "expires_at": NOW_MS + 6 * DAY_MS,
                    "minimum_version": "1.2.0",
                    "releases": [],
                }),
                by: LIST_KEYS.to_vec(),
            },
            earlier: 0,
            log_key,
            cosigners: vec![],
            on_log: |_| {},
            on_checkpoint: |text| text,
            on_bundle: |_| {},
        }
    }

    /// [`ReleaseFixture::new`] with a change.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new();
        change(&mut world);
        world
    }

    /// The log with all documents.
    #[must_use]
    pub fn log(&self) -> Log {
        let mut log = Log((0..self.earlier).map(|i| format!("earlier entry {i}").into_bytes()).collect());
        let list = self.signed_list();
        let documents = self.roots.iter().chain(&self.manifests).chain([&list]);
        log.0.extend(documents.map(|document| document.envelope().into_bytes()));
        (self.on_log)(&mut log);
        log
    }

    /// The log's checkpoint with all signatures.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        let log = self.log();
        let root = Base64::encode_string(&log.root(log.0.len()));
        let text = (self.on_checkpoint)(format!("{}\n{}\n{root}\n", self.log_key.name, log.0.len()));
        let lines: String = self.cosigners.iter().map(|(key, seconds)| key.line(&text, *seconds)).collect();
        format!("{text}\n{}{lines}", self.log_key.line(&text, 0))
    }

    /// The bundle for clients.
    #[must_use]
    pub fn bundle(&self) -> Value {
        let mut index = self.earlier;
        let mut entry = |document: &Unsigned| {
            let entry = json!({"index": index, "envelope": document.envelope()});
            index += 1;
            entry
        };
        let roots: Vec<_> = self.roots.iter().map(&mut entry).collect();
        let manifests: Vec<_> = self.manifests.iter().map(&mut entry).collect();
        let list = entry(&self.signed_list());
        let tiles = self.log().tiles().into_iter();
        let tiles: serde_json::Map<_, _> =
            tiles.map(|(path, bytes)| (path, Base64::encode_string(&bytes).into())).collect();
        let mut bundle = json!({
            "roots": roots,
            "list": list,
            "manifests": manifests,
            "checkpoint": self.checkpoint(),
            "tiles": tiles,
        });
        (self.on_bundle)(&mut bundle);
        bundle
    }

    /// The state of a client that accepted this bundle.
    #[must_use]
    pub fn memory(&self) -> Value {
        json!({
            "pinned_sha384": pinned_digest(2, &ROOT_KEYS),
            "root_version": self.roots.len(),
            "root_sha384": self.roots.last().map(|root| hex(&Sha384::digest(root.payload()))),
            "list_version": self.list.body["version"],
            "list_sha384": hex(&Sha384::digest(self.signed_list().payload())),
            "checkpoint": self.checkpoint(),
        })
    }

    fn signed_list(&self) -> Unsigned {
        let mut list = self.list.clone();
        if list.body["releases"] == json!([]) {
            let listed = self.manifests.iter().map(|manifest| {
                let digest = hex(&Sha384::digest(manifest.payload()));
                json!({"version": manifest.body["predicate"]["version"], "manifest_sha384": digest})
            });
            list.body["releases"] = listed.collect();
        }
        list
    }
}

/// The keys that the clients of [`ReleaseFixture::new`] pin. Two of them must have signed.
#[must_use]
pub fn pinned_keys() -> Vec<Key> {
    ROOT_KEYS.to_vec()
}

impl Default for ReleaseFixture {
    fn default() -> Self {
        Self::new()
    }
}

/// A production root document: two of three root keys, two of three builders, one list key.
pub(super) fn root(version: u64, root_keys: &[Key], log_key: &NoteKey) -> Unsigned {
    let role = |threshold: u8, keys: &[Key]| {
        let keys: Vec<_> = keys.iter().map(|key| Base64::encode_string(&key.der())).collect();
        json!({"threshold": threshold, "keys": keys})
    };
    Unsigned {
        payload_type: "application/vnd.ok2cry.release-root.v1+json",
        body: json!({
            "version": version,
            "product": PRODUCT,
            "expires_at": NOW_MS + 300 * DAY_MS,
            "attestation_root": AWS_ROOT,
            "root": role(2, root_keys),
            "manifests": role(2, &BUILDERS),
            "lists": role(1, &LIST_KEYS),
            "log": {"key": log_key.vkey(), "witnesses": [], "witness_threshold": 0},
        }),
        by: root_keys[..2].to_vec(),
    }
}

/// A manifest whose PCR0, 1 and 2 are 48 times `pcr`, `pcr + 1` and `pcr + 2`.
pub(super) fn manifest(version: &str, pcr: u8) -> Unsigned {
    let register = |index: u8| hex(&[pcr + index; 48]);
    Unsigned {
        payload_type: "application/vnd.in-toto+json",
        body: json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{
                "name": PRODUCT,
                "digest": {"sha256": hex(&Sha256::digest([pcr])), "sha384": hex(&Sha384::digest([pcr]))},
            }],
            "predicateType": "https://github.com/ok2cry/ok2cry/blob/main/docs/releases.md#manifest-v1",
            "predicate": {
                "version": version,
                "created_at": NOW_MS - 2 * DAY_MS,
                "source": {
                    "repository": "https://git.example/enclave",
                    "commit": "0123456789abcdef0123456789abcdef01234567",
                },
                "Measurements": {
                    "HashAlgorithm": "Sha384 { ... }",
                    "PCR0": register(0),
                    "PCR1": register(1),
                    "PCR2": register(2),
                },
                "attestation_root": AWS_ROOT,
                "sbom_sha256": hex(&Sha256::digest(b"sbom")),
                "build": {"toolchain": {"rustc": "1.95.0"}},
            },
        }),
        by: BUILDERS[..2].to_vec(),
    }
}

/// The name of pinned keys in a state: SHA-384 of the threshold and of the keys' DER, sorted.
pub(super) fn pinned_digest(threshold: usize, keys: &[Key]) -> String {
    let mut keys: Vec<_> = keys.iter().map(|key| key.der()).collect();
    keys.sort_unstable();
    hex(&Sha384::digest([threshold.to_string().into_bytes(), keys.concat()].concat()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
