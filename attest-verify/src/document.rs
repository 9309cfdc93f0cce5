//! The payload of an attestation document: fields, their types and their limits. Nothing is verified here.

use std::fmt;

use crate::cbor::CborReader;
use crate::cose::Envelope;
use crate::error::{Error, Field, PayloadFault};

/// Length of a PCR value in bytes: SHA-384.
pub const PCR_LEN: usize = 48;

/// How many PCRs there can be: indices 0 to 31.
pub const PCR_COUNT: u8 = 32;

/// The most entries of a `cabundle`. Nitro's has four: root, regional, zonal and instance CA.
pub const MAX_CABUNDLE_LEN: usize = 6;

/// The longest certificate, in bytes.
pub(crate) const MAX_CERTIFICATE_LEN: usize = 1024;

/// The longest `public_key`, `user_data` and `nonce`, in bytes. AWS's prose says 512 for the latter two; its
/// CDDL and the module say 1,024.
const MAX_OPTIONAL_LEN: usize = 1024;

/// Decodes a document **without verifying anything**: no signature, no chain, no clock.
///
/// For an enclave that reads the document of its own module, and for tools that show refused documents. The
/// result is unauthenticated. Use [`crate::Verifier`] for documents from elsewhere.
///
/// Verification uses the same decoder: strict (see `docs/attestation.md`), without recursion, and bounded by
/// [`MAX_DOCUMENT_LEN`](crate::MAX_DOCUMENT_LEN).
///
/// # Errors
///
/// [`Error::Cbor`], [`Error::Cose`] or [`Error::Payload`].
pub fn decode(bytes: &[u8]) -> Result<UnverifiedDocument<'_>, Error> {
    let envelope = Envelope::decode(bytes)?;
    let claims = Claims::decode(envelope.payload)?;
    Ok(UnverifiedDocument { envelope, claims })
}

/// A document that was decoded and **not verified**. From [`decode`].
#[derive(Clone, Debug)]
pub struct UnverifiedDocument<'a> {
    pub(crate) envelope: Envelope<'a>,
    pub(crate) claims: Claims<'a>,
}

impl<'a> UnverifiedDocument<'a> {
    /// `certificate`, the leaf, as DER of 1 to 1,024 bytes that was not parsed.
    #[must_use]
    pub fn certificate(&self) -> &'a [u8] {
        self.claims.certificate
    }

    /// `cabundle`, 1 to [`MAX_CABUNDLE_LEN`] entries of 1 to 1,024 bytes that were not parsed.
    #[must_use]
    pub fn cabundle(&self) -> &[&'a [u8]] {
        &self.claims.cabundle
    }
}

/// The accessors that verified and unverified documents share. They are two types, so that a function cannot
/// take one for the other.
macro_rules! claims_accessors {
    ($document:ident) => {
        impl<'a> $document<'a> {
            /// `module_id`: the instance and enclave that the document is from. Not empty.
            #[must_use]
            pub fn module_id(&self) -> &'a str {
                self.claims.module_id
            }

            /// `timestamp`: when the module made the document, in Unix milliseconds. Greater than 0.
            #[must_use]
            pub fn timestamp_ms(&self) -> u64 {
                self.claims.timestamp_ms
            }

            /// `pcrs`: the measurements. PCR0, 1 and 2 are always among them.
            #[must_use]
            pub fn pcrs(&self) -> &$crate::Pcrs<'a> {
                &self.claims.pcrs
            }

            /// One PCR, or `None` when the document does not have it.
            #[must_use]
            pub fn pcr(&self, index: u8) -> Option<&'a [u8; $crate::PCR_LEN]> {
                self.claims.pcrs.at(index)
            }

            /// `public_key`, 1 to 1,024 bytes. Absent, `null` and empty all are `None`: no key has zero
            /// bytes, and documents with an empty one exist.
            #[must_use]
            pub fn public_key(&self) -> Option<&'a [u8]> {
                self.claims.public_key
            }

            /// `user_data`, 0 to 1,024 bytes. Absent and `null` are `None`; an empty one was set and is
            /// `Some(&[])`.
            #[must_use]
            pub fn user_data(&self) -> Option<&'a [u8]> {
                self.claims.user_data
            }

            /// `nonce`, 0 to 1,024 bytes. Absent and `null` are `None`; an empty one was set and is
            /// `Some(&[])`.
            #[must_use]
            pub fn nonce(&self) -> Option<&'a [u8]> {
                self.claims.nonce
            }
        }
    };
}
pub(crate) use claims_accessors;

claims_accessors!(UnverifiedDocument);

/// The PCRs of one document: up to 32 values of 48 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Pcrs<'a> {
    values: [Option<&'a [u8; PCR_LEN]>; PCR_COUNT as usize],
}

impl<'a> Pcrs<'a> {
    /// One PCR, or `None` when there is none with this index.
    #[must_use]
    pub fn at(&self, index: u8) -> Option<&'a [u8; PCR_LEN]> {
        self.values.get(usize::from(index)).copied().flatten()
    }

    /// The PCRs of the document, by ascending index.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &'a [u8; PCR_LEN])> {
        (0..PCR_COUNT).zip(self.values).filter_map(|(index, value)| Some((index, value?)))
    }

    fn decode(reader: &mut CborReader<'a>) -> Result<Self, Error> {
        let count = reader.map(Field::Pcrs)?;
        if count == 0 || count > u64::from(PCR_COUNT) {
            return Err(Error::Payload(PayloadFault::PcrCount { count }));
        }
        let mut values = [None; PCR_COUNT as usize];
        for _ in 0..count {
            let index = reader.uint(Field::Pcrs)?;
            let index = u8::try_from(index)
                .ok()
                .filter(|index| *index < PCR_COUNT)
                .ok_or(Error::Payload(PayloadFault::PcrIndex { index }))?;
            let value = reader.bytes(Field::Pcrs)?;
            let value = <&[u8; PCR_LEN]>::try_from(value)
                .map_err(|_| Error::Payload(PayloadFault::PcrLength { index, len: value.len() }))?;
            match values.get_mut(usize::from(index)) {
                Some(slot @ None) => *slot = Some(value),
                _ => return Err(Error::Payload(PayloadFault::PcrDuplicate { index })),
            }
        }
        let pcrs = Self { values };
        // Without these three a document says nothing about the running code.
        match (0..=2).find(|index| pcrs.at(*index).is_none()) {
            Some(index) => Err(Error::Payload(PayloadFault::PcrMissing { index })),
            None => Ok(pcrs),
        }
    }
}

impl fmt::Debug for Pcrs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What a document claims, by field.
#[derive(Clone, Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) module_id: &'a str,
    pub(crate) timestamp_ms: u64,
    pub(crate) pcrs: Pcrs<'a>,
    pub(crate) certificate: &'a [u8],
    pub(crate) cabundle: Vec<&'a [u8]>,
    pub(crate) public_key: Option<&'a [u8]>,
    pub(crate) user_data: Option<&'a [u8]>,
    pub(crate) nonce: Option<&'a [u8]>,
}

impl<'a> Claims<'a> {
    fn decode(payload: &'a [u8]) -> Result<Self, Error> {
        let mut reader = CborReader::new(payload);
        let mut module_id = None;
        let mut digest = None;
        let mut timestamp_ms = None;
        let mut pcrs = None;
        let mut certificate = None;
        let mut cabundle = None;
        let mut public_key = None;
        let mut user_data = None;
        let mut nonce = None;

        // Modules sent this map with a definite length until spring 2025, and with an indefinite one since.
        let mut entries = reader.any_map(Field::Payload)?;
        while reader.next_entry(&mut entries, Field::Payload)? {
            let r = &mut reader;
            match r.text(Field::Payload)? {
                "module_id" => once(&mut module_id, Field::ModuleId, || module_id_of(r))?,
                "digest" => once(&mut digest, Field::Digest, || digest_of(r))?,
                "timestamp" => once(&mut timestamp_ms, Field::Timestamp, || timestamp_of(r))?,
                "pcrs" => once(&mut pcrs, Field::Pcrs, || Pcrs::decode(r))?,
                "certificate" => once(&mut certificate, Field::Certificate, || certificate_of(r))?,
                "cabundle" => once(&mut cabundle, Field::Cabundle, || cabundle_of(r))?,
                "public_key" => once(&mut public_key, Field::PublicKey, || {
                    let value =
                        optional_of(r, Field::PublicKey, |len| PayloadFault::PublicKeyLength { len })?;
                    Ok(value.filter(|key| !key.is_empty()))
                })?,
                "user_data" => once(&mut user_data, Field::UserData, || {
                    optional_of(r, Field::UserData, |len| PayloadFault::UserDataLength { len })
                })?,
                "nonce" => once(&mut nonce, Field::Nonce, || {
                    optional_of(r, Field::Nonce, |len| PayloadFault::NonceLength { len })
                })?,
                "nitrotpm_pcrs" => return Err(Error::Payload(PayloadFault::NitroTpm)),
                key => {
                    let key = key.chars().take(32).collect();
                    return Err(Error::Payload(PayloadFault::UnknownKey { key }));
                }
            }
        }
        reader.finish(Field::Payload)?;

        required(digest, Field::Digest)?;
        Ok(Self {
            module_id: required(module_id, Field::ModuleId)?,
            timestamp_ms: required(timestamp_ms, Field::Timestamp)?,
            pcrs: required(pcrs, Field::Pcrs)?,
            certificate: required(certificate, Field::Certificate)?,
            cabundle: required(cabundle, Field::Cabundle)?,
            public_key: public_key.flatten(),
            user_data: user_data.flatten(),
            nonce: nonce.flatten(),
        })
    }
}

/// Reads a field that must not appear twice, even if it is `null`.
fn once<T>(slot: &mut Option<T>, field: Field, read: impl FnOnce() -> Result<T, Error>) -> Result<(), Error> {
    if slot.is_some() {
        return Err(Error::Payload(PayloadFault::DuplicateKey { field }));
    }
    *slot = Some(read()?);
    Ok(())
}

fn required<T>(slot: Option<T>, field: Field) -> Result<T, Error> {
    slot.ok_or(Error::Payload(PayloadFault::MissingField { field }))
}

fn module_id_of<'a>(reader: &mut CborReader<'a>) -> Result<&'a str, Error> {
    match reader.text(Field::ModuleId)? {
        "" => Err(Error::Payload(PayloadFault::ModuleIdEmpty)),
        module_id => Ok(module_id),
    }
}

fn digest_of(reader: &mut CborReader<'_>) -> Result<(), Error> {
    match reader.text(Field::Digest)? {
        "SHA384" => Ok(()),
        found => Err(Error::Payload(PayloadFault::Digest { found: found.chars().take(32).collect() })),
    }
}

fn timestamp_of(reader: &mut CborReader<'_>) -> Result<u64, Error> {
    match reader.uint(Field::Timestamp)? {
        0 => Err(Error::Payload(PayloadFault::TimestampZero)),
        timestamp_ms => Ok(timestamp_ms),
    }
}

fn certificate_of<'a>(reader: &mut CborReader<'a>) -> Result<&'a [u8], Error> {
    let der = reader.bytes(Field::Certificate)?;
    match der.len() {
        1..=MAX_CERTIFICATE_LEN => Ok(der),
        len => Err(Error::Payload(PayloadFault::CertificateLength { len })),
    }
}

fn cabundle_of<'a>(reader: &mut CborReader<'a>) -> Result<Vec<&'a [u8]>, Error> {
    let count = reader.array(Field::Cabundle)?;
    let entries = usize::try_from(count)
        .ok()
        .filter(|entries| (1..=MAX_CABUNDLE_LEN).contains(entries))
        .ok_or(Error::Payload(PayloadFault::CabundleCount { count }))?;
    (0..entries)
        .map(|index| {
            let der = reader.bytes(Field::Cabundle)?;
            match der.len() {
                1..=MAX_CERTIFICATE_LEN => Ok(der),
                len => Err(Error::Payload(PayloadFault::CabundleEntryLength { index, len })),
            }
        })
        .collect()
}

fn optional_of<'a>(
    reader: &mut CborReader<'a>,
    field: Field,
    too_long: impl FnOnce(usize) -> PayloadFault,
) -> Result<Option<&'a [u8]>, Error> {
    match reader.optional_bytes(field)? {
        Some(value) if value.len() > MAX_OPTIONAL_LEN => Err(Error::Payload(too_long(value.len()))),
        value => Ok(value),
    }
}
