use super::{Client, network::Network};
use crate::http::DEFAULT_TIMEOUT;
use std::{path::PathBuf, time::Duration};
use ureq::{
    Agent,
    http::{HeaderMap, HeaderName, HeaderValue},
};

/// Configures a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    base: String,
    timeout: Duration,
    headers: Vec<(String, Hidden)>,
    ca_file: Option<PathBuf>,
}

/// A header's value, which may be a credential.
#[derive(Clone)]
struct Hidden(String);

impl core::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("…")
    }
}

/// Why a [`Client`] cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL has another scheme.
    #[error("the URL must begin with http:// or https://")]
    Url,
    /// A header cannot be sent.
    #[error("header {name:?}: {rule}")]
    Header {
        /// Its name.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The file of certificates cannot be used.
    #[error("{}: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A variable of the environment cannot be used; the text names it.
    #[error("{0}")]
    Environment(String),
}

impl ClientBuilder {
    pub(super) fn new(base: &str) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { base, timeout: DEFAULT_TIMEOUT, headers: Vec::new(), ca_file: None }
    }

    /// Sends a header with every call, for example `authorization`.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Hidden(value.into())));
        self
    }

    /// Bounds each call, instead of [`DEFAULT_TIMEOUT`].
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Checks TLS against the certificates in this file (PEM) only, instead of the system's.
    #[must_use]
    pub fn with_ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self { ca_file: Some(path.into()), ..self }
    }

    /// Builds the client. No call is made.
    ///
    /// # Errors
    ///
    /// If the URL, a header, the file of certificates or a variable of the environment cannot be used.
    pub fn build(self) -> Result<Client, ClientError> {
        let client = self.build_with_fault();
        client.fault.clone().map_or(Ok(client), Err)
    }

    /// Builds the client, which keeps the error for its first call.
    pub(super) fn build_with_fault(self) -> Client {
        let (mut network, mut fault) = (Network::default(), None);
        match Network::from_env(&self.base, self.ca_file.as_deref()) {
            Ok(found) => network = found,
            Err(error) => fault = Some(error),
        }
        let headers = headers(&self.headers).unwrap_or_else(|error| {
            fault.get_or_insert(error);
            HeaderMap::new()
        });
        if !["http://", "https://"].iter().any(|scheme| self.base.starts_with(scheme)) {
            fault = Some(ClientError::Url);
        }
        let config = Agent::config_builder()
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(network.proxy())
            .tls_config(network.tls())
            .build();
        let timeout = self.timeout;
        Client { agent: config.into(), base: self.base, network: network.into(), headers, timeout, fault }
    }
}

fn headers(named: &[(String, Hidden)]) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, Hidden(value)) in named {
        let refused = |rule| ClientError::Header { name: name.clone(), rule };
        let key = HeaderName::try_from(name).map_err(|_| refused("the name is not a header's"))?;
        if key == "content-type" {
            return Err(refused("the client sets it"));
        }
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| refused("the value holds characters that headers cannot hold"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_cannot_be_used_is_an_error() {
        let client = |url: &str| Client::builder(url);
        assert_eq!(client("ftp://keys.example").build().unwrap_err(), ClientError::Url);
        for (name, value) in [("a b", "x"), ("x-key", "a\nb"), ("Content-Type", "text/plain")] {
            let refused = client("http://127.0.0.1").with_header(name, value).build().unwrap_err();
            assert!(matches!(refused, ClientError::Header { .. }), "{name}: {refused}");
        }
        let refused = client("https://127.0.0.1").with_ca_file("/nonexistent").build().unwrap_err();
        assert!(refused.to_string().starts_with("/nonexistent: "), "{refused}");
        let error = Client::new("ftp://keys.example").ready().unwrap_err();
        assert_eq!(error.code(), "transport_failed");
    }

    #[test]
    fn debug_output_does_not_hold_header_values() {
        let builder = Client::builder("http://127.0.0.1").with_header("authorization", "Bearer token-17");
        let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
        assert!(shown.contains("authorization") && !shown.contains("token-17"), "{shown}");
    }
}
