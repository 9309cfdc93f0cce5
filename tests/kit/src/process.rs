//! One program: found, started, read and ended.

use crate::{HarnessError, wait::DEADLINE};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Output {
    /// stdout and stderr.
    text: Mutex<[Vec<u8>; 2]>,
    grown: Condvar,
}

const STDOUT: usize = 0;
const STDERR: usize = 1;

impl Process {
    /// Starts the program `name` of this workspace with `args`. It inherits this process's environment
    /// without `RUST_LOG` and `OK2CRY_…`, and gets `variables`.
    ///
    /// # Errors
    ///
    /// If the program is missing beside this one, or older than its sources.
    pub fn start(
        name: &'static str,
        args: &[String],
        variables: &[(String, String)],
    ) -> Result<Self, HarnessError> {
        Self::start_at(name, &program(name)?, args, variables)
    }

    /// The same for a program at `path`, from outside the workspace.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_at(
        name: &'static str,
        path: &Path,
        args: &[String],
        variables: &[(String, String)],
    ) -> Result<Self, HarnessError> {
        let ours = env::vars_os().map(|(name, _)| name);
        let configures = ours.filter(|n| n == "RUST_LOG" || n.to_string_lossy().starts_with("OK2CRY_"));
        let mut command = Command::new(path);
        configures.for_each(|variable| {
            command.env_remove(variable);
        });
        command.args(args).envs(variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|e| HarnessError::new(format!("{name} does not start: {e}")))?;
        let output = Arc::<Output>::default();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(collect(stdout, STDOUT, &output));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(collect(stderr, STDERR, &output));
        }
        Ok(Self { name, child, output, readers })
    }

    /// Waits for the program's line `listening on ADDRESS` on stdout, and returns the address.
    ///
    /// # Errors
    ///
    /// What the program wrote to stderr, if it ended or took too long.
    pub fn listening_on(&mut self) -> Result<String, HarnessError> {
        const LINE: &str = "listening on ";
        let until = Instant::now() + DEADLINE;
        loop {
            // Before the output is read: if the program has ended, the output is complete.
            let ended = self.child.try_wait().ok().flatten();
            let stdout = self.stdout();
            let whole_lines = stdout.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some(address) = whole_lines.lines().find_map(|line| line.strip_prefix(LINE)) {
                return Ok(address.to_owned());
            }
            if let Some(status) = ended {
                self.join_readers();
                return Err(self.failure(&format!("ended with {status} before it listened")));
            }
            if Instant::now() > until {
                return Err(self.failure("does not listen in time"));
            }
            let text = self.output.lock();
            let waited = self.output.grown.wait_timeout(text, Duration::from_millis(20));
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the program ends by itself.
    ///
    /// # Errors
    ///
    /// If it does not end within [`DEADLINE`].
    pub fn wait(&mut self) -> Result<ExitStatus, HarnessError> {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.join_readers();
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(self.failure("does not end in time"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the program, and waits until it has ended and its output is read.
    pub fn kill(&mut self) {
        // It fails only if the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_readers();
    }

    /// What the program has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.text(STDOUT)
    }

    /// What the program has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.text(STDERR)
    }

    fn text(&self, stream: usize) -> String {
        self.output
            .lock()
            .get(stream)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default()
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            // A reader does not panic.
            let _ = reader.join();
        }
    }

    fn failure(&self, what: &str) -> HarnessError {
        HarnessError::new(format!("{} {what}; its stderr:\n{}", self.name, self.stderr()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, [Vec<u8>; 2]> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn collect(from: impl Read + Send + 'static, stream: usize, output: &Arc<Output>) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            // End of file, or an unreadable stream: no more output.
            if from.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(text) = output.lock().get_mut(stream) {
                text.extend_from_slice(&line);
            }
            output.grown.notify_all();
        }
    })
}

/// The path of the workspace's program `name`, in cargo's output folder.
///
/// # Errors
///
/// If the program is missing, or older than its sources.
pub fn program(name: &str) -> Result<PathBuf, HarnessError> {
    const BUILD: &str = "build them first: cargo build --workspace --bins";
    let path = program_folder()?.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    if !path.is_file() {
        return Err(HarnessError::new(format!("{} is missing; {BUILD}", path.display())));
    }
    match newer_source(&path) {
        Some(source) => {
            let (path, source) = (path.display(), source.display());
            Err(HarnessError::new(format!("{path} is older than {source}; {BUILD}")))
        }
        None => Ok(path),
    }
}

/// Cargo's output folder: this program's own, or the one above it for a test.
pub(crate) fn program_folder() -> Result<PathBuf, HarnessError> {
    let own = env::current_exe().map_err(|e| HarnessError::new(format!("this program's path: {e}")))?;
    let folder = own.parent().filter(|p| !p.ends_with("deps")).or_else(|| own.parent()?.parent());
    Ok(folder.unwrap_or(Path::new(".")).to_owned())
}

/// A source that is newer than `program`, by the dependency list that cargo writes beside it.
fn newer_source(program: &Path) -> Option<PathBuf> {
    let made = fs::metadata(program).ok()?.modified().ok()?;
    let list = fs::read_to_string(program.with_extension("d")).ok()?;
    let (_, sources) = list.split_once(": ")?;
    // Cargo writes a space inside a path as "\ ".
    let sources = sources.trim_end().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|source| PathBuf::from(source.replace('\0', " ")));
    sources.find(|source| fs::metadata(source).and_then(|m| m.modified()).is_ok_and(|changed| changed > made))
}
