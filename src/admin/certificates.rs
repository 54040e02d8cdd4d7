//! Certificates and keys of tickets as Prometheus reads them.

use crate::telemetry::certificates::CertificateState;
use crate::telemetry::metrics::exposition::{Exposition, Family, Kind};

const fn certificate(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels: &["certificate"], help }
}

static EXPIRES: Family = certificate(
    "forebay_certificate_expiry_time_seconds",
    "When the certificate that clients are shown ends, in seconds since 1970.",
);
static REFUSED: Family = certificate(
    "forebay_certificate_refused",
    "1 if what is in the files of the certificate cannot be used and the one from before is shown.",
);

static TICKET_KEYS_REFUSED: Family = Family {
    name: "forebay_ticket_keys_refused",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 if what is in the files of keys of session tickets cannot be used and those from before are.",
};

/// Writes how all of them are.
pub(super) fn render(to: &mut Exposition, states: &[CertificateState], ticket_keys: Option<bool>) {
    let mut expires = to.family(&EXPIRES);
    for state in states {
        expires.sample(&[&state.name], state.expires.as_millis() / 1000);
    }
    let mut refused = to.family(&REFUSED);
    for state in states {
        refused.sample(&[&state.name], u64::from(state.refused));
    }
    to.single(&TICKET_KEYS_REFUSED, u64::from(ticket_keys == Some(true)));
}
