//! HPKE (RFC 9180) with the one suite that is switched on, over a KEM.

use super::{PrivateKey, Provider, Sender};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm256},
    kdf::HkdfSha384,
};
use ok2cry_protocol::{
    reply::{Binding, ReplySecret},
    suite::PublicKey,
};
use std::{marker::PhantomData, sync::Arc};
use zeroize::Zeroizing;

/// DHKEM(P-384, HKDF-SHA384): ours, and in tests `hpke`'s own.
pub(super) trait P384Kem: Kem<PrivateKey: Send + Sync> + Send + Sync + 'static {
    /// A new key pair. [`Kem::gen_keypair`] cannot fail but by a panic.
    fn generate() -> Option<(Self::PrivateKey, Self::PublicKey)>;
}

/// The provider that `K` makes.
pub(super) struct Hpke<K>(PhantomData<K>);

impl<K> Hpke<K> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<K: P384Kem> Provider for Hpke<K> {
    fn generate(&self) -> Option<(Arc<dyn PrivateKey>, PublicKey)> {
        let (private, public) = K::generate()?;
        Some((Arc::new(Key::<K>(private)), PublicKey::new(&public.to_bytes()).ok()?))
    }

    fn setup_sender(&self, recipient: &PublicKey, info: &[u8]) -> Option<(Box<dyn Sender>, PublicKey)> {
        let recipient = K::PublicKey::from_bytes(recipient.as_bytes()).ok()?;
        let (enc, context) =
            hpke::setup_sender::<AesGcm256, HkdfSha384, K>(&OpModeS::Base, &recipient, info).ok()?;
        Some((Box::new(Context::<K>(context)), PublicKey::new(&enc.to_bytes()).ok()?))
    }
}

pub(super) struct Key<K: Kem>(pub(super) K::PrivateKey);

impl<K: P384Kem> PrivateKey for Key<K> {
    fn open(
        &self,
        enc: &PublicKey,
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let enc = K::EncappedKey::from_bytes(enc.as_bytes()).ok()?;
        hpke::single_shot_open::<AesGcm256, HkdfSha384, K>(
            &OpModeR::Base,
            &self.0,
            &enc,
            info,
            ciphertext,
            aad,
        )
        .ok()
        .map(Zeroizing::new)
    }

    #[cfg(test)]
    fn scalar(&self) -> Option<[u8; 48]> {
        let mut scalar = [0; 48];
        self.0.write_exact(&mut scalar);
        Some(scalar)
    }
}

pub(super) struct Context<K: Kem>(pub(super) AeadCtxS<AesGcm256, HkdfSha384, K>);

impl<K: P384Kem> Sender for Context<K> {
    fn reply_secret(&self, binding: &Binding) -> Option<ReplySecret> {
        let mut secret = ReplySecret([0; 44]);
        self.0.export(&binding.exporter_context(), &mut secret.0).ok()?;
        Some(secret)
    }
}
