//! Checks the inputs of a build. A mistake in them would be measured, signed and shipped.

use crate::{
    error::{Error, InputFault},
    toolchain::Toolchain,
};
use ok2cry_enclave::{config::Config, keys::crypto::CryptoProvider};
use std::fmt;

/// The inputs of a build, as bytes.
#[derive(Clone)]
pub struct Inputs {
    /// The kernel, a bzImage.
    pub kernel: Vec<u8>,
    /// The kernel's `.config`: for the manifest, and for the command line that is built into the kernel.
    pub kernel_config: Vec<u8>,
    /// The kernel's command line, with at most one final newline.
    pub cmdline: Vec<u8>,
    /// The enclave program, which becomes `/init`.
    pub init: Vec<u8>,
    /// The enclave's configuration.
    pub configuration: Vec<u8>,
    /// The versions of the tools: see [`Toolchain`].
    pub toolchain: Vec<u8>,
    /// Whether the configuration may drop boot checks (`[development]`). Such an image is not a release.
    pub development: bool,
}

/// The checked inputs of a build.
#[derive(Debug)]
pub struct CheckedInputs {
    pub(crate) inputs: Inputs,
    pub(crate) cmdline: String,
    /// What `/proc/cmdline` begins with: the kernel's built-in command line and a space, if there is one,
    /// then the image's. A kernel puts its own first (Linux, `arch/x86/Kconfig`: `CMDLINE_BOOL`).
    pub(crate) running_cmdline: String,
    pub(crate) kernel_release: String,
    pub(crate) toolchain: Toolchain,
    /// The checks that a development image drops, as text.
    pub(crate) dropped_checks: Option<String>,
    /// The crypto provider that the configuration names.
    pub(crate) crypto_provider: &'static str,
}

/// Omits the content, which is megabytes long.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").finish_non_exhaustive()
    }
}

impl Inputs {
    /// Checks the inputs.
    ///
    /// # Errors
    ///
    /// [`Error::Input`], which names the input and the rule that it breaks.
    pub fn check(self) -> Result<CheckedInputs, Error> {
        let named = |what| move |fault| Error::Input { what, fault };
        let kernel_release =
            kernel_release(&self.kernel).ok_or(InputFault::NotBzImage).map_err(named("the kernel"))?;
        let built_in = built_in_cmdline(&self.kernel_config).map_err(named("the kernel's configuration"))?;
        let cmdline = one_line(&self.cmdline).map_err(named("the command line"))?;
        let running_cmdline = [built_in.as_str(), &cmdline].join(if built_in.is_empty() { "" } else { " " });
        check_program(&self.init).map_err(named("the enclave program"))?;
        let (dropped_checks, crypto_provider) =
            self.check_configuration().map_err(named("the enclave's configuration"))?;
        let toolchain = Toolchain::from_toml(&self.toolchain).map_err(named("the toolchain"))?;
        Ok(CheckedInputs {
            cmdline,
            running_cmdline,
            kernel_release,
            toolchain,
            dropped_checks,
            crypto_provider,
            inputs: self,
        })
    }

    /// Reads the configuration with the enclave's own parser, so that an image that would not start is not
    /// built. Returns the boot checks that it drops, and its crypto provider.
    fn check_configuration(&self) -> Result<(Option<String>, &'static str), InputFault> {
        let refused = |error: &dyn fmt::Display| InputFault::Configuration(error.to_string());
        let text = std::str::from_utf8(&self.configuration).map_err(|error| refused(&error))?;
        let config = Config::from_toml(text).map_err(|error| refused(&error))?;
        // A program holds the names of its own providers only.
        if config.crypto_provider == CryptoProvider::AwsLc && !holds(&self.init, b"AWS-LC") {
            return Err(InputFault::Provider("aws-lc"));
        }
        match config.development.dropped() {
            Some(dropped) if !self.development => Err(InputFault::Development(dropped)),
            dropped => Ok((dropped, config.crypto_provider.name())),
        }
    }
}

/// The release of a bzImage, such as `6.12.94`, from its header (Linux, `Documentation/arch/x86/boot.rst`).
fn kernel_release(kernel: &[u8]) -> Option<String> {
    let at = |offset: usize, len: usize| kernel.get(offset..)?.get(..len);
    let loaded_high = *at(0x211, 1)?.first()? & 1 == 1;
    if at(0x1fe, 2)? != [0x55, 0xaa] || at(0x202, 4)? != b"HdrS" || !loaded_high {
        return None;
    }
    let offset = at(0x20e, 2)?.iter().rev().fold(0, |offset, byte| offset << 8 | usize::from(*byte));
    let text = kernel.get(0x200 + offset..)?;
    let release = text.split(|byte| *byte == b' ' || *byte == 0).next()?;
    let printable = (1..=64).contains(&release.len()) && release.iter().all(u8::is_ascii_graphic);
    (offset > 0 && printable).then(|| String::from_utf8_lossy(release).into_owned())
}

/// The command line that is built into a kernel with this configuration; empty if there is none.
fn built_in_cmdline(config: &[u8]) -> Result<String, InputFault> {
    let mut lines = config.split(|byte| *byte == b'\n');
    let has = |line: &str| config.split(|byte| *byte == b'\n').any(|l| l == line.as_bytes());
    // With `CMDLINE_OVERRIDE` the kernel would ignore the image's command line.
    if !has("CONFIG_X86_64=y") || has("CONFIG_CMDLINE_OVERRIDE=y") {
        return Err(InputFault::NotKernelConfig);
    }
    let value = lines.find_map(|line| line.strip_prefix(b"CONFIG_CMDLINE=")).unwrap_or(b"\"\"");
    let text = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or_default();
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) && !b"\\\"".contains(byte);
    // At least the two quotes, and no character that Kconfig would have to escape.
    if value.len() < 2 || text.len() + 2 != value.len() || !text.iter().all(plain) {
        return Err(InputFault::NotKernelConfig);
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn one_line(text: &[u8]) -> Result<String, InputFault> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let printable = text.iter().all(|byte| (b' '..=b'~').contains(byte));
    if text.is_empty() || text.len() > crate::eif::MAX_CMDLINE_LEN || !printable {
        return Err(InputFault::NotOneLine);
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Texts in programs that are built with the mock NSM: source paths of panic messages, targets of log lines,
/// and names in its certificates. `ok2cry-enclave-dev` holds all three, which a test checks.
pub const MARKS_OF_THE_MOCK: &[&str] = &["mock-nsm/src/", "ok2cry_mock_nsm", "ok2cry mock"];

/// Folders of build machines. Paths of Rust's standard library (`/rustc/…`) are the same on all machines.
const PATHS_OF_BUILDERS: &[&str] =
    &["/home/", "/root/", "/Users/", "/.cargo/", "/.rustup/", "/registry/src/"];

fn check_program(elf: &[u8]) -> Result<(), InputFault> {
    check_static_elf(elf).map_err(InputFault::NotStatic)?;
    if let Some(mark) = MARKS_OF_THE_MOCK.iter().find(|mark| holds(elf, mark.as_bytes())) {
        return Err(InputFault::Mock(mark));
    }
    if let Some(path) = PATHS_OF_BUILDERS.iter().find(|path| holds(elf, path.as_bytes())) {
        return Err(InputFault::Path(path));
    }
    Ok(())
}

/// Checks that the kernel can start a program without an interpreter or library: a 64-bit little-endian ELF
/// for x86-64. It must be position-independent, so that the kernel loads it at a random address (System V
/// ABI, chapters on object files and program loading).
fn check_static_elf(elf: &[u8]) -> Result<(), &'static str> {
    if !elf.starts_with(b"\x7fELF\x02\x01\x01") {
        return Err("it is not a 64-bit little-endian ELF");
    }
    if number(elf, 0x12, 2)? != 62 {
        return Err("it is not for x86-64");
    }
    if number(elf, 0x10, 2)? != 3 {
        return Err("it is not position-independent (relocation-model=pie)");
    }
    let (table, size, count) = (place(elf, 0x20)?, number(elf, 0x36, 2)?, number(elf, 0x38, 2)?);
    if size != 56 || count == 0 {
        return Err("it has no program headers");
    }
    let mut is_program = false;
    for index in 0..usize::try_from(count).unwrap_or_default() {
        let header = elf.get(table..).and_then(|table| table.get(56 * index..)?.get(..56)).ok_or(CUT_OFF)?;
        match number(header, 0, 4)? {
            2 => is_program |= check_dynamic(elf, place(header, 8)?, place(header, 32)?)?,
            3 => return Err("it names an interpreter"),
            _ => {}
        }
    }
    if is_program { Ok(()) } else { Err("it is a library and not a program") }
}

const CUT_OFF: &str = "it is truncated";

/// Checks the dynamic section, with which a position-independent program relocates itself: pairs of a tag and
/// a value. Returns whether the linker marked it as a program (`DF_1_PIE`).
fn check_dynamic(elf: &[u8], at: usize, len: usize) -> Result<bool, &'static str> {
    let section = elf.get(at..).and_then(|rest| rest.get(..len)).ok_or(CUT_OFF)?;
    let mut is_program = false;
    for entry in section.chunks_exact(16) {
        match (number(entry, 0, 8)?, number(entry, 8, 8)?) {
            (0, _) => break,
            (1, _) => return Err("it needs a library"),
            (22, _) => return Err("it has text relocations"),
            (0x6fff_fffb, flags) => is_program = flags & 0x0800_0000 != 0,
            _ => {}
        }
    }
    Ok(is_program)
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> Result<u64, &'static str> {
    let bytes = bytes.get(at..).and_then(|rest| rest.get(..len)).ok_or(CUT_OFF)?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// An offset in the file, or a length.
fn place(bytes: &[u8], at: usize) -> Result<usize, &'static str> {
    usize::try_from(number(bytes, at, 8)?).map_err(|_| CUT_OFF)
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}
