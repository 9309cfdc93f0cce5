//! Private keys in PEM files, and signing.

use super::PublicationFault;
use crate::error::Error;
use ed25519_dalek::{
    Signer as _, SigningKey as Ed25519Key,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, KeypairBytes, spki::der::pem::LineEnding},
};
use ok2cry_release_verify::{Envelope, SignerKey};
use ok2cry_tlog::VerifierKey;
use p384::{
    SecretKey,
    ecdsa::{DerSignature, SigningKey},
    pkcs8::EncodePublicKey as _,
};
use zeroize::Zeroizing;

/// Signs root documents, manifests and lists: ECDSA P-384 with SHA-384, RFC 6979's nonces.
pub struct DocumentSigner {
    key: SigningKey,
    public: SignerKey,
}

impl DocumentSigner {
    /// A new key.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Randomness`].
    pub fn generate() -> Result<Self, Error> {
        loop {
            // Only one in 2^190 values is not below the order.
            if let Ok(key) = SecretKey::from_slice(random::<48>()?.as_slice()) {
                return Self::new(&key);
            }
        }
    }

    /// Reads PKCS #8 PEM.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        use p384::pkcs8::DecodePrivateKey as _;
        let key = SecretKey::from_pkcs8_pem(pem.trim()).map_err(|_| wrong_key("an ECDSA P-384 key", pem))?;
        Self::new(&key)
    }

    /// The private key as PKCS #8 PEM.
    ///
    /// # Errors
    ///
    /// Does not occur for a valid key.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        use p384::pkcs8::EncodePrivateKey as _;
        let pem = SecretKey::from(self.key.as_nonzero_scalar()).to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|_| wrong_key("an ECDSA P-384 key", ""))?)
    }

    /// The public key as PEM.
    ///
    /// # Errors
    ///
    /// Does not occur for a valid key.
    pub fn public_pem(&self) -> Result<String, Error> {
        let pem = self.key.verifying_key().to_public_key_pem(LineEnding::LF);
        Ok(pem.map_err(|_| wrong_key("an ECDSA P-384 key", ""))?)
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> &SignerKey {
        &self.public
    }

    /// Adds this key's signature to an envelope.
    pub fn sign(&self, envelope: &mut Envelope) {
        let signature: DerSignature = self.key.sign(&envelope.signed_bytes());
        envelope.add_signature(&self.public.id(), signature.as_bytes().to_vec());
    }

    fn new(key: &SecretKey) -> Result<Self, Error> {
        let key = SigningKey::from(key);
        let der = key.verifying_key().to_public_key_der();
        let der = der.map_err(|_| wrong_key("an ECDSA P-384 key", ""))?;
        Ok(Self { public: SignerKey::from_der(der.as_bytes())?, key })
    }
}

/// Signs the checkpoints of a log: Ed25519.
pub struct LogSigner {
    key: Ed25519Key,
}

impl LogSigner {
    /// A new key.
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Randomness`].
    pub fn generate() -> Result<Self, Error> {
        Ok(Self { key: Ed25519Key::from_bytes(&*random::<32>()?) })
    }

    /// Reads PKCS #8 PEM, of version 1 or 2 (RFC 5958).
    ///
    /// # Errors
    ///
    /// [`PublicationFault::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let key = Ed25519Key::from_pkcs8_pem(pem.trim()).map_err(|_| wrong_key("an Ed25519 key", pem))?;
        Ok(Self { key })
    }

    /// The private key as PKCS #8 PEM of version 1, without the public half. OpenSSL 3.0, and programs that
    /// use it, read this version only.
    ///
    /// # Errors
    ///
    /// Does not occur for a valid key.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let pem =
            KeypairBytes { secret_key: self.key.to_bytes(), public_key: None }.to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|_| wrong_key("an Ed25519 key", ""))?)
    }

    /// The public key of the log with this origin.
    #[must_use]
    pub fn public(&self, origin: &str) -> Option<VerifierKey> {
        VerifierKey::log(origin, self.key.verifying_key().as_bytes())
    }

    /// The public key of the witness with this name.
    #[must_use]
    pub fn witness(&self, name: &str) -> Option<VerifierKey> {
        VerifierKey::witness(name, self.key.verifying_key().as_bytes())
    }

    /// A signed note of `text`, with the name and id of `key`.
    #[must_use]
    pub fn note(&self, key: &VerifierKey, text: &str) -> String {
        use base64ct::Encoding as _;
        let signature = [key.id().as_slice(), &self.key.sign(text.as_bytes()).to_bytes()].concat();
        format!("{text}\n— {} {}\n", key.name(), base64ct::Base64::encode_string(&signature))
    }
}

/// A fault that names the expected kind of key, and the kind that the file's first line shows.
fn wrong_key(expected: &'static str, pem: &str) -> PublicationFault {
    let label = pem.trim_start().strip_prefix("-----BEGIN ").and_then(|rest| rest.split_once("-----"));
    let found = match label.map(|(label, _)| label) {
        Some("PRIVATE KEY") => "a private key of another kind",
        Some("ENCRYPTED PRIVATE KEY") => "an encrypted key: decrypt it with `openssl pkey -in FILE`",
        Some("EC PRIVATE KEY") => "SEC 1: convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE`",
        Some("PUBLIC KEY") => "a public key",
        Some("CERTIFICATE") => "a certificate",
        _ => "something that is not PEM of a private key",
    };
    PublicationFault::Key { expected, found }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| PublicationFault::Randomness)?;
    Ok(bytes)
}
