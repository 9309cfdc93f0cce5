//! Tests that need a booted image: the kernel's NSM driver, vsock, and crashes of the parts between.
//!
//! The other tests run against a booted image too, if `OK2CRY_TEST_MACHINE` is set. Without it, these print
//! SKIPPED.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests: clippy.toml's list is for #[test]"
)]

use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{KeyRequest, Message, RecipientKey, SealedMessage, Trust, http::Client, measurements};
use ok2cry_mock_nsm::{MockPki, TimeSource};
use ok2cry_protocol::{
    code::Code,
    ids::{KeyId, Nonce},
    rpc::{Answer, Call, KeyState},
};
use ok2cry_testkit::{
    Deployment, Options,
    deployment::{CONFIG, start_parent_at},
    eventually,
    image::{self, Parts},
    machine::{Boot, Machine},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The folder with the emulated machine. Without one, prints SKIPPED.
fn machine() -> Option<PathBuf> {
    let folder = image::machine_folder();
    if folder.is_none() {
        println!("SKIPPED tests of a booted image: {} is not set (make test-image sets it)", image::MACHINE);
    }
    folder
}

fn pki() -> MockPki {
    MockPki::generate(TimeSource::System.now_ms()).unwrap()
}

fn refusal(folder: &Path, parts: &Parts, pki: Option<MockPki>) -> String {
    let image = parts.build(folder).unwrap();
    let boot = Boot { pki, ..Boot::new(image.eif(), self::pki()) };
    let console = Machine::start(folder, &boot).unwrap_err().to_string();
    let mut fatal = console.lines().filter(|line| line.contains("ok2cry: fatal: "));
    let line = fatal.next().unwrap_or_else(|| panic!("no line says why:\n{console}")).to_owned();
    assert_eq!(fatal.next(), None, "more than one line:\n{console}");
    line
}

#[test]
fn twenty_boots_in_a_row_serve_and_each_is_another_enclave() {
    let Some(folder) = machine() else { return };
    let image = Parts::new(&folder, CONFIG).build(&folder).unwrap();
    let mut instances = BTreeSet::new();
    let mut times = Vec::new();
    for _ in 0..20 {
        let machine = Machine::start(&folder, &Boot::new(image.eif(), pki())).unwrap();
        assert_eq!(machine.attempts(), 1, "a boot hung");
        instances.insert(log_key(&machine));
        times.push(machine.took());
    }
    assert_eq!(instances.len(), 20);
    times.sort();
    println!("20 boots to the heartbeat: median {:?}, slowest {:?}", times[10], times[19]);
}

/// The key that identifies one boot of an enclave.
fn log_key(machine: &Machine) -> Vec<u8> {
    let call = Call::Attest(Nonce::new([1; 32]).unwrap());
    let Ok(Answer::Attested(attested)) = machine.stream().unwrap().call(call).unwrap() else {
        panic!("no attestation");
    };
    ok2cry_attest_verify::decode(&attested.document).unwrap().public_key().unwrap().to_vec()
}

#[test]
fn an_image_boots_in_96_mib() {
    let Some(folder) = machine() else { return };
    let config = CONFIG.replace("capacity = 100000", "capacity = 10000");
    let image = Parts::new(&folder, &config).build(&folder).unwrap();
    let boot = Boot { memory_mib: 96, ..Boot::new(image.eif(), pki()) };
    let machine = Machine::start(&folder, &boot).unwrap();
    machine.stream().unwrap().health().unwrap();
}

#[test]
fn measurements_match_the_computed_ones_and_are_locked() {
    if machine().is_none() {
        return;
    }
    let deployment = Deployment::start(Options::default()).unwrap();
    let nonce = Nonce::new([7; 32]).unwrap();
    let statement = deployment.client().attestation(&nonce).unwrap();
    deployment.trust().unwrap().verify_statement(&nonce, &statement, &CheckTime::system()).unwrap();

    let document = ok2cry_attest_verify::decode(&statement.document).unwrap();
    let json = fs::read_to_string(deployment.measurements()).unwrap();
    let computed: serde_json::Value = serde_json::from_str(&json).unwrap();
    for index in 0..=2 {
        let hex = hex(document.pcr(index).unwrap());
        assert_eq!(computed["Measurements"][format!("PCR{index}")], hex, "PCR{index}");
    }
    // A document holds locked registers only.
    for index in 16..=31 {
        assert_eq!(document.pcr(index), Some(&[0; 48]), "PCR{index} is not locked");
    }
}

#[test]
fn an_enclave_does_not_serve_on_a_module_that_does_not_sign() {
    let Some(folder) = machine() else { return };
    let line = refusal(&folder, &Parts::new(&folder, CONFIG), None);
    // Stock QEMU's document has neither an algorithm nor a signature. The clients' decoder refuses it.
    assert!(line.contains("protected header: expected a1013822, which is {1: -35} (ES384)"), "{line}");
}

/// A kernel passes unknown arguments of its command line to PID 1, and what a host appends is not measured.
#[test]
fn an_enclave_with_arguments_from_the_host_does_not_serve() {
    let Some(folder) = machine() else { return };
    let image = Parts::new(&folder, CONFIG).build(&folder).unwrap();
    for (append, what) in
        [("GLIBC_TUNABLES=glibc.malloc.check=1", "variable \"GLIBC_TUNABLES\""), ("single", "\"single\"")]
    {
        let boot = Boot { append: append.to_owned(), ..Boot::new(image.eif(), pki()) };
        let console = Machine::start(&folder, &boot).unwrap_err().to_string();
        assert!(console.contains("ok2cry: fatal: the ") && console.contains(what), "{console}");
    }
}

/// Registers hash kernel and command line as one string. An image whose command line begins later has the
/// same measurements, but its kernel gets fewer arguments.
#[test]
fn an_image_whose_command_line_begins_elsewhere_does_not_serve() {
    let Some(folder) = machine() else { return };
    let genuine = Parts::new(&folder, CONFIG).build(&folder).unwrap();
    let registers = |eif: &Path| {
        let measure = Command::new(folder.join("ok2cry-release")).arg("measure").arg(eif).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&measure.stdout).unwrap();
        ["PCR0", "PCR1", "PCR2"].map(|register| json["Measurements"][register].as_str().unwrap().to_owned())
    };
    let scratch = tempfile::tempdir().unwrap();
    let cmdline = fs::read_to_string(folder.join("cmdline")).unwrap();
    let cmdline = cmdline.trim_end();
    let (first, last) = (cmdline.find(' ').unwrap() + 1, cmdline.rfind(' ').unwrap() + 1);
    for moved in [first, last, cmdline.len()] {
        let mut eif = fs::read(genuine.eif()).unwrap();
        begin_command_line_later(&mut eif, moved);
        let path = scratch.path().join(format!("{moved}.eif"));
        fs::write(&path, eif).unwrap();
        assert_eq!(registers(&path), registers(&genuine.eif()), "with {moved} bytes moved to the kernel");
        // The host appends the console, which the shortened command line may lack.
        let boot = Boot { append: "console=ttyS0".into(), ..Boot::new(path, pki()) };
        let console = Machine::start(&folder, &boot).unwrap_err().to_string();
        assert!(
            console.contains("ok2cry: fatal: the kernel's command line does not begin with"),
            "{console}"
        );
    }
}

/// Moves the first `moved` bytes of the command line (the second section) to the kernel (the first). The
/// layout is in `release/src/eif.rs`.
fn begin_command_line_later(eif: &mut [u8], moved: usize) {
    const OFFSETS: usize = 28;
    const SIZES: usize = 284;
    const CRC: usize = 544;
    let number = |eif: &[u8], at: usize| {
        usize::try_from(u64::from_be_bytes(eif[at..at + 8].try_into().unwrap())).unwrap()
    };
    let put =
        |eif: &mut [u8], at: usize, n: usize| eif[at..at + 8].copy_from_slice(&(n as u64).to_be_bytes());
    let (kernel_at, cmdline_at) = (number(eif, OFFSETS), number(eif, OFFSETS + 8));
    let (kernel_len, cmdline_len) = (number(eif, SIZES), number(eif, SIZES + 8));
    for (at, n) in [
        (OFFSETS + 8, cmdline_at + moved),
        (SIZES, kernel_len + moved),
        (SIZES + 8, cmdline_len - moved),
        // A section's header: type, flags, size.
        (kernel_at + 4, kernel_len + moved),
        (cmdline_at + 4, cmdline_len - moved),
    ] {
        put(eif, at, n);
    }
    // The section's header moves behind the kernel's new end.
    eif[cmdline_at..cmdline_at + 12 + moved].rotate_left(12);
    let crc = crc32(eif[..CRC].iter().chain(&eif[CRC + 4..]));
    eif[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
}

/// CRC-32 as in ISO 3309.
fn crc32<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[test]
fn a_release_image_does_not_serve_on_an_emulator() {
    let Some(folder) = machine() else { return };
    let strict = Parts::new(&folder, CONFIG).without_development();
    let line = refusal(&folder, &strict, Some(pki()));
    assert!(line.contains("kvm-clock"), "{line}");
    // Nor under another root than AWS's, if the clock source is allowed.
    let any_clock =
        Parts { config: format!("{}\n[development]\nany_clock_source = true\n", strict.config), ..strict };
    let line = refusal(&folder, &any_clock, Some(pki()));
    assert!(line.contains("trust anchor"), "{line}");
}

/// One bit of each part changes: the measurements change, they equal the computed ones, and a client that
/// expects the genuine image refuses.
#[test]
fn one_bit_anywhere_in_an_image_makes_it_another_image() {
    let Some(folder) = machine() else { return };
    let genuine = Parts::new(&folder, CONFIG);
    let expected = measured(&folder, &genuine);
    let scratch = tempfile::tempdir().unwrap();
    let pki = pki();
    let trust = trust_in(&folder, &genuine, &pki);
    for (part, other, registers) in with_one_bit_changed(&genuine, scratch.path()) {
        let measured = measured(&folder, &other);
        for index in 0..=2_u8 {
            let name = format!("PCR{index}");
            assert_eq!(measured[&name] != expected[&name], registers.contains(&index), "{part}: {name}");
        }
        let image = other.build(&folder).unwrap();
        let machine = Machine::start(&folder, &Boot::new(image.eif(), pki.clone())).unwrap();
        let (_parent, url) = start_parent_at(&machine.url(), &[], &[]).unwrap();
        let nonce = Nonce::new([9; 32]).unwrap();
        let statement = Client::new(&url).attestation(&nonce).unwrap();
        let refused = trust.verify_statement(&nonce, &statement, &CheckTime::system()).unwrap_err();
        assert_eq!(refused.code(), "pcr_mismatch", "{part}");
        let document = ok2cry_attest_verify::decode(&statement.document).unwrap();
        assert_eq!(
            measured["PCR0"],
            hex(document.pcr(0).unwrap()),
            "{part}: measured and computed values differ"
        );
    }
}

/// The name of a part, `genuine` with one bit of that part changed, and the registers that measure it.
fn with_one_bit_changed(genuine: &Parts, scratch: &Path) -> Vec<(&'static str, Parts, &'static [u8])> {
    let flipped = |part: &Path, find: &dyn Fn(&[u8]) -> usize, mask: u8| {
        let mut bytes = fs::read(part).unwrap();
        let at = find(&bytes);
        bytes[at] ^= mask;
        let path = scratch.join(part.file_name().unwrap());
        fs::write(&path, bytes).unwrap();
        path
    };
    // An unused byte of the boot sector; padding of the ELF identification; -1 and -3 mean the same.
    let cmdline_at = |bytes: &[u8]| bytes.windows(8).position(|w| w == b"panic=-1").unwrap() + 7;
    let kernel = flipped(&genuine.kernel, &|_| 0x40, 1);
    let program = flipped(&genuine.program, &|_| 15, 1);
    let cmdline = flipped(&genuine.cmdline, &cmdline_at, 2);
    let config = genuine.config.replace("capacity = 100000", "capacity = 100001");
    vec![
        ("kernel", Parts { kernel, ..genuine.clone() }, &[0, 1]),
        ("ramdisk", Parts { program, ..genuine.clone() }, &[0, 2]),
        // The second ramdisk has a copy, which PID 1 compares.
        ("command line", Parts { cmdline, ..genuine.clone() }, &[0, 1, 2]),
        ("configuration", Parts { config, ..genuine.clone() }, &[0, 2]),
    ]
}

/// Accepts the image of these parts under this PKI's root.
fn trust_in(folder: &Path, parts: &Parts, pki: &MockPki) -> Trust {
    let json = fs::read_to_string(parts.build(folder).unwrap().measurements()).unwrap();
    let anchor = TrustAnchor::from_pem(&pki.root_pem()).unwrap();
    Trust::new(anchor, [measurements::from_nitro_cli_json(&json).unwrap()]).unwrap()
}

/// PCR8 holds the image's signer, in the document as in the computed measurements.
#[test]
fn a_signed_image_boots_and_its_signer_is_measured() {
    let Some(folder) = machine() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let unsigned = Parts::new(&folder, CONFIG);
    let signed = |name| Parts { signer: Some(signer(scratch.path(), name)), ..unsigned.clone() };
    let (ours, others) = (signed("ours"), signed("others"));
    let [ours_measured, others_measured, unsigned_measured] =
        [&ours, &others, &unsigned].map(|parts| measured(&folder, parts));
    for register in ["PCR0", "PCR1", "PCR2"] {
        assert_eq!(ours_measured[register], unsigned_measured[register]);
    }
    assert_ne!(ours_measured["PCR8"], others_measured["PCR8"]);
    assert_eq!(unsigned_measured.get("PCR8"), None);

    let pki = pki();
    let machine =
        Machine::start(&folder, &Boot::new(ours.build(&folder).unwrap().eif(), pki.clone())).unwrap();
    let (_parent, url) = start_parent_at(&machine.url(), &[], &[]).unwrap();
    let nonce = Nonce::new([9; 32]).unwrap();
    let statement = Client::new(&url).attestation(&nonce).unwrap();
    let document = ok2cry_attest_verify::decode(&statement.document).unwrap();
    assert_eq!(hex(document.pcr(8).unwrap()), ours_measured["PCR8"]);
    let verified = |parts: &Parts| {
        let trust = trust_in(&folder, parts, &pki);
        trust.verify_statement(&nonce, &statement, &CheckTime::system()).map(drop).map_err(|e| e.code())
    };
    assert_eq!(verified(&ours), Ok(()));
    assert_eq!(verified(&others), Err("pcr_mismatch"));
}

/// A signing key and its certificate, made as in AWS's instructions.
fn signer(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (key, certificate) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:secp384r1",
            "-nodes",
            "-sha384",
        ])
        .args(["-days", "2", "-subj", "/O=a test of ok2cry/CN=signer of images"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (key, certificate)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn measured(folder: &Path, parts: &Parts) -> BTreeMap<String, String> {
    let json = fs::read_to_string(parts.build(folder).unwrap().measurements()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let all = json["Measurements"].as_object().unwrap().iter();
    all.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// The process that is killed under load.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Parent,
    Backend,
    Enclave,
}

/// Codes that a client may get meanwhile. Each says what to do next.
const CLEAR: &[&str] = &[
    "transport_failed",
    "enclave_unavailable",
    "enclave_timeout",
    "unknown_key",
    "key_used",
    "busy",
    "nsm_unavailable",
];
/// Longer than the parent's timeout for an enclave.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);

#[test]
fn after_a_kill_errors_are_clear_and_old_keys_are_unknown() {
    if machine().is_none() {
        return;
    }
    let mut deployment = Deployment::start(Options::default()).unwrap();
    for victim in
        [Victim::Enclave, Victim::Backend, Victim::Parent, Victim::Backend, Victim::Enclave, Victim::Parent]
    {
        let recipient = RecipientKey::generate().unwrap();
        let old = deployment.card_pin_key(300_000, &recipient).unwrap();
        let old_id = old.key_id();
        let message =
            old.seal(&Message { plaintext: b"1234", aad: b"order 17" }, &CheckTime::system()).unwrap();
        let after = Duration::from_millis(u64::from(random_byte()) * 2);
        println!("killing the {victim:?} after {after:?}");
        under_load(&mut deployment, &recipient, after, |deployment| match victim {
            Victim::Parent => deployment.kill_parent(),
            Victim::Backend => deployment.machine().unwrap().kill_backend(),
            Victim::Enclave => deployment.machine().unwrap().kill_enclave(),
        });
        match victim {
            Victim::Parent => {
                deployment.restart_parent().unwrap();
                assert_eq!(
                    deployment.open(&message).unwrap().status(),
                    200,
                    "a key does not end with its parent"
                );
            }
            Victim::Backend | Victim::Enclave => {
                deployment.reboot().unwrap();
                knows_nothing_of(&deployment, old_id, &message);
                let new_id = deployment.card_pin_key(300_000, &recipient).unwrap().key_id();
                assert_ne!(new_id.instance(), old_id.instance());
            }
        }
    }
}

fn knows_nothing_of(deployment: &Deployment, key: KeyId, message: &SealedMessage) {
    assert_eq!(deployment.client().state(key).unwrap(), KeyState::Unknown);
    assert_eq!(deployment.open(message).unwrap().refusal().unwrap(), Code::UnknownKey);
}

/// Runs four clients without pause, kills a process meanwhile, and asserts that each call ends in time with a
/// known code.
fn under_load(
    deployment: &mut Deployment,
    recipient: &RecipientKey,
    after: Duration,
    kill: impl FnOnce(&mut Deployment),
) {
    let (url, trust) = (deployment.url().to_owned(), deployment.trust().unwrap());
    let over = AtomicBool::new(false);
    let one_client = || {
        let client = Client::new(&url);
        let mut failures = 0;
        while !over.load(Ordering::Relaxed) || failures == 0 {
            let begun = Instant::now();
            let request =
                KeyRequest::new("card-pin", Duration::from_secs(60), recipient.public_key()).unwrap();
            let ended = client.issue(request, &trust, &CheckTime::system()).and_then(|keys| {
                let key = keys.into_iter().next().unwrap();
                client
                    .open(&key.seal(&Message { plaintext: b"1234", aad: b"" }, &CheckTime::system()).unwrap())
                    .map(|_| ())
            });
            assert!(begun.elapsed() < 2 * CALL_TIMEOUT, "a call took {:?}", begun.elapsed());
            if let Err(error) = ended {
                assert!(CLEAR.contains(&error.code()), "{error}");
                failures += 1;
                thread::sleep(Duration::from_millis(20));
            }
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(one_client)).collect();
        thread::sleep(after);
        kill(deployment);
        over.store(true, Ordering::Relaxed);
        eventually("every client to have its answer", || {
            clients.iter().all(|c| c.is_finished()).then_some(())
        });
    });
}

fn random_byte() -> u8 {
    let mut byte = [0];
    getrandom::fill(&mut byte).unwrap();
    byte[0]
}
