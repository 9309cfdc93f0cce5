//! The root certificate that is trusted without proof.

use std::fmt;

use pki_types::CertificateDer;
use pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::document::MAX_CERTIFICATE_LEN;
use crate::error::{AnchorFault, CertificateAt, CertificateFault, Error};
use crate::pem::PemBlock;
use crate::x509::Certificate;

/// `aws.nitro-enclaves`, valid from 2019-10-28 to 2049-10-28. AWS publishes it in the Nitro Enclaves user
/// guide, section "Verifying the root of trust".
const AWS_NITRO_ROOT_G1: &[u8] = include_bytes!("aws-nitro-enclaves-root-g1.der");

/// The PEM label of a certificate.
const LABEL: &str = "CERTIFICATE";

/// The root certificate that every document's `cabundle` must begin with, byte for byte.
#[derive(Clone)]
pub struct TrustAnchor {
    der: Vec<u8>,
    webpki: pki_types::TrustAnchor<'static>,
}

impl TrustAnchor {
    /// AWS's root for Nitro Enclaves, generation 1, of the commercial regions. It is part of this crate.
    ///
    /// Its SHA-256 fingerprint is
    /// `641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b`.
    #[must_use]
    pub fn aws_nitro() -> Self {
        match Self::from_der(AWS_NITRO_ROOT_G1) {
            Ok(anchor) => anchor,
            // Unreachable: a test checks the certificate. This anchor matches no chain.
            Err(_) => Self {
                der: Vec::new(),
                webpki: pki_types::TrustAnchor {
                    subject: [].as_slice().into(),
                    subject_public_key_info: [].as_slice().into(),
                    name_constraints: None,
                },
            },
        }
    }

    /// Another root, for mock modules and tests. It must be a self-issued CA certificate that obeys the same
    /// rules as Nitro's own: version 3, P-384, ecdsa-with-SHA384, CA, keyCertSign, at most 1,024 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Anchor`] or [`Error::Certificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        if der.is_empty() || der.len() > MAX_CERTIFICATE_LEN {
            return Err(Error::Anchor(AnchorFault::Length { len: der.len() }));
        }
        let certificate = Certificate::from_der(der).map_err(in_anchor)?;
        if certificate.issuer_der() != certificate.subject_der() {
            return Err(Error::Anchor(AnchorFault::NotRoot));
        }
        let extensions = certificate.extensions();
        if !extensions.is_ca {
            return Err(in_anchor(CertificateFault::IssuerNotCa));
        }
        if !extensions.key_usage.key_cert_sign() {
            return Err(in_anchor(CertificateFault::IssuerNotCertSigner));
        }
        let webpki = webpki::anchor_from_trusted_cert(&CertificateDer::from(der))
            .map_err(|_| in_anchor(CertificateFault::Malformed { part: "the certificate" }))?
            .to_owned();
        Ok(Self { der: der.to_vec(), webpki })
    }

    /// Like [`TrustAnchor::from_der`], from PEM text that holds exactly one block, a certificate. A byte
    /// order mark, text around the block, and the length of its lines do not matter.
    ///
    /// # Errors
    ///
    /// [`Error::Anchor`] or [`Error::Certificate`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let refused = || Error::Anchor(AnchorFault::Pem);
        let block = PemBlock::only(pem).ok().filter(|block| block.label == LABEL).ok_or_else(refused)?;
        let base64: String = block.base64().map(char::from).collect();
        if !is_canonical(&base64) {
            return Err(refused());
        }
        let lines = format!("-----BEGIN {LABEL}-----\n{base64}\n-----END {LABEL}-----\n");
        let der = CertificateDer::from_pem_slice(lines.as_bytes()).map_err(|_| refused())?;
        Self::from_der(&der)
    }

    /// The certificate as DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate's DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    pub(crate) fn webpki(&self) -> &pki_types::TrustAnchor<'static> {
        &self.webpki
    }
}

impl PartialEq for TrustAnchor {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for TrustAnchor {}

impl fmt::Debug for TrustAnchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustAnchor(sha256:")?;
        self.fingerprint().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// Whether a text has the length, padding and unused bits of the one base64 of some bytes. The decoder of
/// `pki-types` takes others, too.
fn is_canonical(base64: &str) -> bool {
    let digits = base64.trim_end_matches('=');
    let may_be_last = match base64.len().saturating_sub(digits.len()) {
        0 => return base64.len().is_multiple_of(4),
        1 => "AEIMQUYcgkosw048",
        2 => "AQgw",
        _ => return false,
    };
    base64.len().is_multiple_of(4) && digits.ends_with(|last: char| may_be_last.contains(last))
}

fn in_anchor(fault: CertificateFault) -> Error {
    Error::Certificate { at: CertificateAt::Anchor, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_root_is_the_one_that_aws_publishes() {
        assert_eq!(
            format!("{:?}", TrustAnchor::aws_nitro()),
            "TrustAnchor(sha256:641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b)"
        );
        assert_eq!(TrustAnchor::aws_nitro().as_der(), AWS_NITRO_ROOT_G1);
        assert!(TrustAnchor::from_der(AWS_NITRO_ROOT_G1).is_ok());
    }

    #[test]
    fn text_around_the_pem_block_is_ignored() {
        let base64 = concat!(
            "MIICETCCAZagAwIBAgIRAPkxdWgbkK/hHUbMtOTn+FYwCgYIKoZIzj0EAwMwSTELMAkGA1UEBhMCVVMxDzANBgNVBAoM",
            "BkFtYXpvbjEMMAoGA1UECwwDQVdTMRswGQYDVQQDDBJhd3Mubml0cm8tZW5jbGF2ZXMwHhcNMTkxMDI4MTMyODA1WhcN",
            "NDkxMDI4MTQyODA1WjBJMQswCQYDVQQGEwJVUzEPMA0GA1UECgwGQW1hem9uMQwwCgYDVQQLDANBV1MxGzAZBgNVBAMM",
            "EmF3cy5uaXRyby1lbmNsYXZlczB2MBAGByqGSM49AgEGBSuBBAAiA2IABPwCVOumCMHzaHDimtqQvkY4MpJzbolL//Zy",
            "2YlES1BR5TSksfbb48C8WBoyt7F2Bw7eEtaaP+ohG2bnUs990d0JX28TcPQXCEPZ3BABIeTPYwEoCWZEh8l5YoQwTcU/",
            "9KNCMEAwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQUkCW1DdkFR+eWw5b6cp3PmanfS5YwDgYDVR0PAQH/BAQDAgGG",
            "MAoGCCqGSM49BAMDA2kAMGYCMQCjfy+Rocm9Xue4YnwWmNJVA44fA0P5W2OpYow9OYCVRaEevL8uO1XYru5xtMPWrfMC",
            "MQCi85sWBbJwKKXdS6BptQFuZbT73o/gBh1qUxl/nNr12UO8Yfwr6wPLb+6NIwLz3/Y=",
        );
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----");
        let around = [format!("\u{feff}{pem}"), format!("subject=x\n{pem}\nend"), pem.replace('\n', "")];
        for text in [pem.clone(), pem.replace('\n', "\r\n ")].iter().chain(&around) {
            assert_eq!(TrustAnchor::from_pem(text), Ok(TrustAnchor::aws_nitro()), "{text}");
        }
        for text in
            [pem.repeat(2), format!("{pem}{}", pem.replace("CERTIFICATE", "PRIVATE KEY")), base64.into()]
        {
            assert_eq!(TrustAnchor::from_pem(&text).unwrap_err().code(), "anchor_pem", "{text}");
        }
    }
}
