//! The configuration of a mock: measurements, clock, and the form of documents.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha384};

use crate::Faults;

/// Platform configuration registers (SHA-384, 48 bytes each) by index.
pub type Pcrs = BTreeMap<u8, [u8; 48]>;

/// How a [`MockNsm`](crate::MockNsm) starts. [`MockHandle`](crate::MockHandle) can change latency, faults and
/// clock later.
#[derive(Clone, Debug)]
pub struct MockConfig {
    /// The registers in every document. The default has sixteen, as most real machines: PCR0, 1 and 2 (image,
    /// kernel, application) by [`MockConfig::with_image_name`]; PCR3 (role of the instance) and PCR4
    /// (instance) set; PCR8 (signer of the image) and all others zero.
    pub pcrs: Pcrs,
    /// How long a call takes, signing included. A slower call is not delayed further. The time that a call is
    /// held does not count. The default is zero.
    pub latency: Duration,
    /// The faults from the start. The default is none.
    pub faults: Faults,
    /// The module's clock. The default is the system's.
    pub time: TimeSource,
    /// The form of the payload's map. The default is [`PayloadMap::Indefinite`].
    pub payload_map: PayloadMap,
}

impl Default for MockConfig {
    /// The measurements of the image name `ok2cry-enclave`, and no faults.
    fn default() -> Self {
        Self::with_image_name("ok2cry-enclave")
    }
}

impl MockConfig {
    /// The default, with PCR0, 1 and 2 derived from `name`. Another name is another image, for example an
    /// impostor.
    pub fn with_image_name(name: &str) -> Self {
        let mut pcrs: Pcrs = (0..REGISTERS).map(|index| (index, [0; 48])).collect();
        for index in IMAGE_REGISTERS {
            pcrs.insert(index, sha384(&format!("ok2cry mock PCR{index} of the image {name}")));
        }
        pcrs.insert(3, sha384("ok2cry mock PCR3, the role of no instance"));
        pcrs.insert(4, sha384("ok2cry mock PCR4, no instance"));
        Self {
            pcrs,
            latency: Duration::ZERO,
            faults: Faults::default(),
            time: TimeSource::default(),
            payload_map: PayloadMap::default(),
        }
    }

    /// Sets PCR0, 1 and 2 to zero, as in debug mode.
    #[must_use]
    pub fn in_debug_mode(mut self) -> Self {
        self.pcrs.extend(IMAGE_REGISTERS.map(|index| (index, [0; 48])));
        self
    }

    /// PCR0, 1 and 2, which a policy pins to accept this image.
    pub fn measurements(&self) -> Pcrs {
        self.pcrs.iter().filter(|(index, _)| IMAGE_REGISTERS.contains(index)).map(|(i, v)| (*i, *v)).collect()
    }
}

/// The module's time, before the offset of its handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeSource {
    /// The system's clock.
    #[default]
    System,
    /// A fixed time, for tests. The handle's offset moves it.
    Fixed {
        /// Milliseconds since the Unix epoch.
        unix_ms: u64,
    },
}

impl TimeSource {
    /// Milliseconds since the Unix epoch; zero if the system's clock is before it.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
            }
            Self::Fixed { unix_ms } => *unix_ms,
        }
    }
}

/// The encoding of the payload's outermost map. Verifiers must accept both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadMap {
    /// `bf … ff`, as AWS encodes it since mid-2025.
    #[default]
    Indefinite,
    /// `a9 …`, as AWS encoded it before.
    Definite,
}

/// Most real documents carry PCR0 to PCR15.
const REGISTERS: u8 = 16;

/// The registers that measure the image.
const IMAGE_REGISTERS: [u8; 3] = [0, 1, 2];

fn sha384(sentence: &str) -> [u8; 48] {
    Sha384::digest(sentence).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_pcrs_look_like_a_real_unsigned_image() {
        let pcrs = MockConfig::default().pcrs;
        assert!(pcrs.keys().copied().eq(0..16));
        let set: Vec<u8> = pcrs.iter().filter(|(_, value)| **value != [0; 48]).map(|(i, _)| *i).collect();
        assert_eq!(set, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn default_measurements_never_change() {
        let expected = sha384("ok2cry mock PCR0 of the image ok2cry-enclave");
        assert_eq!(MockConfig::default().measurements().get(&0), Some(&expected));
    }

    #[test]
    fn another_image_name_changes_all_measurements_and_nothing_else() {
        let (genuine, impostor) = (MockConfig::default(), MockConfig::with_image_name("impostor"));
        for (index, value) in &genuine.pcrs {
            assert_eq!(impostor.pcrs[index] != *value, *index < 3, "PCR{index}");
        }
        assert!(genuine.measurements().keys().copied().eq(0..3));
    }

    #[test]
    fn debug_mode_zeroes_the_measurements_and_keeps_pcr4() {
        let config = MockConfig::default().in_debug_mode();
        assert!(config.measurements().values().all(|value| *value == [0; 48]));
        assert_ne!(config.pcrs[&4], [0; 48]);
    }
}
