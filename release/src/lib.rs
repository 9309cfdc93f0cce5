//! Enclave images: built so that strangers can build them again, measured by a computation of our own, and released.
//!
//! Whoever trusts a measurement needs two things: to get the same image from the same source, and to get the same
//! measurement from the same image. The first is the builder's, which AWS's library writes the file for; the second
//! is [`eif`] and [`measure`], which share no code with that library and measure anybody's image. A build that the two
//! do not agree about fails.
//!
//! | module | holds |
//! |---|---|
//! | [`eif`] | an enclave image file, read strictly |
//! | [`measure`] | its PCRs, as `nitro-cli` prints them |
//! | [`signature`] | who signed it, and whether they did |
//! | [`moment`] | times as people read them |
//! | [`publication`] | releases: manifests, lists, their log |
//! | [`durable`] | files that are there whole, or as they were |
//! | [`error`] | why something was refused |
//! | `inputs` | what an image is built from, checked |
//! | `toolchain` | the versions that its bytes depend on |
//! | `ramdisk` | ramdisks that come out the same everywhere |
//! | `image` | the image, built and measured twice |
//! | `manifest` | what is written beside it |
//!
//! The last five are there with the feature `build`, which is on unless switched off.

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
