//! The enclave as a process of its own, with a clock that the test moves and a command that returns scalars.

use crate::{
    api::server::Listener, config::Config, keys::crypto::CryptoProvider, platform::clock::ManualClock,
    platform::nsm::forged::ForgedNsm, run::Enclave,
};
use ok2cry_protocol::{
    frame::{self, FrameReader},
    ids::KeyId,
    rpc::{Answer, Call, Refusal, Request, ResponseReader},
};
use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::{fs::FileExt as _, net::UnixStream},
    process::{self, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroize as _;

const SOCKET: &str = "OK2CRY_TEST_ENCLAVE_SOCKET";
const PROVIDER: &str = "OK2CRY_TEST_ENCLAVE_PROVIDER";
const ERASURE: &str = "OK2CRY_TEST_ENCLAVE_ERASURE";
/// Scalars leave the process masked, so that its output buffers do not hold them.
const MASK: u8 = 0xa5;

static SWITCHED_OFF: AtomicBool = AtomicBool::new(false);

/// Whether wiping is switched off in this process.
pub(in crate::platform::memory::wipe) fn is_switched_off() -> bool {
    SWITCHED_OFF.load(Ordering::Relaxed)
}

/// An enclave in another process, which is killed when this is dropped.
pub(super) struct Child {
    process: process::Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    stream: UnixStream,
    frames: FrameReader,
    received: ResponseReader,
    _dir: tempfile::TempDir,
}

impl Child {
    pub(super) fn start(provider: CryptoProvider, erasure: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("enclave.sock");
        let mut process = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "platform::memory::wipe::tests::child::main",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(SOCKET, &socket)
            .env(PROVIDER, provider.name())
            .env(ERASURE, erasure.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        // The test harness prints lines before.
        let mut line = String::new();
        while line.trim_end() != "ready" {
            line.clear();
            assert_ne!(answers.read_line(&mut line).unwrap(), 0, "the enclave does not start");
            line = line.rsplit(' ').next().unwrap_or_default().to_owned();
        }
        let stream = UnixStream::connect(&socket).unwrap();
        Self {
            process,
            commands,
            answers,
            stream,
            frames: FrameReader::new(1 << 20),
            received: ResponseReader::default(),
            _dir: dir,
        }
    }

    pub(super) fn call(&mut self, call: Call) -> Result<Answer, Refusal> {
        self.stream.write_all(&frame::encode(&Request { id: 1, call }.encode())).unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            while let Some(body) = self.frames.next_frame().unwrap() {
                if let Some(response) = self.received.read(body).unwrap() {
                    return response.result;
                }
            }
            let n = self.stream.read(&mut buffer).unwrap();
            assert_ne!(n, 0, "the enclave has closed the stream");
            self.frames.push(&buffer[..n]);
        }
    }

    /// The scalar of a live key, 48 bytes big-endian.
    pub(super) fn scalar(&mut self, id: &KeyId) -> [u8; 48] {
        let answer = self.command(&format!("scalar {}", id.to_base64url()));
        let bytes: Vec<_> =
            (0..48).map(|i| u8::from_str_radix(&answer[2 * i..2 * i + 2], 16).unwrap()).collect();
        let bytes: [u8; 48] = bytes.try_into().unwrap();
        bytes.map(|byte| byte ^ MASK)
    }

    /// Moves the clock of the enclave and its module.
    pub(super) fn advance(&mut self, ms: u64) {
        self.command(&format!("advance {ms}"));
    }

    /// Waits until the reaper has erased all keys. No call names a key.
    pub(super) fn until_all_ended(&mut self) {
        let begun = Instant::now();
        loop {
            let Ok(Answer::Health(health)) = self.call(Call::Health) else { panic!("no health") };
            if health.live_keys == 0 {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "keys outlive their deadline");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All memory that the enclave can write to.
    pub(super) fn memory(&mut self) -> Vec<u8> {
        let pid = self.process.id();
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let mut all = Vec::new();
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            if rest.as_bytes()[1] != b'w' {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let from = u64::from_str_radix(from, 16).unwrap();
            let length = usize::try_from(u64::from_str_radix(to, 16).unwrap() - from).unwrap();
            let at = all.len();
            all.resize(at + length, 0);
            memory.read_exact_at(&mut all[at..], from).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        all
    }

    fn command(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The enclave process.
#[test]
#[ignore = "started by the tests that read its memory"]
fn main() {
    let socket = env::var(SOCKET).expect("started by the tests that read its memory");
    SWITCHED_OFF.store(env::var(ERASURE).unwrap() == "false", Ordering::Relaxed);
    let provider = env::var(PROVIDER).unwrap();
    let config = format!(
        "max_ttl_ms = 300000\ncapacity = 1000\ncrypto_provider = \"{provider}\"\n\
         [purposes.card-pin]\n[purposes.caller-demo]\ncaller = true\n"
    );
    let clock = ManualClock::default();
    let nsm = ForgedNsm::new(clock.clone());
    let config = Config::from_toml(&config).unwrap();
    let enclave = Enclave::start_with_clock(config, Box::new(nsm), Arc::new(clock.clone())).unwrap();
    let service = Arc::clone(&enclave.service);
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(socket).unwrap();
            println!("ready");
            enclave.serve(Listener::Unix(listener), std::future::pending()).await;
        });
    });
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        match line.split_once(' ').unwrap() {
            ("advance", ms) => {
                clock.advance(Duration::from_millis(ms.parse().unwrap()));
                println!("done");
            }
            ("scalar", id) => {
                let id = KeyId::from_base64url(id).unwrap();
                let masked = super::super::on_wiped_stack(|| {
                    let mut scalar = service.scalar(id);
                    let masked = scalar.map(|byte| byte ^ MASK);
                    scalar.zeroize();
                    masked
                });
                // The test without wiping must not find the scalar of this command.
                super::super::wipe_stack();
                println!("{}", masked.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            }
            other => panic!("{other:?}"),
        }
    }
}
