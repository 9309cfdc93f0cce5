//! How a service is reached: which certificates its TLS is checked against, and through which proxy.

use std::{env, fs, path::Path, sync::Arc};
use ureq::{
    Proxy,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

/// How a service is reached.
#[derive(Clone, Debug)]
pub struct Network {
    roots: Option<RootCerts>,
    proxy: Option<(String, Proxy)>,
    fault: Option<String>,
}

impl Network {
    /// What the environment says for the service at `base`.
    ///
    /// TLS is checked against the system's certificates, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; where a system
    /// has none, against Mozilla's, which are compiled in. A proxy is `HTTPS_PROXY` for `https`, `HTTP_PROXY` for `http`,
    /// `ALL_PROXY` for both (also in lower case), unless `NO_PROXY` names the host. Loopback is never asked for through a
    /// proxy.
    pub fn from_env(base: &str) -> Self {
        let mut network = Self { roots: None, proxy: None, fault: None };
        if base.starts_with("https://") {
            match system_roots() {
                Ok(roots) => network.roots = roots,
                Err(fault) => network.fault = Some(fault),
            }
        }
        match proxy_for(base, &|name| env::var(name).ok().filter(|value| !value.is_empty())) {
            Ok(proxy) => network.proxy = proxy,
            Err(fault) => network.fault = Some(fault),
        }
        network
    }

    /// The same, with TLS checked against the certificates in this file (PEM) and no others.
    ///
    /// # Errors
    ///
    /// A sentence that names the file, if it cannot be read or holds no certificate.
    pub fn cacert(mut self, file: &Path) -> Result<Self, String> {
        let named = |why: &str| format!("{}: {why}", file.display());
        let pem = fs::read(file).map_err(|e| named(&e.to_string()))?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                Ok(_) => None,
                Err(_) => Some(Err(named("damaged PEM"))),
            })
            .collect::<Result<_, _>>()?;
        if certificates.is_empty() {
            return Err(named("no certificate in PEM"));
        }
        self.roots = Some(specific(certificates));
        self.fault = None;
        Ok(self)
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

    /// Why no call can be made.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// What happened, and where to look: at the proxy, or at the scheme.
    pub(super) fn explain(&self, base: &str, error: &ureq::Error) -> String {
        let text = error.to_string();
        // The library below says it in its own words only.
        let hint = match base.starts_with("https://") {
            true if text.contains("InvalidContentType") => {
                "; what answers there is not TLS: does it speak http://?"
            }
            true if text.contains("UnknownIssuer") || text.contains("CaUsedAsEndEntity") => {
                "; its certificate is issued by no authority that is known here: see --cacert and SSL_CERT_FILE"
            }
            false if matches!(error, ureq::Error::Protocol(_)) => {
                "; what answers there is not HTTP: does it speak https://?"
            }
            false if text.contains("disconnected") || text.contains("reset by peer") => {
                "; it closed without an answer: does it speak https://?"
            }
            _ => "",
        };
        format!("{}{text}{hint}", self.by_way_of())
    }

    /// For an answer that is neither a success nor a problem.
    pub(super) fn without_reason(&self, base: &str, status: u16) -> String {
        let hint = match status {
            // What servers of TLS say to plain HTTP.
            400 if base.starts_with("http://") => " (does it speak https://?)",
            300..400 => " (it redirects, which is not followed: is this the service's own address?)",
            _ => "",
        };
        format!("{}it answered {status} without a reason{hint}", self.by_way_of())
    }

    fn by_way_of(&self) -> String {
        let Some((name, proxy)) = &self.proxy else { return String::new() };
        format!("through the proxy {}:{} ({name}): ", proxy.host(), proxy.port())
    }
}

/// The system's certificates; `None` if it has none.
fn system_roots() -> Result<Option<RootCerts>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(|name| env::var_os(name).is_some());
        return match named {
            // Asked for, so nothing else is taken in its place.
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

/// The proxy for `base`, with the name of the variable that says so.
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

/// Scheme and host, without user, port and the brackets of IPv6.
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

/// Whether `NO_PROXY` names the host: `*`, or a list of hosts and domains, as curl reads it.
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
    fn each_scheme_has_its_proxy_and_loopback_none() {
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
    fn hosts_are_excepted_as_curl_does_it() {
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
    fn a_setting_that_cannot_be_used_is_named() {
        let refused = |url: &str| chosen("https://keys.example", &[("HTTPS_PROXY", url)]).unwrap_err();
        assert!(refused("socks5://x:1").contains("HTTPS_PROXY"));
        assert!(refused("ftp://x").contains("HTTPS_PROXY"));
        let file = Network::from_env("http://127.0.0.1").cacert(Path::new("/nonexistent")).unwrap_err();
        assert!(file.contains("/nonexistent"), "{file}");
    }
}
