//! Checks of the machine that the enclave's guarantees depend on. They come before anything secret is made.

use crate::{
    config::Development,
    platform::nsm::{DeviceNsm, NsmError, Pcr},
};
use rustix::{
    io::Errno,
    rand::{GetRandomFlags, getrandom},
};
use std::{
    ffi::OsString,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Why the enclave does not start on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PreflightError {
    /// The host passed an argument or a variable, which is not measured.
    #[error("{0} is not part of the measured image")]
    Inherited(String),
    /// The kernel has another command line than the image was built with.
    #[error(
        "the kernel's command line does not begin with the image's: expected {expected:?}, found {found:?}"
    )]
    CommandLine {
        /// The command line that the image was built with.
        expected: String,
        /// The command line that the kernel reports.
        found: String,
    },
    /// The module does not answer.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// The kernel uses another random generator, whose output the host may know.
    #[error("the kernel's random generator is {0}, not the Nitro Secure Module's (nsm-hwrng)")]
    Rng(String),
    /// The kernel's generator was not seeded in time.
    #[error("the kernel's random generator is not ready after {} s", ENTROPY_TIMEOUT.as_secs())]
    Entropy,
    /// The kernel uses another clock source than the hypervisor's clock.
    #[error("the kernel's clock source is {0}, not kvm-clock")]
    ClockSource(String),
    /// PCR0, 1 and 2 are zero: the enclave runs in debug mode, and the host reads its console.
    #[error("PCR0, PCR1 and PCR2 are zero: the enclave is in debug mode, which protects nothing")]
    DebugMode,
    /// A spare register was extended before it was locked, or cannot be locked.
    #[error("PCR{0} is not zero and locked")]
    SparePcr(u16),
}

/// How long the kernel may take to seed its random generator.
const ENTROPY_TIMEOUT: Duration = Duration::from_secs(10);
/// The registers that an enclave can extend. This one never does.
const SPARE_PCRS: std::ops::RangeInclusive<u16> = 16..=31;

/// Properties of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The name of the kernel's random generator.
    pub rng: String,
    /// The name of the kernel's clock source.
    pub clock_source: String,
    /// Whether PCR0, 1 and 2 are all zero.
    pub is_unmeasured: bool,
}

impl Machine {
    /// Reads the properties.
    ///
    /// # Errors
    ///
    /// If the module does not answer.
    pub fn read(nsm: &mut DeviceNsm) -> Result<Self, PreflightError> {
        let mut is_unmeasured = true;
        for index in 0..=2 {
            is_unmeasured &= nsm.pcr(index)?.is_zero();
        }
        let (rng, clock_source) = kernel_sources(Path::new("/sys"));
        Ok(Self { rng, clock_source, is_unmeasured })
    }

    /// Checks the properties. `development` is part of the measured image.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub fn check(self, development: Development) -> Result<(), PreflightError> {
        if self.rng != "nsm-hwrng" {
            return Err(PreflightError::Rng(self.rng));
        }
        if self.clock_source != "kvm-clock" && !development.any_clock_source {
            return Err(PreflightError::ClockSource(self.clock_source));
        }
        if self.is_unmeasured && !development.debug_mode {
            return Err(PreflightError::DebugMode);
        }
        Ok(())
    }
}

/// Checks that PID 1 was started with nothing but what every kernel passes: its own name, `HOME` and `TERM`.
/// A kernel also passes unknown words of its command line, and libraries read the environment.
///
/// # Errors
///
/// The first other argument or variable, by name.
pub fn check_inherited(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), PreflightError> {
    let argument = arguments.into_iter().nth(1).map(|argument| format!("the argument {argument:?}"));
    let is_the_kernels = |(name, _): &(OsString, OsString)| name == "HOME" || name == "TERM";
    let variable = variables.into_iter().find(|variable| !is_the_kernels(variable));
    match argument.or(variable.map(|(name, _)| format!("the variable {name:?}"))) {
        Some(what) => Err(PreflightError::Inherited(what)),
        None => Ok(()),
    }
}

/// Compares the kernel's command line (`/proc/cmdline`) with its expected start, a file of the measured
/// ramdisk: the part that is built into the kernel, and the part that the image was built with.
///
/// PCR0 and PCR1 hash kernel, command line and ramdisk in a row without their lengths, so an image whose
/// command line starts earlier or later has the same measurements. The hypervisor may append words after a
/// space, such as the addresses of its devices.
///
/// # Errors
///
/// [`PreflightError::CommandLine`].
pub fn check_command_line(measured: &str, running: &str) -> Result<(), PreflightError> {
    let running = running.strip_suffix('\n').unwrap_or(running);
    match running.strip_prefix(measured) {
        Some(appended) if !measured.is_empty() && (appended.is_empty() || appended.starts_with(' ')) => {
            Ok(())
        }
        _ => Err(PreflightError::CommandLine { expected: measured.to_owned(), found: running.to_owned() }),
    }
}

/// Waits until the kernel's random generator is seeded. It polls without blocking, because a blocking call
/// makes the kernel seed itself from the processor's jitter instead.
///
/// # Errors
///
/// If that takes more than ten seconds.
pub fn wait_for_entropy() -> Result<(), PreflightError> {
    let until = Instant::now() + ENTROPY_TIMEOUT;
    let mut byte = [0_u8; 1];
    while getrandom(&mut byte, GetRandomFlags::NONBLOCK) == Err(Errno::AGAIN) {
        if Instant::now() > until {
            return Err(PreflightError::Entropy);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Locks the spare registers. Otherwise an attacker inside the enclave could extend them, and so imitate an
/// image for clients that pin them.
///
/// # Errors
///
/// If one was extended, or is not locked afterwards.
pub fn lock_spare_pcrs(nsm: &mut DeviceNsm) -> Result<(), PreflightError> {
    for index in SPARE_PCRS {
        if !nsm.pcr(index)?.locked {
            nsm.lock_pcr(index)?;
        }
        check_spare(index, &nsm.pcr(index)?)?;
    }
    Ok(())
}

fn check_spare(index: u16, pcr: &Pcr) -> Result<(), PreflightError> {
    if pcr.locked && pcr.is_zero() { Ok(()) } else { Err(PreflightError::SparePcr(index)) }
}

/// The names of the random generator and the clock source, read below `sys`.
fn kernel_sources(sys: &Path) -> (String, String) {
    let name = |file: &str| match fs::read_to_string(sys.join(file)) {
        Ok(text) => text.trim().to_owned(),
        Err(e) => format!("unknown ({})", e.kind()),
    };
    (
        name("class/misc/hw_random/rng_current"),
        name("devices/system/clocksource/clocksource0/current_clocksource"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Machine {
        Machine { rng: "nsm-hwrng".into(), clock_source: "kvm-clock".into(), is_unmeasured: false }
    }

    #[test]
    fn rng_clock_source_and_measurements_must_be_right() {
        let strict = Development::default();
        assert_eq!(good().check(strict), Ok(()));
        for rng in ["", "tpm-rng-0", "virtio_rng.0", "none", "nsm-hwrng2"] {
            let found = Machine { rng: rng.into(), ..good() }.check(strict);
            assert_eq!(found, Err(PreflightError::Rng(rng.into())));
        }
        let found = Machine { clock_source: "tsc".into(), ..good() }.check(strict);
        assert_eq!(found, Err(PreflightError::ClockSource("tsc".into())));
        let found = Machine { is_unmeasured: true, ..good() }.check(strict);
        assert_eq!(found, Err(PreflightError::DebugMode));
    }

    #[test]
    fn a_development_flag_drops_its_own_check_and_no_other() {
        let any_clock = Development { any_clock_source: true, ..Default::default() };
        let debug = Development { debug_mode: true, ..Default::default() };
        let emulated = Machine { clock_source: "tsc".into(), ..good() };
        let in_debug = Machine { is_unmeasured: true, ..good() };
        assert_eq!(emulated.clone().check(any_clock), Ok(()));
        assert!(emulated.check(debug).is_err());
        assert_eq!(in_debug.clone().check(debug), Ok(()));
        assert!(in_debug.check(any_clock).is_err());
    }

    #[test]
    fn no_flag_drops_the_check_of_the_random_generator() {
        let all = Development { any_root: true, any_clock_source: true, debug_mode: true };
        let found = Machine { rng: "virtio_rng.0".into(), ..good() }.check(all);
        assert_eq!(found, Err(PreflightError::Rng("virtio_rng.0".into())));
    }

    #[test]
    fn names_are_read_below_sys_and_unknown_if_missing() {
        let sys = tempfile::tempdir().unwrap();
        let (rng, clock) = kernel_sources(sys.path());
        assert!(rng.starts_with("unknown") && clock.starts_with("unknown"));
        for (folder, file, text) in [
            ("class/misc/hw_random", "rng_current", "nsm-hwrng\n"),
            ("devices/system/clocksource/clocksource0", "current_clocksource", "kvm-clock\n"),
        ] {
            fs::create_dir_all(sys.path().join(folder)).unwrap();
            fs::write(sys.path().join(folder).join(file), text).unwrap();
        }
        assert_eq!(kernel_sources(sys.path()), ("nsm-hwrng".into(), "kvm-clock".into()));
    }

    #[test]
    fn a_spare_register_is_locked_and_zero() {
        assert_eq!(check_spare(16, &Pcr { locked: true, value: vec![0; 48] }), Ok(()));
        for bad in [
            Pcr { locked: false, value: vec![0; 48] },
            Pcr { locked: true, value: vec![1; 48] },
            Pcr { locked: true, value: Vec::new() },
        ] {
            assert_eq!(check_spare(31, &bad), Err(PreflightError::SparePcr(31)));
        }
    }

    #[test]
    fn only_what_the_kernel_passes_is_accepted() {
        let check = |arguments: &[&str], variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            check_inherited(arguments.iter().map(OsString::from), variables).map_err(|e| e.to_string())
        };
        assert_eq!(check(&["/init"], &[("HOME", "/"), ("TERM", "linux")]), Ok(()));
        let refused = check(&["/init", "single"], &[]).unwrap_err();
        assert_eq!(refused, "the argument \"single\" is not part of the measured image");
        let refused = check(&["/init"], &[("HOME", "/"), ("GLIBC_TUNABLES", "x")]).unwrap_err();
        assert_eq!(refused, "the variable \"GLIBC_TUNABLES\" is not part of the measured image");
    }

    #[test]
    fn the_command_line_begins_with_the_measured_one() {
        let measured = "console=ttyS0 random.trust_cpu=off";
        for running in ["", "\n", " virtio_mmio.device=4K@0xd0000000:5\n"] {
            assert_eq!(check_command_line(measured, &format!("{measured}{running}")), Ok(()));
        }
        // A later start, an empty one, a byte of the kernel before it, bytes of the ramdisk or a longer word
        // after it.
        for running in [
            "random.trust_cpu=off",
            "",
            "\n",
            "\u{1}console=ttyS0 random.trust_cpu=off",
            "console=ttyS0 random.trust_cpu=off\u{1f}\u{8b}\u{8}",
            "console=ttyS0 random.trust_cpu=offline",
        ] {
            let refused = check_command_line(measured, running).unwrap_err();
            assert!(matches!(refused, PreflightError::CommandLine { .. }), "{running:?}");
        }
        assert!(check_command_line("", "console=ttyS0").is_err(), "an image without one");
    }

    #[test]
    fn a_running_machine_has_entropy() {
        assert_eq!(wait_for_entropy(), Ok(()));
    }
}
