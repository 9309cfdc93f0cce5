//! Having a message opened, and reading the reply.
//!
//! A key opens one message, so the order is: all that can be checked, the one call, the reading. A reply that came and
//! cannot be read, or not be printed, is kept for `ok2cry read`.

use crate::{
    Failure, Kept,
    args::{Open, Read, Reading},
    commands::{client, nonce},
    files::{beside, create, read_input, read_private_key},
    output::{print, print_line},
    seen::SeenFile,
    trust::trust,
};
use ok2cry_attest_verify::CheckTime;
use ok2cry_client::{
    Error, Expected, RecipientKey, SealedMessage, SeenSet, Trust,
    answer::{read_opened, read_sealed},
    http::Client,
};
use ok2cry_protocol::{
    descriptor::ReleaseTo,
    http::{OpenResponse, SealedBody},
    ids::Purpose,
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
            let mut reader = Reader::new(key, &command.reading, Some(&service))?;
            reader.check_before(&message, &service)?;
            Some(reader)
        }
        None => None,
    };
    let answer = service.open_unread(&message).map_err(|error| {
        let mut failure = Failure::from(error);
        if failure.code.is_none() {
            failure.message += "; the identical call may be made again: one message, one reply";
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
    let reader = Reader::new(&command.recipient_key, &command.reading, None)?;
    let reply = read_sealed(&read_input(&command.reply)?).map_err(|error| match error {
        Error::Answer(_) => not_a(&command.reply, "a reply, as `ok2cry open` prints it", &error),
        error => error.into(),
    })?;
    reader.read(&reply)
}

/// What an open of a message must answer. Anything else was made up by the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A reply that is sealed to the key's recipient.
    Reply,
    /// The plaintext.
    Plaintext,
}

impl Mode {
    fn of(command: &Open, message: &SealedMessage) -> Result<Self, Failure> {
        let may_release = command.insecure_release_to_caller;
        let mode = match message.release_to() {
            Some(ReleaseTo::Recipient(_)) if may_release => {
                return Err(Failure::unusable(
                    "--insecure-release-to-caller: this message's key delivers to a recipient, and never to the caller",
                ));
            }
            Some(ReleaseTo::Recipient(_)) => Self::Reply,
            Some(ReleaseTo::Caller) => Self::Plaintext,
            None if may_release => Self::Plaintext,
            None => Self::Reply,
        };
        if command.recipient_key.is_none() {
            return match command.reading.is_given() {
                true => {
                    Err(Failure::unusable("--purpose, --aad and --seen are for reading: add --recipient-key"))
                }
                false => Ok(mode),
            };
        }
        match mode {
            Self::Reply => Ok(mode),
            Self::Plaintext => Err(Failure {
                message: "this message's key delivers plaintext to the caller: there is no reply for --recipient-key".into(),
                ..Error::DeliveryMode.into()
            }),
        }
    }
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
            return Err(Failure::unusable("say what the key must have been for: --purpose"));
        };
        let purpose = Purpose::new(purpose).map_err(|e| Failure::unusable(format!("--purpose: {e}")))?;
        let seen = match (&reading.seen, reading.insecure_allow_replays) {
            (Some(path), _) => Some(SeenFile::open(path)?),
            (None, true) => None,
            (None, false) => {
                return Err(Failure::unusable(
                    "say where accepted replies are remembered: --seen FILE (or --insecure-allow-replays)",
                ));
            }
        };
        let named = |e: Error| Failure { message: format!("{}: {e}", key.display()), ..Failure::from(e) };
        let key = RecipientKey::from_pem(&read_private_key(key)?).map_err(named)?;
        Ok(Self { key, trust: trust(&reading.trust, service)?, purpose, aad: reading.aad.as_bytes(), seen })
    }

    /// What would stop the reading, before the key is used up: the message is another's, for another purpose or context, or
    /// was read before; the enclave that answers now is none that is accepted here, or the clock is wrong.
    fn check_before(&mut self, message: &SealedMessage, service: &Client) -> Result<(), Failure> {
        if let Some(descriptor) = &message.descriptor {
            if descriptor.release_to != ReleaseTo::Recipient(*self.key.public_key()) {
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

    /// Reads a reply and prints its plaintext. A plaintext that could not be printed does not count as seen.
    fn read(mut self, body: &SealedBody) -> Result<(), Failure> {
        let expected = Expected { purpose: &self.purpose, aad: self.aad };
        let time = CheckTime::system();
        let Some(seen) = &mut self.seen else {
            let opened = self.key.open(body, &expected, &self.trust, &time, &mut SeenSet::default())?;
            return print(&opened.plaintext);
        };
        let opened = self.key.open(body, &expected, &self.trust, &time, seen);
        if let Some(failure) = seen.failure() {
            return Err(failure);
        }
        let printed = print(&opened?.plaintext);
        if let Err(mut failure) = printed {
            if let Err(other) = seen.forget_last() {
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

/// Keeps an answer that could not be read or printed: in the file that was named, else beside the message; and where that
/// cannot be written, in what is said. Plaintext in place of a reply was made up, and is not kept.
fn keep(failure: Failure, answer: &[u8], command: &Open, message: &SealedMessage) -> Failure {
    let is_reply = read_sealed(answer).is_ok();
    // A message that does not say to whom its key delivers may be the caller's after all.
    let is_made_up = message.descriptor.is_some()
        && matches!(read_sealed(answer), Err(Error::DeliveryMode))
        && failure.code.is_some();
    if is_made_up {
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
        None if is_reply => Some(Kept::Here(String::from_utf8_lossy(answer).into_owned())),
        None => None,
    };
    Failure { kept, ..failure }
}

/// The file, if it holds the answer now: also if it has since an attempt before.
fn kept_in(path: &Path, answer: &[u8]) -> Option<PathBuf> {
    let is_kept = match create(path, answer) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => fs::read(path).is_ok_and(|there| there == answer),
        Err(_) => false,
    };
    is_kept.then(|| path.to_owned())
}

fn not_a(path: &Path, what: &str, error: &Error) -> Failure {
    Failure::unusable(format!("{}: not {what}: {error}", path.display()))
}
