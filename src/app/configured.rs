//! What the admin listener tells of the configuration.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::admin::{Complained, Configured, Validated};
use crate::base::ids::SiteId;
use crate::config::file::{Report, Severity};
use crate::config::{Configuration, Settings};
use crate::telemetry::sites::SiteState;

/// What a text that somebody sent is called in complaints.
const SENT: &str = "sent.toml";

/// What is told of the configuration in place.
#[derive(Debug)]
pub(super) struct Told {
    /// Its sites.
    pub(super) sites: Vec<SiteState>,
    /// The whole of it, without secrets.
    shown: Arc<str>,
}

impl Told {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { sites: sites(settings).collect(), shown: Arc::clone(&settings.shown) }
    }
}

/// The sites as they are told to people.
fn sites(settings: &Settings) -> impl Iterator<Item = SiteState> {
    settings.sites.iter().map(|site| SiteState {
        id: SiteId::of(&site.name),
        name: site.name.clone(),
        hosts: site.hosts.iter().map(ToString::to_string).collect(),
        pool: settings.pools.get(site.pool.0).map_or_else(String::new, |pool| pool.name.clone()),
    })
}

/// Shows what holds, and checks what is sent.
pub(super) fn configured(told: &Arc<ArcSwap<Told>>) -> Configured {
    let told = Arc::clone(told);
    Configured { shown: Arc::new(move || Arc::clone(&told.load().shown)), validate: Arc::new(validate) }
}

/// What is wrong with a text. Blocking: files that it names are looked at.
fn validate(text: &str) -> Validated {
    let Report { configuration, complaints, .. } = Configuration::read_sent(Path::new(SENT), text);
    let mut told: Vec<Complained> = complaints
        .iter()
        .map(|complaint| Complained {
            warning: complaint.severity() == Severity::Warning,
            message: complaint.message().to_owned(),
            line: complaint.position().map(|(line, _)| line),
            column: complaint.position().map(|(_, column)| column),
            what_to_do: complaint.what_to_do().map(str::to_owned),
        })
        .collect();
    let text = if complaints.is_empty() { String::new() } else { complaints.to_string() };
    let compiled = configuration.as_ref().map(Settings::compile);
    // What is wrong in a file is told in its place, so that this finds nothing more.
    if let Some(Err(error)) = &compiled {
        let message = error.to_string();
        told.push(Complained { warning: false, message, line: None, column: None, what_to_do: None });
    }
    Validated { valid: matches!(compiled, Some(Ok(_))), complaints: told, text }
}
