//! Keys to store: real ones as the service makes them, and synthetic ones without cryptography.

use crate::lag::Due;
use hpke::{
    Deserializable as _, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha384, kem::DhP384HkdfSha384,
};
use ok2cry_enclave::{
    keys::crypto::{CryptoProvider, HpkeMessage, PrivateKey, Provider},
    keys::store::NewKey,
    platform::clock::TimePoint,
};
use ok2cry_protocol::{
    Encoded, Record as _,
    descriptor::{DeliverTo, KeyDescriptor},
    ids::{InstanceId, KeyId, Nonce, Purpose},
    suite::{PublicKey, Suite, seal_info},
};
use std::{error::Error, fmt, hint::black_box, str::FromStr, sync::Arc};
use zeroize::Zeroizing;

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const INSTANCE: InstanceId = InstanceId([1; 8]);
/// The length of a real attestation document.
const DOCUMENT_BYTES: usize = 4500;
const AAD: &[u8] = b"order 17";

/// The kind of private keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 48 bytes without cryptography, to measure the store alone.
    Synthetic,
    /// A key of this provider.
    Real(CryptoProvider),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synthetic => f.write_str("synthetic"),
            Self::Real(provider) => provider.fmt(f),
        }
    }
}

impl FromStr for Kind {
    type Err = Box<dyn Error + Send + Sync>;

    fn from_str(name: &str) -> Outcome<Self> {
        if name == "synthetic" { Ok(Self::Synthetic) } else { Ok(Self::Real(name.parse()?)) }
    }
}

/// Makes keys. Each thread has its own.
#[derive(Clone)]
pub struct Maker {
    kind: Kind,
    purpose: Purpose,
    recipient: PublicKey,
    nonce: Nonce,
    /// A descriptor, for synthetic keys.
    descriptor: Arc<[u8]>,
    random: Random,
}

impl Maker {
    pub fn new(kind: Kind) -> Outcome<Self> {
        let crypto = CryptoProvider::AwsLc.provider();
        let (_, recipient) = crypto.generate().ok_or("no key")?;
        let nonce = Nonce::new([7; 32]).map_err(|error| format!("{error:?}"))?;
        let purpose = Purpose::new("card-pin").map_err(|error| format!("{error:?}"))?;
        let mut maker =
            Self { kind, purpose, recipient, nonce, descriptor: Arc::default(), random: Random::new()? };
        maker.descriptor = maker.real(crypto, TimePoint { boot_ms: 0, wall_ms: 1 << 41 })?.descriptor;
        Ok(maker)
    }

    /// A maker for another thread.
    pub fn another(&self) -> Outcome<Self> {
        Ok(Self { random: Random::new()?, ..self.clone() })
    }

    /// The bytes of a descriptor.
    pub fn descriptor(&self) -> &[u8] {
        &self.descriptor
    }

    /// A key whose lag is not measured.
    pub fn make(&mut self, deadline: TimePoint) -> Outcome<NewKey> {
        match self.kind {
            Kind::Synthetic => Ok(self.synthetic(deadline, Due::never())),
            Kind::Real(provider) => self.real(provider.provider(), deadline),
        }
    }

    /// A key whose lag is measured.
    pub fn make_due(&mut self, deadline: TimePoint, due: Due) -> Outcome<NewKey> {
        let Kind::Real(provider) = self.kind else { return Ok(self.synthetic(deadline, due)) };
        let key = self.real(provider.provider(), deadline)?;
        // A response holds a copy of the document. An allocation of that size makes the allocator return
        // freed memory regularly, as in the service.
        black_box(vec![1_u8; DOCUMENT_BYTES]);
        Ok(NewKey { private: Arc::new(Watched { _private: key.private, _due: due }), ..key })
    }

    pub fn id(&mut self) -> KeyId {
        let [a, b] = [self.random.next(), self.random.next()].map(u64::to_le_bytes);
        let mut random = [0; 16];
        random.copy_from_slice([a, b].as_flattened());
        KeyId::new(INSTANCE, random)
    }

    fn synthetic(&mut self, deadline: TimePoint, due: Due) -> NewKey {
        let private = Arc::new(Synthetic { _scalar: Zeroizing::new([1; 48]), _due: due });
        NewKey { id: self.id(), private, descriptor: Arc::from(&*self.descriptor), deadline }
    }

    /// A key as the service makes it.
    fn real(&self, crypto: &dyn Provider, deadline: TimePoint) -> Outcome<NewKey> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let id = KeyId::new(INSTANCE, random);
        let (private, public_key) = crypto.generate().ok_or("the provider fails")?;
        let descriptor = KeyDescriptor {
            key_id: id,
            suite: Suite::P384,
            public_key,
            issued_at: deadline.wall_ms - 1,
            expires_at: deadline.wall_ms,
            purpose: self.purpose.clone(),
            deliver_to: DeliverTo::Recipient(self.recipient),
            client_nonce: self.nonce.for_key(0, 1),
        };
        Ok(NewKey { id, private, descriptor: descriptor.encode().into(), deadline })
    }
}

/// A secret as long as a scalar, and its due time.
struct Synthetic {
    _scalar: Zeroizing<[u8; 48]>,
    _due: Due,
}

/// A real key and its due time, dropped in this order.
struct Watched {
    _private: Arc<dyn PrivateKey>,
    _due: Due,
}

impl PrivateKey for Synthetic {
    fn open(self: Arc<Self>, _: &PublicKey, _: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}

impl PrivateKey for Watched {
    fn open(self: Arc<Self>, public: &PublicKey, message: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>> {
        Arc::clone(&self._private).open(public, message)
    }
}

/// A message to a key.
pub struct Message {
    pub enc: PublicKey,
    pub aad: &'static [u8],
    pub ciphertext: Vec<u8>,
}

impl Message {
    /// A card PIN, sealed to the key with this descriptor.
    pub fn seal(descriptor: &[u8]) -> Outcome<Self> {
        let descriptor =
            Encoded::<KeyDescriptor>::decode(descriptor).map_err(|error| format!("{error:?}"))?;
        let key = <DhP384HkdfSha384 as hpke::Kem>::PublicKey::from_bytes(descriptor.public_key.as_bytes())
            .map_err(|error| format!("{error:?}"))?;
        let info = seal_info(descriptor.hash());
        let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
            &OpModeS::Base,
            &key,
            &info,
            b"4931",
            AAD,
        )
        .map_err(|error| format!("{error:?}"))?;
        let enc = PublicKey::new(&enc.to_bytes()).map_err(|rule| format!("{rule:?}"))?;
        Ok(Self { enc, aad: AAD, ciphertext })
    }
}

/// SplitMix64: ids without system calls.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new() -> Outcome<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        Ok(Self(u64::from_le_bytes(seed)))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
