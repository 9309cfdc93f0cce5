//! The one certificate that is trusted without proof.

use std::fmt;

use pki_types::CertificateDer;
use pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use crate::document::MAX_CERTIFICATE_LEN;
use crate::error::{AnchorFault, CertificateAt, CertificateFault, Error};
use crate::x509::Certificate;

/// `aws.nitro-enclaves`, valid from 2019-10-28 to 2049-10-28. AWS publishes it in the Nitro Enclaves user guide, section
/// "Verifying the root of trust", for everybody who verifies documents.
const AWS_NITRO_ROOT_G1: &[u8] = include_bytes!("aws-nitro-enclaves-root-g1.der");

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
            // A test holds the certificate to its fingerprint, so this arm is dead; it trusts nobody all the same.
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

    /// Another root, for mock modules and tests. It must be a self-issued CA certificate that obeys every rule that
    /// Nitro's own does: version 3, P-384, ecdsa-with-SHA384, CA, keyCertSign, at most 1,024 bytes.
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

    /// Like [`TrustAnchor::from_der`], from PEM text that holds exactly one certificate.
    ///
    /// # Errors
    ///
    /// [`Error::Anchor`] or [`Error::Certificate`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
        match (certificates.next(), certificates.next()) {
            (Some(Ok(der)), None) => Self::from_der(&der),
            _ => Err(Error::Anchor(AnchorFault::Pem)),
        }
    }

    /// The certificate as DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the certificate's DER, which is how certificates are compared by eye.
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
}
