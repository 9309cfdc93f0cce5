//! The manifest that a build writes beside its image: inputs, results, and the tools to repeat it.

use crate::{inputs::CheckedInputs, measure::Measurements, toolchain::Toolchain};
use serde::Serialize;
use sha2::{Digest, Sha256, Sha384};
use std::fmt::Write;

/// The manifest of a build. It holds neither time nor place, so the same build gives the same manifest.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest<'a> {
    r#type: &'static str,
    eif: Digests,
    measurements: &'a Measurements,
    kernel_release: &'a str,
    command_line: &'a str,
    crypto_provider: &'a str,
    /// The enclave's configuration, as in the image.
    configuration: &'a str,
    /// The checks that a development image drops. Absent in the manifest of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    development: Option<&'a str>,
    inputs: InputDigests,
    toolchain: &'a Toolchain,
}

impl<'a> Manifest<'a> {
    /// The manifest of an image.
    pub(crate) fn new(
        eif: &[u8],
        measurements: &'a Measurements,
        checked: &'a CheckedInputs,
        [boot_ramdisk, application_ramdisk]: [&[u8]; 2],
    ) -> Self {
        let inputs = &checked.inputs;
        Self {
            r#type: "ok2cry/image-manifest/v1",
            eif: Digests::of(eif),
            measurements,
            kernel_release: &checked.kernel_release,
            command_line: &checked.cmdline,
            crypto_provider: checked.crypto_provider,
            // UTF-8: the check has refused everything else.
            configuration: std::str::from_utf8(&inputs.configuration).unwrap_or_default(),
            development: checked.dropped_checks.as_deref(),
            inputs: InputDigests {
                kernel: Digests::of(&inputs.kernel),
                kernel_config: Digests::of(&inputs.kernel_config),
                program: Digests::of(&inputs.init),
                configuration: Digests::of(&inputs.configuration),
                boot_ramdisk: Digests::of(boot_ramdisk),
                application_ramdisk: Digests::of(application_ramdisk),
            },
            toolchain: &checked.toolchain,
        }
    }

    /// Indented JSON with a final newline.
    pub(crate) fn to_json(&self) -> String {
        // Every field has a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[derive(Debug, Serialize)]
struct InputDigests {
    kernel: Digests,
    kernel_config: Digests,
    program: Digests,
    configuration: Digests,
    boot_ramdisk: Digests,
    application_ramdisk: Digests,
}

#[derive(Debug, Serialize)]
struct Digests {
    size: usize,
    sha256: String,
    sha384: String,
}

impl Digests {
    fn of(bytes: &[u8]) -> Self {
        Self { size: bytes.len(), sha256: hex(&Sha256::digest(bytes)), sha384: hex(&Sha384::digest(bytes)) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
