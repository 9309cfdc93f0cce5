//! HPKE (RFC 9180) with the one suite that is switched on, over a provider's arithmetic.

use super::{
    HpkeMessage, PrivateKey, Provider, SenderContext,
    kem::{Curve, Dhkem, KemPrivateKey, KemPublicKey, StoredKey},
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

/// The provider over the arithmetic of `C`.
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
        Some((Arc::new(StoredKey::<C>(private)), public))
    }

    fn setup_sender(
        &self,
        recipient: &PublicKey,
        info: &[u8],
    ) -> Option<(Box<dyn SenderContext>, PublicKey)> {
        let recipient = KemPublicKey::from_bytes(recipient.as_bytes()).ok()?;
        let (enc, context) =
            hpke::setup_sender::<AesGcm256, HkdfSha384, Dhkem<C>>(&OpModeS::Base, &recipient, info).ok()?;
        Some((Box::new(HpkeSender::<Dhkem<C>>(context)), PublicKey::new(&enc.to_bytes()).ok()?))
    }
}

impl<C: Curve> PrivateKey for StoredKey<C> {
    fn open(self: Arc<Self>, public: &PublicKey, message: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let HpkeMessage { enc, info, aad, ciphertext } = *message;
        let enc = KemPublicKey::from_bytes(enc.as_bytes()).ok()?;
        hpke::single_shot_open::<AesGcm256, HkdfSha384, Dhkem<C>>(
            &OpModeR::Base,
            &KemPrivateKey::new(self, *public.as_bytes()),
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

pub(super) struct HpkeSender<K: Kem>(pub(super) AeadCtxS<AesGcm256, HkdfSha384, K>);

impl<K> SenderContext for HpkeSender<K>
where
    K: Kem<PrivateKey: Send + Sync> + Send + Sync + 'static,
{
    fn reply_secret(&self, binding: &Binding) -> Option<ReplySecret> {
        let mut secret = ReplySecret([0; 44]);
        self.0.export(&binding.exporter_context(), &mut secret.0).ok()?;
        Some(secret)
    }
}
