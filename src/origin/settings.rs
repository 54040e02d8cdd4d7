//! What an operator says of a pool.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;

use super::url::OriginUrl;

/// One pool: its endpoints, its limits, and how they are spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, in logs and metrics.
    pub name: String,
    /// Where requests go; at least one.
    pub endpoints: Vec<EndpointSettings>,
    /// Most requests at a time, for each endpoint; by HTTP/1 that is as many connections. Tunnels count.
    pub max_connections: usize,
    /// Most requests that wait for a connection, in the whole pool; beyond, they are answered with 503.
    pub queue: usize,
    /// How long a request waits for a connection before it is answered with 503.
    pub queue_timeout: Duration,
    /// Idle connections that are kept, for each endpoint.
    pub max_idle: usize,
    /// How long an idle connection is kept; less than the origin's own limit avoids needless retries.
    pub idle_timeout: Duration,
    /// Time for the name, the TCP handshake and the TLS handshake together.
    pub connect_timeout: Duration,
    /// Time from the sent request to the head of the response.
    pub first_byte_timeout: Duration,
    /// Time between two reads of the response body.
    pub between_bytes_timeout: Duration,
    /// Time for the whole exchange, retries and body included; tunnels are not ended by it.
    pub total_timeout: Option<Duration>,
    /// How long to wait for 100 (Continue) before the body is sent anyway (RFC 9110 §10.1.1).
    pub continue_timeout: Duration,
    /// Most bytes of a response head.
    pub max_head: usize,
    /// Other attempts after the first, each on another endpoint.
    pub retries: u32,
    /// Failures in a row after which an endpoint is skipped.
    pub down_after: u32,
    /// The first pause of an endpoint that failed, doubled at each further failure.
    pub backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// How old the addresses of a name may be before they are looked up again.
    pub resolve_every: Duration,
    /// The version of HTTP that is spoken.
    pub http_version: HttpVersion,
    /// Whether connections carry more than one request.
    pub keep_alive: bool,
    /// Whether a request's content may be sent in chunks. If not, content of unknown length is spooled first.
    pub chunked: bool,
    /// For `https://` endpoints.
    pub tls: TlsSettings,
    /// Fields that every request gets, in place of those of the same name. Their values may be secrets.
    pub send_fields: HeaderMap,
    /// Whether the endpoints are other Forebays, which are told of purges.
    pub is_shield: bool,
}

/// One endpoint of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Where it is.
    pub url: OriginUrl,
    /// Its share of the requests beside the others' weights; 0 counts as 1.
    pub weight: u16,
}

impl From<OriginUrl> for EndpointSettings {
    fn from(url: OriginUrl) -> Self {
        Self { url, weight: 1 }
    }
}

/// The version of HTTP that a pool's endpoints are spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0: no chunks, no 100 (Continue), no upgrades.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2, without TLS by prior knowledge (RFC 9113 §3.3): no upgrades.
    Http2,
    /// By TLS what the endpoint chooses of HTTP/2 and HTTP/1.1 (ALPN), otherwise HTTP/1.1.
    Auto,
}

impl HttpVersion {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Http11, Self::Http2, Self::Auto, Self::Http10];

    /// Whether endpoints may be spoken to in HTTP/2.
    pub(super) fn may_be_2(self, is_tls: bool) -> bool {
        match self {
            Self::Http2 => true,
            Self::Auto => is_tls,
            Self::Http10 | Self::Http11 => false,
        }
    }

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
            Self::Auto => "auto",
        }
    }
}

/// How endpoints are known by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether certificates are verified. Without it anybody on the way can read and change everything.
    pub verify: bool,
    /// A PEM file with the certificates that are trusted; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// The name to send as SNI and to verify; `None`: the endpoint's host.
    pub server_name: Option<String>,
    /// What is shown to endpoints that ask who asks: PEM files with the certificate and those that vouch for it, and with
    /// its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl TlsSettings {
    /// The files that are read.
    pub(super) fn files(&self) -> Vec<&PathBuf> {
        let client = self.client.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(client).collect()
    }
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self { verify: true, ca: None, server_name: None, client: None }
    }
}

impl Settings {
    /// The defaults for a pool of these endpoints.
    pub fn new(name: &str, endpoints: Vec<EndpointSettings>) -> Self {
        Self {
            name: name.to_owned(),
            endpoints,
            max_connections: 256,
            queue: 1024,
            queue_timeout: Duration::from_secs(5),
            max_idle: 256,
            idle_timeout: Duration::from_secs(50),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_mins(1),
            between_bytes_timeout: Duration::from_mins(1),
            total_timeout: None,
            continue_timeout: Duration::from_secs(1),
            max_head: 64 << 10,
            retries: 2,
            down_after: 1,
            backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            resolve_every: Duration::from_secs(30),
            http_version: HttpVersion::default(),
            keep_alive: true,
            chunked: true,
            tls: TlsSettings::default(),
            send_fields: HeaderMap::new(),
            is_shield: false,
        }
    }
}
