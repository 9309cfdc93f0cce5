//! The two kinds of work: request keys, and open messages.

use crate::{
    Outcome,
    dialect::{Body, Kept},
    drive::{Phase, Plan, Work, drive},
    link::Link,
    peer::{Asked, Peer, Sealed, seal_all},
};

/// The number of replies that are checked in the end.
const CHECKED: usize = 100;

/// Requests keys. Keeps the first `keep` requests with their responses.
pub fn issue(
    links: &mut [Link],
    peer: &dyn Peer,
    keep: usize,
    plan: &Plan<'_>,
) -> Outcome<(Phase, Vec<Asked>)> {
    let mut issuing = Issuing { peer, keep, asked: Vec::new() };
    let phase = drive(links, &mut issuing, plan)?;
    Ok((phase, issuing.asked))
}

/// Verifies keys and seals to them, untimed; then opens the messages.
pub fn open(links: &mut [Link], peer: &dyn Peer, asked: Vec<Asked>, plan: &Plan<'_>) -> Outcome<Phase> {
    let sealed = seal_all(peer, asked)?;
    let requests = sealed.iter().zip(0..).map(|(sealed, number): (&Sealed, u64)| {
        let mut request = Vec::new();
        peer.write_open(number, sealed, &mut request).map(|()| request)
    });
    let requests = requests.collect::<Outcome<Vec<_>>>()?;
    let every = requests.len().div_ceil(CHECKED).max(1) as u64;
    let mut opening = Opening { requests, every, kept: Vec::new() };
    let phase = drive(links, &mut opening, plan)?;
    if opening.kept.is_empty() {
        return Err("no reply to check".into());
    }
    peer.check(opening.kept)?;
    Ok(phase)
}

struct Issuing<'a> {
    peer: &'a dyn Peer,
    keep: usize,
    asked: Vec<Asked>,
}

impl Work for Issuing<'_> {
    fn request(&mut self, number: u64, to: &mut Vec<u8>) -> Outcome<bool> {
        let request = self.peer.ask(number, to)?;
        if self.asked.len() < self.keep {
            self.asked.push(Asked { request, answer: None });
        }
        Ok(true)
    }

    fn answer(&mut self, number: u64, body: Body<'_>) {
        if let Some(asked) = self.asked.get_mut(number as usize) {
            asked.answer = Some(body.keep());
        }
    }
}

struct Opening {
    requests: Vec<Vec<u8>>,
    /// One of this many replies is kept.
    every: u64,
    kept: Vec<Kept>,
}

impl Work for Opening {
    fn request(&mut self, number: u64, to: &mut Vec<u8>) -> Outcome<bool> {
        let Some(request) = self.requests.get(number as usize) else { return Ok(false) };
        to.extend_from_slice(request);
        Ok(true)
    }

    fn answer(&mut self, number: u64, body: Body<'_>) {
        if number.is_multiple_of(self.every) {
            self.kept.push(body.keep());
        }
    }
}
