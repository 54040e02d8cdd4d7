//! The node's counts as Prometheus reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exposition::{Exposition, Family, Kind};
use super::{Metrics, SiteMetrics};

const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family { name, kind, labels, help }
}

const REQUESTS: Family = family(
    "forebay_requests_total",
    Kind::Counter,
    &["site", "outcome", "status"],
    "Requests that came to their end, by what the cache did (the words of Cache-Status) and class of status.",
);
const DETAILS: Family = family(
    "forebay_request_details_total",
    Kind::Counter,
    &["site", "detail"],
    "Requests with more to say than the outcome, by the detail of Cache-Status and of the access log.",
);
const BYTES: Family = family(
    "forebay_response_body_bytes_total",
    Kind::Counter,
    &["site"],
    "Bytes of bodies handed to client connections.",
);
const BROKEN: Family = family(
    "forebay_broken_responses_total",
    Kind::Counter,
    &["site", "reason"],
    "Responses whose body did not leave whole, by reason; client-gone: the client did not wait for the end.",
);
const HIT_SECONDS: Family = family(
    "forebay_hit_seconds",
    Kind::Histogram,
    &["site"],
    "Time from a request's head to the head of its answer, of hits.",
);
const FORWARDED_SECONDS: Family = family(
    "forebay_forwarded_seconds",
    Kind::Histogram,
    &["site"],
    "Time from a request's head to the head of its answer, of requests that went forward.",
);
const ORIGIN_SECONDS: Family = family(
    "forebay_origin_seconds",
    Kind::Histogram,
    &["site"],
    "Time from a request to the origin to the head of its answer, a wait for a connection included.",
);
const REJECTED: Family = family(
    "forebay_rejected_requests_total",
    Kind::Counter,
    &["reason"],
    "Requests refused before the cache was asked, by reason.",
);

impl Metrics {
    /// Writes everything that was counted.
    pub fn render(&self, to: &mut Exposition) {
        let sites = self.sites();
        let mut requests = to.family(&REQUESTS);
        for site in &sites {
            for (outcome, status, count) in site.requests() {
                requests.sample(&[site.name(), outcome.name(), status], count);
            }
        }
        words(to, &DETAILS, &sites, SiteMetrics::details);
        words(to, &BROKEN, &sites, SiteMetrics::broken);
        let mut bytes = to.family(&BYTES);
        for site in &sites {
            bytes.sample(&[site.name()], site.bytes());
        }
        durations(to, &HIT_SECONDS, &sites, SiteMetrics::hits);
        durations(to, &FORWARDED_SECONDS, &sites, SiteMetrics::forwarded);
        durations(to, &ORIGIN_SECONDS, &sites, SiteMetrics::origin);
        self.render_rejected(to);
        self.counters.render(to);
    }

    fn render_rejected(&self, to: &mut Exposition) {
        let mut counts = BTreeMap::new();
        self.rejected.add_to(&mut counts);
        let mut rejected = to.family(&REJECTED);
        for (why, count) in counts {
            rejected.sample(&[why], count);
        }
    }
}

fn words(
    to: &mut Exposition,
    family: &'static Family,
    sites: &[Arc<SiteMetrics>],
    of: impl Fn(&SiteMetrics) -> BTreeMap<&'static str, u64>,
) {
    let mut samples = to.family(family);
    for site in sites {
        for (word, count) in of(site) {
            samples.sample(&[site.name(), word], count);
        }
    }
}

fn durations(
    to: &mut Exposition,
    family: &'static Family,
    sites: &[Arc<SiteMetrics>],
    of: impl Fn(&SiteMetrics) -> super::Distribution,
) {
    let mut samples = to.family(family);
    for site in sites {
        samples.distribution(&[site.name()], &of(site));
    }
}
