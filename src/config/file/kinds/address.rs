//! Addresses to listen on.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::shown;
use crate::admin::Settings;
use crate::listener::address::{Address, AddressError as Unusable, Mode};

/// Where to listen for clients.
pub struct ListenAddress;

/// Where to listen for clients.
pub fn listen_address() -> ListenAddress {
    ListenAddress
}

impl Kind for ListenAddress {
    type Value = Address;

    fn name(&self) -> String {
        "IP:PORT or unix:/PATH".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Address> {
        let text = reader.text(said, "an address", "\"127.0.0.1:8080\"")?;
        let address = match text.parse() {
            Err(Unusable::Unix(error)) => {
                reader.complain(&said.span(), error.to_string(), None);
                return None;
            }
            address => address.ok(),
        };
        if address.is_none() {
            let hint = match text.strip_prefix("localhost:").or(text.strip_prefix(':')) {
                Some(port) if port.parse::<u16>().is_ok() => {
                    format!(
                        "such as \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every address of this host"
                    )
                }
                _ => "write IP:PORT or unix:/PATH, such as \"127.0.0.1:8080\" or \"[::]:80\"".into(),
            };
            reader.complain(&said.span(), format!("{} is no address: {text:?}", reader.key()), Some(hint));
        }
        address
    }

    fn show(&self, value: &Address) -> Shown {
        shown(value)
    }
}

/// The permissions of a Unix socket's file.
pub struct SocketMode;

/// The permissions of a Unix socket's file.
pub fn socket_mode() -> SocketMode {
    SocketMode
}

impl Kind for SocketMode {
    type Value = Mode;

    fn name(&self) -> String {
        "three octal digits".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Mode> {
        let text = reader.text(said, "octal digits in quotes", "\"0660\"")?;
        let mode = text.parse().ok();
        if mode.is_none() {
            let message = format!("{} is no mode of a file: {text:?}", reader.key());
            let hint = "write three octal digits, such as \"0660\" for its owner and its group".to_owned();
            reader.complain(&said.span(), message, Some(hint));
        }
        mode
    }

    fn show(&self, value: &Mode) -> Shown {
        shown(value)
    }
}

/// Where the administrator's interface listens: an address, or a bare port on 127.0.0.1.
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
        let text = if let DeValue::Integer(number) = said.get_ref() {
            // In whatever base it is written.
            let port = u16::from_str_radix(number.as_str(), number.radix());
            port.map_or_else(|_| number.to_string(), |port| port.to_string())
        } else {
            reader.text(said, "a port or IP:PORT", "9090 or \"127.0.0.1:9090\"")?.to_owned()
        };
        let address = text.parse::<Settings>().ok().map(|settings| settings.address);
        if address.is_none() {
            let message = format!("{} is a port or IP:PORT{}, not {text}", reader.key(), reader.or());
            reader.complain(&said.span(), message, Some("such as 9090 or \"127.0.0.1:9090\"".into()));
        }
        address
    }

    fn show(&self, value: &SocketAddr) -> Shown {
        shown(value)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Configuration;

    #[test]
    fn the_file_takes_the_addresses_that_the_option_takes() {
        for said in ["9090", "0x2382", "\"9090\"", "\"[::ffff:127.0.0.1]:9090\""] {
            let report = Configuration::read_text(Path::new("a.toml"), &format!("admin.address = {said}"));
            let address = report.configuration.and_then(|written| written.admin.address);
            assert_eq!(address.map(|address| address.port()), Some(9090), "{said}: {}", report.complaints);
        }
    }
}
