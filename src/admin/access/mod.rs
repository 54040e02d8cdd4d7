//! Who gets in ([decision 23](../../../docs/decisions/0023-admin-api.md)): by which name it was asked, what was shown, and
//! whether a page of another site has led a browser here. Each refusal is a problem.

mod guard;
mod guesses;
mod hosts;
mod origin;

use super::Settings;
use crate::base::token::Token;
use guesses::Guesses;
use hosts::Hosts;

pub(super) use guard::guard;
pub(super) use guesses::network;

/// What is asked of whoever comes.
#[derive(Debug)]
pub(super) struct Access {
    hosts: Hosts,
    token: Option<Token>,
    /// Whether certificates of clients let in.
    takes_certificates: bool,
    speaks_tls: bool,
    guesses: Guesses,
}

impl Access {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            hosts: Hosts::new(&settings.names),
            token: settings.token.clone(),
            takes_certificates: settings.client_ca.is_some(),
            speaks_tls: settings.certificate.is_some(),
            guesses: Guesses::default(),
        }
    }
}
