//! Builds, measures and publishes enclave images.
//!
//! Trust in a measurement needs two things: the same source must give the same image, and the same image must
//! give the same measurement. The builder does the first, with AWS's library, which writes the file. [`eif`]
//! and [`measure`] do the second for any image and share no code with that library. A build fails if the two
//! disagree.
//!
//! | module | holds |
//! |---|---|
//! | [`eif`] | an enclave image file, read strictly |
//! | [`measure`] | its PCRs, as `nitro-cli` prints them |
//! | [`signature`] | the certificate that signed it, verified |
//! | [`moment`] | times in UTC, RFC 3339 |
//! | [`publication`] | releases: manifests, lists, their log |
//! | [`durable`] | files that are written completely or not at all |
//! | [`error`] | refusals and their codes |
//! | `inputs` | the checked inputs of a build |
//! | `toolchain` | the tool versions that its bytes depend on |
//! | `ramdisk` | reproducible ramdisks |
//! | `image` | builds the image and measures it twice |
//! | `manifest` | the manifest that a build writes beside it |
//!
//! The last five need the feature `build`, which is on by default.

pub mod durable;
pub mod eif;
pub mod error;
#[cfg(feature = "build")]
pub mod image;
#[cfg(feature = "build")]
pub mod inputs;
#[cfg(feature = "build")]
mod manifest;
pub mod measure;
pub mod moment;
pub mod publication;
#[cfg(feature = "build")]
pub mod ramdisk;
pub mod signature;
#[cfg(feature = "build")]
pub mod toolchain;
