//! A Valkey on loopback without persistence: `SET PX` to issue, `GETDEL` to open, with values of the same
//! bytes.

use crate::{
    clock,
    figures::{self, Effort},
    keys::{Kind, Maker, Outcome},
    lag,
    steady::{self, Issuer, Subject},
};
use ok2cry_protocol::ids::KeyId;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const FAR_MS: u64 = 3_600_000;
/// Commands in flight when commands are pipelined.
pub const DEPTH: usize = 64;
const SCALAR: [u8; 48] = [1; 48];
/// The place of the due time within an id, so that an expiry event shows the lag.
const DUE: std::ops::Range<usize> = 8..16;

/// The folder of Valkey's build. Builds it first, unless `cached`.
pub fn directory(cached: bool) -> Outcome<PathBuf> {
    let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("valkey.sh"));
    if cached {
        script.arg("--cached");
    }
    let output = script.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Bytes per entry, and rates over the wall clock: one connection, two, and one that is pipelined.
pub fn rates(directory: &Path, level: usize, effort: &Effort) -> Outcome<()> {
    let server = Server::start(directory)?;
    let maker = Maker::new(Kind::Synthetic)?;
    let (mut control, value) = (server.connect()?, value(&maker));
    let before = control.info("used_memory")?;
    let ids: Vec<_> = {
        let mut maker = maker.another()?;
        (0..level).map(|_| maker.id()).collect()
    };
    control.pipelined(&ids, DEPTH, |id, to| set(to, id, &value, FAR_MS))?;
    figures::print("bytes", (control.info("used_memory")? - before) / level as f64);

    let ids: Vec<_> = ids.chunks(level.div_ceil(2)).map(<[KeyId]>::to_vec).collect();
    let seconds = effort.rounds as f64 * effort.round_s;
    let mut rounds = Vec::new();
    for ids in ids {
        rounds.push(ValkeyRounds {
            connection: server.connect()?,
            maker: maker.another()?,
            ids,
            next: 0,
            value: &value,
        });
    }
    for (name, connections, depth) in [("1", 1, 1), ("2", 2, 1), ("64", 1, DEPTH)] {
        let rates = thread::scope(|scope| {
            let rounds = rounds.iter_mut().take(connections);
            let rounds: Vec<_> =
                rounds.map(|rounds| scope.spawn(move || rounds.run(depth, seconds))).collect();
            rounds.into_iter().map(steady::join).collect::<Outcome<Vec<_>>>()
        })?;
        figures::print(&format!("issue{name}"), rates.iter().map(|(issue, _)| issue).sum());
        figures::print(&format!("open{name}"), rates.iter().map(|(_, open)| open).sum());
    }
    Ok(())
}

struct ValkeyRounds<'a> {
    connection: Connection,
    maker: Maker,
    ids: Vec<KeyId>,
    next: usize,
    value: &'a [u8],
}

impl ValkeyRounds<'_> {
    /// Issues and opens per second of the wall clock.
    fn run(&mut self, depth: usize, seconds: f64) -> Outcome<(f64, f64)> {
        let batch = self.ids.len().min(4 * DEPTH);
        let (mut issuing, mut opening, mut done) = (0.0, 0.0, 0.0);
        while issuing + opening < seconds {
            let first = self.next.min(self.ids.len() - batch);
            self.next = (first + batch) % self.ids.len();
            let ids = &mut self.ids[first..first + batch];
            let begun = Instant::now();
            self.connection.pipelined(ids, depth, |id, to| command(to, &[b"GETDEL", &id.0]))?;
            opening += begun.elapsed().as_secs_f64();
            ids.iter_mut().for_each(|id| *id = self.maker.id());
            let begun = Instant::now();
            self.connection.pipelined(ids, depth, |id, to| set(to, id, self.value, FAR_MS))?;
            issuing += begun.elapsed().as_secs_f64();
            done += batch as f64;
        }
        Ok((done / issuing, done / opening))
    }
}

/// Holds keys in a Valkey by pipelined commands, and receives all expiry events.
pub struct ValkeySubject {
    server: Server,
    maker: Maker,
    value: Vec<u8>,
    control: Mutex<Connection>,
}

impl ValkeySubject {
    pub fn new(directory: &Path) -> Outcome<Self> {
        let server = Server::start(directory)?;
        let maker = Maker::new(Kind::Synthetic)?;
        let mut control = server.connect()?;
        control.call(&[b"CONFIG", b"SET", b"notify-keyspace-events", b"Ex"])?;
        control.call(&[b"CONFIG", b"SET", b"client-output-buffer-limit", b"pubsub 0 0 0"])?;
        Ok(Self { server, value: value(&maker), maker, control: Mutex::new(control) })
    }
}

impl Subject for ValkeySubject {
    fn issuer(&self) -> Outcome<Issuer<'_>> {
        let (mut maker, mut connection) = (self.maker.another()?, self.server.connect()?);
        let (mut waiting, mut commands) = (0, Vec::new());
        Ok(Box::new(move |due_ms| {
            let (due_us, mut id) = (due_ms * 1000, maker.id());
            id.0[DUE].copy_from_slice(&due_us.to_le_bytes());
            let ttl_ms = due_us.saturating_sub(clock::now_us()).div_ceil(1000).max(1);
            set(&mut commands, &id, &self.value, ttl_ms);
            waiting += 1;
            if waiting == DEPTH {
                connection.exchange(&commands, waiting)?;
                (waiting, _) = (0, commands.clear());
            }
            Ok(())
        }))
    }

    /// Includes keys that are due and not yet erased.
    fn live(&self) -> Outcome<usize> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.call(&[b"DBSIZE"])?;
        Ok(control.number)
    }

    fn filling_us(&self, level: usize) -> u64 {
        500_000 + 10 * level as u64
    }

    /// Valkey erases by itself: this receives its events.
    fn erase(&self, stop: &AtomicBool) {
        if let Err(error) = self.listen(stop) {
            eprintln!("valkey: {error}");
        }
    }

    fn wake(&self) {}
}

impl ValkeySubject {
    fn listen(&self, stop: &AtomicBool) -> Outcome<()> {
        const SILENCE: Duration = Duration::from_millis(200);
        let mut connection = self.server.connect()?;
        connection.stream.write_all(b"SUBSCRIBE __keyevent@0__:expired\r\n")?;
        connection.stream.set_read_timeout(Some(SILENCE))?;
        let (mut bytes, mut have) = (vec![0; 1 << 20], 0);
        while !stop.load(Ordering::SeqCst) {
            have += match connection.stream.read(&mut bytes[have..]) {
                Ok(0) => return Err("the connection ended".into()),
                Ok(more) => more,
                Err(_) => continue,
            };
            // Every event ends with the key: its length, its bytes, a line end.
            let mut rest = &bytes[..have];
            while let Some(at) = find(rest, b"\r\n$24\r\n") {
                let Some(id) = rest.get(at + 7..at + 33) else { break };
                let mut due = [0; 8];
                due.copy_from_slice(&id[DUE]);
                lag::record_due(u64::from_le_bytes(due));
                rest = &rest[at + 33..];
            }
            let left = have - rest.len()..have;
            have = left.len();
            bytes.copy_within(left, 0);
        }
        Ok(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn value(maker: &Maker) -> Vec<u8> {
    [&SCALAR, maker.descriptor()].concat()
}

fn set(to: &mut Vec<u8>, id: &KeyId, value: &[u8], ttl_ms: u64) {
    command(to, &[b"SET", &id.0, value, b"PX", ttl_ms.to_string().as_bytes()]);
}

/// Writes a command in RESP.
fn command(to: &mut Vec<u8>, words: &[&[u8]]) {
    to.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        to.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        to.extend_from_slice(word);
        to.extend_from_slice(b"\r\n");
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(directory: &Path) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(directory.join("valkey-server"))
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .args(["--port", &port.to_string()])
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { process, port };
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(50));
            if server.connect().and_then(|mut connection| connection.call(&[b"PING"])).is_ok() {
                return Ok(server);
            }
        }
        Err("valkey does not answer".into())
    }

    fn connect(&self) -> Outcome<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            replies: BufReader::with_capacity(1 << 16, stream.try_clone()?),
            stream,
            text: Vec::new(),
            number: 0,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Connection {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
    /// The last reply, if it is a string or an integer.
    text: Vec<u8>,
    number: usize,
}

impl Connection {
    /// One command per id, with this many in flight.
    fn pipelined(
        &mut self,
        ids: &[KeyId],
        depth: usize,
        mut write: impl FnMut(&KeyId, &mut Vec<u8>),
    ) -> Outcome<()> {
        let mut commands = Vec::new();
        for ids in ids.chunks(depth) {
            commands.clear();
            ids.iter().for_each(|id| write(id, &mut commands));
            self.exchange(&commands, ids.len())?;
        }
        Ok(())
    }

    fn call(&mut self, words: &[&[u8]]) -> Outcome<()> {
        let mut written = Vec::new();
        command(&mut written, words);
        self.exchange(&written, 1)
    }

    fn exchange(&mut self, commands: &[u8], replies: usize) -> Outcome<()> {
        self.stream.write_all(commands)?;
        (0..replies).try_for_each(|_| self.reply())
    }

    /// Reads a reply of a kind that these commands have. A missing entry is an error.
    fn reply(&mut self) -> Outcome<()> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        match line.trim_end().split_at_checked(1) {
            Some(("+", _)) => Ok(()),
            Some((":", number)) => {
                self.number = number.parse()?;
                Ok(())
            }
            Some(("$", length)) => {
                let length: usize = length.parse().map_err(|_| "an entry is not there")?;
                self.text.resize(length + 2, 0);
                Ok(self.replies.read_exact(&mut self.text)?)
            }
            _ => Err(format!("valkey says {line:?}").into()),
        }
    }

    fn info(&mut self, name: &str) -> Outcome<f64> {
        self.call(&[b"INFO", b"memory"])?;
        let text = String::from_utf8_lossy(&self.text);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or("no such information")?.trim().parse()?)
    }
}
