//! Variables with our prefix that are not settings.
//!
//! Kubernetes sets variables for every Service, and Docker for every link. They begin with the name of the
//! Service or link, which may be `ok2cry-parent`. They are recognized by the exact form of name and value.
//! Any other variable with our prefix is a setting or an error.

use std::net::{IpAddr, SocketAddr};

/// Recognizes the variables of Services and links in one environment.
pub(super) struct ServiceLinks {
    /// The prefixes of Docker's links, in capitals, each found by its variable `PREFIX_NAME=/container/link`.
    docker_links: Vec<String>,
}

impl ServiceLinks {
    pub(super) fn among(variables: &[(String, String)]) -> Self {
        let name = |(name, value): &(String, String)| {
            let alias = name.strip_suffix("_NAME").filter(|_| is_link_name(value))?;
            Some(alias.to_owned())
        };
        Self { docker_links: variables.iter().filter_map(name).collect() }
    }

    /// Whether this is a variable of a Service or link whose name begins with `prefix`. The prefix is in
    /// capitals and does not end in an underscore.
    pub(super) fn contains(&self, prefix: &str, (name, value): (&str, &str)) -> bool {
        // Each underscore after the prefix may separate the Service's name from the rest.
        let underscores = name.match_indices('_').filter(|(at, _)| *at >= prefix.len());
        let mut parts = underscores.filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)));
        name.starts_with(prefix)
            && parts.any(|(service, rest)| is_name(service) && self.matches(service, rest, value))
    }

    fn matches(&self, service: &str, rest: &str, value: &str) -> bool {
        let is_docker = || self.docker_links.iter().any(|alias| alias == service);
        match rest {
            "SERVICE_HOST" => is_address(value),
            "SERVICE_PORT" => is_port(value),
            "PORT" => is_target(value),
            "NAME" => is_docker(),
            _ => {
                let named_port = rest.strip_prefix("SERVICE_PORT_").is_some_and(is_name);
                let variable = rest.strip_prefix("ENV_").is_some_and(|name| !name.is_empty());
                let port = rest.strip_prefix("PORT_").and_then(|rest| rest.split_once('_'));
                named_port && is_port(value)
                    || variable && is_docker()
                    || port.is_some_and(|(port, rest)| is_port(port) && is_port_variable(rest, value))
            }
        }
    }
}

/// Whether `rest` is what follows `…_PORT_8080_`: a protocol, and a part of the address.
fn is_port_variable(rest: &str, value: &str) -> bool {
    let (protocol, part) = rest.split_once('_').unwrap_or((rest, ""));
    if !["TCP", "UDP", "SCTP"].contains(&protocol) {
        return false;
    }
    match part {
        "" | "START" | "END" => is_target(value),
        "PROTO" => value.eq_ignore_ascii_case(protocol),
        "PORT" | "PORT_START" | "PORT_END" => is_port(value),
        "ADDR" => is_address(value),
        _ => false,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn is_port(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit()) && value.parse::<u16>().is_ok_and(|port| port > 0)
}

/// `tcp://10.0.0.11:8080`.
fn is_target(value: &str) -> bool {
    let Some((protocol, address)) = value.split_once("://") else { return false };
    ["tcp", "udp", "sctp"].contains(&protocol) && address.parse::<SocketAddr>().is_ok()
}

/// `/container/link`.
fn is_link_name(value: &str) -> bool {
    let parts: Vec<_> = value.split('/').collect();
    matches!(parts.as_slice(), ["", container, link] if !container.is_empty() && !link.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(variables: &[(&str, &str)], name: &str, value: &str) -> bool {
        let mut all: Vec<_> = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        all.push((name.to_owned(), value.to_owned()));
        ServiceLinks::among(&all).contains("OK2CRY_PARENT", (name, value))
    }

    #[test]
    fn kubernetes_service_variables_are_recognized() {
        for service in ["OK2CRY_PARENT", "OK2CRY_PARENT_METRICS", "OK2CRY_PARENT_2", "OK2CRY_PARENT_PORT"] {
            for (rest, value) in [
                ("SERVICE_HOST", "10.0.0.11"),
                ("SERVICE_HOST", "fd00::1"),
                ("SERVICE_PORT", "8080"),
                ("SERVICE_PORT_HTTP", "8080"),
                ("SERVICE_PORT_HTTP_2", "8080"),
                ("PORT", "tcp://10.0.0.11:8080"),
                ("PORT", "tcp://[fd00::1]:8080"),
                ("PORT_8080_TCP", "tcp://10.0.0.11:8080"),
                ("PORT_8080_TCP_PROTO", "tcp"),
                ("PORT_8080_TCP_PORT", "8080"),
                ("PORT_8080_TCP_ADDR", "10.0.0.11"),
                ("PORT_53_UDP_ADDR", "10.0.0.11"),
                ("PORT_9_SCTP", "sctp://10.0.0.11:9"),
            ] {
                assert!(contains(&[], &format!("{service}_{rest}"), value), "{service}_{rest}={value}");
            }
        }
    }

    #[test]
    fn docker_link_variables_are_recognized() {
        let link = ("OK2CRY_PARENT_NAME", "/web/ok2cry-parent");
        for (name, value) in [
            link,
            ("OK2CRY_PARENT_ENV_PATH", "/bin"),
            ("OK2CRY_PARENT_ENV_OK2CRY_PARENT_LISTEN", "0.0.0.0:8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_START", "tcp://172.17.0.5:8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_END", "tcp://172.17.0.5:8081"),
            ("OK2CRY_PARENT_PORT_8080_TCP_PORT_START", "8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_PORT_END", "8081"),
        ] {
            assert!(contains(&[link], name, value), "{name}={value}");
        }
        assert!(!contains(&[], "OK2CRY_PARENT_ENV_PATH", "/bin"), "without the link's own name");
        assert!(!contains(&[("OK2CRY_PARENT_NAME", "web")], "OK2CRY_PARENT_ENV_PATH", "/bin"));
    }

    #[test]
    fn other_variables_are_not_recognized() {
        for (name, value) in [
            ("OK2CRY_PARENT_PORT", "8080"),
            ("OK2CRY_PARENT_PORT", "http://10.0.0.11:8080"),
            ("OK2CRY_PARENT_PORT", "tcp://parent:8080"),
            ("OK2CRY_PARENT_PORT", ""),
            ("OK2CRY_PARENT_SERVICE_HOST", "localhost"),
            ("OK2CRY_PARENT_SERVICE_PORT", "http"),
            ("OK2CRY_PARENT_SERVICE_PORT", "0"),
            ("OK2CRY_PARENT_SERVICE_PORT", "70000"),
            ("OK2CRY_PARENT_SERVICE_PORT_", "80"),
            ("OK2CRY_PARENT_SERVICE_PORT_http", "80"),
            ("OK2CRY_PARENT_SERVICE_PORTS", "80"),
            ("OK2CRY_PARENT_PORT_8080_TCP", "8080"),
            ("OK2CRY_PARENT_PORT_8080_TCP_PROTO", "udp"),
            ("OK2CRY_PARENT_PORT_8080_TCP_HOST", "10.0.0.11"),
            ("OK2CRY_PARENT_PORT_8080_HTTP_PORT", "8080"),
            ("OK2CRY_PARENT_PORT_HTTP_TCP_PORT", "8080"),
            ("OK2CRY_PARENT_PORT__TCP_PORT", "8080"),
            ("OK2CRY_PARENT_HOST", "10.0.0.11"),
            ("OK2CRY_PARENT_NAME", "parent"),
            ("OK2CRY_PARENT_NAME", "/parent"),
            ("OK2CRY_PARENT_NAME", "/a/b/c"),
            ("OK2CRY_PARENT_MAX_QUEU", "100"),
            ("OK2CRY_PARENT_max_SERVICE_PORT", "100"),
            ("OK2CRY_PARENTS_SERVICE_PORT", "x"),
        ] {
            assert!(!contains(&[], name, value), "{name}={value}");
        }
    }
}
