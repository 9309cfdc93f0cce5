//! The address to listen on.

use serde::Deserialize;
use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// The address as written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ListenAddress(pub(super) SocketAddr);

/// The text is not an address to listen on.
#[derive(Debug, thiserror::Error)]
#[error(
    "must be an IP address and a port, as in 127.0.0.1:8080 or [::1]:8080 \
     (0.0.0.0:8080 for every interface), or localhost:8080 for 127.0.0.1:8080"
)]
pub(super) struct ListenAddressError;

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        // `localhost` is the same address on every system. Other names need a lookup, and may have several
        // addresses.
        let address = match text.split_once(':') {
            Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
                format!("{}:{port}", Ipv4Addr::LOCALHOST)
            }
            _ => text.to_owned(),
        };
        address.parse().map(Self).map_err(|_| ListenAddressError)
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = ListenAddressError;

    fn try_from(text: String) -> Result<Self, ListenAddressError> {
        text.parse()
    }
}
