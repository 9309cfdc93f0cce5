//! The keys, ids and texts that the vectors share. All secrets are hashes of public labels: use them nowhere.

use crate::Result;
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm256},
    kdf::HkdfSha384,
    kem::DhP384HkdfSha384 as Kem,
    rand_core::{TryCryptoRng, TryRng},
};
use ok2cry_protocol::{
    descriptor::{DeliverTo, KeyDescriptor},
    hash,
    ids::{ContextId, InstanceId, KeyId, Nonce, Purpose},
    suite::{PublicKey, Suite},
};
use serde::{Serialize, Serializer};
use std::convert::Infallible;

/// 2027-01-15T08:00:00Z in Unix milliseconds.
pub(crate) const TIME: u64 = 1_800_000_000_000;

/// Bytes that JSON holds as lower-case hex.
#[derive(Clone)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.collect_str(&self.0.iter().map(|b| format!("{b:02x}")).collect::<String>())
    }
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> Hex {
    Hex(bytes.as_ref().to_vec())
}

/// A key pair, and what RFC 9180's `DeriveKeyPair` makes it from.
#[derive(Clone, Serialize)]
pub(crate) struct KeyPair {
    ikm: Hex,
    private_key: Hex,
    #[serde(serialize_with = "point")]
    pub(crate) public_key: PublicKey,
}

impl KeyPair {
    /// The key pair of this label: `DeriveKeyPair(SHA-384("ok2cry vectors v1 " ‖ label))`.
    pub(crate) fn of(label: &str) -> Result<Self> {
        let ikm = hash(&[b"ok2cry vectors v1 ", label.as_bytes()]);
        let (private, public) = Kem::derive_keypair(&ikm);
        Ok(Self {
            ikm: hex(ikm),
            private_key: hex(private.to_bytes()),
            public_key: PublicKey::new(&public.to_bytes()).map_err(|rule| rule.to_string())?,
        })
    }

    /// The scalar, 48 bytes.
    pub(crate) fn private_key(&self) -> &Hex {
        &self.private_key
    }

    /// A base-mode context to `recipient` with this pair as the ephemeral one.
    pub(crate) fn sender(&self, recipient: &PublicKey, info: &[u8]) -> Result<Sender> {
        let recipient = <Kem as hpke::Kem>::PublicKey::from_bytes(recipient.as_bytes())?;
        let rng = &mut Fixed(&self.ikm.0);
        let (enc, context) =
            hpke::setup_sender_with_rng::<AesGcm256, HkdfSha384, Kem>(&OpModeS::Base, &recipient, info, rng)?;
        if enc.to_bytes()[..] != self.public_key.as_bytes()[..] {
            return Err("the ephemeral key is not the one that was asked for".into());
        }
        Ok(Sender(context))
    }

    /// Opens a message in base mode.
    pub(crate) fn open(
        &self,
        enc: &PublicKey,
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>> {
        let private = <Kem as hpke::Kem>::PrivateKey::from_bytes(&self.private_key.0)?;
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc.as_bytes())?;
        Ok(hpke::single_shot_open::<AesGcm256, HkdfSha384, Kem>(
            &OpModeR::Base,
            &private,
            &enc,
            info,
            ciphertext,
            aad,
        )?)
    }
}

pub(crate) struct Sender(AeadCtxS<AesGcm256, HkdfSha384, Kem>);

impl Sender {
    pub(crate) fn seal(mut self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        Ok(self.0.seal(plaintext, aad)?)
    }

    pub(crate) fn export<const N: usize>(&self, exporter_context: &[u8]) -> Result<[u8; N]> {
        let mut secret = [0; N];
        self.0.export(exporter_context, &mut secret)?;
        Ok(secret)
    }
}

/// A generator that yields one byte string, over and over: `hpke` derives the ephemeral key from it.
struct Fixed<'a>(&'a [u8]);

impl TryRng for Fixed<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word).map(|()| u32::from_be_bytes(word))
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word).map(|()| u64::from_be_bytes(word))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> std::result::Result<(), Infallible> {
        for (to, from) in out.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
        Ok(())
    }
}

impl TryCryptoRng for Fixed<'_> {}

/// A log key as it stands in a document: `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410 §4).
///
/// The 32 bytes at its end are a hash: the instance id is over the bytes, whatever key they are.
pub(crate) fn log_key(label: &str) -> Vec<u8> {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let key = hash(&[b"ok2cry vectors v1 ", label.as_bytes()]);
    prefix.into_iter().chain(key.into_iter().take(32)).collect()
}

pub(crate) fn instance() -> InstanceId {
    InstanceId::of_log_key(&log_key("log key"))
}

/// 16 bytes of this label.
pub(crate) fn sixteen(label: &str) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(hash(&[b"ok2cry vectors v1 ", label.as_bytes()])) {
        *to = from;
    }
    out
}

pub(crate) fn nonce(label: &str) -> Result<Nonce> {
    Ok(Nonce::new(sixteen(label))?)
}

pub(crate) fn context_id() -> ContextId {
    ContextId(sixteen("context id"))
}

/// The descriptor of a card-PIN key that releases to the recipient of these vectors.
pub(crate) fn descriptor() -> Result<KeyDescriptor> {
    Ok(KeyDescriptor {
        key_id: KeyId::new(instance(), sixteen("key id")),
        suite: Suite::P384,
        public_key: KeyPair::of("disposable key")?.public_key,
        issued_at: TIME,
        expires_at: TIME + 120_000,
        purpose: Purpose::new("card-pin")?,
        deliver_to: DeliverTo::Recipient(KeyPair::of("recipient")?.public_key),
        client_nonce: nonce("client nonce")?,
    })
}

/// How JSON shows who reads what a key opens: as the HTTP API does.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum ReleaseToJson {
    Caller(&'static str),
    Recipient { suite: [u16; 3], public_key: Hex },
}

impl From<&DeliverTo> for ReleaseToJson {
    fn from(release_to: &DeliverTo) -> Self {
        match release_to {
            DeliverTo::Caller => Self::Caller("caller"),
            DeliverTo::Recipient(key) => Self::Recipient { suite: SUITE, public_key: hex(key.as_bytes()) },
        }
    }
}

/// The suite's IANA numbers.
pub(crate) const SUITE: [u16; 3] = [Suite::P384.kem, Suite::P384.kdf, Suite::P384.aead];

fn point<S: Serializer>(key: &PublicKey, s: S) -> std::result::Result<S::Ok, S::Error> {
    hex(key.as_bytes()).serialize(s)
}
