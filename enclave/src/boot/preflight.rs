//! What the machine must be for the enclave's promises to hold. All of it is checked before anything secret is made.

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

/// Why this is no ground for an enclave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroundError {
    /// The host gave this program something that is not measured.
    #[error("{0} comes from outside of what is measured")]
    Inherited(String),
    /// The kernel runs with another command line than the image was built with.
    #[error(
        "the kernel's command line does not begin with the image's: expected {expected:?}, found {found:?}"
    )]
    CommandLine {
        /// What the image was built with.
        expected: String,
        /// What the kernel says it was started with.
        found: String,
    },
    /// The module does not answer.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// The kernel draws its randomness from something else, which the host may know.
    #[error("the kernel's random generator is {0}, not the Nitro Secure Module's (nsm-hwrng)")]
    Rng(String),
    /// The kernel's generator has not been seeded.
    #[error("the kernel's random generator is not ready after {} s", ENTROPY.as_secs())]
    Entropy,
    /// The kernel counts time by something else than the hypervisor's clock.
    #[error("the kernel's clock source is {0}, not kvm-clock")]
    ClockSource(String),
    /// PCR0, 1 and 2 are zero: the enclave runs in debug mode, and the host reads its console.
    #[error("PCR0, PCR1 and PCR2 are zero: this is debug mode, which hides nothing")]
    DebugMode,
    /// A register that no part of the image uses was extended before it was locked, or cannot be locked.
    #[error("PCR{0} is not zero and locked")]
    SparePcr(u16),
}

/// How long the kernel may take to seed its random generator.
const ENTROPY: Duration = Duration::from_secs(10);
/// The registers that an enclave may extend itself. This one never does.
const SPARE_PCRS: std::ops::RangeInclusive<u16> = 16..=31;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Which random generator the kernel draws on.
    pub rng: String,
    /// What the kernel counts time by.
    pub clock_source: String,
    /// Whether PCR0, 1 and 2 are all zero.
    pub measured_nothing: bool,
}

impl Ground {
    /// Looks at the machine.
    ///
    /// # Errors
    ///
    /// If the module does not answer.
    pub fn read(nsm: &mut DeviceNsm) -> Result<Self, GroundError> {
        let mut measured_nothing = true;
        for index in 0..=2 {
            measured_nothing &= nsm.pcr(index)?.is_zero();
        }
        let (rng, clock_source) = kernel_sources(Path::new("/sys"));
        Ok(Self { rng, clock_source, measured_nothing })
    }

    /// Judges what was found. `development` is part of the measured image.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn check(self, development: Development) -> Result<(), GroundError> {
        if self.rng != "nsm-hwrng" {
            return Err(GroundError::Rng(self.rng));
        }
        if self.clock_source != "kvm-clock" && !development.any_clock_source {
            return Err(GroundError::ClockSource(self.clock_source));
        }
        if self.measured_nothing && !development.debug_mode {
            return Err(GroundError::DebugMode);
        }
        Ok(())
    }
}

/// Holds what PID 1 was started with against what a kernel gives it by itself: its own name, `HOME` and `TERM`. What a
/// kernel does not know on its command line it passes on, and libraries listen to the environment.
///
/// # Errors
///
/// The first argument or variable that is none of these, by name.
pub fn check_inherited(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), GroundError> {
    let argument = arguments.into_iter().nth(1).map(|argument| format!("the argument {argument:?}"));
    let is_the_kernels = |(name, _): &(OsString, OsString)| name == "HOME" || name == "TERM";
    let variable = variables.into_iter().find(|variable| !is_the_kernels(variable));
    match argument.or(variable.map(|(name, _)| format!("the variable {name:?}"))) {
        Some(what) => Err(GroundError::Inherited(what)),
        None => Ok(()),
    }
}

/// Compares the kernel's command line (`/proc/cmdline`) with what it must begin with, which lies in the measured ramdisk:
/// what is built into the kernel, and what the image was built with. PCR0 and PCR1 hash kernel, command line and ramdisk one after the other without their lengths, so
/// an image in which the command line begins earlier or later measures the same. What the hypervisor appends, such as
/// the places of its devices, follows after a space and is its own to decide.
///
/// # Errors
///
/// [`GroundError::CommandLine`].
pub fn check_command_line(measured: &str, running: &str) -> Result<(), GroundError> {
    let running = running.strip_suffix('\n').unwrap_or(running);
    match running.strip_prefix(measured) {
        Some(appended) if !measured.is_empty() && (appended.is_empty() || appended.starts_with(' ')) => {
            Ok(())
        }
        _ => Err(GroundError::CommandLine { expected: measured.to_owned(), found: running.to_owned() }),
    }
}

/// Waits until the kernel's random generator is seeded. It asks without blocking: a call that blocks makes the kernel
/// seed itself from the processor's jitter instead.
///
/// # Errors
///
/// If that takes too long.
pub fn wait_for_entropy() -> Result<(), GroundError> {
    let until = Instant::now() + ENTROPY;
    let mut byte = [0_u8; 1];
    while getrandom(&mut byte, GetRandomFlags::NONBLOCK) == Err(Errno::AGAIN) {
        if Instant::now() > until {
            return Err(GroundError::Entropy);
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Locks the registers that nothing here uses, so that nobody who gets in later can make this image look like another
/// one to somebody who pins them.
///
/// # Errors
///
/// If one has been extended, or does not stay locked.
pub fn lock_spare_pcrs(nsm: &mut DeviceNsm) -> Result<(), GroundError> {
    for index in SPARE_PCRS {
        if !nsm.pcr(index)?.locked {
            nsm.lock_pcr(index)?;
        }
        check_spare(index, &nsm.pcr(index)?)?;
    }
    Ok(())
}

fn check_spare(index: u16, pcr: &Pcr) -> Result<(), GroundError> {
    if pcr.locked && pcr.is_zero() { Ok(()) } else { Err(GroundError::SparePcr(index)) }
}

/// The random generator and the clock source, by the names that the kernel shows under `sys`.
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

    fn good() -> Ground {
        Ground { rng: "nsm-hwrng".into(), clock_source: "kvm-clock".into(), measured_nothing: false }
    }

    #[test]
    fn an_enclave_stands_on_the_modules_randomness_the_hypervisors_clock_and_a_measured_image() {
        let strict = Development::default();
        assert_eq!(good().check(strict), Ok(()));
        for rng in ["", "tpm-rng-0", "virtio_rng.0", "none", "nsm-hwrng2"] {
            let found = Ground { rng: rng.into(), ..good() }.check(strict);
            assert_eq!(found, Err(GroundError::Rng(rng.into())));
        }
        let found = Ground { clock_source: "tsc".into(), ..good() }.check(strict);
        assert_eq!(found, Err(GroundError::ClockSource("tsc".into())));
        let found = Ground { measured_nothing: true, ..good() }.check(strict);
        assert_eq!(found, Err(GroundError::DebugMode));
    }

    #[test]
    fn a_development_flag_drops_its_own_check_and_no_other() {
        let any_clock = Development { any_clock_source: true, ..Default::default() };
        let debug = Development { debug_mode: true, ..Default::default() };
        let emulated = Ground { clock_source: "tsc".into(), ..good() };
        let in_debug = Ground { measured_nothing: true, ..good() };
        assert_eq!(emulated.clone().check(any_clock), Ok(()));
        assert!(emulated.check(debug).is_err());
        assert_eq!(in_debug.clone().check(debug), Ok(()));
        assert!(in_debug.check(any_clock).is_err());
    }

    #[test]
    fn no_flag_drops_the_check_of_the_random_generator() {
        let all = Development { any_root: true, any_clock_source: true, debug_mode: true };
        let found = Ground { rng: "virtio_rng.0".into(), ..good() }.check(all);
        assert_eq!(found, Err(GroundError::Rng("virtio_rng.0".into())));
    }

    #[test]
    fn the_kernels_names_are_read_where_it_shows_them_and_are_unknown_elsewhere() {
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
    fn a_spare_register_is_locked_and_was_never_extended() {
        assert_eq!(check_spare(16, &Pcr { locked: true, value: vec![0; 48] }), Ok(()));
        for bad in [
            Pcr { locked: false, value: vec![0; 48] },
            Pcr { locked: true, value: vec![1; 48] },
            Pcr { locked: true, value: Vec::new() },
        ] {
            assert_eq!(check_spare(31, &bad), Err(GroundError::SparePcr(31)));
        }
    }

    #[test]
    fn nothing_is_inherited_but_what_the_kernel_gives() {
        let check = |arguments: &[&str], variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            check_inherited(arguments.iter().map(OsString::from), variables).map_err(|e| e.to_string())
        };
        assert_eq!(check(&["/init"], &[("HOME", "/"), ("TERM", "linux")]), Ok(()));
        let refused = check(&["/init", "single"], &[]).unwrap_err();
        assert_eq!(refused, "the argument \"single\" comes from outside of what is measured");
        let refused = check(&["/init"], &[("HOME", "/"), ("GLIBC_TUNABLES", "x")]).unwrap_err();
        assert_eq!(refused, "the variable \"GLIBC_TUNABLES\" comes from outside of what is measured");
    }

    #[test]
    fn the_command_line_begins_with_the_measured_one() {
        let measured = "console=ttyS0 random.trust_cpu=off";
        for running in ["", "\n", " virtio_mmio.device=4K@0xd0000000:5\n"] {
            assert_eq!(check_command_line(measured, &format!("{measured}{running}")), Ok(()));
        }
        // Its beginning or all of it behind the kernel's bytes, and the kernel's or the ramdisk's bytes in it.
        for running in [
            "random.trust_cpu=off",
            "",
            "\n",
            "\u{1}console=ttyS0 random.trust_cpu=off",
            "console=ttyS0 random.trust_cpu=off\u{1f}\u{8b}\u{8}",
            "console=ttyS0 random.trust_cpu=offline",
        ] {
            let refused = check_command_line(measured, running).unwrap_err();
            assert!(matches!(refused, GroundError::CommandLine { .. }), "{running:?}");
        }
        assert!(check_command_line("", "console=ttyS0").is_err(), "an image without one");
    }

    #[test]
    fn a_machine_that_has_been_up_for_long_has_entropy() {
        assert_eq!(wait_for_entropy(), Ok(()));
    }
}
