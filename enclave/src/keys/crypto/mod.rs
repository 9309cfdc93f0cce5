//! Disposable keys: how they are made, kept, used and erased, by a provider that the configuration names.
//!
//! HPKE (RFC 9180) is the `hpke` crate's under every provider, with the one suite that is switched on: its key
//! schedule, its HKDF, its AES. The KEM under it is ours, over a provider's arithmetic, which decides what a private key
//! *is*: which bytes, where they lie, who computes with them and what overwrites them. To everybody outside, providers are the same:
//! what one seals another opens, and what one refuses another refuses. The tests run once per provider, and a
//! differential test runs all on the same inputs.
//!
//! | provider | elliptic curve | a private key is |
//! |---|---|---|
//! | `portable` | the `p384` crate | its scalar, overwritten when dropped |
//! | `aws-lc` (feature `aws-lc`) | AWS-LC, with s2n-bignum's verified arithmetic | an object of AWS-LC, overwritten when freed |
//!
//! `docs/crypto-providers.md` compares them: rate, memory, erasure, and what is not erased.

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

/// Makes keys, and contexts to recipients.
pub trait Provider: Send + Sync {
    /// A new disposable key and its public half. `None` if the random generator fails or memory is out.
    fn generate(&self) -> Option<(Arc<dyn PrivateKey>, PublicKey)>;

    /// A new context in base mode (RFC 9180 §5.1.1), and its encapsulated key.
    fn setup_sender(&self, recipient: &PublicKey, info: &[u8]) -> Option<(Box<dyn Sender>, PublicKey)>;
}

/// A disposable private key, overwritten when the last reference to it is dropped.
///
/// It is made where it stays, and shared by reference: nothing that has one can copy or show it.
pub trait PrivateKey: Send + Sync {
    /// Opens a message in base mode (RFC 9180 §6.1). All failures are one, and that `public` is not this key's public half is
    /// one of them.
    fn open(
        self: Arc<Self>,
        public: &PublicKey,
        enc: &PublicKey,
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>>;

    /// The scalar, 48 bytes big-endian: a side door for tests.
    #[cfg(test)]
    fn scalar(&self) -> Option<[u8; 48]> {
        None
    }
}

/// An HPKE context to a recipient, used for its exporter only. Its secrets are overwritten when dropped.
pub trait Sender: Send + Sync {
    /// The secret of the one reply that `binding` names.
    fn reply_secret(&self, binding: &Binding) -> Option<ReplySecret>;
}

/// The providers of this build, by the names that the configuration knows them by.
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

    /// What it names.
    pub fn provider(self) -> &'static dyn Provider {
        match self {
            Self::Portable => portable::PROVIDER,
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => aws_lc::PROVIDER,
        }
    }

    /// The same implementation of P-384, for the signatures of attestation documents.
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

/// A name that is no provider of this build.
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
