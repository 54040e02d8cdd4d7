//! Networks: addresses of one kind, by what they begin with.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
use crate::listener::proxied::Proxies;

/// A network, or one address.
pub struct Network;

/// A network, or one address.
pub fn network() -> Network {
    Network
}

impl Kind for Network {
    type Value = IpNet;

    fn name(&self) -> String {
        "IP or IP/BITS".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<IpNet> {
        let text = reader.text(said, "a network", "\"10.0.0.0/8\"")?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match network {
            Ok(network) if network.trunc() == network => Some(network),
            Ok(network) => {
                let message = format!("{} has bits behind its beginning: {text:?}", reader.key());
                let hint =
                    format!("\"{}\" is that network, \"{}\" that address", network.trunc(), network.addr());
                reader.complain(&said.span(), message, Some(hint));
                None
            }
            Err(_) => {
                let message = format!("{} is no network: {text:?}", reader.key());
                let hint =
                    "write an address, or one and how many bits of it count: \"192.0.2.1\", \"10.0.0.0/8\"";
                reader.complain(&said.span(), message, Some(hint.into()));
                None
            }
        }
    }

    /// One address is shown as such.
    fn show(&self, value: &IpNet) -> Shown {
        if value.prefix_len() == value.max_prefix_len() { shown(&value.addr()) } else { shown(value) }
    }
}

/// Proxies of a network, or those that come by a Unix socket.
pub struct SomeProxies;

/// Proxies of a network, or those that come by a Unix socket.
pub fn proxies() -> SomeProxies {
    SomeProxies
}

impl Kind for SomeProxies {
    type Value = Proxies;

    fn name(&self) -> String {
        format!("{} or {:?}", network().name(), Proxies::LOCAL)
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Proxies> {
        if said.get_ref().as_str() == Some(Proxies::LOCAL) {
            return Some(Proxies::Local);
        }
        reader.or_word(Proxies::LOCAL, |reader| network().read(said, reader)).map(Proxies::Of)
    }

    fn show(&self, value: &Proxies) -> Shown {
        match value {
            Proxies::Of(value) => network().show(value),
            Proxies::Local => shown(value),
        }
    }
}
