//! Numbers of what is asked of clients of TLS, for the life of the process.
//!
//! A connection carries the number of the policy by which it was let in. Each configuration numbers its own in the order of its
//! sites; what is asked of nobody else must not have the number of what was asked of that connection.

use crate::base::ids::ClientPolicy;
use crate::config::Settings;
use crate::listener::tls::gate::Asked;

/// What was ever asked, in the order in which it came: the first has number 1.
#[derive(Debug, Default)]
pub(super) struct Policies(Vec<Asked>);

impl Policies {
    /// Those of the configuration that a node begins with, which has numbered them so.
    pub(super) fn of(settings: &Settings) -> Self {
        let policies = settings.tls.iter().flat_map(|tls| &tls.policies);
        Self(policies.map(|(_, asked)| asked.clone()).collect())
    }

    /// Numbers those of another configuration: what was asked before has its number, what is new a new one.
    pub(super) fn number(&mut self, settings: &mut Settings) {
        let mut numbers = vec![(ClientPolicy::NONE, ClientPolicy::NONE)];
        for (policy, asked) in settings.tls.iter_mut().flat_map(|tls| &mut tls.policies) {
            let number = self.number_of(asked);
            numbers.push((*policy, number));
            *policy = number;
        }
        for site in &mut settings.sites {
            let policy = &mut site.clients.policy;
            let number = numbers.iter().find_map(|(own, number)| (own == policy).then_some(*number));
            // One that is nobody's lets nobody in.
            *policy = number.unwrap_or(ClientPolicy(u32::MAX));
        }
    }

    fn number_of(&mut self, asked: &Asked) -> ClientPolicy {
        let known = self.0.iter().position(|known| known == asked);
        let place = known.unwrap_or_else(|| {
            self.0.push(asked.clone());
            self.0.len() - 1
        });
        ClientPolicy(u32::try_from(place + 1).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Configuration;
    use crate::config::file::{Listener, Site, SiteTls};
    use crate::listener::tls::gate::ClientCertificates;

    /// Sites that ask for certificates of these authorities.
    fn settings(authorities: &[&str]) -> Settings {
        let listeners = vec![Listener { tls: true, ..Listener::default() }];
        let mut written = Configuration { listeners, ..Configuration::default() };
        for (nth, ca) in authorities.iter().enumerate() {
            let tls = SiteTls {
                client_certificates: ClientCertificates::Required,
                client_ca: Some(ca.into()),
                ..SiteTls::default()
            };
            let site = Site {
                hosts: vec![format!("{nth}.test").parse().expect("a pattern")],
                origins: vec!["http://a".parse().expect("an origin")],
                tls,
                ..Site::default()
            };
            written.sites.insert(nth.to_string(), site);
        }
        Settings::compile(&written).expect("settings")
    }

    fn numbers(settings: &Settings) -> Vec<u32> {
        settings.sites.iter().map(|site| site.clients.policy.0).collect()
    }

    #[test]
    fn a_number_means_the_same_whatever_else_is_asked() {
        let first = settings(&["a.pem", "b.pem", "a.pem"]);
        let mut policies = Policies::of(&first);
        let mut numbered = |authorities: &[&str]| {
            let mut settings = settings(authorities);
            policies.number(&mut settings);
            let gates = settings.tls.as_ref().expect("TLS").policies.iter();
            let gates: Vec<_> =
                gates.map(|(policy, asked)| (policy.0, asked.authorities.ca.clone())).collect();
            (numbers(&settings), gates)
        };
        assert_eq!(numbers(&first), [1, 2, 1]);
        assert_eq!(numbered(&["b.pem"]), (vec![2], vec![(2, "b.pem".into())]));
        let (sites, gates) = numbered(&["c.pem", "b.pem", "a.pem"]);
        assert_eq!(sites, [3, 2, 1]);
        assert_eq!(gates, [(3, "c.pem".into()), (2, "b.pem".into()), (1, "a.pem".into())]);
        assert_eq!(numbered(&["c.pem"]).0, [3]);
        assert_eq!(numbered(&[]).0, [0; 0]);
    }
}
