//! Requests cosignatures of witnesses ([c2sp.org/tlog-witness](https://c2sp.org/tlog-witness)).

use super::{PublicationFault, Site};
use crate::error::Error;
use base64ct::{Base64, Encoding};
use std::{fmt::Write as _, time::Duration};
use ureq::Agent;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 16;

/// Requests a cosignature of `note`, the checkpoint of all entries of `site`, from the witness at `url` (its
/// submission prefix). Returns its signature lines. `seen` is the size that the witness has presumably
/// cosigned last; the witness corrects it.
///
/// # Errors
///
/// [`PublicationFault::Witness`].
pub fn cosign(url: &str, site: &Site, note: &str, seen: u64) -> Result<String, Error> {
    match ask(url, site, note, seen)? {
        Answer::Cosigned(lines) => Ok(lines),
        Answer::Seen(size) => match ask(url, site, note, size)? {
            Answer::Cosigned(lines) => Ok(lines),
            Answer::Seen(_) => Err(refused(url, format!("it has seen another log of {size} entries"))),
        },
    }
}

enum Answer {
    Cosigned(String),
    /// The size that the witness has cosigned last.
    Seen(u64),
}

fn ask(url: &str, site: &Site, note: &str, seen: u64) -> Result<Answer, Error> {
    let mut body = format!("old {seen}\n");
    let ahead = |_| refused(url, format!("it has seen {seen} entries, which this log does not have"));
    for hash in site.consistency_proof(seen).map_err(ahead)? {
        let _ = writeln!(body, "{}", Base64::encode_string(&hash));
    }
    let _ = write!(body, "\n{note}");

    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .into();
    let transport = |error: ureq::Error| refused(url, error.to_string());
    let address = format!("{}/add-checkpoint", url.trim_end_matches('/'));
    let mut response = agent.post(&address).send(body).map_err(transport)?;
    let status = response.status().as_u16();
    let answer = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(transport)?;
    match status {
        200 if answer.lines().all(|line| line.starts_with("— ")) && answer.ends_with('\n') => {
            Ok(Answer::Cosigned(answer))
        }
        409 => answer
            .trim_end()
            .parse()
            .map(Answer::Seen)
            .map_err(|_| refused(url, "its 409 answer does not hold a size".into())),
        _ => {
            // Foreign text that goes to a terminal: control characters are removed.
            let said: String = answer.trim_end().chars().take(200).filter(|c| !c.is_control()).collect();
            Err(refused(url, format!("it answered {status}: {said}")))
        }
    }
}

fn refused(url: &str, why: String) -> Error {
    PublicationFault::Witness { url: url.to_owned(), why }.into()
}
