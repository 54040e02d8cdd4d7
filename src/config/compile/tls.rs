//! TLS with clients, and what sites ask of them.

use super::super::MemoryPlan;
use super::super::file::{Configuration, SiteTls};
use super::bytes;
use crate::base::ids::ClientPolicy;
use crate::listener;
use crate::listener::tls::authorities::Authorities;
use crate::listener::tls::certificate::Files;
use crate::listener::tls::gate::{Asked, ClientCertificates, Told};
use crate::listener::tls::keeper::Named;
use crate::route::Clients;

/// None, if nobody speaks it.
pub(super) fn tls(written: &Configuration, memory: &MemoryPlan) -> Option<listener::tls::Settings> {
    if !written.listeners.iter().any(|listener| listener.tls) {
        return None;
    }
    let certificates = written.certificates.iter().map(|(name, certificate)| Named {
        name: name.clone(),
        // The file's reader took none without either.
        files: Files {
            chain: certificate.chain.clone().unwrap_or_default(),
            key: certificate.key.clone().unwrap_or_default(),
        },
        is_default: written.tls.default_certificate.as_ref() == Some(name),
    });
    let takes_early_data = written.listeners.iter().any(|listener| listener.tls && listener.early_data);
    Some(listener::tls::Settings {
        certificates: certificates.collect(),
        policies: (1..).map(ClientPolicy).zip(policies(written)).collect(),
        minimum: written.tls.minimum_version,
        ticket_keys: written.tls.ticket_keys.clone(),
        early_data_sessions: takes_early_data
            .then(|| written.tls.early_data_sessions.unwrap_or_else(|| bytes(memory.sessions))),
        handshake_timeout: written.tls.handshake_timeout,
        reload_every: written.tls.reload_every,
    })
}

/// What is asked of clients, each once, in the order of the sites.
pub(super) fn policies(written: &Configuration) -> Vec<Asked> {
    let mut policies = Vec::new();
    for asked in written.sites.values().filter_map(|site| asked(&site.tls)) {
        if !policies.contains(&asked) {
            policies.push(asked);
        }
    }
    policies
}

/// What a site asks of its clients, if it asks for anything.
fn asked(tls: &SiteTls) -> Option<Asked> {
    let is_required = match tls.client_certificates {
        ClientCertificates::Off => return None,
        ClientCertificates::Optional => false,
        ClientCertificates::Required => true,
    };
    // The file's reader took none without.
    let ca = tls.client_ca.clone().unwrap_or_default();
    let authorities = Authorities { ca, crl: tls.client_revocations.clone() };
    Some(Asked { is_required, authorities, told: tls.tell_client_certificate })
}

/// The same as its requests are held against it: the first policy is the one that asks for nothing.
pub(super) fn clients(tls: &SiteTls, policies: &[Asked]) -> Clients {
    let Some(asked) = asked(tls) else { return Clients::default() };
    let nth = (1..).zip(policies).find_map(|(nth, policy)| (*policy == asked).then_some(nth));
    Clients {
        policy: nth.map_or(ClientPolicy::NONE, ClientPolicy),
        need_certificate: asked.is_required,
        are_told: asked.told != Told::Off,
    }
}
