//! Listeners over a reload: what stays keeps its sockets and what waits in them, what goes is drained, what is new is there at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use forebay::listener::accept::{Speaks, Spoken, accept};
use forebay::listener::wire::Bound;
use forebay::listener::{Serving, Settings, bind};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::reload_rig::{PLACES, Served, site};
use crate::rig::Sockets;
use crate::support::client::{Client, Ended};
use crate::support::origin::{Act, Gate, Origin, SeenRequest, head, respond};
use crate::support::{ms, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

async fn halting(gate: &Arc<Gate>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::tcp(move |request: &SeenRequest, _| {
        if request.path() != "/slow" {
            return vec![respond("200 OK", &[FRESH], "quick")];
        }
        let head = head("200 OK", &[FRESH, ("Content-Length", "8")]);
        vec![head, Act::send("half"), Act::WaitFor(gate.clone()), Act::send("half")]
    })
    .await
}

/// The inodes of sockets that are listened on at a port of IPv4.
fn sockets(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let at = |columns: &[&str]| columns[1].ends_with(&format!(":{port:04X}")) && columns[3] == "0A";
    let mut found: Vec<String> = columns
        .filter(|columns| columns.len() > 9 && at(columns))
        .map(|columns| columns[9].to_owned())
        .collect();
    found.sort();
    found
}

fn listeners(addresses: &[&str]) -> String {
    let tables = addresses.iter().map(|address| format!("[[listeners]]\naddress = \"{address}\"\n"));
    tables.collect::<Vec<_>>().concat()
}

/// An address that was free just now.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("binds").local_addr().expect("an address")
}

#[tokio::test]
async fn what_stays_keeps_its_sockets_and_who_waits_in_them_is_served() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let before = sockets(served.address.port());
    assert!(!before.is_empty());
    for round in 0..10 {
        // While it stands still, clients connect and ask, and it is told to reload.
        served.node.signal("STOP");
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut client = served.client().await;
            client.request("GET", "/", &[], b"").await;
            waiting.push(client);
        }
        served.write(&format!("{text}[node]\nname = \"n{round}\"\n"));
        served.node.signal("HUP");
        served.node.signal("CONT");
        for client in &mut waiting {
            assert_eq!(within(ms(20_000), client.read_answer()).await.status, 200);
        }
        // Two signals that wait together are one.
        served.has_reloaded(f64::from(round + 1), 0.0).await;
    }
    assert_eq!(sockets(served.address.port()), before);
}

#[tokio::test]
async fn what_is_new_is_there_and_what_goes_is_drained() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let (text, new) = (format!("{PLACES}{}", site("a", "*", &origin.url())), free().await);
    let served = Served::new(&text).await;
    let (mut idle, mut running) = (served.client().await, served.client().await);
    assert_eq!(idle.get("/").await.status, 200);
    running.request("GET", "/slow", &[], b"").await;
    running.read_head().await;
    served.reload(&text.replace("\"127.0.0.1:0\"\n[admin]", &format!("\"{new}\"\n[admin]"))).await;
    assert_eq!(Client::connect(new).await.get("/").await.status, 200);
    // Nobody listens there any more, and who did nothing was told to go.
    let refused = async { while TcpStream::connect(served.address).await.is_ok() {} };
    within(ms(20_000), refused).await;
    assert_eq!(within(ms(20_000), idle.expect_end()).await, Ended::Closed);
    gate.open();
    assert_eq!(running.read_body().await, b"halfhalf");
    assert!(running.is_complete());
    assert_eq!(within(ms(20_000), running.expect_end()).await, Ended::Closed);
    let line = served.node.wait_for_line("was reloaded").await;
    assert!(line.contains(&format!("listener {new} added")) && line.contains(" removed"), "{line}");
}

#[tokio::test]
async fn who_has_connected_to_one_that_goes_is_served_first() {
    let node = Sockets::new(|_, _| vec![respond("200 OK", &[FRESH], "quick")]).await;
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = bind::bind(address, 1).expect("binds").pop().expect("a socket");
    let address = socket.local_addr().expect("an address");
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(address).await;
        client.request("GET", "/", &[], b"").await;
        waiting.push(client);
    }
    let serving = Serving {
        settings: Settings::default().into(),
        uploads: node.running.node.means.clone(),
        counters: Arc::clone(&node.running.node.counters),
        draining: CancellationToken::new(),
    };
    // It goes before any of them was taken.
    let (removed, spoken) = watch::channel(Spoken { speaks: Speaks::default(), manner: 0, serving });
    drop(removed);
    let socket = Bound::Tcp(socket).listen().expect("listens");
    let machine = Arc::clone(&node.running.node.machine);
    within(ms(20_000), accept(socket, spoken, machine, TaskTracker::new())).await;
    for client in &mut waiting {
        assert_eq!(within(ms(20_000), client.read_answer()).await.status, 200);
        assert_eq!(within(ms(20_000), client.expect_end()).await, Ended::Closed);
    }
    assert!(TcpStream::connect(address).await.is_err());
    node.running.drain();
}

#[tokio::test]
async fn an_address_that_is_taken_changes_nothing_at_all() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let (other, free) = (TcpListener::bind("127.0.0.1:0").await.expect("binds"), free().await);
    let taken = other.local_addr().expect("an address").to_string();
    let before = sockets(served.address.port());
    let mut client = served.client().await;
    assert_eq!(client.get("/").await.status, 200);
    let more = listeners(&[&free.to_string(), &taken]) + "[node]\nname = \"edge\"\n";
    served.refuses(&format!("{text}{more}")).await;
    let line = served.node.wait_for_line("nothing has changed: cannot listen on").await;
    assert!(line.contains(&taken), "{line}");
    assert!(TcpStream::connect(free).await.is_err(), "the one before it is not listened on either");
    assert!(client.get("/").await.cache_status().starts_with("forebay; hit"));
    assert_eq!(sockets(served.address.port()), before);
    drop(other);
    served.reload(&format!("{text}{more}")).await;
    assert!(Client::connect(free).await.get("/").await.cache_status().starts_with("edge; hit"));
}

#[tokio::test]
async fn an_address_becomes_a_part_of_what_it_was() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let port = free().await.port();
    let text = |ip: &str| PLACES.replace("127.0.0.1:0\"\n[admin]", &format!("{ip}:{port}\"\n[admin]"));
    let site = site("a", "*", &origin.url());
    let served = Served::new(&(text("0.0.0.0") + &site)).await;
    let at = |ip: [u8; 4]| SocketAddr::from((ip, port));
    assert_eq!(Client::connect(at([127, 0, 0, 2])).await.get("/").await.status, 200);
    served.reload(&(text("127.0.0.1") + &site)).await;
    assert_eq!(Client::connect(at([127, 0, 0, 1])).await.get("/").await.status, 200);
    let refused = async { while TcpStream::connect(at([127, 0, 0, 2])).await.is_ok() {} };
    within(ms(20_000), refused).await;
    served.reload(&(text("0.0.0.0") + &site)).await;
    assert_eq!(Client::connect(at([127, 0, 0, 2])).await.get("/").await.status, 200);
}

#[tokio::test]
async fn what_is_spoken_changes_for_new_connections_and_the_old_ones_end_in_good_order() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let before = sockets(served.address.port());
    let (mut idle, mut running) = (served.client().await, served.client().await);
    assert_eq!(idle.get("/").await.status, 200);
    running.request("GET", "/slow", &[], b"").await;
    running.read_head().await;
    served.reload(&text.replace("[admin]", "proxy_protocol = [\"127.0.0.0/8\"]\n[admin]")).await;
    assert_eq!(sockets(served.address.port()), before);
    let mut client = served.client().await;
    client.send("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n").await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(within(ms(20_000), idle.expect_end()).await, Ended::Closed);
    gate.open();
    assert_eq!(running.read_body().await, b"halfhalf");
    assert_eq!(within(ms(20_000), running.expect_end()).await, Ended::Closed);
}

#[tokio::test]
async fn the_files_of_unix_sockets_come_and_go_and_get_other_permissions() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let socket = served.path("s");
    let with = |mode: &str| {
        let listener = format!("[[listeners]]\naddress = \"unix:{}\"\nmode = \"{mode}\"\n", socket.display());
        format!("{text}{listener}")
    };
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
    };
    let asks = || async {
        let stream = UnixStream::connect(&socket).await.expect("connects");
        Client::over(stream).get("/").await.status
    };
    served.reload(&with("0600")).await;
    assert_eq!((mode(&socket), asks().await), (0o600, 200));
    served.reload(&with("0666")).await;
    assert_eq!((mode(&socket), asks().await), (0o666, 200));
    served.reload(&text).await;
    assert!(!socket.exists());
}
