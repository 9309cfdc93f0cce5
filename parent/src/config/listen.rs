//! The address to listen on.

use serde::Deserialize;
use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// Where to listen, as it is written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Listen(pub(super) SocketAddr);

/// A text is not where one can listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080 (0.0.0.0:8080 for every interface), \
     or localhost:8080 for 127.0.0.1:8080"
)]
pub(super) struct ListenError;

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        // A name of one address everywhere; others would have to be looked up, and may be several.
        let address = match text.split_once(':') {
            Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
                format!("{}:{port}", Ipv4Addr::LOCALHOST)
            }
            _ => text.to_owned(),
        };
        address.parse().map(Self).map_err(|_| ListenError)
    }
}

impl TryFrom<String> for Listen {
    type Error = ListenError;

    fn try_from(text: String) -> Result<Self, ListenError> {
        text.parse()
    }
}
