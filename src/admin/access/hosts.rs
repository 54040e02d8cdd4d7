//! By which names it is asked. A page of another site whose name was made to point here (DNS rebinding) names that site in
//! `Host`, and cannot do otherwise.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// The names that are ours.
#[derive(Debug)]
pub(super) struct Hosts {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Hosts {
    /// These, beside those of the machine.
    pub(super) fn new(names: &[String]) -> Self {
        let addresses = names.iter().filter_map(|name| address(name)).map(|address| address.to_canonical());
        Self {
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            addresses: addresses.collect(),
        }
    }

    /// Every host that the request names, in whatever way, is ours; it came to the address `local`. A browser always names
    /// one, so one that names none is a tool.
    pub(super) fn are_ours(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> bool {
        let hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
        hosts.chain(uri.authority().map(Authority::as_str)).all(|host| self.is_ours(host, local))
    }

    fn is_ours(&self, host: &str, local: IpAddr) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        if let Some(address) = address(name).map(|address| address.to_canonical()) {
            // No page of another site has an address of ours for its name.
            return address.is_loopback()
                || address == local.to_canonical()
                || self.addresses.contains(&address);
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_it = |ours: &str| name.eq_ignore_ascii_case(ours);
        is_it("localhost") || self.names.iter().any(|ours| is_it(ours))
    }
}

/// The address that a name is, with or without brackets.
fn address(name: &str) -> Option<IpAddr> {
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "192.0.2.7";

    fn is_ours(host: &str) -> bool {
        let hosts = Hosts::new(&["Node-1.example".to_owned()]);
        hosts.is_ours(host, LOCAL.parse().expect("an address"))
    }

    #[test]
    fn only_names_of_this_machine_and_those_that_are_listed_are_ours() {
        for ours in [
            "localhost",
            "LOCALHOST:9090",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:9090",
            "node-1.example",
            "NODE-1.example.:9090",
            "192.0.2.7:9090",
            "[::ffff:192.0.2.7]",
        ] {
            assert!(is_ours(ours), "{ours}");
        }
        for others in [
            "",
            "evil.test",
            "localhost.evil.test:9090",
            "192.0.2.1",
            "127.0.0.1.evil.test",
            "u@localhost",
            "?",
            "node-1.example.evil.test",
            "x.node-1.example",
        ] {
            assert!(!is_ours(others), "{others}");
        }
    }
}
