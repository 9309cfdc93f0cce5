//! One certificate of the mock's chain. It has the shape of AWS's: the same order of names and extensions,
//! criticality, key usages, path lengths and validity. The names differ.

use std::fmt;
use std::time::Duration;

use getrandom::SysRng;
use p384::ecdsa::{DerSignature, SigningKey};
use p384::elliptic_curve::Generate;
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::der::asn1::{Any, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::{C, CN, L, O, OU, ST};
use x509_cert::der::{DateTime, Decode, Encode};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

use crate::MockError;

/// A certificate with its private key. The key is overwritten when it is dropped, and `Debug` omits it.
#[derive(Clone)]
pub(crate) struct Certified {
    key: SigningKey,
    subject: Name,
    der: Vec<u8>,
    /// Seconds since the Unix epoch.
    not_before: u64,
    /// Seconds since the Unix epoch.
    not_after: u64,
}

impl Certified {
    /// Makes a new key with a self-signed certificate.
    pub(crate) fn root(common_name: &str, now_s: u64) -> Result<Self, MockError> {
        Self::issue(Rank::Root, common_name, None, now_s)
    }

    /// Loads a root that was made before.
    pub(crate) fn from_root(key: SigningKey, der: Vec<u8>) -> Result<Self, MockError> {
        let certificate = Certificate::from_der(&der)?;
        let body = certificate.tbs_certificate();
        if body.subject_public_key_info() != &SubjectPublicKeyInfo::from_key(key.verifying_key())? {
            return Err(MockError::Encoding("the root certificate is for another key".into()));
        }
        let seconds = |time: Time| time.to_unix_duration().as_secs();
        let (not_before, not_after) = (body.validity().not_before, body.validity().not_after);
        let subject = body.subject().clone();
        Ok(Self { key, subject, not_before: seconds(not_before), not_after: seconds(not_after), der })
    }

    /// Makes a new key and certifies it with this key.
    pub(crate) fn certify(&self, rank: Rank, common_name: &str, now_s: u64) -> Result<Self, MockError> {
        Self::issue(rank, common_name, Some(self), now_s)
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the certificate is valid now and for `seconds` from now.
    pub(crate) fn is_valid_for(&self, seconds: u64, now_s: u64) -> bool {
        self.not_before <= now_s && now_s.saturating_add(seconds) <= self.not_after
    }

    fn issue(rank: Rank, common_name: &str, issuer: Option<&Self>, now_s: u64) -> Result<Self, MockError> {
        let key = SigningKey::try_generate_from_rng(&mut SysRng)?;
        let subject = rank.subject(common_name)?;
        let not_before = now_s.saturating_sub(rank.backdated());
        let not_after = now_s.saturating_add(rank.lifetime());
        let issuer_subject = issuer.map_or(&subject, |issuer| &issuer.subject);
        let profile = Profile { rank, subject: subject.clone(), issuer: issuer_subject.clone() };
        let builder = CertificateBuilder::new(
            profile,
            serial_number()?,
            Validity::new(time(not_before)?, time(not_after)?),
            SubjectPublicKeyInfo::from_key(key.verifying_key())?,
        )?;
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        let certificate: Certificate = builder.build::<_, DerSignature>(signer)?;
        let der = certificate.to_der()?;
        Ok(Self { key, subject, der, not_before, not_after })
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified").field("subject", &self.subject.to_string()).finish_non_exhaustive()
    }
}

/// A certificate's rank in the chain, which decides its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Root,
    Regional,
    Zonal,
    Instance,
    Leaf,
}

impl Rank {
    /// Seconds from issue to the end of validity. Thirty years have eight leap days.
    pub(crate) const fn lifetime(self) -> u64 {
        match self {
            Self::Root => 30 * 365 * DAY + 8 * DAY,
            Self::Regional => 20 * DAY,
            Self::Zonal => 6 * DAY - 3 * HOUR,
            Self::Instance => DAY,
            Self::Leaf => 3 * HOUR + 3,
        }
    }

    /// Seconds from the start of validity to issue. Only the upper authorities are backdated, as in
    /// production: a client with a slow clock sees a fresh leaf as not yet valid.
    const fn backdated(self) -> u64 {
        match self {
            Self::Root | Self::Regional | Self::Zonal => HOUR,
            Self::Instance | Self::Leaf => 0,
        }
    }

    fn basic_constraints(self) -> BasicConstraints {
        let path_len_constraint = match self {
            Self::Root | Self::Leaf => None,
            Self::Regional => Some(2),
            Self::Zonal => Some(1),
            Self::Instance => Some(0),
        };
        BasicConstraints { ca: self != Self::Leaf, path_len_constraint }
    }

    fn key_usage(self) -> KeyUsage {
        KeyUsage(match self {
            Self::Root | Self::Regional | Self::Zonal => {
                KeyUsages::DigitalSignature | KeyUsages::KeyCertSign | KeyUsages::CRLSign
            }
            Self::Instance => KeyUsages::KeyCertSign.into(),
            Self::Leaf => KeyUsages::DigitalSignature | KeyUsages::NonRepudiation,
        })
    }

    /// The order of attributes differs by rank, as in AWS's chain.
    fn subject(self, common_name: &str) -> Result<Name, MockError> {
        let own = (CN, common_name);
        match self {
            Self::Root | Self::Regional => name(&[COUNTRY, ORGANISATION, UNIT, own]),
            Self::Zonal => name(&[own, UNIT, ORGANISATION, COUNTRY, STATE, LOCALITY]),
            Self::Instance | Self::Leaf => name(&[COUNTRY, STATE, LOCALITY, ORGANISATION, UNIT, own]),
        }
    }
}

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

type Attribute<'a> = (ObjectIdentifier, &'a str);

/// ISO 3166 reserves `ZZ` for private use.
const COUNTRY: Attribute<'_> = (C, "ZZ");
const STATE: Attribute<'_> = (ST, "Nowhere");
const LOCALITY: Attribute<'_> = (L, "Laptop");
const ORGANISATION: Attribute<'_> = (O, "ok2cry mock, not Amazon");
const UNIT: Attribute<'_> = (OU, "mock");

/// The names and extensions of a certificate, for the builder.
struct Profile {
    rank: Rank,
    subject: Name,
    issuer: Name,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    /// AWS's regional and zonal certificates also name a CRL distribution point. It is omitted: AWS tells
    /// verifiers not to use it, and the mock has no CRL.
    fn build_extensions(
        &self,
        subject_key: SubjectPublicKeyInfoRef<'_>,
        issuer_key: SubjectPublicKeyInfoRef<'_>,
        _tbs: &x509_cert::TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let critical = self.rank != Rank::Leaf;
        let constraints = self.extension(&self.rank.basic_constraints())?;
        let key_usage = self.extension((critical, &self.rank.key_usage()))?;
        let subject_id = self.extension(&SubjectKeyIdentifier::try_from(subject_key)?)?;
        let authority_id = self.extension(&AuthorityKeyIdentifier::try_from(issuer_key)?)?;
        Ok(match self.rank {
            Rank::Root => vec![constraints, subject_id, key_usage],
            Rank::Regional | Rank::Zonal => vec![constraints, authority_id, subject_id, key_usage],
            Rank::Instance => vec![constraints, key_usage, subject_id, authority_id],
            Rank::Leaf => vec![constraints, key_usage],
        })
    }
}

impl Profile {
    fn extension<E: ToExtension>(&self, extension: E) -> Result<Extension, E::Error> {
        extension.to_extension(&self.subject, &[])
    }
}

/// Sixteen random bytes. The first two bits are fixed, to keep the number positive and its length constant.
fn serial_number() -> Result<SerialNumber, MockError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    let [first, ..] = &mut bytes;
    *first = *first & 0x3f | 0x40;
    Ok(SerialNumber::new(&bytes)?)
}

/// `UTCTime` until 2049 and `GeneralizedTime` from 2050, as RFC 5280 §4.1.2.5 requires.
fn time(unix_s: u64) -> Result<Time, MockError> {
    Ok(DateTime::from_unix_duration(Duration::from_secs(unix_s))?.into())
}

fn name(attributes: &[Attribute<'_>]) -> Result<Name, MockError> {
    let mut names = RdnSequence::default();
    for (oid, value) in attributes {
        let value = match *oid {
            C => Any::from(PrintableStringRef::new(value)?),
            _ => Any::from(Utf8StringRef::new(value)?),
        };
        names.push(RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid: *oid, value }])?);
    }
    // `Name` has no constructor from a sequence, but both have the same encoding.
    Ok(Name::from_der(&names.to_der()?)?)
}
