//! A recipient: makes a key pair, has a sealed message opened, and reads the reply.
//!
//! ```text
//! recipient new FILE
//! recipient open URL ROOT MEASUREMENTS FILE MESSAGE
//! ```
//!
//! `new` writes the private key to `FILE` (PEM) and prints the public key. `open` prints the plaintext of the
//! file `MESSAGE`, which the example `seal` wrote. `ROOT` and `MEASUREMENTS` are as there.

use ok2cry_client::{
    CheckTime, Expected, Purpose, RecipientKey, ReplaySet, SealedMessage, Trust, TrustAnchor, http::Client,
    measurements::from_nitro_cli_json, sealed_reply,
};
use std::{
    env,
    error::Error,
    fs::{self, OpenOptions},
    io::{self, Write as _},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["new", file] => new(file),
        ["open", url, root, measurements, file, message] => {
            let anchor = match *root {
                "aws" => TrustAnchor::aws_nitro(),
                file => TrustAnchor::from_pem(&fs::read_to_string(file)?)?,
            };
            let trust = Trust::new(anchor, [from_nitro_cli_json(&fs::read_to_string(measurements)?)?])?;
            let key = RecipientKey::from_pem(&fs::read_to_string(file)?)?;
            open(&Client::builder(url).build()?, &trust, &key, &SealedMessage::parse(&fs::read(message)?)?)
        }
        _ => Err("usage: recipient new FILE | open URL ROOT MEASUREMENTS FILE MESSAGE".into()),
    }
}

fn new(file: &str) -> Result<(), Box<dyn Error>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let key = RecipientKey::generate()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(key.to_pem()?.as_bytes())?;
    println!("{}", key.public_key().to_pem());
    Ok(())
}

fn open(
    client: &Client,
    trust: &Trust,
    key: &RecipientKey,
    message: &SealedMessage,
) -> Result<(), Box<dyn Error>> {
    let reply = sealed_reply(client.open(message)?)?;
    let expected = Expected { purpose: &Purpose::new("card-pin")?, aad: b"order 17" };
    // A recipient whose effects outlive the process implements `ReplayGuard` over its own storage.
    let mut guard = ReplaySet::default();
    let opened = key.open(&reply, &expected, trust, &CheckTime::system(), &mut guard)?;
    io::stdout().write_all(&opened.plaintext)?;
    Ok(())
}
