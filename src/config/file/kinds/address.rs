//! Addresses to listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::de::DeValue;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;

/// Where to listen for clients.
pub struct ListenAddress;

/// Where to listen for clients.
pub fn listen_address() -> ListenAddress {
    ListenAddress
}

impl Kind for ListenAddress {
    type Value = SocketAddr;

    fn name(&self) -> String {
        "IP:PORT".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<SocketAddr> {
        let text = reader.text(said, "an address", "\"127.0.0.1:8080\"")?;
        let address = text.parse().ok();
        if address.is_none() {
            let hint = match text.strip_prefix("localhost:").or(text.strip_prefix(':')) {
                Some(port) if port.parse::<u16>().is_ok() => {
                    format!(
                        "such as \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every address of this host"
                    )
                }
                _ => "write IP:PORT, such as \"127.0.0.1:8080\" or \"[::]:80\"".into(),
            };
            reader.complain(&said.span(), format!("{} is no address: {text:?}", reader.key()), Some(hint));
        }
        address
    }

    fn show(&self, value: &SocketAddr) -> Shown {
        shown(value)
    }
}

/// Where the administrator's interface listens: an address of this host's own, or a bare port on 127.0.0.1.
pub struct AdminAddress;

/// Where the administrator's interface listens.
pub fn admin_address() -> AdminAddress {
    AdminAddress
}

impl Kind for AdminAddress {
    type Value = SocketAddr;

    fn name(&self) -> String {
        "IP:PORT or PORT".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<SocketAddr> {
        let (text, port) = if let DeValue::Integer(number) = said.get_ref() {
            (number.to_string(), u16::from_str_radix(number.as_str(), number.radix()).ok())
        } else {
            let text = reader.text(said, "a port or IP:PORT", "9090 or \"127.0.0.1:9090\"")?;
            (text.to_owned(), text.parse().ok())
        };
        let address = match port {
            Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            None => text.parse().ok(),
        };
        let Some(address) = address else {
            let message = format!("{} is a port or IP:PORT{}, not {text}", reader.key(), reader.or());
            reader.complain(&said.span(), message, Some("such as 9090 or \"127.0.0.1:9090\"".into()));
            return None;
        };
        if !address.ip().is_loopback() {
            let message = format!("{} must be on loopback so far, and {} is not", reader.key(), address.ip());
            reader.complain(&said.span(), message, Some(format!("such as \"127.0.0.1:{}\"", address.port())));
            return None;
        }
        Some(address)
    }

    fn show(&self, value: &SocketAddr) -> Shown {
        shown(value)
    }
}
