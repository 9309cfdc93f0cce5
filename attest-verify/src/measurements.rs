//! Reference values: the PCRs of a release.

use std::collections::BTreeMap;
use std::fmt;

use crate::document::{PCR_COUNT, PCR_LEN, Pcrs};
use crate::error::{Error, MeasurementsFault, PcrDifference};

/// The measurements of one release: PCR values that are compared as one set only.
///
/// PCR0 measures the whole image, PCR1 the kernel and its first ramdisk, PCR2 the application, PCR3 the
/// parent's IAM role, PCR4 the parent instance, PCR8 the certificate that signed the image.
#[derive(Clone, PartialEq, Eq)]
pub struct Measurements {
    pcrs: BTreeMap<u8, [u8; PCR_LEN]>,
}

impl Measurements {
    /// Takes PCR indices (0 to 31) with their values of 48 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Measurements`] for an empty set, a set without PCR0, zero in PCR0, 1 or 2 (debug mode), an
    /// index above 31, or a repeated index.
    pub fn new(pcrs: impl IntoIterator<Item = (u8, [u8; PCR_LEN])>) -> Result<Self, Error> {
        let mut set = BTreeMap::new();
        for (index, value) in pcrs {
            if index >= PCR_COUNT {
                return Err(Error::Measurements(MeasurementsFault::Index { index }));
            }
            if index <= 2 && value == [0; PCR_LEN] {
                return Err(Error::Measurements(MeasurementsFault::Zero { index }));
            }
            if set.insert(index, value).is_some() {
                return Err(Error::Measurements(MeasurementsFault::Duplicate { index }));
            }
        }
        if set.is_empty() {
            return Err(Error::Measurements(MeasurementsFault::Empty));
        }
        if !set.contains_key(&0) {
            return Err(Error::Measurements(MeasurementsFault::WithoutPcr0));
        }
        Ok(Self { pcrs: set })
    }

    /// The PCRs by ascending index.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8; PCR_LEN])> {
        self.pcrs.iter().map(|(index, value)| (*index, value))
    }

    /// The PCRs that differ from this set. If there is none, the whole set matches.
    pub(crate) fn differing(&self, pcrs: &Pcrs<'_>) -> Vec<PcrDifference> {
        let all = self.iter().map(|(index, expected)| (index, expected, pcrs.at(index)));
        let differing = all.filter(|(_, expected, found)| *found != Some(*expected));
        differing
            .map(|(index, expected, found)| PcrDifference {
                index,
                expected: *expected,
                found: found.copied(),
            })
            .collect()
    }
}

impl fmt::Debug for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (index, value) in self.iter() {
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            map.entry(&index, &hex);
        }
        map.finish()
    }
}
