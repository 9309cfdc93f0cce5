//! HPKE (RFC 9180) with the one suite that is switched on. The only module that names the `hpke` crate.

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::{AeadCtxS, AesGcm256},
    kdf::HkdfSha384,
    kem::DhP384HkdfSha384,
};
use ok2cry_protocol::{
    reply::{Binding, ReplySecret},
    suite::PublicKey,
};
use std::sync::Arc;
use zeroize::Zeroizing;

type Kem = DhP384HkdfSha384;

/// A disposable private key. Its scalar is overwritten when dropped.
pub(crate) struct PrivateKey(<Kem as hpke::Kem>::PrivateKey);

impl PrivateKey {
    /// A new key, from the kernel's random generator. `None` if that makes no point.
    ///
    /// It is at its final place at once: every move would leave a copy behind.
    pub(crate) fn generate() -> Option<(Arc<Self>, PublicKey)> {
        let (private, public) = Kem::gen_keypair();
        let private = Arc::new(Self(private));
        let public = PublicKey::new(&public.to_bytes()).ok()?;
        Some((private, public))
    }

    /// Opens a message in base mode. All failures are one.
    pub(crate) fn open(
        &self,
        enc: &PublicKey,
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc.as_bytes()).ok()?;
        hpke::single_shot_open::<AesGcm256, HkdfSha384, Kem>(
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
}

/// An HPKE context to a recipient, used for its exporter only. Its secrets are overwritten when dropped.
pub(crate) struct Sender(AeadCtxS<AesGcm256, HkdfSha384, Kem>);

impl Sender {
    /// A new context in base mode, and its encapsulated key.
    pub(crate) fn new(recipient: &PublicKey, info: &[u8]) -> Option<(Box<Self>, PublicKey)> {
        let recipient = <Kem as hpke::Kem>::PublicKey::from_bytes(recipient.as_bytes()).ok()?;
        let (enc, context) =
            hpke::setup_sender::<AesGcm256, HkdfSha384, Kem>(&OpModeS::Base, &recipient, info).ok()?;
        let sender = Box::new(Self(context));
        Some((sender, PublicKey::new(&enc.to_bytes()).ok()?))
    }

    /// The secret of the one reply that `binding` names.
    pub(crate) fn reply_secret(&self, binding: &Binding) -> Option<ReplySecret> {
        let mut secret = ReplySecret([0; 44]);
        self.0.export(&binding.exporter_context(), &mut secret.0).ok()?;
        Some(secret)
    }
}
