//! HPKE (RFC 9180) with the one suite that is switched on. The only module that names the `hpke` crate.

use crate::Error;
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::AesGcm256, kdf::HkdfSha384,
    kem::DhP384HkdfSha384,
};
use ok2cry_protocol::{
    reply::{Binding, ReplySecret},
    suite::PublicKey,
};
use zeroize::Zeroizing;

type Kem = DhP384HkdfSha384;

/// Seals one message in base mode: the encapsulated key and the ciphertext.
pub(crate) fn seal(
    key: &PublicKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<(PublicKey, Vec<u8>), Error> {
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(key.as_bytes())
        .map_err(|_| Error::Crypto("not a public key"))?;
    let (enc, ciphertext) =
        hpke::single_shot_seal::<AesGcm256, HkdfSha384, Kem>(&OpModeS::Base, &key, info, plaintext, aad)
            .map_err(|_| Error::Crypto("sealing failed"))?;
    let enc = PublicKey::new(&enc.to_bytes()).map_err(|_| Error::Crypto("no encapsulated key"))?;
    Ok((enc, ciphertext))
}

/// A private key for HPKE. Overwritten when dropped.
pub(crate) struct PrivateKey(<Kem as hpke::Kem>::PrivateKey);

impl PrivateKey {
    pub(crate) fn generate() -> Self {
        Self(Kem::gen_keypair().0)
    }

    /// Takes a scalar, 48 bytes big-endian.
    pub(crate) fn from_scalar(scalar: &[u8]) -> Result<Self, Error> {
        <Kem as hpke::Kem>::PrivateKey::from_bytes(scalar)
            .map(Self)
            .map_err(|_| Error::PrivateKey("its number is not a scalar of P-384".into()))
    }

    pub(crate) fn scalar(&self) -> Zeroizing<[u8; 48]> {
        let mut scalar = Zeroizing::new([0; 48]);
        self.0.write_exact(scalar.as_mut());
        scalar
    }

    pub(crate) fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::new(&Kem::sk_to_pk(&self.0).to_bytes()).map_err(|_| Error::Crypto("not a public key"))
    }

    /// The secret of the one reply that `binding` names, under the context that `enc` and `info` set up.
    pub(crate) fn reply_secret(
        &self,
        enc: &PublicKey,
        info: &[u8],
        binding: &Binding,
    ) -> Result<ReplySecret, Error> {
        let enc =
            <Kem as hpke::Kem>::EncappedKey::from_bytes(enc.as_bytes()).map_err(|_| Error::ReplyOpen)?;
        let context = hpke::setup_receiver::<AesGcm256, HkdfSha384, Kem>(&OpModeR::Base, &self.0, &enc, info)
            .map_err(|_| Error::ReplyOpen)?;
        let mut secret = ReplySecret([0; 44]);
        context.export(&binding.exporter_context(), &mut secret.0).map_err(|_| Error::ReplyOpen)?;
        Ok(secret)
    }
}
