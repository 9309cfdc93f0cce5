//! HPKE (RFC 9180) with the one enabled suite. The only module that uses the `hpke` crate.

use crate::Error;
use ::hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha384,
    kem::DhP384HkdfSha384, setup_receiver, single_shot_seal,
};
use ok2cry_protocol::{
    reply::{Binding, ReplySecret},
    suite::PublicKey,
};
use zeroize::Zeroizing;

type Kem = DhP384HkdfSha384;
type HpkePrivateKey = <Kem as ::hpke::Kem>::PrivateKey;
type HpkePublicKey = <Kem as ::hpke::Kem>::PublicKey;
type EncappedKey = <Kem as ::hpke::Kem>::EncappedKey;

/// The inputs of [`seal`] that a key and a message define.
pub(crate) struct SealInput<'a> {
    pub(crate) info: &'a [u8],
    pub(crate) aad: &'a [u8],
    pub(crate) plaintext: &'a [u8],
}

/// Seals one message in base mode. Returns the encapsulated key and the ciphertext.
pub(crate) fn seal(key: &PublicKey, input: &SealInput<'_>) -> Result<(PublicKey, Vec<u8>), Error> {
    let SealInput { info, aad, plaintext } = input;
    let key = HpkePublicKey::from_bytes(key.as_bytes())
        .map_err(|_| Error::Crypto("the public key is not usable"))?;
    let (enc, ciphertext) =
        single_shot_seal::<AesGcm256, HkdfSha384, Kem>(&OpModeS::Base, &key, info, plaintext, aad)
            .map_err(|_| Error::Crypto("sealing failed"))?;
    let enc = PublicKey::new(&enc.to_bytes())
        .map_err(|_| Error::Crypto("the encapsulated key is not a point on P-384"))?;
    Ok((enc, ciphertext))
}

/// A private key for HPKE. Overwritten when dropped.
pub(crate) struct PrivateKey(HpkePrivateKey);

impl PrivateKey {
    pub(crate) fn generate() -> Self {
        Self(Kem::gen_keypair().0)
    }

    /// Takes a scalar, 48 bytes big-endian.
    pub(crate) fn from_scalar(scalar: &[u8]) -> Result<Self, Error> {
        HpkePrivateKey::from_bytes(scalar)
            .map(Self)
            .map_err(|_| Error::PrivateKey("its number is not a scalar of P-384".into()))
    }

    pub(crate) fn scalar(&self) -> Zeroizing<[u8; 48]> {
        let mut scalar = Zeroizing::new([0; 48]);
        self.0.write_exact(scalar.as_mut());
        scalar
    }

    pub(crate) fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::new(&Kem::sk_to_pk(&self.0).to_bytes())
            .map_err(|_| Error::Crypto("the public key is not a point on P-384"))
    }

    /// Exports the secret of the reply with this `binding`, from the context with this `enc` and `info`.
    pub(crate) fn reply_secret(
        &self,
        enc: &PublicKey,
        info: &[u8],
        binding: &Binding,
    ) -> Result<ReplySecret, Error> {
        let enc = EncappedKey::from_bytes(enc.as_bytes()).map_err(|_| Error::ReplyOpen)?;
        let context = setup_receiver::<AesGcm256, HkdfSha384, Kem>(&OpModeR::Base, &self.0, &enc, info)
            .map_err(|_| Error::ReplyOpen)?;
        let mut secret = ReplySecret([0; 44]);
        context.export(&binding.exporter_context(), &mut secret.0).map_err(|_| Error::ReplyOpen)?;
        Ok(secret)
    }
}
