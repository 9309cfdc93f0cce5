//! Verification: from bytes to a [`VerifiedDocument`], and the order of all checks.

use std::sync::Arc;

use crate::anchor::TrustAnchor;
use crate::chain::Chain;
use crate::crypto::Provider;
use crate::document::{Claims, PCR_LEN, Pcrs, claims_accessors, decode};
use crate::error::{ClockFault, DocumentFault, Error};
use crate::signature_cache::{CachedAlgorithm, SignatureCache};
use crate::time::CheckTime;
use crate::x509::Certificate;

/// The default size of a [`Verifier`]'s signature cache, in certificates: at most 1.3 MB.
pub const DEFAULT_SIGNATURE_CACHE: usize = 1024;

/// Verifies attestation documents under one trust anchor. Keep it for many documents. It may be shared
/// between threads.
///
/// A verifier caches the certificate signatures of documents that it verified, so the next document of the
/// same enclave costs one signature instead of five. Nothing else is reused: every rule is checked for every
/// document, and a verdict never depends on earlier documents. Clones share the cache.
///
/// It checks everything that follows from a document alone. A [`Policy`](crate::Policy) checks what a caller
/// expects: measurements, nonce, age.
#[derive(Clone, Debug)]
pub struct Verifier {
    anchor: TrustAnchor,
    provider: Provider,
    cache: Arc<SignatureCache>,
    allow_debug: bool,
}

impl Verifier {
    /// A verifier under `anchor` with the default [`Provider`]. For real enclaves use
    /// [`TrustAnchor::aws_nitro`].
    #[must_use]
    pub fn new(anchor: TrustAnchor) -> Self {
        let cache = Arc::new(SignatureCache::new(DEFAULT_SIGNATURE_CACHE));
        Self { anchor, provider: Provider::default(), cache, allow_debug: false }
    }

    /// Computes ECDSA with this provider. It does not change any verdict.
    #[must_use]
    pub fn with_provider(self, provider: Provider) -> Self {
        Self { provider, ..self }
    }

    /// Caches at most this many certificate signatures; 0 disables the cache. The new cache is empty.
    ///
    /// A chain has three certificates that are valid for a day to weeks, and per enclave a leaf that is valid
    /// for three hours. For n enclaves on n instances, 2 n + 10 is enough. Each entry takes at most 1.3 kB.
    #[must_use]
    pub fn with_signature_cache(mut self, certificates: usize) -> Self {
        self.cache = Arc::new(SignatureCache::new(certificates));
        self
    }

    /// Accepts documents of debug enclaves, whose PCR0, 1 and 2 are zero.
    ///
    /// Insecure: such a document says nothing about the code, and the host reads the console of a debug
    /// enclave.
    #[must_use]
    pub fn insecure_allow_debug(mut self) -> Self {
        self.allow_debug = true;
        self
    }

    /// Verifies a document at `time`: its form, the validity of every certificate, every signature.
    ///
    /// # Errors
    ///
    /// The first rule that the document breaks. Rules are checked in a fixed order: size, envelope, payload,
    /// certificates and their chain, clock, signatures, debug mode.
    pub fn verify<'a>(&self, bytes: &'a [u8], time: &CheckTime) -> Result<VerifiedDocument<'a>, Error> {
        self.check(bytes, Some(time))
    }

    /// Verifies a document at its own timestamp, for audits.
    ///
    /// It proves that the document *was* genuine at the time that the document itself names. It says nothing
    /// about now: an old leaf key that was stolen since can still sign such documents.
    ///
    /// # Errors
    ///
    /// As [`Verifier::verify`]. A certificate that was not valid at the document's time is a clock error too.
    pub fn verify_historical<'a>(&self, bytes: &'a [u8]) -> Result<VerifiedDocument<'a>, Error> {
        self.check(bytes, None)
    }

    fn check<'a>(&self, bytes: &'a [u8], time: Option<&CheckTime>) -> Result<VerifiedDocument<'a>, Error> {
        let document = decode(bytes)?;
        let claims = document.claims;
        let chain = Chain::new(&claims, &self.anchor)?;

        let own_time = CheckTime::exactly(claims.timestamp_ms);
        let time = time.unwrap_or(&own_time);
        chain.check_clock(claims.timestamp_ms, time)?;
        not_from_future(claims.timestamp_ms, time)?;

        chain.check_signatures(
            &self.anchor,
            &CachedAlgorithm { provider: self.provider, cache: &self.cache },
        )?;
        self.provider
            .verify(chain.leaf().key(), &document.envelope.signed_bytes(), document.envelope.signature)
            .map_err(|_| Error::Document(DocumentFault::Signature))?;

        // Last, so that only genuine documents are reported as debug mode.
        self.check_measured(&claims.pcrs)?;
        self.cache.insert(chain.signed(), time);
        Ok(VerifiedDocument { claims, chain })
    }

    fn check_measured(&self, pcrs: &Pcrs<'_>) -> Result<(), Error> {
        let zero = |index: &u8| pcrs.at(*index) == Some(&[0; PCR_LEN]);
        match (0..=2).filter(zero).count() {
            0 => Ok(()),
            3 if self.allow_debug => Ok(()),
            3 => Err(Error::Document(DocumentFault::DebugMode)),
            _ => {
                let index = (0..=2).find(zero).unwrap_or_default();
                Err(Error::Document(DocumentFault::PcrZero { index }))
            }
        }
    }
}

/// A document that a [`Verifier`] verified. It cannot be made in another way.
///
/// It is genuine: a Nitro module signed these values, under a certificate chain to the trust anchor. Whether
/// the enclave is the expected one is decided by [`Policy::appraise`](crate::Policy::appraise).
#[derive(Clone, Debug)]
pub struct VerifiedDocument<'a> {
    claims: Claims<'a>,
    chain: Chain<'a>,
}

claims_accessors!(VerifiedDocument);

impl<'a> VerifiedDocument<'a> {
    /// The certificates, root first, leaf last: at least two.
    pub fn chain(&self) -> impl Iterator<Item = &Certificate<'a>> {
        self.chain.iter()
    }

    /// The certificate whose key signed the document.
    #[must_use]
    pub fn leaf(&self) -> &Certificate<'a> {
        self.chain.leaf()
    }

    /// Whether PCR0, 1 and 2 are zero. Only [`Verifier::insecure_allow_debug`] accepts such documents.
    #[must_use]
    pub fn is_debug(&self) -> bool {
        self.claims.pcrs.at(0) == Some(&[0; PCR_LEN])
    }
}

pub(crate) fn not_from_future(timestamp_ms: u64, time: &CheckTime) -> Result<(), Error> {
    match time.beyond_leeway(timestamp_ms) {
        Some(by_ms) => Err(Error::Clock(ClockFault::FromFuture { by_ms })),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ok2cry_attest_forge::{Cert, Enclave, LEAF, NOW_MS, cbor, der};
    use pki_types::InvalidSignature;

    use super::*;
    use crate::cose::SIGNATURE_LEN;
    use crate::crypto::Ecdsa;
    use crate::x509::POINT_LEN;

    /// Counts the signatures that this thread verified.
    struct Counting;

    std::thread_local! {
        static COUNT: AtomicUsize = const { AtomicUsize::new(0) };
    }

    impl Ecdsa for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn verify(
            &self,
            key: &[u8; POINT_LEN],
            message: &[u8],
            signature: &[u8; SIGNATURE_LEN],
        ) -> Result<(), InvalidSignature> {
            COUNT.with(|count| count.fetch_add(1, Ordering::Relaxed));
            Provider::default().verify(key, message, signature)
        }
    }

    fn signatures(verifier: &Verifier, document: &[u8]) -> (bool, usize) {
        COUNT.with(|count| count.store(0, Ordering::Relaxed));
        let accepted = verifier.verify(document, &CheckTime::at(NOW_MS)).is_ok();
        (accepted, COUNT.with(|count| count.load(Ordering::Relaxed)))
    }

    fn verifier() -> Verifier {
        let anchor = TrustAnchor::from_der(&Enclave::new().root()).unwrap();
        Verifier::new(anchor).with_provider(Provider::of(&Counting))
    }

    /// A document of the enclave with another leaf.
    fn with_leaf(serial: u8) -> Vec<u8> {
        Enclave::with(|e| e.certs[LEAF].serial = der::uint(&[serial])).document()
    }

    #[test]
    fn every_signature_is_verified_once_and_then_cached() {
        let verifier = verifier();
        let document = Enclave::new().document();
        assert_eq!(signatures(&verifier, &document), (true, 5), "cold: four certificates, one document");
        assert_eq!(signatures(&verifier, &document), (true, 1), "the same leaf: the document");
        let next = Enclave::with(|e| e.set("nonce", cbor::bytes(b"another"))).document();
        assert_eq!(signatures(&verifier, &next), (true, 1), "another document of the same leaf");
        assert_eq!(signatures(&verifier, &with_leaf(1)), (true, 2), "another leaf: itself and the document");
        assert_eq!(signatures(&verifier.clone(), &with_leaf(1)), (true, 1), "clones share");
        let without = verifier.clone().with_signature_cache(0);
        for _ in 0..2 {
            assert_eq!(signatures(&without, &document), (true, 5));
        }
    }

    #[test]
    fn refused_documents_insert_nothing() {
        let changes: [fn(&mut Enclave); 5] = [
            |e| e.on_signature = |signature| signature[95] ^= 1,
            |e| e.set_pcrs((0..16).map(|index| (index, vec![u8::from(index > 2); 48]))),
            |e| e.certs[LEAF].signer = 2,
            |e| e.set("timestamp", cbor::uint(1)),
            |e| e.certs.push(Cert::at(5)),
        ];
        for change in changes {
            let verifier = verifier();
            assert!(!signatures(&verifier, &Enclave::with(change).document()).0);
            assert_eq!(verifier.cache.len(), 0);
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let verifier = verifier().with_signature_cache(6);
        for serial in 0..40 {
            assert!(signatures(&verifier, &with_leaf(serial)).0);
            assert!(verifier.cache.len() <= 6);
            // The certificates above stay, because they are used all the time.
            assert!(serial == 0 || signatures(&verifier, &with_leaf(serial)) == (true, 1), "{serial}");
        }
    }
}
