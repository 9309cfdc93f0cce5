use crate::{
    Failure,
    args::{Attest, OfKey, Open, Read, Reading, Recipient, RecipientCommand, Releases, Seal, Service},
    message::{MessageFile, read_input, read_text},
    trust::{self, trust},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{Expected, KeyRequest, RecipientKey, Seen, SeenSet, Trust, http::Client, sealed_reply};
use ok2cry_protocol::{
    Hash,
    http::{OpenResponse, SealedBody},
    ids::{KeyId, Nonce, Purpose},
    rpc::KeyState,
    suite::PublicKey,
};
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

pub(crate) fn recipient(command: &Recipient) -> Result<(), Failure> {
    let key = match &command.command {
        RecipientCommand::New { file } => {
            let key = RecipientKey::generate()?;
            let pem = key.to_pem()?;
            let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            let written = opened.and_then(|mut f| f.write_all(pem.as_bytes()));
            written.map_err(|e| unusable(file, &e))?;
            key
        }
        RecipientCommand::Show { file } => RecipientKey::from_pem(&read_text(file)?)?,
    };
    println!("{}", Base64UrlUnpadded::encode_string(key.public_key().as_bytes()));
    Ok(())
}

pub(crate) fn seal(command: &Seal) -> Result<(), Failure> {
    let service = client(&command.service)?;
    let trust = trust(&command.trust, Some(&service))?;
    let request = match &command.recipient {
        Some(key) => KeyRequest::new(&command.purpose, command.ttl, &public_key(key)?)?,
        None => KeyRequest::insecure_release_to_caller(&command.purpose, command.ttl)?,
    };
    let plaintext = read_input(&command.file)?;
    let keys = service.issue(request, &trust, &CheckTime::system())?;
    let key = keys.into_iter().next().ok_or_else(|| Failure::Unusable("no key came".into()))?;
    let sealed = key.seal(&plaintext, command.aad.as_bytes(), &CheckTime::system())?;
    print_json(&MessageFile::new(&sealed))
}

pub(crate) fn open(command: &Open) -> Result<(), Failure> {
    let message: MessageFile = parse_json(&command.message, "a sealed message, as `ok2cry seal` prints it")?;
    let message = message.into_message()?;
    let service = client(&command.service)?;
    // Whatever would stop the reading must be known before the key is used up.
    let reader = match &command.recipient_key {
        Some(path) => Some(Reader::new(path, &command.reading, Some(&service))?),
        None if command.reading.is_given() => {
            return Err(Failure::Unusable(
                "--purpose, --aad and --seen are for reading: add --recipient-key".into(),
            ));
        }
        None => None,
    };
    if reader.as_ref().is_some_and(|reader| reader.aad != message.aad) {
        return Err(ok2cry_client::Error::Aad.into());
    }
    let answer = service.open(&message)?;
    match (answer, reader) {
        (answer, Some(reader)) => reader.read(&sealed_reply(answer)?),
        (OpenResponse::Sealed(body), None) => print_json(&body),
        (OpenResponse::Plaintext(plaintext), None) => print_bytes(&plaintext.0),
    }
}

pub(crate) fn read(command: &Read) -> Result<(), Failure> {
    let reader = Reader::new(&command.recipient_key, &command.reading, None)?;
    reader.read(&parse_json(&command.reply, "a reply, as `ok2cry open` prints it")?)
}

pub(crate) fn status(command: &OfKey) -> Result<(), Failure> {
    print_state(client(&command.service)?.state(key_id(&command.key_id)?)?);
    Ok(())
}

pub(crate) fn destroy(command: &OfKey) -> Result<(), Failure> {
    print_state(client(&command.service)?.destroy(key_id(&command.key_id)?)?);
    Ok(())
}

pub(crate) fn attest(command: &Attest) -> Result<(), Failure> {
    let service = client(&command.service)?;
    let trust = trust(&command.trust, Some(&service))?;
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| Failure::Unusable("no randomness".into()))?;
    let nonce = Nonce::new(nonce).map_err(ok2cry_client::Error::Record)?;
    let body = service.attestation(&nonce)?;
    let batch = trust.verify_statement(&nonce, &body, &CheckTime::system())?;
    let age = CheckTime::system().now_ms.saturating_sub(batch.timestamp_ms());
    println!("an accepted enclave answers: instance {}, document made {age} ms ago", batch.instance());
    Ok(())
}

pub(crate) fn releases(command: &Releases) -> Result<(), Failure> {
    let service = client(&command.service)?;
    if command.trust.release_key.is_empty() {
        return Err(Failure::Unusable("say whose releases: --release-key PEM".into()));
    }
    let anchor = trust::anchor(&command.trust)?;
    let accepted = trust::releases(&command.trust, &anchor, Some(&service))?;
    for release in accepted.releases() {
        let source = &release.manifest().predicate.source;
        println!("accepted {} of {} {}", release.version(), source.repository, source.commit);
    }
    let minutes = accepted.list().expires_at.saturating_sub(CheckTime::system().now_ms) / 60_000;
    println!("by list {}, for another {minutes} minutes", accepted.list().version);
    Ok(())
}

/// Reads replies for one recipient.
struct Reader<'a> {
    key: RecipientKey,
    trust: Trust,
    purpose: Purpose,
    aad: &'a [u8],
    seen: Option<SeenFile<'a>>,
}

impl<'a> Reader<'a> {
    fn new(key: &Path, reading: &'a Reading, service: Option<&Client>) -> Result<Self, Failure> {
        let Some(purpose) = &reading.purpose else {
            return Err(Failure::Unusable("say what the key must have been for: --purpose".into()));
        };
        let seen = match (&reading.seen, reading.insecure_allow_replays) {
            (Some(path), _) => Some(SeenFile::open(path)?),
            (None, true) => None,
            (None, false) => {
                return Err(Failure::Unusable(
                    "say where accepted replies are remembered: --seen FILE (or --insecure-allow-replays)"
                        .into(),
                ));
            }
        };
        Ok(Self {
            key: RecipientKey::from_pem(&read_text(key)?)?,
            trust: trust(&reading.trust, service)?,
            purpose: Purpose::new(purpose).map_err(|e| Failure::Unusable(e.to_string()))?,
            aad: reading.aad.as_bytes(),
            seen,
        })
    }

    fn read(mut self, body: &SealedBody) -> Result<(), Failure> {
        let expected = Expected { purpose: &self.purpose, aad: self.aad };
        let time = CheckTime::system();
        let opened = match &mut self.seen {
            Some(seen) => self.key.open(body, &expected, &self.trust, &time, seen),
            None => self.key.open(body, &expected, &self.trust, &time, &mut SeenSet::default()),
        };
        if let Some(error) = self.seen.and_then(|seen| seen.failed) {
            return Err(Failure::Unusable(error));
        }
        print_bytes(&opened?.plaintext)
    }
}

/// Remembers accepted replies in a file of one hexadecimal hash a line. Never forgets: delete it once no reply of
/// its time is accepted any more.
struct SeenFile<'a> {
    path: &'a Path,
    file: File,
    failed: Option<String>,
}

impl<'a> SeenFile<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
        Ok(Self { path, file: file.map_err(|e| unusable(path, &e))?, failed: None })
    }

    /// Adds `line` unless it is there. Answers whether it is new. The file is locked meanwhile, and the line is on
    /// disk before the answer.
    fn note(&mut self, line: &str) -> Result<bool, String> {
        let failed = |e: std::io::Error| e.to_string();
        self.file.lock().map_err(failed)?;
        let mut known = String::new();
        self.file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.read_to_string(&mut known))
            .map_err(failed)?;
        // A line that was cut off, or two that ran together, would let a reply pass for new.
        let whole = |l: &str| l.len() == 96 && l.bytes().all(|b| b.is_ascii_hexdigit());
        if !(known.is_empty() || known.ends_with('\n')) || !known.lines().all(whole) {
            return Err("is damaged: every line must be 96 hexadecimal digits".into());
        }
        if known.lines().any(|l| l == line) {
            return Ok(false);
        }
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(failed)?;
        self.file.sync_all().map_err(failed)?;
        Ok(true)
    }
}

impl Seen for SeenFile<'_> {
    fn first_time(&mut self, descriptor: &Hash, _forget_at_ms: u64, _now_ms: u64) -> bool {
        let line: String = descriptor.iter().map(|b| format!("{b:02x}")).collect();
        match self.note(&line) {
            Ok(new) => new,
            Err(error) => {
                self.failed = Some(format!("{}: {error}", self.path.display()));
                false
            }
        }
    }
}

fn client(service: &Service) -> Result<Client, Failure> {
    if !["http://", "https://"].iter().any(|scheme| service.url.starts_with(scheme)) {
        return Err(Failure::Unusable(format!(
            "--url {:?} must begin with http:// or https://",
            service.url
        )));
    }
    Ok(Client::new(&service.url))
}

fn public_key(text: &str) -> Result<PublicKey, Failure> {
    let key = Base64UrlUnpadded::decode_vec(text).ok().and_then(|bytes| PublicKey::new(&bytes).ok());
    key.ok_or_else(|| {
        Failure::Unusable(
            "--recipient takes the key itself, 130 characters as `ok2cry recipient show FILE` prints them"
                .into(),
        )
    })
}

fn key_id(text: &str) -> Result<KeyId, Failure> {
    KeyId::from_base64url(text).map_err(|_| {
        Failure::Unusable(format!("{text:?} is no key id: those have 32 characters of base64url"))
    })
}

fn parse_json<T: serde::de::DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    serde_json::from_slice(&read_input(path)?)
        .map_err(|e| Failure::Unusable(format!("{}: not {what}: {e}", path.display())))
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(value).map_err(|e| Failure::Unusable(e.to_string()))?;
    println!("{json}");
    Ok(())
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|e| Failure::Unusable(e.to_string()))
}

fn print_state(state: KeyState) {
    println!("{}", state.as_str());
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Unusable(format!("{}: {error}", path.display()))
}
