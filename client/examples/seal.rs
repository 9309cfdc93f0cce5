//! A sender: gets a key, verifies it, seals a message to it, and prints the sealed message as JSON.
//!
//! ```text
//! seal URL ROOT MEASUREMENTS RECIPIENT PIN
//! ```
//!
//! `ROOT` is the PEM file of the root certificate that attestation documents are checked against, or `aws`
//! for AWS's. `MEASUREMENTS` is a file as `nitro-cli` prints it. `RECIPIENT` is the public key that the
//! example `recipient` prints.

use ok2cry_client::{
    CheckTime, KeyRequest, Message, Trust, TrustAnchor, http::Client, measurements::from_nitro_cli_json,
    recipient_public_key,
};
use std::{env, error::Error, fs, time::Duration};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, root, measurements, recipient, pin] = arguments.as_slice() else {
        return Err("usage: seal URL ROOT MEASUREMENTS RECIPIENT PIN".into());
    };
    let anchor = match root.as_str() {
        "aws" => TrustAnchor::aws_nitro(),
        file => TrustAnchor::from_pem(&fs::read_to_string(file)?)?,
    };
    let trust = Trust::new(anchor, [from_nitro_cli_json(&fs::read_to_string(measurements)?)?])?;
    let client = Client::builder(url).with_timeout(Duration::from_secs(10)).build()?;

    // A key for a card PIN that lives for a minute and delivers to this recipient only.
    let recipient = recipient_public_key(recipient)?;
    let request = KeyRequest::new("card-pin", Duration::from_secs(60), &recipient)?;
    let key = client.issue_one(request, &trust, &CheckTime::system())?;

    let message = Message { plaintext: pin.as_bytes(), aad: b"order 17" };
    let sealed = key.seal(&message, &CheckTime::system())?;
    println!("{}", sealed.encode());
    Ok(())
}
