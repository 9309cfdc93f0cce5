//! Sealing with an HPKE library (RFC 9180), without the client's checks. A caller with a verified descriptor
//! can do this with any library; an attacker needs the descriptor alone.

use crate::HarnessError;
use hpke::{
    Deserializable as _, OpModeS, Serializable as _, aead::AesGcm256, kdf::HkdfSha384, kem::DhP384HkdfSha384,
};
use ok2cry_client::SealedMessage;
use ok2cry_protocol::{
    Encoded,
    descriptor::KeyDescriptor,
    suite::{PublicKey, seal_info},
};

/// Seals `plaintext` to a key by the protocol's rules. Each call returns another ciphertext.
///
/// # Errors
///
/// If HPKE fails, which a valid descriptor never causes.
pub fn seal(
    descriptor: &Encoded<KeyDescriptor>,
    plaintext: &[u8],
    aad: &[u8],
) -> Result<SealedMessage, HarnessError> {
    seal_with_info(descriptor, &seal_info(descriptor.hash()), plaintext, aad)
}

/// Seals to a key with an `info` of the caller's choice.
///
/// # Errors
///
/// As [`seal`].
pub fn seal_with_info(
    descriptor: &Encoded<KeyDescriptor>,
    info: &[u8],
    plaintext: &[u8],
    aad: &[u8],
) -> Result<SealedMessage, HarnessError> {
    let failed = |e: hpke::HpkeError| HarnessError::new(format!("sealing failed: {e}"));
    let key = <DhP384HkdfSha384 as hpke::Kem>::PublicKey::from_bytes(descriptor.public_key.as_bytes());
    let (enc, ciphertext) = hpke::single_shot_seal::<AesGcm256, HkdfSha384, DhP384HkdfSha384>(
        &OpModeS::Base,
        &key.map_err(failed)?,
        info,
        plaintext,
        aad,
    )
    .map_err(failed)?;
    let enc = PublicKey::new(&enc.to_bytes()).map_err(|e| HarnessError::new(e.to_string()))?;
    Ok(SealedMessage {
        key_id: descriptor.key_id,
        descriptor_hash: *descriptor.hash(),
        enc,
        ciphertext,
        aad: aad.to_vec(),
        descriptor: Some(descriptor.clone()),
    })
}
