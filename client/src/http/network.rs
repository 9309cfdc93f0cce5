//! The certificates that TLS is checked against, and the proxy.

use super::ClientError;
use std::{env, fs, path::Path, sync::Arc};
use ureq::{
    Proxy,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

/// How a service is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    roots: Option<RootCerts>,
    /// The variable that names the proxy, and the proxy.
    proxy: Option<(String, Proxy)>,
}

impl Network {
    /// The network for the service at `base`, from the environment, with the certificates of `ca_file` if
    /// there is one. [`Client::builder`](super::Client::builder) lists the variables.
    pub(super) fn from_env(base: &str, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let roots = match ca_file {
            Some(path) => {
                let named = |why| ClientError::CaFile { path: path.to_owned(), why };
                Some(file_roots(path).map_err(named)?)
            }
            None if base.starts_with("https://") => system_roots().map_err(ClientError::Environment)?,
            None => None,
        };
        Ok(Self { roots, proxy: proxy_for(base, &variable).map_err(ClientError::Environment)? })
    }

    pub(super) fn proxy(&self) -> Option<Proxy> {
        self.proxy.as_ref().map(|(_, proxy)| proxy.clone())
    }

    pub(super) fn tls(&self) -> TlsConfig {
        let builder = TlsConfig::builder();
        match &self.roots {
            Some(roots) => builder.root_certs(roots.clone()).build(),
            None => builder.build(),
        }
    }

    /// The error, with a hint at a proxy or a wrong scheme.
    pub(super) fn explain(&self, base: &str, error: &ureq::Error) -> String {
        let text = error.to_string();
        // ureq has no error kinds for these cases.
        let hint = match base.starts_with("https://") {
            true if text.contains("InvalidContentType") => {
                "; the answer is not TLS: is it an http:// service?"
            }
            true if text.contains("UnknownIssuer") || text.contains("CaUsedAsEndEntity") => {
                "; the issuer of its certificate is not known: see --cacert and SSL_CERT_FILE"
            }
            false if matches!(error, ureq::Error::Protocol(_)) => {
                "; the answer is not HTTP: is it an https:// service?"
            }
            false if text.contains("disconnected") || text.contains("reset by peer") => {
                "; it closed the connection without an answer: is it an https:// service?"
            }
            _ => "",
        };
        format!("{}{text}{hint}", self.proxy_prefix())
    }

    /// The error for a response that is neither a success nor a problem.
    pub(super) fn without_reason(&self, base: &str, status: u16) -> String {
        let hint = match status {
            // TLS servers answer plain HTTP so.
            400 if base.starts_with("http://") => " (is it an https:// service?)",
            300..400 => " (redirects are not followed: is this the service's own address?)",
            _ => "",
        };
        format!("{}the answer has status {status} and no reason{hint}", self.proxy_prefix())
    }

    fn proxy_prefix(&self) -> String {
        let Some((name, proxy)) = &self.proxy else { return String::new() };
        format!("through the proxy {}:{} ({name}): ", proxy.host(), proxy.port())
    }
}

/// The certificates in a file (PEM).
fn file_roots(path: &Path) -> Result<RootCerts, String> {
    let pem = fs::read(path).map_err(|e| e.to_string())?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(_) => Some(Err("damaged PEM")),
    });
    let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err("no certificate in PEM".into());
    }
    Ok(specific(certificates))
}

/// The system's certificates; `None` if it has none.
fn system_roots() -> Result<Option<RootCerts>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| env::var_os(name).is_some());
        return match named {
            // Set by the caller, so other certificates are not a substitute.
            Some(name) => {
                let why = found.errors.first().map(|e| format!(": {e}")).unwrap_or_default();
                Err(format!("{name} holds no certificates{why}"))
            }
            None => Ok(None),
        };
    }
    let certificates = found.certs.iter().map(|der| Certificate::from_der(der).to_owned());
    Ok(Some(specific(certificates.collect())))
}

fn specific(certificates: Vec<Certificate<'static>>) -> RootCerts {
    RootCerts::Specific(Arc::new(certificates))
}

/// The proxy for `base`, with the name of its variable.
fn proxy_for(
    base: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<(String, Proxy)>, String> {
    let Some((scheme, host)) = scheme_and_host(base) else { return Ok(None) };
    let either = |name: &str| {
        let lower = name.to_lowercase();
        [lower.as_str(), name].into_iter().find_map(|name| Some((name.to_owned(), variable(name)?)))
    };
    let own = if scheme == "https" { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let Some((name, url)) = either(own).or_else(|| either("ALL_PROXY")) else { return Ok(None) };
    let is_excepted = || either("NO_PROXY").is_some_and(|(_, list)| excepts(&list, &host));
    if is_loopback(&host) || is_excepted() {
        return Ok(None);
    }
    let proxy = Proxy::new(&url).map_err(|_| format!("{name} is not the URL of a proxy"))?;
    if !matches!(proxy.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https) {
        return Err(format!("{name} names a SOCKS proxy; only http and https proxies are supported"));
    }
    Ok(Some((name, proxy)))
}

/// Scheme and host, without user, port and IPv6 brackets.
fn scheme_and_host(base: &str) -> Option<(&str, String)> {
    let (scheme, rest) = base.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    Some((scheme, host.trim_end_matches('.').to_lowercase()))
}

fn is_loopback(host: &str) -> bool {
    let is_address = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback());
    is_address || host == "localhost" || host.ends_with(".localhost")
}

/// Whether `NO_PROXY` names the host: `*`, or a list of hosts and domains, as in curl.
fn excepts(list: &str, host: &str) -> bool {
    list.split([',', ' ']).map(|entry| entry.trim().to_lowercase()).any(|entry| {
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        let is_below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        entry == "*" || !domain.is_empty() && (host == domain || is_below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(base: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| Some(variables.iter().find(|(n, _)| *n == name)?.1.to_owned());
        let proxy = proxy_for(base, &variable)?;
        Ok(proxy.map(|(name, proxy)| format!("{name} {}:{}", proxy.host(), proxy.port())))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_loopback_has_none() {
        let all = [("HTTPS_PROXY", "http://u:p@secure:1"), ("http_proxy", "plain:2"), ("ALL_PROXY", "any:3")];
        assert_eq!(chosen("https://keys.example", &all), Ok(Some("HTTPS_PROXY secure:1".into())));
        assert_eq!(chosen("http://keys.example:80/x", &all), Ok(Some("http_proxy plain:2".into())));
        assert_eq!(chosen("http://keys.example", &all[2..]), Ok(Some("ALL_PROXY any:3".into())));
        assert_eq!(chosen("http://keys.example", &all[..1]), Ok(None));
        for loopback in [
            "localhost",
            "LOCALHOST.",
            "a.localhost:8080",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(chosen(&format!("https://{loopback}/"), &all), Ok(None), "{loopback}");
        }
        assert_eq!(chosen("https://127.0.0.1.example", &all).unwrap().unwrap(), "HTTPS_PROXY secure:1");
    }

    #[test]
    fn no_proxy_is_read_as_curl_reads_it() {
        for (list, is_excepted) in [
            ("*", true),
            ("other, .keys.example", true),
            ("example", true),
            ("*.example", true),
            ("KEYS.example", true),
            ("eys.example", false),
            ("", false),
            (",", false),
            ("a.keys.example", false),
        ] {
            assert_eq!(excepts(list, "keys.example"), is_excepted, "{list}");
        }
    }

    #[test]
    fn errors_name_the_variable() {
        let refused = |url: &str| chosen("https://keys.example", &[("HTTPS_PROXY", url)]).unwrap_err();
        assert!(refused("socks5://x:1").contains("HTTPS_PROXY"));
        assert!(refused("ftp://x").contains("HTTPS_PROXY"));
    }
}
