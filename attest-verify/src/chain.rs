//! The certificate chain: the trust anchor, then every entry of `cabundle` in order, then the leaf.
//!
//! `rustls-webpki` *finds* a path among certificates in any order, and may leave some out. Here the order is
//! a rule, so the shape is checked first. The path validation then has exactly one path to find, and its
//! result is compared with the document. Every check that needs no signature comes before those that do.

use pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::anchor::TrustAnchor;
use crate::document::Claims;
use crate::error::{CertificateAt, CertificateFault, ChainFault, ClockFault, Error};
use crate::signature_cache::{CachedAlgorithm, Signed};
use crate::time::CheckTime;
use crate::x509::Certificate;

/// The certificates of a document, root first, leaf last, with a checked shape. [`Chain::check_signatures`]
/// checks the signatures.
#[derive(Clone, Debug)]
pub(crate) struct Chain<'a> {
    issuers: Vec<Certificate<'a>>,
    leaf: Certificate<'a>,
}

impl<'a> Chain<'a> {
    /// Reads the certificates and checks everything that depends neither on a clock nor on signatures.
    pub(crate) fn new(claims: &Claims<'a>, anchor: &TrustAnchor) -> Result<Self, Error> {
        root_first(&claims.cabundle, anchor)?;
        let issuers = claims
            .cabundle
            .iter()
            .enumerate()
            .map(|(index, der)| parse(der, CertificateAt::Cabundle(index)))
            .collect::<Result<_, _>>()?;
        let leaf = parse(claims.certificate, CertificateAt::Leaf)?;
        let chain = Self { issuers, leaf };
        chain.check_names()?;
        chain.check_issuers()?;
        chain.check_leaf()?;
        Ok(chain)
    }

    pub(crate) fn leaf(&self) -> &Certificate<'a> {
        &self.leaf
    }

    /// All certificates, root first, leaf last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Certificate<'a>> {
        self.issuers.iter().chain([&self.leaf])
    }

    /// Checks that every certificate, the root included, is valid at `time`, and that the leaf was valid at
    /// the document's time.
    pub(crate) fn check_clock(&self, timestamp_ms: u64, time: &CheckTime) -> Result<(), Error> {
        if timestamp_ms < self.leaf.not_before_ms() || timestamp_ms > self.leaf.not_after_ms() {
            return Err(Error::Clock(ClockFault::TimestampOutsideLeaf));
        }
        for (at, certificate) in self.with_positions() {
            if let Some(by_ms) = time.beyond_leeway(certificate.not_before_ms()) {
                return Err(Error::Clock(ClockFault::NotYetValid { at, by_ms }));
            }
            if let Some(by_ms) = time.past(certificate.not_after_ms()) {
                return Err(Error::Clock(ClockFault::Expired { at, by_ms }));
            }
        }
        Ok(())
    }

    /// Path validation by RFC 5280 §6, each signature once. [`Chain::check_clock`] has checked the clock,
    /// with leeway.
    pub(crate) fn check_signatures(
        &self,
        anchor: &TrustAnchor,
        algorithm: &CachedAlgorithm<'_>,
    ) -> Result<(), Error> {
        let leaf = CertificateDer::from(self.leaf.der());
        let leaf = EndEntityCert::try_from(&leaf).map_err(refused)?;
        let intermediates: Vec<_> =
            self.issuers.iter().skip(1).map(|issuer| CertificateDer::from(issuer.der())).collect();
        let path = leaf
            .verify_for_usage(
                &[algorithm],
                std::slice::from_ref(anchor.webpki()),
                &intermediates,
                self.common_time(),
                // Nitro's certificates have no extended key usage. This value accepts certificates without
                // one.
                KeyUsage::client_auth(),
                None,
                None,
            )
            .map_err(refused)?;
        let found = path.intermediate_certificates().map(|issuer| issuer.der());
        // The path runs from the leaf upwards, the bundle from the root downwards.
        if !found.eq(intermediates.iter().rev().cloned()) {
            return Err(path_invalid("it does not use every certificate"));
        }
        Ok(())
    }

    /// The signatures that [`Chain::check_signatures`] verifies, each with the notAfter of its certificate.
    pub(crate) fn signed(&self) -> impl Iterator<Item = (Signed<'_>, u64)> {
        self.iter().zip(self.iter().skip(1)).map(|(issuer, certificate)| {
            let (tbs, signature) = (certificate.tbs(), certificate.signature());
            (Signed { issuer_key: issuer.key(), tbs, signature }, certificate.not_after_ms())
        })
    }

    /// Checks that each certificate was issued by the one before it, and that no name appears twice. The path
    /// validation then has one path only.
    fn check_names(&self) -> Result<(), Error> {
        let mut before: Vec<&[u8]> = Vec::with_capacity(self.issuers.len());
        for (at, certificate) in self.with_positions() {
            if before.last().is_some_and(|issuer| *issuer != certificate.issuer_der()) {
                return Err(Error::Chain(ChainFault::OutOfOrder { at }));
            }
            if before.contains(&certificate.subject_der()) {
                return Err(Error::Chain(ChainFault::DuplicateSubject { at }));
            }
            before.push(certificate.subject_der());
        }
        Ok(())
    }

    fn check_issuers(&self) -> Result<(), Error> {
        for (index, issuer) in self.issuers.iter().enumerate() {
            let fail = |fault| Err(Error::Certificate { at: CertificateAt::Cabundle(index), fault });
            let extensions = issuer.extensions();
            if !extensions.is_ca {
                return fail(CertificateFault::IssuerNotCa);
            }
            if !extensions.key_usage.key_cert_sign() {
                return fail(CertificateFault::IssuerNotCertSigner);
            }
            let found = self.issuers.len().saturating_sub(index).saturating_sub(1);
            match extensions.path_len {
                Some(allowed) if usize::from(allowed) < found => {
                    return fail(CertificateFault::PathLength { allowed, found });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_leaf(&self) -> Result<(), Error> {
        let fail = |fault| Err(Error::Certificate { at: CertificateAt::Leaf, fault });
        let extensions = self.leaf.extensions();
        if extensions.is_ca {
            return fail(CertificateFault::LeafIsCa);
        }
        if !extensions.key_usage.digital_signature() {
            return fail(CertificateFault::LeafNotDigitalSignature);
        }
        if extensions.key_usage.key_cert_sign() {
            return fail(CertificateFault::LeafCertSigner);
        }
        Ok(())
    }

    /// A time at which all certificates are valid, if there is one: the latest notBefore.
    fn common_time(&self) -> UnixTime {
        let latest_ms = self.iter().map(Certificate::not_before_ms).max().unwrap_or_default();
        UnixTime::since_unix_epoch(std::time::Duration::from_millis(latest_ms))
    }

    fn with_positions(&self) -> impl Iterator<Item = (CertificateAt, &Certificate<'a>)> {
        let issuers = self.issuers.iter().enumerate();
        issuers
            .map(|(index, issuer)| (CertificateAt::Cabundle(index), issuer))
            .chain([(CertificateAt::Leaf, &self.leaf)])
    }
}

fn root_first(cabundle: &[&[u8]], anchor: &TrustAnchor) -> Result<(), Error> {
    match cabundle.iter().position(|der| *der == anchor.as_der()) {
        Some(0) => Ok(()),
        Some(_) => Err(Error::Chain(ChainFault::RootNotFirst)),
        None => Err(Error::Chain(ChainFault::RootNotTrusted)),
    }
}

fn parse(der: &[u8], at: CertificateAt) -> Result<Certificate<'_>, Error> {
    Certificate::from_der(der).map_err(|fault| Error::Certificate { at, fault })
}

fn refused(error: webpki::Error) -> Error {
    match error {
        webpki::Error::InvalidSignatureForPublicKey => Error::Chain(ChainFault::Signature),
        error => path_invalid(&error.to_string()),
    }
}

fn path_invalid(reason: &str) -> Error {
    Error::Chain(ChainFault::Path { reason: reason.to_owned() })
}
