//! Certificates, and the listeners that show them.

use super::super::near::nearest;
use super::super::reader::Reader;
use super::super::tables::Configuration;
use crate::listener::tls::certificate::{Certificate, Files};
use crate::listener::tls::provider;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader) {
    for (name, certificate) in &configuration.certificates {
        let path = format!("certificates.{name}");
        let (chain, key) = (format!("{path}.chain"), format!("{path}.key"));
        if !reader.is_sound(&chain) || !reader.is_sound(&key) {
            continue;
        }
        match (&certificate.chain, &certificate.key) {
            (Some(chain_file), Some(key_file)) => {
                let files = Files { chain: chain_file.clone(), key: key_file.clone() };
                if let Err(error) = Certificate::read(&files, &provider()) {
                    let at = if error.is_of_key() { &key } else { &chain };
                    reader.object(at, error.to_string(), None);
                }
            }
            (None, _) => lacks(&path, name, "chain", reader),
            (_, None) => lacks(&path, name, "key", reader),
        }
    }
    listeners(configuration, reader);
    default(configuration, reader);
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
