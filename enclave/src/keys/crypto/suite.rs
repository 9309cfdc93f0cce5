//! HPKE (RFC 9180) with the one suite that is switched on, over a provider's arithmetic.

use super::{
    PrivateKey, Provider, Sender,
    kem::{self, Curve, Dhkem, Key},
};
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

/// The provider that `C` makes.
pub(super) struct Hpke<C>(PhantomData<C>);

impl<C> Hpke<C> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<C: Curve> Provider for Hpke<C> {
    fn generate(&self) -> Option<(Arc<dyn PrivateKey>, PublicKey)> {
        let private = C::generate()?;
        let public = PublicKey::new(&C::public(&private)?).ok()?;
        Some((Arc::new(Key::<C>(private)), public))
    }

    fn setup_sender(&self, recipient: &PublicKey, info: &[u8]) -> Option<(Box<dyn Sender>, PublicKey)> {
        let recipient = kem::PublicKey::from_bytes(recipient.as_bytes()).ok()?;
        let (enc, context) =
            hpke::setup_sender::<AesGcm256, HkdfSha384, Dhkem<C>>(&OpModeS::Base, &recipient, info).ok()?;
        Some((Box::new(Context::<Dhkem<C>>(context)), PublicKey::new(&enc.to_bytes()).ok()?))
    }
}

impl<C: Curve> PrivateKey for Key<C> {
    fn open(
        self: Arc<Self>,
        public: &PublicKey,
        enc: &PublicKey,
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let enc = kem::PublicKey::from_bytes(enc.as_bytes()).ok()?;
        hpke::single_shot_open::<AesGcm256, HkdfSha384, Dhkem<C>>(
            &OpModeR::Base,
            &kem::PrivateKey::new(self, *public.as_bytes()),
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
        C::scalar(&self.0).map(|scalar| *scalar)
    }
}

pub(super) struct Context<K: Kem>(pub(super) AeadCtxS<AesGcm256, HkdfSha384, K>);

impl<K> Sender for Context<K>
where
    K: Kem<PrivateKey: Send + Sync> + Send + Sync + 'static,
{
    fn reply_secret(&self, binding: &Binding) -> Option<ReplySecret> {
        let mut secret = ReplySecret([0; 44]);
        self.0.export(&binding.exporter_context(), &mut secret.0).ok()?;
        Some(secret)
    }
}
