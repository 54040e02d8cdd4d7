//! A node between a scripted origin and raw clients: over in-memory pipes with paused time, or over sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay::app::{Node, Running};
use forebay::base::clock::{Clock, Timestamp};
use forebay::base::units::ByteSize;
use forebay::body::tunnel::Io;
use forebay::cache::Cache;
use forebay::cache::disk::volume::Opener;
use forebay::config::{Configuration, Listen, Settings};
use forebay::listener::link::Link;
use forebay::listener::tls::certificate::Files;
use forebay::listener::tls::keeper::Named;
use forebay::listener::tls::{self, MinimumVersion};
use forebay::listener::{Serving, http1};
use forebay::origin::connect::{Connect, Connecting};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::authority::Pair;
use crate::support::client::{Answer, Client};
use crate::support::hyper_server;
use crate::support::origin::{Act, Origin, SeenRequest};

/// Wall time at the start of a test over pipes.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Where clients seem to come from over pipes.
pub const PEER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 4711);

/// Whether connections over pipes are served by hyper, which our own driver is held against.
pub fn on_hyper() -> bool {
    std::env::var_os("FOREBAY_TEST_DRIVER").is_some_and(|driver| driver == "hyper")
}

/// TLS with these certificates, named by their order; the first one, if it `is_default`, for who asks for no host.
pub fn showing(shown: &[&Pair], is_default: bool) -> tls::Settings {
    let named = shown.iter().enumerate().map(|(nth, pair)| Named {
        name: nth.to_string(),
        files: Files { chain: pair.chain.clone(), key: pair.key.clone() },
        is_default: is_default && nth == 0,
    });
    tls::Settings {
        certificates: named.collect(),
        policies: Vec::new(),
        ticket_keys: Vec::new(),
        early_data_sessions: None,
        minimum: MinimumVersion::Tls12,
        handshake_timeout: Duration::from_secs(20),
        reload_every: Duration::from_secs(20),
    }
}

/// The settings of a test's node; tests change what they are about.
pub fn settings(origin: &str) -> Settings {
    let mut written = Configuration::default();
    written.only_site(vec![origin.parse().expect("an origin")]);
    written.memory.limit = ByteSize::mib(128);
    written.node.workers = Some(2);
    let mut settings = Settings::compile(&written).expect("settings");
    settings.listen = vec![Listen {
        address: SocketAddr::from(([127, 0, 0, 1], 0)).into(),
        tls: false,
        http2: false,
        early_data: false,
        proxies: Vec::new(),
    }];
    settings
}

/// These settings, with content of requests passed on as it comes.
pub fn streaming(mut settings: Settings) -> Settings {
    settings.sites.iter_mut().for_each(|site| site.max_buffered_body = 0);
    settings
}

/// A node over in-memory pipes. Use it with `#[tokio::test(start_paused = true)]`.
pub struct Pipes {
    pub node: Node,
    pub origin: Arc<Origin>,
    pub clock: Clock,
    pub settings: Settings,
    pub draining: CancellationToken,
    pub connections: TaskTracker,
}

impl Pipes {
    pub fn new(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with(settings("http://origin.test"), script)
    }

    pub fn with(
        settings: Settings,
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::on(settings, None, script)
    }

    /// A node that passes content of requests on as it comes.
    pub fn streaming(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with(streaming(settings("http://origin.test")), script)
    }

    /// The same, on a disk that is no directory.
    pub fn on(
        settings: Settings,
        disk: Option<Arc<dyn Opener>>,
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let origin = Arc::new(Origin::pipe(script));
        let clock = Clock::manual(START);
        let connector = Arc::new(PipeConnector(Arc::clone(&origin)));
        let node = Node::build_on(&settings, clock.clone(), connector, None, |settings, budget, counters| {
            if disk.is_some() {
                return Cache::open_on(settings, disk, budget, counters);
            }
            Cache::open(settings, budget, counters)
        });
        let node = node.expect("a node");
        let (draining, connections) = (CancellationToken::new(), TaskTracker::new());
        Self { node, origin, clock, settings, draining, connections }
    }

    /// A node whose connections to origins come from `connector`; `origin` is one that nobody asks.
    pub fn over(settings: Settings, connector: Arc<dyn Connect>) -> Self {
        let unused = Self::with(settings.clone(), |_, _| vec![Act::Reset]);
        let clock = Clock::manual(START);
        let node = Node::build(&settings, clock.clone(), connector, None).expect("a node");
        Self { node, clock, settings, ..unused }
    }

    /// A new client connection. Dropping the client closes it.
    pub fn client(&self) -> Client<DuplexStream> {
        let (near, serves) = self.connection(64 << 10);
        self.connections.spawn(serves);
        Client::over(near)
    }

    /// A new client connection through which so many bytes go at once, and what serves it.
    pub fn connection(&self, pipe: usize) -> (DuplexStream, impl Future<Output = ()> + use<>) {
        let (near, far) = tokio::io::duplex(pipe);
        let machine = Arc::clone(&self.node.machine);
        let serving = self.serving();
        let serves = async move {
            if on_hyper() {
                hyper_server::serve(far, PEER, &*machine, &serving).await;
            } else {
                http1::serve(far, Link::plain(PEER), &*machine, &serving).await;
            }
        };
        (near, serves)
    }

    /// What its connections are served with.
    pub fn serving(&self) -> Serving {
        Serving {
            settings: self.settings.listener.clone().into(),
            uploads: self.node.means.clone(),
            counters: self.node.counters.clone(),
            draining: self.draining.clone(),
        }
    }

    /// Asks on a connection of its own, and waits until what came is stored.
    pub async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.client().get_with(path, fields).await;
        self.quiet().await;
        answer
    }

    /// Moves wall time on.
    pub fn pass_time(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    /// Waits until no body has anything in a file.
    pub async fn nothing_spilled(&self) {
        for _ in 0..10_000 {
            if self.node.means.spill.used() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        panic!("{} bytes are never given back", self.node.means.spill.used());
    }

    /// Waits until nothing runs any more: no fetch and nothing to join. A stuck task fails the test, because
    /// time is paused and runs on to the limit.
    pub async fn quiet(&self) {
        for _ in 0..10_000 {
            if self.node.fetcher.running() == 0 {
                assert_eq!(self.node.fetcher.joinable(), 0, "an ended fetch left the table");
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{} fetches never ended", self.node.fetcher.running());
    }
}

/// A node on real sockets of the loopback, with worker threads of its own.
pub struct Sockets {
    pub running: Running,
    pub origin: Origin,
}

impl Sockets {
    pub async fn new(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::with(|_| {}, script).await
    }

    pub async fn with(
        change: impl FnOnce(&mut Settings),
        script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let origin = Origin::tcp(script).await;
        let mut settings = settings(&origin.url());
        change(&mut settings);
        let running = Running::start(&settings, None).expect("a running node");
        Self { running, origin }
    }

    pub fn addr(&self) -> SocketAddr {
        self.running.addresses[0].address.inet().expect("an address")
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::connect(self.addr()).await
    }
}

struct PipeConnector(Arc<Origin>);

impl std::fmt::Debug for PipeConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PipeConnector")
    }
}

impl Connect for PipeConnector {
    fn connect<'a>(&'a self, _authority: &'a str) -> Connecting<'a> {
        Box::pin(async { Ok(Box::new(self.0.connect()) as Box<dyn Io>) as io::Result<_> })
    }
}
