//! The mock's public key infrastructure: root, regional, zonal and instance authority, as AWS has them, and
//! the leaf that signs an enclave's documents.

use std::{fmt, iter};

use p384::ecdsa::SigningKey;
use p384::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use x509_cert::der::pem::{LineEnding, decode_vec, encode_string};

use crate::MockError;
use crate::certificate::{Certified, Rank};

/// Four authorities. Each is certified by the one above, and the root by itself.
///
/// Clones have the same root and instance: use them for several enclaves on one parent, or for an impostor
/// beside the genuine enclave. All authorities but the root are renewed, each with a new key, so that
/// documents of a mock that runs for days keep verifying.
#[derive(Clone)]
pub struct MockPki {
    root: Certified,
    root_pem: String,
    regional: Certified,
    zonal: Certified,
    instance: Certified,
    instance_id: String,
}

impl MockPki {
    /// Makes new keys and certificates, valid at `now_ms` (milliseconds since the Unix epoch).
    pub fn generate(now_ms: u64) -> Result<Self, MockError> {
        Self::generate_for(format!("i-0{}", random_id()?), now_ms)
    }

    /// Makes a PKI under a root that [`MockPki::root_key_pem`] wrote, so that enclaves of several processes
    /// have one root.
    ///
    /// # Errors
    ///
    /// If `pem` is not a private key and its certificate.
    pub fn from_root_key_pem(pem: &str, now_ms: u64) -> Result<Self, MockError> {
        let end = "-----END PRIVATE KEY-----";
        let at = pem.find(end).map_or(0, |at| at + end.len());
        let (key, certificate) = pem.split_at(at);
        let key = SigningKey::from_pkcs8_pem(key).map_err(|e| MockError::Encoding(e.to_string()))?;
        let (label, der) = decode_vec(certificate.trim().as_bytes())
            .map_err(|e| MockError::from(x509_cert::der::Error::from(e)))?;
        if label != "CERTIFICATE" {
            return Err(MockError::Encoding(format!(
                "expected a CERTIFICATE after the key, found a {label}"
            )));
        }
        Self::under(Certified::from_root(key, der)?, format!("i-0{}", random_id()?), now_ms)
    }

    /// The root's private key and its certificate, both PEM, for [`MockPki::from_root_key_pem`].
    ///
    /// # Errors
    ///
    /// If the key cannot be encoded.
    pub fn root_key_pem(&self) -> Result<String, MockError> {
        let key = self.root.key().to_pkcs8_pem(LineEnding::LF);
        let key = key.map_err(|e| MockError::Encoding(e.to_string()))?;
        Ok(format!("{}{}", key.as_str(), self.root_pem))
    }

    /// The root certificate as PEM, for a verifier's `--root`.
    pub fn root_pem(&self) -> String {
        self.root_pem.clone()
    }

    /// The root certificate as DER: the trust anchor of every document under this PKI.
    pub fn root_der(&self) -> &[u8] {
        self.root.der()
    }

    /// The id of the fictitious parent instance, such as `i-0facade0123456789`.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Makes a leaf and its chain for an emulated module `module_id`, valid for three hours from `now_ms`
    /// (milliseconds since the Unix epoch).
    ///
    /// # Errors
    ///
    /// If there is no randomness, or the instance's authority has expired, which it does after a day.
    pub fn signer(&self, module_id: &str, now_ms: u64) -> Result<SignerFiles, MockError> {
        let leaf = self.leaf(module_id, now_ms / 1000)?;
        let key = leaf.key().to_pkcs8_pem(LineEnding::LF).map_err(|e| MockError::Encoding(e.to_string()))?;
        let mut chain = String::new();
        for certificate in iter::once(leaf.der()).chain(self.bundle().into_iter().rev()) {
            let pem = encode_string("CERTIFICATE", LineEnding::LF, certificate);
            chain += &pem.map_err(|error| MockError::from(x509_cert::der::Error::from(error)))?;
        }
        Ok(SignerFiles { key: key.to_string(), chain })
    }

    /// Makes a new PKI for an instance with this id.
    pub(crate) fn generate_for(instance_id: String, now_ms: u64) -> Result<Self, MockError> {
        Self::under(Certified::root("mock.nitro-enclaves", now_ms / 1000)?, instance_id, now_ms)
    }

    fn under(root: Certified, instance_id: String, now_ms: u64) -> Result<Self, MockError> {
        let now_s = now_ms / 1000;
        let root_pem = encode_string("CERTIFICATE", LineEnding::LF, root.der())
            .map_err(|error| MockError::from(x509_cert::der::Error::from(error)))?;
        let regional = certify_regional(&root, now_s)?;
        let zonal = certify_zonal(&regional, now_s)?;
        let instance = certify_instance(&zonal, &instance_id, now_s)?;
        Ok(Self { root, root_pem, regional, zonal, instance, instance_id })
    }

    /// The same root, with new authorities where one expires sooner than a certificate that it would sign
    /// now, or where the authority above is new.
    pub(crate) fn renewed(&self, now_s: u64) -> Result<Self, MockError> {
        let mut pki = self.clone();
        let regional = !pki.regional.is_valid_for(Rank::Zonal.lifetime(), now_s);
        if regional {
            pki.regional = certify_regional(&pki.root, now_s)?;
        }
        let zonal = regional || !pki.zonal.is_valid_for(Rank::Instance.lifetime(), now_s);
        if zonal {
            pki.zonal = certify_zonal(&pki.regional, now_s)?;
        }
        let instance = zonal || !pki.instance.is_valid_for(Rank::Leaf.lifetime(), now_s);
        if instance {
            pki.instance = certify_instance(&pki.zonal, &pki.instance_id, now_s)?;
        }
        Ok(pki)
    }

    /// Certifies a new key for the module `module_id`.
    pub(crate) fn leaf(&self, module_id: &str, now_s: u64) -> Result<Certified, MockError> {
        self.instance.certify(Rank::Leaf, &format!("{module_id}.{REGION}.mock"), now_s)
    }

    /// The authorities, root first, as in a document's `cabundle`.
    pub(crate) fn bundle(&self) -> [&[u8]; 4] {
        [self.root.der(), self.regional.der(), self.zonal.der(), self.instance.der()]
    }
}

/// A leaf for an emulator that signs documents itself.
#[derive(Clone)]
pub struct SignerFiles {
    /// The private key (PKCS #8, PEM).
    pub key: String,
    /// The certificates (PEM), leaf first, root last.
    pub chain: String,
}

impl fmt::Debug for SignerFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignerFiles").finish_non_exhaustive()
    }
}

impl fmt::Debug for MockPki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockPki").field("instance_id", &self.instance_id).finish_non_exhaustive()
    }
}

/// Sixteen hex digits: `facade`, which marks the mock, and ten random ones.
pub(crate) fn random_id() -> Result<String, MockError> {
    let random = getrandom::u64()? >> 24;
    Ok(format!("facade{random:010x}"))
}

const REGION: &str = "mock-region-1";

fn certify_regional(root: &Certified, now_s: u64) -> Result<Certified, MockError> {
    let name = format!("{}.{REGION}.mock.nitro-enclaves", random_id()?);
    root.certify(Rank::Regional, &name, now_s)
}

fn certify_zonal(regional: &Certified, now_s: u64) -> Result<Certified, MockError> {
    let name = format!("{}.zonal.{REGION}.mock.nitro-enclaves", random_id()?);
    regional.certify(Rank::Zonal, &name, now_s)
}

fn certify_instance(zonal: &Certified, instance_id: &str, now_s: u64) -> Result<Certified, MockError> {
    zonal.certify(Rank::Instance, &format!("{instance_id}.{REGION}.mock.nitro-enclaves"), now_s)
}
