//! Disposable keys: made, kept, used and erased by the provider that the configuration names.
//!
//! HPKE (RFC 9180) is the `hpke` crate's under every provider: key schedule, HKDF and AES, with the one suite
//! that is switched on. The KEM is ours, over a provider's arithmetic. The provider decides what a private
//! key is: which bytes, where they lie, which code computes with them and what overwrites them. From outside,
//! providers are the same: what one seals another opens, and what one refuses another refuses. The tests run
//! once per provider, and a differential test runs all of them on the same inputs.
//!
//! | provider | elliptic curve | a private key is |
//! |---|---|---|
//! | `portable` | the `p384` crate | its scalar, overwritten when dropped |
//! | `aws-lc` (feature `aws-lc`) | AWS-LC with s2n-bignum | an AWS-LC object, overwritten when freed |
//!
//! `docs/crypto-providers.md` compares their rates, memory and erasure, and says what is not erased.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod kem;
mod portable;
mod suite;

use ok2cry_protocol::{
    reply::{Binding, ReplySecret},
    suite::PublicKey,
};
use serde::Deserialize;
use std::{fmt, str::FromStr, sync::Arc};
use zeroize::Zeroizing;

/// Makes keys, and HPKE contexts to recipients.
pub trait Provider: Send + Sync {
    /// Makes a disposable key. Returns it with its public half; `None` if the random generator fails or
    /// memory is out.
    fn generate(&self) -> Option<(Arc<dyn PrivateKey>, PublicKey)>;

    /// Makes a context in base mode (RFC 9180 §5.1.1). Returns it with its encapsulated key.
    fn setup_sender(&self, recipient: &PublicKey, info: &[u8])
    -> Option<(Box<dyn SenderContext>, PublicKey)>;
}

/// One HPKE message, and the `info` that it was sealed with.
#[derive(Clone, Copy, Debug)]
pub struct HpkeMessage<'a> {
    /// The encapsulated key.
    pub enc: &'a PublicKey,
    /// The application's `info`.
    pub info: &'a [u8],
    /// The associated data.
    pub aad: &'a [u8],
    /// Ciphertext and tag.
    pub ciphertext: &'a [u8],
}

/// A disposable private key, overwritten when the last reference to it is dropped.
///
/// It is made where it stays, and shared by reference: code that holds one cannot copy or print it.
pub trait PrivateKey: Send + Sync {
    /// Opens a message in base mode (RFC 9180 §6.1). `public` is this key's public half. `None` for every
    /// failure, and if `public` belongs to another key.
    fn open(self: Arc<Self>, public: &PublicKey, message: &HpkeMessage<'_>) -> Option<Zeroizing<Vec<u8>>>;

    /// The scalar, 48 bytes big-endian, for the test that searches memory for it.
    #[cfg(test)]
    fn scalar(&self) -> Option<[u8; 48]> {
        None
    }
}

/// An HPKE context to a recipient, used for its exporter only. Its secrets are overwritten when dropped.
pub trait SenderContext: Send + Sync {
    /// Exports the secret of the one reply that `binding` names.
    fn reply_secret(&self, binding: &Binding) -> Option<ReplySecret>;
}

/// The providers of this build, with their names in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum CryptoProvider {
    /// `portable`: the `p384` crate.
    #[default]
    Portable,
    /// `aws-lc`: AWS-LC's P-384.
    #[cfg(feature = "aws-lc")]
    AwsLc,
}

impl CryptoProvider {
    /// All providers of this build.
    pub const ALL: &'static [Self] = &[
        Self::Portable,
        #[cfg(feature = "aws-lc")]
        Self::AwsLc,
    ];

    /// The provider's name in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => "aws-lc",
        }
    }

    /// The provider itself.
    pub fn provider(self) -> &'static dyn Provider {
        match self {
            Self::Portable => portable::PROVIDER,
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => aws_lc::PROVIDER,
        }
    }

    /// The same P-384 implementation, for the signatures of attestation documents.
    pub fn of_verifiers(self) -> ok2cry_attest_verify::Provider {
        match self {
            Self::Portable => ok2cry_attest_verify::Provider::p384(),
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => ok2cry_attest_verify::Provider::aws_lc_rs(),
        }
    }
}

impl fmt::Display for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a provider of this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no crypto provider {0:?} in this build; it has {names}", names = names())]
pub struct NoSuchProvider(String);

impl FromStr for CryptoProvider {
    type Err = NoSuchProvider;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|provider| provider.name() == name);
        found.copied().ok_or_else(|| NoSuchProvider(name.to_owned()))
    }
}

impl TryFrom<String> for CryptoProvider {
    type Error = NoSuchProvider;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

fn names() -> String {
    let names: Vec<_> = CryptoProvider::ALL.iter().map(|provider| provider.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
