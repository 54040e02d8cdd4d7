//! Pools and endpoints as Prometheus reads them.

use crate::telemetry::endpoints::EndpointState;
use crate::telemetry::metrics::exposition::{Exposition, Family, Kind};

/// A metric and where its number is.
type Row = (Family, fn(&EndpointState) -> u64);

const fn endpoint(kind: Kind, name: &'static str, help: &'static str) -> Family {
    Family { name, kind, labels: &["pool", "endpoint"], help }
}

const fn pool(kind: Kind, name: &'static str, help: &'static str) -> Family {
    Family { name, kind, labels: &["pool"], help }
}

#[rustfmt::skip]
static ENDPOINTS: [Row; 9] = [
    (endpoint(Kind::Gauge, "forebay_endpoint_up", "1 if requests are sent to the endpoint, 0 while it is skipped."), |e| u64::from(e.up)),
    (endpoint(Kind::Gauge, "forebay_endpoint_drained", "1 if the operator has drained the endpoint, 0 if not."), |e| u64::from(e.drained)),
    (endpoint(Kind::Gauge, "forebay_endpoint_active_requests", "Exchanges with the endpoint that are under way."), |e| e.active),
    (endpoint(Kind::Gauge, "forebay_endpoint_idle_connections", "Connections to the endpoint that are kept for the next exchange."), |e| e.idle),
    (endpoint(Kind::Counter, "forebay_endpoint_requests_total", "Requests sent to the endpoint."), |e| e.requests),
    (endpoint(Kind::Counter, "forebay_endpoint_failures_total", "Requests to the endpoint that failed before a head."), |e| e.failures),
    (endpoint(Kind::Counter, "forebay_endpoint_retries_total", "Requests to the endpoint that had failed elsewhere before."), |e| e.retries),
    (endpoint(Kind::Counter, "forebay_endpoint_replays_total", "Requests to the endpoint whose content had been sent before, and was sent again."), |e| e.replays),
    (endpoint(Kind::Counter, "forebay_endpoint_opened_connections_total", "Connections opened to the endpoint."), |e| e.opened),
];

#[rustfmt::skip]
static POOLS: [Row; 2] = [
    (pool(Kind::Gauge, "forebay_pool_queued_requests", "Requests that wait for a connection of the pool."), |e| e.queued),
    (pool(Kind::Counter, "forebay_pool_refused_requests_total", "Requests that the pool refused because too many waited, or for too long."), |e| e.refused),
];

/// Writes how all endpoints are, and their pools.
pub(super) fn render(to: &mut Exposition, states: &[EndpointState]) {
    for (family, number) in &ENDPOINTS {
        let mut samples = to.family(family);
        for state in states {
            samples.sample(&[&state.pool, &state.endpoint], number(state));
        }
    }
    // Each endpoint tells of its pool as well.
    let is_first =
        |(at, state): &(usize, &EndpointState)| states.iter().take(*at).all(|s| s.pool != state.pool);
    let pools: Vec<&EndpointState> =
        states.iter().enumerate().filter(is_first).map(|(_, state)| state).collect();
    for (family, number) in &POOLS {
        let mut samples = to.family(family);
        for state in &pools {
            samples.sample(&[&state.pool], number(state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::exposition::Format;

    #[test]
    fn a_pool_is_told_once() {
        let state = |endpoint: &str| EndpointState {
            pool: "shop".into(),
            endpoint: endpoint.into(),
            up: endpoint == "http://a",
            drained: false,
            active: 1,
            idle: 2,
            requests: 3,
            failures: 4,
            retries: 5,
            replays: 0,
            opened: 6,
            queued: 7,
            refused: 8,
        };
        let mut text = Exposition::new(Format::Text);
        render(&mut text, &[state("http://a"), state("http://b")]);
        let text = text.finish();
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line} in {text}");
        has("forebay_endpoint_up{pool=\"shop\",endpoint=\"http://a\"} 1");
        has("forebay_endpoint_up{pool=\"shop\",endpoint=\"http://b\"} 0");
        has("forebay_pool_queued_requests{pool=\"shop\"} 7");
        assert_eq!(text.matches("forebay_pool_refused_requests_total{").count(), 1);
    }
}
