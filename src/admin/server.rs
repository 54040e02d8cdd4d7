//! The admin listener's thread and its routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::explain::explain;
use super::guard::guard;
use super::patience::Patient;
use super::{AdminError, Handles, Settings, View};
use crate::telemetry::metrics::exposition::Format;

/// How long answers under way may take once it is to end.
const FAREWELL: Duration = Duration::from_secs(1);

const INDEX: &str = "\
Forebay

/metrics   what it counts, for Prometheus
/healthz   whether the process lives, and how its parts are
/readyz    whether it may be sent requests
/v1/explain?url=URL[&method=METHOD][&header=NAME:%20VALUE]
           what would happen to a request now, and why
";

/// The admin listener at work.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Binds the address and starts the thread that answers there. Call it when the node listens: `/readyz` says so.
    pub fn start(settings: Settings, handles: Handles) -> Result<Self, AdminError> {
        let Settings { address } = settings.check()?;
        let listen = |error| AdminError::Listen { address, error };
        let socket = std::net::TcpListener::bind(address).map_err(listen)?;
        socket.set_nonblocking(true).map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AdminError::Thread)?;
        let stop = CancellationToken::new();
        let stop_token = stop.clone();
        let view = Arc::new(View::new(handles));
        let thread = std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve(socket, view, stop_token)) {
                    tracing::error!(%error, "the admin listener has ended");
                }
            })
            .map_err(AdminError::Thread)?;
        Ok(Self { address, stop, thread })
    }

    /// Where it listens, its port filled in.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Blocking: ends it. Call it last, so that a drain can be watched.
    pub fn stop(self) {
        self.stop.cancel();
        let _ = self.thread.join();
    }
}

async fn serve(
    socket: std::net::TcpListener,
    view: Arc<View>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let served = axum::serve(Patient::new(socket), routes(view))
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

fn routes(view: Arc<View>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async |State(view): State<Arc<View>>| json(StatusCode::OK, &view.health())))
        .route("/readyz", get(readyz))
        .route("/v1/explain", get(explain))
        .with_state(view)
        .layer(map_response(async |mut response: Response| {
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            response
        }))
        .layer(from_fn(guard))
}

async fn metrics(State(view): State<Arc<View>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = accept.map_or(Format::default(), Format::accepted);
    ([(header::CONTENT_TYPE, format.content_type())], view.exposition(format).finish()).into_response()
}

async fn readyz(State(view): State<Arc<View>>) -> Response {
    let (status, says) = view.readiness();
    json(status, &says)
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}
