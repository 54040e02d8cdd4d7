//! Reloads under load: no request fails, no download is cut, no tunnel ends, and nothing is left behind.
//!
//! `FOREBAY_RELOADS` says how many; by default a hundred.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::admin::{scrape, value};
use crate::reload_rig::{PLACES, Served, site};
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, Gate, Origin, SeenRequest, head, respond};
use crate::support::process::{RssWatch, rss_anon_kib};
use crate::support::{ms, within};

/// Reloads before memory is looked at: what they take once, they take then.
const WARM_UP: u32 = 10;

/// Of a download that is under way from the first reload to the last.
const LONG: usize = 3 << 20;

/// How much memory may grow, in KiB.
const GROWTH: u64 = 24 << 10;

fn script(gate: &Arc<Gate>) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static {
    let gate = Arc::clone(gate);
    move |request, _| match request.path() {
        path if path.starts_with("/long") => {
            let (length, body) = (LONG.to_string(), pattern(1, LONG));
            let head = head("200 OK", &[("Cache-Control", "no-store"), ("Content-Length", &length)]);
            vec![
                head,
                Act::send(body[..LONG / 2].to_vec()),
                Act::WaitFor(gate.clone()),
                Act::send(body[LONG / 2..].to_vec()),
            ]
        }
        path if path.starts_with("/slow") => {
            let body = pattern(2, 64 << 10);
            let head = head("200 OK", &[("Cache-Control", "no-store"), ("Content-Length", "65536")]);
            vec![head, Act::drip(body, 16, ms(300))]
        }
        path if path.starts_with("/miss") => {
            vec![respond("200 OK", &[("Cache-Control", "no-store")], pattern(3, 1000))]
        }
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=3600")], pattern(3, 1000))],
    }
}

/// An origin that leaves HTTP and says what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let switch =
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(switch).await?;
                let (mut reads, mut writes) = stream.split();
                tokio::io::copy(&mut reads, &mut writes).await
            });
        }
    });
    address
}

/// What is asked for while the node reloads.
struct Load {
    served: SocketAddr,
    ends: AtomicBool,
    answered: AtomicU64,
    said: AtomicU64,
    downloaded: AtomicU64,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    /// Hits and misses, on connections that are kept, and now and then on new ones.
    async fn ask(self: Arc<Self>) {
        let mut nth = 0_u32;
        while self.goes_on() {
            let mut client = Client::connect(self.served).await;
            for _ in 0..50 {
                nth += 1;
                let path =
                    if nth.is_multiple_of(3) { format!("/miss{nth}") } else { format!("/hit{}", nth % 7) };
                let answer = client.get_with(&path, &[("Host", "a.test")]).await;
                assert_eq!((answer.status, answer.complete), (200, true), "{path}");
                assert_eq!(answer.body, pattern(3, 1000), "{path}");
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// One download after the other.
    async fn download(self: Arc<Self>) {
        while self.goes_on() {
            let mut client = Client::connect(self.served).await;
            let answer = client.get_with("/slow", &[("Host", "a.test")]).await;
            assert_eq!((answer.status, answer.complete), (200, true));
            assert_eq!(answer.body, pattern(2, 64 << 10));
            self.downloaded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One tunnel all the time.
    async fn talk(self: Arc<Self>, number: u32) {
        let mut stream = TcpStream::connect(self.served).await.expect("connects");
        let ask =
            "GET /chat HTTP/1.1\r\nHost: chat.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(ask.as_bytes()).await.expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let mut nth = u64::from(number) << 32;
        while self.goes_on() {
            nth += 1;
            stream.write_u64(nth).await.expect("the tunnel is open");
            assert_eq!(stream.read_u64().await.expect("the tunnel is open"), nth);
            self.said.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(ms(2)).await;
        }
    }
}

/// A configuration of which each has something else than the one before: a site, a pool, a listener, limits.
fn text(nth: u32, origin: &str, echo: SocketAddr) -> String {
    let listener = "[[listeners]]\naddress = \"127.0.0.2:0\"\n";
    let guest = site("guest", "guest.test", origin);
    let part = |is_there: bool, part: &str| if is_there { part.to_owned() } else { String::new() };
    let (queue, idle) = (100 + nth % 5, 60 + nth % 2);
    [
        PLACES.to_owned(),
        part(nth.is_multiple_of(2), listener),
        part(nth.is_multiple_of(3), &guest),
        format!("[pools.app]\nendpoints = [\"{origin}\"]\nqueue = {queue}\n"),
        "[sites.a]\nhosts = [\"a.test\"]\npool = \"app\"\n".to_owned(),
        site("chat", "chat.test", &format!("http://{echo}")),
        format!("[client]\nidle_timeout = \"{idle}s\"\n[cache]\ngrace = \"{nth}s\"\n"),
        "[log]\naccess = \"off\"\n".to_owned(),
    ]
    .concat()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_fail_no_request_end_no_tunnel_and_leave_nothing_behind() {
    let reloads: u32 = std::env::var("FOREBAY_RELOADS").map_or(100, |text| text.parse().expect("a number"));
    let (gate, echo) = (Gate::new(), echo().await);
    let origin = Origin::tcp(script(&gate)).await;
    let text = |nth| text(nth, &origin.url(), echo);
    let served = Served::new(&text(0)).await;
    let pid = served.node.pid();
    served.reload(&text(2)).await;
    let idle = descriptors(pid);
    let load = Arc::new(Load {
        served: served.address,
        ends: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        said: AtomicU64::new(0),
        downloaded: AtomicU64::new(0),
    });
    let mut long = Vec::new();
    for nth in 0..4 {
        let mut client = served.client().await;
        client.request("GET", &format!("/long{nth}"), &[("Host", "a.test")], b"").await;
        assert_eq!(client.read_head().await.status, 200);
        long.push(client);
    }
    let mut working: Vec<JoinHandle<()>> = Vec::new();
    working.extend((0..4).map(|_| tokio::spawn(Arc::clone(&load).ask())));
    working.extend((0..4).map(|_| tokio::spawn(Arc::clone(&load).download())));
    working.extend((0..8).map(|number| tokio::spawn(Arc::clone(&load).talk(number))));
    for nth in 1..=WARM_UP {
        served.reload(&text(nth)).await;
    }
    let watch = RssWatch::start(pid, ms(50));
    let count = |load: &Load| {
        [&load.answered, &load.downloaded, &load.said].map(|count| count.load(Ordering::Relaxed))
    };
    let asked = count(&load);
    for nth in WARM_UP + 1..=WARM_UP + reloads {
        served.reload(&text(nth)).await;
        if let Some(nth) = working.iter().position(JoinHandle::is_finished) {
            working.swap_remove(nth).await.expect("nothing failed");
        }
    }
    let growth = watch.growth_kib().await;
    let said = scrape(served.admin).await;
    load.ends.store(true, Ordering::Relaxed);
    for working in working {
        within(ms(20_000), working).await.expect("nothing failed");
    }
    gate.open();
    for client in &mut long {
        assert_eq!(client.read_body().await, pattern(1, LONG).to_vec());
        assert!(client.is_complete());
    }
    drop(long);
    let [answered, downloaded, talked] = count(&load);
    println!(
        "{reloads} reloads: {} requests, {} downloads, {} messages through 8 tunnels; RssAnon grew by {growth} KiB to {} KiB",
        answered - asked[0],
        downloaded - asked[1],
        talked - asked[2],
        rss_anon_kib(pid),
    );
    let ok = value(&said, "forebay_config_reloads_total{result=\"ok\"}");
    assert_eq!(ok, Some(f64::from(1 + WARM_UP + reloads)));
    assert!(growth < GROWTH, "memory grew by {growth} KiB");
    // Clients have gone, the idle connections of the last pool go with it, and it listens where it did.
    served.reload(&text((WARM_UP + reloads + 1).next_multiple_of(2))).await;
    // Each worker keeps a socket by which it asks the system how far slow clients have come.
    let askers = std::thread::available_parallelism().map_or(1, usize::from);
    let gone = async {
        while descriptors(pid) > idle + askers {
            tokio::time::sleep(ms(20)).await;
        }
    };
    within(ms(20_000), gone).await;
}
