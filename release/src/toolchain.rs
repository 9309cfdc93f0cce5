//! The tools that built an image. Two builds give the same file only if these are the same.

use crate::error::InputFault;
use serde::{Deserialize, Serialize};

/// Versions of the tools and sources that the bytes of an image depend on, as `image/toolchain` writes them.
///
/// Debian's versions with their revisions, because the C library is linked statically into the program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Toolchain {
    /// The C compiler, for the kernel and for AWS-LC.
    pub gcc: String,
    /// The assembler and the linker.
    pub binutils: String,
    /// The C library that is linked in.
    pub libc6_dev: String,
    /// The Rust compiler, with its commit and date.
    pub rustc: String,
    /// The kernel's source: a Debian package or a tarball, with its version.
    pub kernel_source: String,
    /// The SHA-256 of the kernel's source, hexadecimal.
    pub kernel_source_sha256: String,
}

impl Toolchain {
    /// Reads the file that `image/toolchain` writes.
    ///
    /// # Errors
    ///
    /// [`InputFault::Toml`] and [`InputFault::Empty`].
    pub fn from_toml(toml: &[u8]) -> Result<Self, InputFault> {
        let not_understood = |error: &dyn std::fmt::Display| InputFault::Toml(error.to_string());
        let text = std::str::from_utf8(toml).map_err(|error| not_understood(&error))?;
        let toolchain: Self = toml::from_str(text).map_err(|error| not_understood(&error.message()))?;
        for (name, value) in [
            ("gcc", &toolchain.gcc),
            ("binutils", &toolchain.binutils),
            ("libc6-dev", &toolchain.libc6_dev),
            ("rustc", &toolchain.rustc),
            ("kernel-source", &toolchain.kernel_source),
            ("kernel-source-sha256", &toolchain.kernel_source_sha256),
        ] {
            if value.trim().is_empty() {
                return Err(InputFault::Empty(name));
            }
        }
        Ok(toolchain)
    }
}
