//! `ok2cry open` and `ok2cry read`.
//!
//! A key opens one message. So `open` first checks everything that can be checked, then calls the service
//! once, then reads the reply. A reply that cannot be read or printed is kept for `ok2cry read`.

use crate::{
    Failure, Kept,
    args::{Open, Read, Reading},
    commands::{client, nonce},
    files::{beside, create, read_input, read_private_key},
    output::{print, print_line},
    seen::SeenFile,
    trust::trust,
};
use ok2cry_client::{
    CheckTime, DeliverTo, Error, Expected, Purpose, RecipientKey, ReplaySet, SealedMessage, Trust,
    answer::{read_opened, read_sealed},
    http::Client,
    protocol::http::{OpenResponse, SealedBody},
};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

pub(crate) fn open(command: &Open) -> Result<(), Failure> {
    let message = SealedMessage::parse(&read_input(&command.message)?)
        .map_err(|e| not_a(&command.message, "a sealed message, as `ok2cry seal` prints it", &e))?;
    let service = client(&command.service)?;
    let mode = Mode::of(command, &message)?;
    let reader = match &command.recipient_key {
        Some(key) => {
            let mut reader = ReplyReader::new(key, &command.reading, Some(&service))?;
            reader.check_before(&message, &service)?;
            Some(reader)
        }
        None => None,
    };
    let answer = service.open_unread(&message).map_err(|error| {
        let mut failure = Failure::from(error);
        if failure.code.is_none() {
            failure.message += "; the same call can be repeated, and gets the same reply";
        }
        failure
    })?;
    let delivered = match (mode, reader) {
        (Mode::Plaintext, _) => print_plaintext(&answer),
        (Mode::Reply, Some(reader)) => {
            read_sealed(&answer).map_err(Failure::from).and_then(|reply| reader.read(&reply))
        }
        (Mode::Reply, None) => read_sealed(&answer).map_err(Failure::from).and_then(print_reply),
    };
    delivered.map_err(|failure| keep(failure, &answer, command, &message))
}

pub(crate) fn read(command: &Read) -> Result<(), Failure> {
    let reader = ReplyReader::new(&command.recipient_key, &command.reading, None)?;
    let reply = read_sealed(&read_input(&command.reply)?).map_err(|error| match error {
        Error::Answer(_) => not_a(&command.reply, "a reply, as `ok2cry open` prints it", &error),
        error => error.into(),
    })?;
    reader.read(&reply)
}

/// The answer that an open must give. The host forged any other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A reply that is sealed to the key's recipient.
    Reply,
    /// The plaintext.
    Plaintext,
}

impl Mode {
    fn of(command: &Open, message: &SealedMessage) -> Result<Self, Failure> {
        let to_caller = command.insecure_release_to_caller;
        let mode = match message.deliver_to() {
            Some(DeliverTo::Recipient(_)) if to_caller => {
                return Err(Failure::unusable(
                    "--insecure-release-to-caller: the key of this message delivers to a recipient, not to \
                     the caller",
                ));
            }
            Some(DeliverTo::Recipient(_)) => Self::Reply,
            Some(DeliverTo::Caller) => Self::Plaintext,
            None if to_caller => Self::Plaintext,
            None => Self::Reply,
        };
        if command.recipient_key.is_none() {
            return match command.reading.is_given() {
                true => Err(Failure::unusable(
                    "--purpose, --aad, --seen and --insecure-allow-replays require --recipient-key",
                )),
                false => Ok(mode),
            };
        }
        match mode {
            Self::Reply => Ok(mode),
            Self::Plaintext => Err(Failure {
                message:
                    "the key of this message delivers to the caller, so there is no reply for --recipient-key"
                        .into(),
                ..Error::DeliveryMode.into()
            }),
        }
    }
}

/// Checks and reads replies for one recipient.
struct ReplyReader<'a> {
    key: RecipientKey,
    trust: Trust,
    purpose: Purpose,
    aad: &'a [u8],
    seen: Option<SeenFile<'a>>,
}

impl<'a> ReplyReader<'a> {
    fn new(key: &Path, reading: &'a Reading, service: Option<&Client>) -> Result<Self, Failure> {
        let Some(purpose) = &reading.purpose else {
            return Err(Failure::unusable("--purpose is required"));
        };
        let purpose = Purpose::new(purpose).map_err(|e| Failure::unusable(format!("--purpose: {e}")))?;
        let seen = match (&reading.seen, reading.insecure_allow_replays) {
            (Some(path), _) => Some(SeenFile::open(path)?),
            (None, true) => None,
            (None, false) => {
                return Err(Failure::unusable("--seen FILE is required (or --insecure-allow-replays)"));
            }
        };
        let named = |e: Error| Failure { message: format!("{}: {e}", key.display()), ..Failure::from(e) };
        let key = RecipientKey::from_pem(&read_private_key(key)?).map_err(named)?;
        Ok(Self { key, trust: trust(&reading.trust, service)?, purpose, aad: reading.aad.as_bytes(), seen })
    }

    /// Checks what would refuse the reply, before the open uses the key: the recipient, purpose and context
    /// of the message, whether its reply was accepted before, the enclave and the clock.
    fn check_before(&mut self, message: &SealedMessage, service: &Client) -> Result<(), Failure> {
        if let Some(descriptor) = &message.descriptor {
            if descriptor.deliver_to != DeliverTo::Recipient(*self.key.public_key()) {
                return Err(Error::Recipient("message").into());
            }
            if descriptor.purpose != self.purpose {
                return Err(Error::Purpose.into());
            }
        }
        if message.aad != self.aad {
            return Err(Error::Aad.into());
        }
        if let Some(seen) = &mut self.seen
            && seen.has(&message.descriptor_hash)?
        {
            return Err(Error::Replayed.into());
        }
        let nonce = nonce()?;
        let statement = service.attestation(&nonce)?;
        self.trust.verify_statement_for_replies(&nonce, &statement, &CheckTime::system())?;
        Ok(())
    }

    /// Reads a reply and prints its plaintext. If that cannot be printed, the reply is removed from the seen
    /// file.
    fn read(mut self, body: &SealedBody) -> Result<(), Failure> {
        let expected = Expected { purpose: &self.purpose, aad: self.aad };
        let time = CheckTime::system();
        let Some(seen) = &mut self.seen else {
            let opened = self
                .key
                .open(body, &expected, &self.trust, &time, &mut ReplaySet::default())
                .map_err(Error::from)?;
            return print(&opened.plaintext);
        };
        let opened = self.key.open(body, &expected, &self.trust, &time, seen)?;
        if let Err(mut failure) = print(&opened.plaintext) {
            if let Err(other) = seen.remove_last() {
                failure.message += &format!("; {}", other.message);
            }
            return Err(failure);
        }
        Ok(())
    }
}

fn print_reply(reply: SealedBody) -> Result<(), Failure> {
    let json = serde_json::to_string(&OpenResponse::Sealed(reply));
    print_line(&json.map_err(|e| Failure::unusable(e.to_string()))?)
}

fn print_plaintext(answer: &[u8]) -> Result<(), Failure> {
    match read_opened(answer)? {
        OpenResponse::Plaintext(plaintext) => print(&plaintext.0),
        OpenResponse::Sealed(_) => Err(Error::DeliveryMode.into()),
    }
}

/// Keeps an answer that could not be read or printed: in the file of --keep, else beside the message. A reply
/// that cannot be written becomes part of the report. Plaintext in place of a reply is a forgery and not
/// kept.
fn keep(failure: Failure, answer: &[u8], command: &Open, message: &SealedMessage) -> Failure {
    let is_reply = read_sealed(answer).is_ok();
    // Without a descriptor the key may deliver to the caller.
    let is_forged = message.descriptor.is_some()
        && matches!(read_sealed(answer), Err(Error::DeliveryMode))
        && failure.code.is_some();
    if is_forged {
        return failure;
    }
    let path = command.keep.clone().unwrap_or_else(|| match command.message.as_os_str() == "-" {
        true => PathBuf::from(format!("ok2cry-{}.reply", message.key_id.to_base64url())),
        false => beside(&command.message, ".reply"),
    });
    let kept = kept_in(&path, answer)
        .or_else(|| (1..10).find_map(|n| kept_in(&beside(&path, &format!(".{n}")), answer)));
    let kept = match kept {
        Some(path) => Some(Kept::File { name: path.display().to_string(), is_reply }),
        None if is_reply => Some(Kept::Inline(String::from_utf8_lossy(answer).into_owned())),
        None => None,
    };
    Failure { kept, ..failure }
}

/// The path, if the file holds the answer now, also from an earlier attempt.
fn kept_in(path: &Path, answer: &[u8]) -> Option<PathBuf> {
    let is_kept = match create(path, answer) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => fs::read(path).is_ok_and(|there| there == answer),
        Err(_) => false,
    };
    is_kept.then(|| path.to_owned())
}

fn not_a(path: &Path, what: &str, error: &Error) -> Failure {
    Failure::unusable(format!("{}: expected {what}: {error}", path.display()))
}
