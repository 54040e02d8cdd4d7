//! Certificates, and the listeners that show them.

use std::sync::Arc;

use super::super::kinds::HostPattern;
use super::super::near::nearest;
use super::super::reader::Reader;
use super::super::tables::{Configuration, SiteTls};
use crate::config::MemoryPlan;
use crate::listener::tls::authorities::Authorities;
use crate::listener::tls::certificate::{CertificateName, Files};
use crate::listener::tls::gate::{ClientCertificates, Told};
use crate::listener::tls::keeper::Named;
use crate::listener::tls::provider;
use crate::listener::tls::tickets::TicketKey;

/// How many times as many sessions may be remembered as are where nothing is said.
const MOST_SESSIONS: u64 = 4;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    let mut known = Vec::new();
    for (name, certificate) in &configuration.certificates {
        let path = format!("certificates.{name}");
        let (chain, key) = (format!("{path}.chain"), format!("{path}.key"));
        if !reader.is_sound(&chain) || !reader.is_sound(&key) {
            continue;
        }
        match (&certificate.chain, &certificate.key) {
            (Some(chain_file), Some(key_file)) => {
                let named = Named {
                    name: name.clone(),
                    files: Files { chain: chain_file.clone(), key: key_file.clone() },
                    is_default: configuration.tls.default_certificate.as_ref() == Some(name),
                };
                match named.read(&provider()) {
                    Ok(certificate) => known.extend(certificate.names),
                    Err(error) => {
                        let at = if error.is_of_key() { &key } else { &chain };
                        reader.object(at, error.to_string(), None);
                    }
                }
            }
            (None, _) => lacks(&path, name, "chain", reader),
            (_, None) => lacks(&path, name, "key", reader),
        }
    }
    listeners(configuration, reader);
    default(configuration, reader);
    let by_tls = configuration.listeners.iter().any(|listener| listener.tls);
    if reader.is_sound("listeners") && !by_tls {
        without_listener(configuration, reader);
    } else if by_tls && configuration.tls.default_certificate.is_none() && reader.is_sound("certificates") {
        hosts_without(configuration, &known, reader);
    }
    clients(configuration, reader);
    ticket_keys(configuration, reader);
    early_data(configuration, reader);
    for (name, site) in &configuration.sites {
        if site.tls.strict_below && site.tls.strict.is_none() {
            let message = "strict_below says more of strict, which is off";
            reader.doubt(&format!("sites.{name}.tls.strict_below"), message.to_owned(), None);
        }
    }
}

/// Things of TLS that nobody speaks.
fn without_listener(configuration: &Configuration, reader: &mut Reader) {
    let hint = || Some("a listener says tls = true to speak it".to_owned());
    if !configuration.tls.ticket_keys.is_empty() {
        let message = "no listener gives out tickets".to_owned();
        reader.doubt("tls.ticket_keys", message, hint());
    }
    for name in configuration.certificates.keys() {
        let message = format!("no listener shows the certificate {name:?}");
        reader.doubt(&format!("certificates.{name}"), message, hint());
    }
    for (name, site) in &configuration.sites {
        if site.tls.client_certificates != ClientCertificates::Off {
            let message = "clients are asked for certificates by TLS, which no listener speaks".to_owned();
            reader.doubt(&format!("sites.{name}.tls.client_certificates"), message, hint());
        }
        if site.tls.redirect.is_some() {
            let message = "clients are sent to TLS, which no listener speaks".to_owned();
            reader.doubt(&format!("sites.{name}.tls.redirect"), message, hint());
        }
    }
}

/// Hosts of sites for which nothing can be shown.
fn hosts_without(configuration: &Configuration, known: &[CertificateName], reader: &mut Reader) {
    for (name, site) in &configuration.sites {
        for (nth, host) in site.hosts.iter().enumerate() {
            let covered = match host {
                HostPattern::Exact(host) => {
                    let below = host.split_once('.').map(|(_, domain)| domain);
                    known.iter().any(|known| match known {
                        CertificateName::Host(known) => **known == **host,
                        CertificateName::Below(known) => Some(&**known) == below,
                    })
                }
                HostPattern::Below(domain) => known
                    .iter()
                    .any(|known| matches!(known, CertificateName::Below(known) if **known == **domain)),
                HostPattern::Any => true,
            };
            if !covered {
                let message = format!("no certificate is for the host {host}: by TLS it is refused");
                let hint = "tls.default_certificate names one that is shown all the same".to_owned();
                reader.doubt(&format!("sites.{name}.hosts[{nth}]"), message, Some(hint));
            }
        }
    }
}

/// What sites ask of their clients.
fn clients(configuration: &Configuration, reader: &mut Reader) {
    for (name, site) in &configuration.sites {
        let path = format!("sites.{name}.tls");
        let keys = ["client_certificates", "client_ca", "client_revocations", "tell_client_certificate"];
        if keys.iter().all(|key| reader.is_sound(&format!("{path}.{key}"))) {
            clients_of_site(&path, &site.tls, reader);
        }
    }
}

fn clients_of_site(path: &str, tls: &SiteTls, reader: &mut Reader) {
    let key = |name: &str| format!("{path}.{name}");
    let (asks, ca) = (key("client_certificates"), key("client_ca"));
    let (revocations, tell) = (key("client_revocations"), key("tell_client_certificate"));
    if tls.client_certificates == ClientCertificates::Off {
        let without_effect = [
            (&ca, tls.client_ca.is_some()),
            (&revocations, tls.client_revocations.is_some()),
            (&tell, tls.tell_client_certificate != Told::Off),
        ];
        for (key, _) in without_effect.iter().filter(|(_, is_given)| *is_given) {
            let message = "it has no effect: clients are not asked for certificates".to_owned();
            reader.doubt(key, message, Some("client_certificates = \"required\" asks them".to_owned()));
        }
        return;
    }
    let Some(authorities) = &tls.client_ca else {
        let hint = "such as client_ca = \"/etc/forebay/clients.ca.pem\"".to_owned();
        let message = "clients are asked for certificates, and nobody's word counts: there is no client_ca";
        return reader.object(&asks, message, Some(hint));
    };
    let authorities = Authorities { ca: authorities.clone(), crl: tls.client_revocations.clone() };
    let is_required = tls.client_certificates == ClientCertificates::Required;
    if let Err(error) = authorities.verifier(is_required, &Arc::new(provider())) {
        let at = if error.is_of_lists() { &revocations } else { &ca };
        reader.object(at, error.to_string(), None);
    }
    if !is_required && tls.tell_client_certificate == Told::Off {
        let message =
            "it has no effect: clients without a certificate are let in, and nobody is told who has one";
        let hint = "tell_client_certificate = \"certificate\" tells the origin".to_owned();
        reader.doubt(&asks, message.to_owned(), Some(hint));
    }
}

/// Keys of tickets that are none.
fn ticket_keys(configuration: &Configuration, reader: &mut Reader) {
    if !reader.is_sound("tls.ticket_keys") {
        return;
    }
    for (nth, file) in configuration.tls.ticket_keys.iter().enumerate() {
        if let Err(error) = TicketKey::read(file) {
            reader.object(&format!("tls.ticket_keys[{nth}]"), error.to_string(), None);
        }
    }
}

/// Early data, and what it cannot be had with.
fn early_data(configuration: &Configuration, reader: &mut Reader) {
    let takers = configuration.listeners.iter().enumerate().filter(|(_, listener)| listener.early_data);
    let mut is_taken = false;
    for (nth, listener) in takers {
        let at = format!("listeners[{nth}].early_data");
        if !listener.tls {
            let message = "it has no effect: early data comes by TLS, which is not spoken here".to_owned();
            reader.doubt(&at, message, Some("tls = true has it spoken".to_owned()));
            continue;
        }
        is_taken = true;
        if !configuration.tls.ticket_keys.is_empty() && reader.is_sound("tls.ticket_keys") {
            let message =
                "early data is taken of sessions that this process alone remembers, and of none in tickets";
            let hint = "leave out early_data, or tls.ticket_keys, by which every node resumes sessions";
            reader.object(&at, message, Some(hint.to_owned()));
        }
    }
    let key = "tls.early_data_sessions";
    let Some(sessions) = configuration.tls.early_data_sessions.filter(|_| reader.is_sound(key)) else {
        return;
    };
    if !is_taken && reader.is_sound("listeners") {
        let message = "it has no effect: no listener takes early data".to_owned();
        reader.doubt(key, message, Some("a listener with early_data = true takes it".to_owned()));
    } else if let Ok(plan) = MemoryPlan::new(configuration.memory.limit)
        && sessions as u64 > plan.sessions * MOST_SESSIONS
    {
        let most = plan.sessions * MOST_SESSIONS;
        let message = format!("there is no memory for more than {most} sessions");
        reader.object(key, message, Some("lower it, raise memory.limit, or leave it at \"auto\"".to_owned()));
    }
}

fn lacks(path: &str, name: &str, what: &str, reader: &mut Reader) {
    let hint = format!("such as {what} = \"/etc/forebay/{name}.{what}.pem\"");
    reader.object_to_key(path, format!("the certificate {name:?} has no {what}"), Some(hint));
}

fn listeners(configuration: &Configuration, reader: &mut Reader) {
    if !configuration.certificates.is_empty() || !reader.is_sound("certificates") {
        return;
    }
    for (nth, _) in configuration.listeners.iter().enumerate().filter(|(_, listener)| listener.tls) {
        let hint = "write [certificates.NAME] with its chain and its key".to_owned();
        reader.object(
            &format!("listeners[{nth}].tls"),
            "there is no certificate to show to clients that speak TLS",
            Some(hint),
        );
    }
}

fn default(configuration: &Configuration, reader: &mut Reader) {
    let Some(default) = &configuration.tls.default_certificate else { return };
    let names = || configuration.certificates.keys().map(String::as_str);
    if configuration.certificates.contains_key(default) || !reader.is_sound("certificates") {
        return;
    }
    let hint = nearest(default, names()).map(|(_, near)| format!("did you mean {near:?}?"));
    reader.object("tls.default_certificate", format!("there is no certificate {default:?}"), hint);
}
