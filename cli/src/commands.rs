use crate::{
    Failure,
    args::{Attest, OfKey, Recipient, RecipientCommand, Releases, Seal, Service},
    files::{create, read_input, read_private_key, read_text, unusable},
    output::print_line,
    trust::{self, trust},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use ok2cry_client::{
    CheckTime, Error, KeyId, KeyRequest, MAX_AAD, MAX_PLAINTEXT, Message, Nonce, PublicKey, RecipientKey,
    http::{Client, ClientError},
    recipient_public_key,
};
use std::path::Path;

pub(crate) fn recipient(command: &Recipient) -> Result<(), Failure> {
    let (key, file) = match &command.command {
        RecipientCommand::New { file } => {
            let key = RecipientKey::generate()?;
            create(file, key.to_pem()?.as_bytes()).map_err(|e| unusable(file, &e))?;
            (key, file)
        }
        RecipientCommand::Show { file } => {
            let named = |e: Error| Failure { message: format!("{}: {e}", file.display()), ..e.into() };
            (RecipientKey::from_pem(&read_private_key(file)?).map_err(named)?, file)
        }
    };
    let public = Base64UrlUnpadded::encode_string(key.public_key().as_bytes());
    print_line(&public).map_err(|failure| {
        let message = format!(
            "{}; the private key is in {1}, and `ok2cry recipient show {1}` prints its public half",
            failure.message,
            file.display()
        );
        Failure { message, ..failure }
    })
}

pub(crate) fn seal(command: &Seal) -> Result<(), Failure> {
    let service = client(&command.service)?;
    let request = match &command.recipient {
        Some(key) => KeyRequest::new(&command.purpose, command.ttl, &public_key(key)?)?,
        None => KeyRequest::insecure_deliver_to_caller(&command.purpose, command.ttl)?,
    };
    let plaintext = read_input(&command.file)?;
    // Before a key is requested.
    if plaintext.len() > MAX_PLAINTEXT {
        return Err(Error::PlaintextTooLong.into());
    }
    if command.aad.len() > MAX_AAD {
        return Err(Error::AadTooLong.into());
    }
    let trust = trust(&command.trust, Some(&service))?;
    let key = service.issue_one(request, &trust, &CheckTime::system())?;
    let message = Message { plaintext: &plaintext, aad: command.aad.as_bytes() };
    let sealed = key.seal(&message, &CheckTime::system())?;
    print_line(&sealed.encode())
}

pub(crate) fn status(command: &OfKey) -> Result<(), Failure> {
    print_line(client(&command.service)?.state(key_id(&command.key_id)?)?.as_str())
}

pub(crate) fn destroy(command: &OfKey) -> Result<(), Failure> {
    print_line(client(&command.service)?.destroy(key_id(&command.key_id)?)?.as_str())
}

pub(crate) fn attest(command: &Attest) -> Result<(), Failure> {
    let service = client(&command.service)?;
    let trust = trust(&command.trust, Some(&service))?;
    let nonce = nonce()?;
    let body = service.attestation(&nonce)?;
    let batch = trust.verify_statement(&nonce, &body, &CheckTime::system())?;
    let age = CheckTime::system().now_ms.saturating_sub(batch.timestamp_ms());
    print_line(&format!(
        "an accepted enclave answers: instance {}, document made {age} ms ago",
        batch.instance()
    ))
}

pub(crate) fn releases(command: &Releases) -> Result<(), Failure> {
    if command.trust.release_key.is_empty() {
        return Err(Failure::unusable("`releases` requires --release-key FILE"));
    }
    let service = match (&command.url, &command.trust.releases) {
        (Some(url), _) => Some(reach(url, command.cacert.as_deref())?),
        (None, Some(_)) => None,
        (None, None) => {
            return Err(Failure::unusable("`releases` requires --url URL or --releases FILE"));
        }
    };
    let anchor = trust::anchor(&command.trust)?;
    let accepted = trust::releases(&command.trust, &anchor, service.as_ref())?;
    let mut lines = Vec::new();
    for release in accepted.releases() {
        let source = &release.manifest().predicate.source;
        lines.push(format!("accepted {} of {} {}", release.version(), source.repository, source.commit));
    }
    let minutes = accepted.ends_ms().saturating_sub(CheckTime::system().now_ms) / 60_000;
    lines.push(format!("by list {}, for another {minutes} minutes", accepted.list().version));
    print_line(&lines.join("\n"))
}

/// The client for the service.
pub(crate) fn client(service: &Service) -> Result<Client, Failure> {
    reach(&service.url, service.cacert.as_deref())
}

/// 32 random bytes for a statement.
pub(crate) fn nonce() -> Result<Nonce, Failure> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(|_| Failure::unusable("the system has no randomness"))?;
    Ok(Nonce::new(nonce).map_err(Error::Record)?)
}

fn reach(url: &str, cacert: Option<&Path>) -> Result<Client, Failure> {
    let builder = Client::builder(url);
    let builder = match cacert {
        Some(file) => builder.with_ca_file(file),
        None => builder,
    };
    builder.build().map_err(|error| {
        Failure::unusable(match error {
            ClientError::Url => format!("--url {url:?} must begin with http:// or https://"),
            ClientError::CaFile { .. } => format!("--cacert: {error}"),
            error => format!("the service cannot be reached: {error}"),
        })
    })
}

/// A recipient's public key: the argument in one of its forms, or a file that holds one.
fn public_key(argument: &str) -> Result<PublicKey, Failure> {
    let named = |what: &str, e: Error| Failure { code: None, message: format!("{what}: {e}"), kept: None };
    let is_text = argument.trim_start().starts_with(['{', '-']) || argument.trim().len() == KEY_CHARACTERS;
    let path = Path::new(argument);
    if !is_text && path.exists() {
        return recipient_public_key(&read_text(path)?).map_err(|e| named(argument, e));
    }
    recipient_public_key(argument).map_err(|e| {
        named(
            "--recipient must be a public key or a file with one, as `ok2cry recipient show FILE` prints it",
            e,
        )
    })
}

/// The length of a public key as base64url.
const KEY_CHARACTERS: usize = 130;

fn key_id(text: &str) -> Result<KeyId, Failure> {
    KeyId::from_base64url(text).map_err(|_| {
        Failure::unusable(format!("{text:?} is not a key id: expected 32 characters of base64url"))
    })
}
