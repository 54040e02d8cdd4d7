//! A pool by itself over in-memory pipes: hosts that answer by script, refuse or say nothing, and names that stand
//! for what a test says.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay::body::Body;
use forebay::body::budget::Budget;
use forebay::body::busy::{BusyBody, Means, Retention, SpillArea};
use forebay::body::tunnel::Io;
use forebay::origin::connect::{Connect, Connecting};
use forebay::origin::resolve::{Resolve, Resolving};
use forebay::origin::{EndpointSettings, Exchange, OriginError, OriginRequest, Pool, PoolError, Settings};
use http::{HeaderMap, Method};
use parking_lot::Mutex;

use crate::support::origin::{Act, Origin, SeenRequest, respond};

/// What is behind a host or an address.
#[derive(Clone)]
pub enum Host {
    /// It answers by its script.
    Origin(Arc<Origin>),
    /// It refuses connections.
    Refuses,
    /// It never takes one.
    Silent,
}

/// Hosts by `host:port`, which tests change as they go.
#[derive(Default)]
pub struct Network {
    hosts: Mutex<HashMap<String, Host>>,
    /// Connections that were asked for.
    pub asked: AtomicUsize,
    names: Option<Arc<Names>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    /// A network in which hosts are reached by their names.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A network in which names have to be resolved.
    pub fn with_names() -> (Arc<Self>, Arc<Names>) {
        let names = Arc::<Names>::default();
        (Arc::new(Self { names: Some(Arc::clone(&names)), ..Self::default() }), names)
    }

    pub fn set(&self, authority: &str, host: Host) {
        self.hosts.lock().insert(authority.to_owned(), host);
    }

    /// Puts a scripted origin at `authority`.
    pub fn origin(
        &self,
        authority: &str,
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Arc<Origin> {
        let origin = Arc::new(Origin::pipe(script));
        self.set(authority, Host::Origin(Arc::clone(&origin)));
        origin
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Connect for Network {
    fn connect<'a>(&'a self, authority: &'a str) -> Connecting<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let host = self.hosts.lock().get(authority).cloned();
        Box::pin(async move {
            match host {
                Some(Host::Origin(origin)) => Ok(Box::new(origin.connect()) as Box<dyn Io>),
                Some(Host::Silent) => std::future::pending().await,
                Some(Host::Refuses) | None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }

    fn resolver(&self) -> Option<&dyn Resolve> {
        self.names.as_deref().map(|names| names as &dyn Resolve)
    }
}

/// What a lookup comes to.
#[derive(Clone)]
pub enum Answer {
    Addresses(Vec<SocketAddr>),
    Fails,
    Hangs,
}

/// A resolver by script.
#[derive(Default)]
pub struct Names {
    answers: Mutex<HashMap<String, Answer>>,
    lookups: AtomicUsize,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Names {
    pub fn set(&self, authority: &str, answer: Answer) {
        self.answers.lock().insert(authority.to_owned(), answer);
    }

    pub fn stands_for(&self, authority: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address"));
        self.set(authority, Answer::Addresses(addresses.collect()));
    }

    pub fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve(&self, authority: &str) -> Resolving {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().get(authority).cloned();
        Box::pin(async move {
            match answer {
                Some(Answer::Addresses(addresses)) => Ok(addresses),
                Some(Answer::Hangs) => std::future::pending().await,
                Some(Answer::Fails) | None => Err(io::Error::other("no such host")),
            }
        })
    }
}

/// Settings of a pool of these endpoints.
pub fn pool_settings(urls: &[&str]) -> Settings {
    let endpoint = |url: &&str| EndpointSettings { url: url.parse().expect("an origin"), weight: 1 };
    Settings::new("test", urls.iter().map(endpoint).collect())
}

pub fn pool_over(settings: Settings, network: &Arc<Network>) -> Arc<Pool> {
    Arc::new(made(settings, Arc::clone(network) as Arc<dyn Connect>).expect("a pool"))
}

/// A pool with a budget of its own.
pub fn made(settings: Settings, connector: Arc<dyn Connect>) -> Result<Pool, PoolError> {
    Pool::new(settings, connector, &Budget::new(64 << 20))
}

pub fn request(method: Method, target: &str, body: Body) -> OriginRequest {
    let mut headers = HeaderMap::new();
    headers.insert("host", "site.test".parse().expect("a value"));
    OriginRequest { method, target: target.parse().expect("a target"), headers, body }
}

pub fn get(target: &str) -> OriginRequest {
    request(Method::GET, target, Body::Empty)
}

/// What a request came to: status, content, and who answered.
pub type Outcome = Result<(u16, String, String), OriginError>;

/// Sends it, reads the content to its end and gives the connection back.
pub async fn ask(pool: &Pool, request: OriginRequest) -> Outcome {
    read(pool.exchange(request).await?).await
}

pub async fn read(exchange: Exchange) -> Outcome {
    let Exchange { head, mut body, authority, .. } = exchange;
    let mut content = Vec::new();
    while let Some(chunk) = body.next().await.expect("a whole body") {
        content.extend_from_slice(&chunk);
    }
    body.release();
    let content = String::from_utf8(content).expect("text");
    Ok((head.status.as_u16(), content, authority.to_string()))
}

/// A script that reads the content and says who it is.
pub fn says(who: &'static str) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static {
    move |_, _| vec![Act::ReadBody, respond("200 OK", &[], who)]
}

/// Means for bodies that a test makes itself.
pub fn means() -> Means {
    Means {
        budget: Budget::new(64 << 20),
        spill: SpillArea::new(PathBuf::from("/var/tmp"), 64 << 20),
        window: 64 << 10,
    }
}

/// Content that came in these pieces, all of them.
pub async fn whole(pieces: &[&'static str]) -> Body {
    let (_, mut writer, reader) = BusyBody::with_reader(means(), Retention::Spool);
    for piece in pieces {
        writer.append((*piece).into()).await.expect("room");
    }
    writer.finish(None);
    Body::Busy(reader)
}

/// Content of unknown length, which a task of its own writes.
pub fn upload(pieces: Vec<Vec<u8>>, every: Duration) -> Body {
    let (_, mut writer, reader) = BusyBody::with_reader(means(), Retention::Window);
    tokio::spawn(async move {
        for piece in pieces {
            tokio::time::sleep(every).await;
            if writer.append(piece.into()).await.is_err() {
                return;
            }
        }
        writer.finish(None);
    });
    Body::Busy(reader)
}
