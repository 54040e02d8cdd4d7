//! Certificates, and the listeners that show them.

use super::super::kinds::HostPattern;
use super::super::near::nearest;
use super::super::reader::Reader;
use super::super::tables::Configuration;
use crate::listener::tls::certificate::{CertificateName, Files};
use crate::listener::tls::keeper::Named;
use crate::listener::tls::provider;

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
    for name in configuration.certificates.keys() {
        let message = format!("no listener shows the certificate {name:?}");
        reader.doubt(&format!("certificates.{name}"), message, hint());
    }
    for (name, site) in &configuration.sites {
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
