//! Which node is asked, and what it is shown.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::client::{AskError, Node};
use super::tls::Trust;
use crate::admin;
use crate::config::Configuration;
use crate::config::file::{Report, Secret};

/// Where a node's admin listener is looked for that nobody has said anything of.
const USUAL: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);

/// Which node is asked, and what it is shown.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The node's admin listener: a port on 127.0.0.1, or IP:PORT [default: as --config says, else 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    admin: Option<admin::Settings>,

    /// The node's configuration file, which says where its admin listener is, and where its token
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,

    /// A file with the token of the admin listener; without, what is in the environment variable `FOREBAY_ADMIN_TOKEN`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The certificates that are trusted of an admin listener that speaks TLS, in PEM form: those of the authority, or its own
    /// [default: the one that --config names]
    #[arg(long, value_name = "FILE")]
    admin_ca: Option<PathBuf>,

    /// The name that the certificate of the admin listener is for [default: its address]
    #[arg(long, value_name = "NAME", requires = "admin_ca")]
    admin_name: Option<String>,
}

/// The variable that a token is looked for in.
const TOKEN: &str = "FOREBAY_ADMIN_TOKEN";

impl Target {
    /// The node, as it is reached. A token is kept from whoever may read it on the way.
    pub(super) fn node(&self) -> Result<Node, AskError> {
        let Place { address, token: kept, certificate } = self.place()?;
        let token = match &self.token_file {
            Some(file) => {
                let wrong = |why| AskError::Token { file: file.clone(), why };
                Some(Secret::in_file(file.clone()).map_err(wrong)?.expose().to_owned())
            }
            None => std::env::var(TOKEN).ok().filter(|token| !token.is_empty()).or(kept),
        };
        if token.as_ref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(AskError::NoToken);
        }
        let trust = self.admin_ca.clone().map(Trust::Authorities).or(certificate.map(Trust::This));
        // Where the configuration is known, it says whether the listener speaks TLS.
        let is_near = self.admin.is_none() || address.ip().to_canonical().is_loopback();
        if token.is_some() && trust.is_none() && !is_near {
            return Err(AskError::InTheClear(address));
        }
        Ok(Node { address, token, trust, name: self.admin_name.clone() })
    }

    /// Where it listens, and what its configuration says of it.
    fn place(&self) -> Result<Place, AskError> {
        if let Some(admin) = &self.admin {
            return Ok(Place { address: admin.address, token: None, certificate: None });
        }
        let Some(file) = &self.config else {
            return Ok(Place { address: SocketAddr::from(USUAL), token: None, certificate: None });
        };
        let Report { configuration, complaints, .. } = Configuration::read(file);
        let admin = configuration.ok_or(AskError::Config(complaints))?.admin;
        let mut address = admin.address.ok_or_else(|| AskError::NoAdmin(file.display().to_string()))?;
        if address.ip().is_unspecified() {
            // It listens on every address, and this is one of them.
            address.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        let token = admin.token.map(|token| token.expose().to_owned());
        Ok(Place { address, token, certificate: admin.certificate })
    }
}

/// Where a node listens, and what its configuration says of it.
struct Place {
    address: SocketAddr,
    token: Option<String>,
    /// What it shows, if it speaks TLS.
    certificate: Option<PathBuf>,
}
