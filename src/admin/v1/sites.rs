//! `/v1/sites`: who is answered for, and what came of that.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use super::stats::RequestStats;
use crate::admin::View;
use crate::admin::openapi::Guarded;
use crate::telemetry::metrics::SiteMetrics;
use crate::telemetry::sites::SiteState;

/// All sites.
#[derive(Debug, Serialize, ToSchema)]
struct Sites {
    /// In the order of their names.
    sites: Vec<SiteTold>,
}

/// One site.
#[derive(Debug, Serialize, ToSchema)]
struct SiteTold {
    /// Its name in the configuration.
    name: String,
    /// The hosts that it answers for.
    hosts: Vec<String>,
    /// The pool that it comes from.
    pool: String,
    /// Its requests since the node started.
    requests: RequestStats,
    /// Bytes of disk that it takes.
    disk_bytes: u64,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(sites))
}

/// The sites, and their requests
#[utoipa::path(
    get, path = "/v1/sites", tag = "sites",
    responses((status = 200, description = "all of them", body = Sites), Guarded)
)]
async fn sites(State(view): State<Arc<View>>) -> Response {
    let counted = view.handles.metrics.sites();
    let counted = counted.iter().map(|counted| (counted.name(), &**counted)).collect();
    let told = |site| view.site(site, &counted);
    let mut sites: Vec<SiteTold> = (view.handles.sites)().into_iter().map(told).collect();
    sites.sort_by(|one, other| one.name.cmp(&other.name));
    json(&Sites { sites })
}

impl View {
    fn site(&self, site: SiteState, counted: &HashMap<&str, &SiteMetrics>) -> SiteTold {
        let SiteState { id, name, hosts, pool } = site;
        let mut requests = RequestStats::default();
        if let Some(counted) = counted.get(name.as_str()) {
            requests.add(counted);
        }
        let disk_bytes = self.handles.cache.disk().map_or(0, |disk| disk.used_by(id));
        SiteTold { name, hosts, pool, requests, disk_bytes }
    }
}
