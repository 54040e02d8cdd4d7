//! The admin listener's thread, and the routes that are older than `/v1`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::guard;
use super::openapi::{self, Guarded, Open};
use super::patience::Patient;
use super::peer::Caller;
use super::problem::{Kind, Problem};
use super::v1::json;
use super::{AdminError, Handles, Settings, View, page, tls};
use crate::telemetry::metrics::exposition::Format;

/// How long answers under way may take once it is to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Threads for what reads files or counts.
const MOST_BLOCKING: usize = 8;

const INDEX: &str = "\
Forebay

/metrics       what it counts, for Prometheus
/healthz       whether the process lives, and how its parts are
/readyz        whether it may be sent requests
/docs          everything that can be asked and told below /v1, for people
/openapi.json  the same for programs
";

/// The page has a style of its own, and nothing else.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// The admin listener at work.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    speaks_tls: bool,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Binds the address and starts the thread that answers there. Call it when the node listens: `/readyz` says so.
    /// Blocking: files of certificates are read.
    pub fn start(settings: &Settings, handles: Handles) -> Result<Self, AdminError> {
        settings.check()?;
        let acceptor = tls::acceptor(settings)?;
        let (speaks_tls, address) = (acceptor.is_some(), settings.address);
        let listen = |error| AdminError::Listen { address, error };
        let socket = std::net::TcpListener::bind(address).map_err(listen)?;
        socket.set_nonblocking(true).map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(MOST_BLOCKING)
            .enable_all()
            .build()
            .map_err(AdminError::Thread)?;
        let stop = CancellationToken::new();
        let stop_token = stop.clone();
        let view = Arc::new(View::new(handles, settings));
        let thread = std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve(socket, acceptor, view, stop_token)) {
                    tracing::error!(%error, "the admin listener has ended");
                }
                // Files that are being looked at are not waited for.
                runtime.shutdown_background();
            })
            .map_err(AdminError::Thread)?;
        if !speaks_tls && !address.ip().to_canonical().is_loopback() {
            tracing::warn!(%address, "the admin listener speaks no TLS: its token crosses the network in the clear");
        }
        Ok(Self { address, speaks_tls, stop, thread })
    }

    /// Where it listens, its port filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How its URLs begin.
    pub fn scheme(&self) -> &'static str {
        if self.speaks_tls { "https" } else { "http" }
    }

    /// Blocking: ends it. Call it last, so that a drain can be watched.
    pub fn stop(self) {
        self.stop.cancel();
        let _ = self.thread.join();
    }
}

async fn serve(
    socket: std::net::TcpListener,
    acceptor: Option<TlsAcceptor>,
    view: Arc<View>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let service = router(view).into_make_service_with_connect_info::<Caller>();
    let served = axum::serve(Patient::new(socket, acceptor), service)
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        served = served.into_future() => served,
        () = too_late => Ok(()),
    }
}

/// Everything that is answered, behind the guard.
fn router(view: Arc<View>) -> Router {
    let (routes, document) = openapi::routes().split_for_parts();
    let value = serde_json::to_value(&document).unwrap_or_default();
    let page: Arc<str> = page::of(&value).into();
    let document: Arc<str> = format!("{value:#}\n").into();
    routes
        .route("/", get(|| async { INDEX }))
        .route("/openapi.json", get(async move || document_of(&document)))
        .route("/docs", get(async move || page_of(&page)))
        .fallback(async || Problem::new(Kind::NoSuchPath, "there is nothing here: see /docs"))
        .method_not_allowed_fallback(async || Problem::new(Kind::NoSuchMethod, "see /docs"))
        .layer(from_fn_with_state(Arc::clone(&view), guard))
        .with_state(view)
        .layer(map_response(async |mut response: Response| {
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }))
}

fn document_of(document: &Arc<str>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

fn page_of(page: &Arc<str>) -> Response {
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (fields, page.to_string()).into_response()
}

/// What stands outside of `/v1`, because everybody expects it there.
pub(super) fn documented() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(metrics)).routes(routes!(healthz)).routes(routes!(readyz))
}

/// What the node counts, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses(
        (status = 200, description = "all metrics", content(
            (String = "text/plain"), (String = "application/openmetrics-text"),
        )),
        Guarded,
    )
)]
async fn metrics(State(view): State<Arc<View>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = accept.map_or(Format::default(), Format::accepted);
    ([(header::CONTENT_TYPE, format.content_type())], view.exposition(format).finish()).into_response()
}

/// Whether the process lives, and how its parts are
#[utoipa::path(
    get, path = "/healthz", tag = "node",
    responses((status = 200, description = "it lives; on this machine, and with proof, all that /v1/health tells", body = Alive), Open)
)]
async fn healthz(
    State(view): State<Arc<View>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
) -> Response {
    if view.access.trusts(&caller, &headers) { json(&view.health()) } else { json(&Alive { status: "ok" }) }
}

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
struct Alive {
    /// `ok`: the process answers.
    status: &'static str,
}

/// Whether requests may be sent here.
#[derive(Debug, Serialize, ToSchema)]
struct Ready {
    /// Whether they may.
    ready: bool,
    /// Why not: `loading`, `drained` or `draining`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// Whether requests may be sent here
#[utoipa::path(
    get, path = "/readyz", tag = "node",
    responses(
        (status = 200, description = "they may", body = Ready),
        (status = 503, description = "they may not", body = Ready),
        Open,
    )
)]
async fn readyz(State(view): State<Arc<View>>) -> Response {
    let reason = view.hindrance();
    let mut response = json(&Ready { ready: reason.is_none(), reason });
    if reason.is_some() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
