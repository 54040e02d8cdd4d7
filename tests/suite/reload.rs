//! A configuration that is read anew: what changes with the next request, and what stays with those that run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use forebay::admin::Reloads as _;
use forebay::app::reload::source::{Read, Source};
use forebay::app::reload::{Origin as From, Reloader};
use forebay::app::{Logs, Running};
use forebay::config::file::{Report, Seen};
use forebay::config::{Configuration, Settings};
use parking_lot::Mutex;
use serde_json::Value;

use crate::admin::{scrape, value};
use crate::disk_rig::until;
use crate::reload_rig::{PLACES, Served, site};
use crate::support::authority::Authority;
use crate::support::client::{Answer, Client, Ended};
use crate::support::origin::{Act, Gate, Origin, SeenRequest, head, refusing_addr, respond};
use crate::support::{ms, wait_for_lines, within};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// An origin that says who it is.
async fn called(name: &'static str) -> Origin {
    Origin::tcp(move |_, _| vec![Act::ReadBody, respond("200 OK", &[FRESH], name)]).await
}

/// An origin that answers `half`, and once the gate is open the other one.
async fn halting(gate: &Arc<Gate>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::tcp(move |request: &SeenRequest, _| {
        if !request.path().starts_with("/slow") {
            return vec![respond("200 OK", &[FRESH], "quick")];
        }
        let head = head("200 OK", &[FRESH, ("Content-Length", "8")]);
        vec![head, Act::send("half"), Act::WaitFor(gate.clone()), Act::send("half")]
    })
    .await
}

#[tokio::test]
async fn limits_of_clients_count_from_the_next_request_of_a_connection_on() {
    let origin = called("it").await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let mut client = served.client().await;
    let long = format!("/{}", "x".repeat(200));
    assert_eq!(client.get(&long).await.status, 200);
    served.reload(&format!("{text}[client]\nmax_target = \"100B\"\n")).await;
    assert_eq!(client.get(&long).await.status, 414);
    served.reload(&format!("{text}[client]\nmax_fields = 3\n")).await;
    let mut client = served.client().await;
    assert_eq!(client.get(&long).await.status, 200);
    let fields = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    client.request("GET", "/", &fields, b"").await;
    assert_eq!(client.read_answer().await.status, 431);
}

#[tokio::test]
async fn a_time_limit_of_an_idle_connection_counts_after_its_next_request() {
    let origin = called("it").await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let mut client = served.client().await;
    assert_eq!(client.get("/").await.status, 200);
    served.reload(&format!("{text}[client]\nidle_timeout = \"100ms\"\n")).await;
    // It idles by the old limit; with its next request the new one counts.
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(within(ms(10_000), client.expect_end()).await, Ended::Closed);
}

fn ttl(answer: &Answer) -> u64 {
    let status = answer.cache_status();
    let (_, ttl) = status.split_once("ttl=").expect("a lifetime");
    ttl.parse().expect("a number")
}

#[tokio::test]
async fn what_is_cached_and_for_how_long_changes_and_what_is_stored_stays() {
    let origin = called("it").await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let mut client = served.client().await;
    let answer = client.get("/one").await;
    assert!(answer.cache_status().starts_with("forebay; fwd=uri-miss; stored") && ttl(&answer) > 50);
    served.reload(&format!("{text}[cache]\nmax_lifetime = \"7s\"\n[node]\nname = \"edge\"\n")).await;
    let answer = client.get("/two").await;
    assert!(answer.cache_status().starts_with("edge; fwd=uri-miss; stored") && ttl(&answer) <= 7);
    assert!(client.get("/one").await.cache_status().starts_with("edge; hit; ttl="), "it is warm");
    served.reload(&format!("{text}[sites.a.cache]\nbypass_paths = [\"/one\"]\n")).await;
    assert!(client.get("/one").await.cache_status().contains("fwd=bypass; detail=path"));
}

#[tokio::test]
async fn sites_come_and_go_and_one_that_answers_goes_when_it_has() {
    let gate = Gate::new();
    let (old, new) = (halting(&gate).await, called("new").await);
    let both = |hosts: &str, url: &str| format!("{PLACES}{}", site("it", hosts, url));
    let served = Served::new(&both("old.test", &old.url())).await;
    let mut running = served.client().await;
    running.request("GET", "/slow", &[("Host", "old.test")], b"").await;
    assert_eq!(running.read_head().await.status, 200);
    served.reload(&both("new.test", &new.url())).await;
    let mut client = served.client().await;
    assert_eq!(client.get_with("/", &[("Host", "old.test")]).await.status, 421);
    assert_eq!(client.get_with("/", &[("Host", "new.test")]).await.text(), "new");
    gate.open();
    assert_eq!(running.read_body().await, b"halfhalf");
    assert!(running.is_complete());
    assert_eq!(running.get_with("/", &[("Host", "old.test")]).await.status, 421);
}

#[tokio::test]
async fn a_pool_that_has_changed_is_asked_by_the_next_request_and_the_old_one_by_those_that_run() {
    let gate = Gate::new();
    let (old, new) = (halting(&gate).await, called("new").await);
    let text = |url: &str| format!("{PLACES}{}", site("a", "*", url));
    let served = Served::new(&text(&old.url())).await;
    // One that waits for its head, and one that has it.
    let (mut leads, mut joins) = (served.client().await, served.client().await);
    leads.request("GET", "/slow", &[], b"").await;
    assert_eq!(leads.read_head().await.status, 200);
    served.reload(&text(&new.url())).await;
    joins.request("GET", "/slow", &[], b"").await;
    let answer = joins.read_answer().await;
    assert_eq!(answer.text(), "new", "who comes after it does not wait for the old pool");
    gate.open();
    assert_eq!(leads.read_body().await, b"halfhalf");
    assert_eq!((old.hits(), new.hits()), (1, 1));
    // Nobody holds the old pool any more: its connection ends.
    old.wait_for_closed_by_peer(1).await;
}

#[tokio::test]
async fn a_pool_that_stays_keeps_its_connections_its_health_and_its_counts() {
    let origin = called("it").await;
    let dead = format!("http://{}", refusing_addr());
    let pool = format!(
        "[pools.app]\nendpoints = [\"{}\", \"{dead}\"]\nbackoff = \"1h\"\nmax_backoff = \"1h\"\n",
        origin.url()
    );
    let text = format!("{PLACES}{pool}[sites.a]\nhosts = [\"*\"]\npool = \"app\"\n");
    let served = Served::new(&text).await;
    let mut client = served.client().await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(path).await.status, 200);
    }
    let up = format!("forebay_endpoint_up{{pool=\"app\",endpoint=\"{dead}\"}}");
    assert_eq!(value(&scrape(served.admin).await, &up), Some(0.0), "it was found out");
    served.reload(&format!("{text}[cache]\ngrace = \"1h\"\n")).await;
    assert_eq!(value(&scrape(served.admin).await, &up), Some(0.0), "it is known still");
    assert_eq!(client.get("/4").await.status, 200);
    assert_eq!((origin.hits(), origin.opened()), (4, 1), "by the same connection");
    served
        .reload(
            &text.replace("1h\"\nmax", "2h\"\nmax").replace("max_backoff = \"1h\"", "max_backoff = \"2h\""),
        )
        .await;
    assert_eq!(value(&scrape(served.admin).await, &up), Some(1.0), "another pool knows nothing yet");
    assert_eq!(client.get("/5").await.status, 200);
    assert_eq!(origin.opened(), 2);
}

#[tokio::test]
async fn what_is_drained_stays_so_in_the_pool_that_takes_its_place() {
    let (kept, drained) = (called("kept").await, called("drained").await);
    let pool = format!("[pools.app]\nendpoints = [\"{}\", \"{}\"]\n", drained.url(), kept.url());
    let text = format!("{PLACES}{pool}[sites.a]\nhosts = [\"*\"]\npool = \"app\"\n");
    let served = Served::new(&text).await;
    let way = format!("/v1/endpoints/app/{}/drain", drained.addr());
    let mut operator = Client::connect(served.admin).await;
    for way in [way.as_str(), "/v1/node/drain"] {
        operator.request("POST", way, &[("Host", "localhost")], b"").await;
        assert_eq!(operator.read_answer().await.status, 200, "{way}");
    }
    served.reload(&text.replace("[pools.app]\n", "[pools.app]\nretries = 1\n")).await;
    let mut client = served.client().await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.get(path).await.text(), "kept");
    }
    assert_eq!(drained.hits(), 0);
    operator.request("GET", "/readyz", &[("Host", "localhost")], b"").await;
    assert_eq!(operator.read_answer().await.status, 503, "the node is out still");
}

#[tokio::test]
async fn counts_of_a_site_go_on() {
    let origin = called("it").await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let hits = "forebay_requests_total{site=\"a\",outcome=\"hit\",status=\"2xx\"}";
    for round in 1..=3 {
        let mut client = served.client().await;
        client.get("/").await;
        client.get("/").await;
        // The first answer of all was a miss.
        let expected = f64::from(2 * round - 1);
        let counted = async {
            while value(&scrape(served.admin).await, hits) != Some(expected) {
                tokio::time::sleep(ms(5)).await;
            }
        };
        within(ms(10_000), counted).await;
        served.reload(&format!("{text}[cache]\ngrace = \"{round}h\"\n")).await;
    }
}

#[tokio::test]
async fn limits_of_fetches_and_connections_change() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let mut running = served.client().await;
    running.request("GET", "/slow", &[], b"").await;
    running.read_head().await;
    served.reload(&format!("{text}[fetch]\nmax_fetches = 1\nmax_refreshes = 1\n")).await;
    let mut client = served.client().await;
    assert_eq!(client.get("/quick").await.status, 503, "one is under way");
    served.reload(&format!("{text}[client]\nmax_connections = 2\n")).await;
    assert_eq!(client.get("/quick").await.status, 200);
    assert_eq!(served.client().await.get("/").await.status, 503);
    served.reload(&text).await;
    assert_eq!(served.client().await.get("/").await.status, 200);
    gate.open();
    assert_eq!(running.read_body().await, b"halfhalf");
}

#[tokio::test]
async fn the_logs_are_turned_to_other_places_and_laid_out_otherwise() {
    let origin = called("it").await;
    let dead = site("dead", "dead.test", &format!("http://{}", refusing_addr()));
    let text = format!("{PLACES}{}{dead}", site("a", "*", &origin.url()));
    let folder = tempfile::tempdir().expect("a directory");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let log = |file: &Path, more: &str| format!("{text}[log]\naccess = \"{}\"\n{more}", file.display());
    let served = Served::new(&log(&one, "")).await;
    let mut client = served.client().await;
    client.get("/first").await;
    wait_for_lines(&one, 1).await;
    served.reload(&log(&one, "format = \"fields\"\nfields = [\"method\", \"target\", \"status\"]\n")).await;
    client.get("/second").await;
    wait_for_lines(&one, 2).await;
    served.reload(&log(&two, "level = \"debug\"\n")).await;
    client.get("/third").await;
    wait_for_lines(&two, 1).await;
    let lines = std::fs::read_to_string(&one).expect("a log");
    let (first, second) = lines.trim_end().split_once('\n').expect("two lines");
    let first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!((first["target"].as_str(), second), (Some("/first"), "GET /second 200"));
    // The old file has nobody any more who writes to it.
    let open = |file: &Path| {
        let open = std::fs::read_dir(format!("/proc/{}/fd", served.node.pid())).expect("descriptors");
        open.filter_map(|one| std::fs::read_link(one.ok()?.path()).ok()).any(|leads| leads == file)
    };
    within(ms(10_000), async {
        while open(&one) {
            tokio::time::sleep(ms(5)).await;
        }
    })
    .await;
    assert!(open(&two));
    let told = |what: &'static str| {
        let node = &served.node;
        move || node.lines().iter().filter(|line| line.contains(what)).count()
    };
    let (reloads, debug) = (told("was reloaded"), told("DEBUG"));
    assert_eq!(client.get_with("/", &[("Host", "dead.test")]).await.status, 502);
    until("debug tells more", || debug() > 0).await;
    served.reload(&log(&two, "level = \"error\"\n")).await;
    served.reload(&text).await;
    // The one that turned it to errors alone is told no more.
    until("they are told", || reloads() >= 3).await;
    assert_eq!(reloads(), 3);
}

#[tokio::test]
async fn the_deadline_of_the_drain_changes() {
    let gate = Gate::new();
    let origin = halting(&gate).await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let mut served = Served::new(&text).await;
    served.reload(&format!("{text}[node]\ndrain = \"200ms\"\n")).await;
    let mut running = served.client().await;
    running.request("GET", "/slow", &[], b"").await;
    running.read_head().await;
    served.node.terminate();
    assert_eq!(served.node.exit_code().await, Some(0));
    served.node.wait_for_line("the drain deadline passed").await;
}

#[tokio::test]
async fn what_needs_a_restart_is_told_and_all_else_taken() {
    let origin = called("it").await;
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let more = format!("{text}[node]\nname = \"edge\"\nworkers = 1\n[spill]\nlimit = \"100MiB\"\n");
    served.reload(&more).await;
    assert!(served.client().await.get("/").await.cache_status().starts_with("edge;"));
    let line = served.node.wait_for_line("after a restart only").await;
    assert!(line.contains("node.workers, spill.limit"), "{line}");
    let waits = "forebay_config_keys_awaiting_restart";
    assert_eq!(value(&scrape(served.admin).await, waits), Some(2.0));
    served.reload(&text).await;
    assert_eq!(value(&scrape(served.admin).await, waits), Some(0.0));
}

#[tokio::test]
async fn the_command_line_goes_before_the_file_still() {
    let (given, written) = (called("given").await, called("written").await);
    let text = format!("{PLACES}{}", site("a", "*", &written.url()));
    let served = Served::with(&text, &["--origin", &given.url()]).await;
    served.reload(&format!("{text}[node]\nname = \"edge\"\n")).await;
    let answer = served.client().await.get("/").await;
    assert!(answer.cache_status().starts_with("edge;"));
    assert_eq!(answer.text(), "given");
}

#[tokio::test]
async fn certificates_are_shown_and_tls_is_spoken_as_it_says_now() {
    let (authority, origin) = (Authority::new(), called("it").await);
    let text = |certificates: &[&str]| {
        let named = certificates.iter().map(|name| {
            let pair = authority.pair(name, &[&format!("{name}.test")], 2999);
            let (chain, key) = (pair.chain.display(), pair.key.display());
            format!("[certificates.{name}]\nchain = \"{chain}\"\nkey = \"{key}\"\n")
        });
        let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n\
            [admin]\naddress = \"127.0.0.1:0\"\n";
        listener.to_owned() + &named.collect::<String>() + &site("a", "*", &origin.url())
    };
    let served = Served::new(&text(&["one"])).await;
    let shake = |host: &'static str| {
        let connector = authority.client(&rustls::version::TLS13, &["http/1.1"]);
        let address = served.address;
        async move {
            let stream = tokio::net::TcpStream::connect(address).await.expect("connects");
            connector.connect(host.try_into().expect("a name"), stream).await
        }
    };
    let mut kept = Client::over(shake("one.test").await.expect("a handshake"));
    assert!(shake("two.test").await.is_err());
    served.reload(&text(&["two"])).await;
    assert!(shake("one.test").await.is_err());
    let mut new = Client::over(shake("two.test").await.expect("a handshake"));
    for (client, host) in [(&mut kept, "one.test"), (&mut new, "two.test")] {
        assert_eq!(client.get_with("/", &[("Host", host)]).await.text(), "it");
    }
}

#[tokio::test]
async fn certificates_are_looked_after_also_where_tls_came_with_a_reload() {
    let (authority, origin) = (Authority::new(), called("it").await);
    let pair = authority.pair("own", &["old.test"], 2999);
    let text = format!("{PLACES}{}", site("a", "*", &origin.url()));
    let served = Served::new(&text).await;
    let at =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("an address");
    let (chain, key) = (pair.chain.display(), pair.key.display());
    let tls = format!(
        "[[listeners]]\naddress = \"{at}\"\ntls = true\n[tls]\nreload_every = \"20ms\"\n\
         [certificates.own]\nchain = \"{chain}\"\nkey = \"{key}\"\n"
    );
    served.reload(&format!("{text}{tls}")).await;
    let is_shown = |host: &'static str| {
        let connector = authority.client(&rustls::version::TLS13, &[]);
        async move {
            let stream = tokio::net::TcpStream::connect(at).await.expect("connects");
            connector.connect(host.try_into().expect("a name"), stream).await.is_ok()
        }
    };
    assert!(is_shown("old.test").await);
    let next = authority.pair("next", &["new.test"], 2999);
    std::fs::rename(&next.chain, &pair.chain).expect("renamed");
    std::fs::rename(&next.key, &pair.key).expect("renamed");
    within(ms(20_000), async { while !is_shown("new.test").await {} }).await;
    assert_eq!(served.reloads().await, (1.0, 0.0));
}

// ---- in this process: one at a time, and what was asked of clients ----

/// A configuration as a test writes it.
struct Text {
    says: Mutex<String>,
    reading: Mutex<()>,
    /// How long it takes to be read.
    takes: Duration,
}

impl Source for Text {
    fn read(&self) -> Read {
        let _alone = self.reading.try_lock().expect("nobody else reads");
        std::thread::sleep(self.takes);
        let text = self.says.lock().clone();
        let Report { configuration, complaints, seen } =
            Configuration::read_text(Path::new("forebay.toml"), &text);
        let written = configuration.ok_or_else(|| forebay::admin::NotReloaded::because(&complaints));
        Read { written, complaints, seen }
    }
}

fn run(text: String, takes: Duration) -> (Running, Arc<Text>) {
    let source = Arc::new(Text { says: Mutex::new(text), reading: Mutex::default(), takes: ms(0) });
    let written = source.read().written.expect("a configuration");
    let settings = Settings::compile_for(&written, "it").expect("settings");
    let logs = Logs::start(&settings.access_log).expect("a log");
    let source =
        Arc::new(Text { takes, says: Mutex::new(source.says.lock().clone()), reading: Mutex::default() });
    let origin = From { source: source.clone(), written, seen: Seen::default(), own_id: "it".into() };
    (Running::start_from(&settings, logs, Some(origin)).expect("a running node"), source)
}

const QUIET: &str =
    "[[listeners]]\naddress = \"127.0.0.1:0\"\n[log]\naccess = \"off\"\n[node]\nworkers = 2\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_reload_at_a_time_and_each_reads_for_itself() {
    let origin = called("it").await;
    let text = format!("{QUIET}{}", site("a", "*", &origin.url()));
    let (running, source) = run(text.clone(), ms(50));
    let reload = |reloader: Reloader| std::thread::spawn(move || reloader.reload().expect("reloaded"));
    let first = reload(running.reloader().clone());
    *source.says.lock() =
        text + "name = \"edge\"\n[cache]\ngrace = \"3h\"\n".trim_start_matches("name = \"edge\"\n");
    let others: Vec<_> = (0..3).map(|_| reload(running.reloader().clone())).collect();
    let all = std::iter::once(first).chain(others);
    let changed: Vec<_> = all.flat_map(|one| one.join().expect("no panic").changed).collect();
    assert_eq!(changed, ["cache"], "one of them has found it, and the others what that one has put in place");
    assert_eq!(running.reloader().said().succeeded, 4);
    *source.says.lock() = QUIET.to_owned();
    let validated = running.reloader().validate().expect("it is well");
    assert_eq!(validated.changed, ["site a removed", "cache"], "and nothing has changed by it");
    assert_eq!(
        Client::connect(running.addresses[0].address.inet().expect("one")).await.get("/").await.status,
        200
    );
    running.drain();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_let_in_by_one_sites_authorities_is_not_let_in_by_anothers() {
    let (node, clients, others) = (Authority::new(), Authority::called("a"), Authority::called("b"));
    let (shown, good) =
        (node.pair("node", &["a.test", "b.test"], 2999), clients.pair("c", &["c.test"], 2999));
    let origin = called("it").await;
    let asks = |name: &str, authority: &Authority| {
        let ca = authority.file();
        let site = site(name, &format!("{name}.test"), &origin.url());
        let asks = format!("client_certificates = \"required\"\nclient_ca = \"{}\"\n", ca.display());
        format!("{site}[sites.{name}.tls]\n{asks}")
    };
    let listener = QUIET.replace(":0\"\n", ":0\"\ntls = true\n");
    let (chain, key) = (shown.chain.display(), shown.key.display());
    let certificate = format!("[certificates.own]\nchain = \"{chain}\"\nkey = \"{key}\"\n");
    // With the one site alone its policy is the first.
    let (running, source) = run(format!("{listener}{certificate}{}", asks("b", &clients)), ms(0));
    let connector = node.client_who(Some(&good), &rustls::version::TLS13, &["http/1.1"]);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(connector));
    let address = running.addresses[0].address.inet().expect("an address");
    let stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let stream = connector.connect("b.test".try_into().expect("a name"), stream).await.expect("a handshake");
    let mut client = Client::over(stream);
    assert_eq!(client.get_with("/", &[("Host", "b.test")]).await.status, 200);
    // Now another site is the first, with other authorities.
    *source.says.lock() = format!("{listener}{certificate}{}{}", asks("a", &others), asks("b", &clients));
    running.reloader().reload().expect("reloaded");
    assert_eq!(client.get_with("/", &[("Host", "a.test")]).await.status, 421);
    assert_eq!(client.get_with("/", &[("Host", "b.test")]).await.status, 200);
    running.drain();
}

/// A node of one pool of two, of which the first holds each request at a gate and then closes without an answer.
async fn holding(gates: [&Arc<Gate>; 2]) -> (Served, Origin, Origin, String) {
    let gates = gates.map(Arc::clone);
    let held = Origin::tcp(move |_, nth| vec![Act::WaitFor(gates[nth.min(1)].clone()), Act::Close]).await;
    let free = called("free").await;
    let pool = format!("[pools.app]\nendpoints = [\"{}\", \"{}\"]\ndown_after = 9\n", held.url(), free.url());
    let text = format!("{PLACES}{pool}[sites.a]\nhosts = [\"*\"]\npool = \"app\"\n");
    (Served::new(&text).await, held, free, text)
}

#[tokio::test]
async fn requests_that_are_pinned_to_a_pool_that_was_replaced_heed_what_is_drained_and_enabled() {
    let (first, second) = (Gate::new(), Gate::new());
    let (served, held, free, text) = holding([&first, &second]).await;
    let steer = async |what: &str| {
        let mut operator = Client::connect(served.admin).await;
        let way = format!("/v1/endpoints/app/{}/{what}", free.addr());
        operator.request("POST", &way, &[("Host", "localhost")], b"").await;
        let answer = operator.read_answer().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let active = async || {
        let told = crate::admin::get(served.admin, "/v1/endpoints").await.text();
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["endpoints"][0]["active"].as_u64().expect("a number")
    };
    // Enabled in the new pool, it is asked by what began in the old one.
    steer("drain").await;
    let mut one = served.client().await;
    one.request("GET", "/1", &[("Host", "a")], b"").await;
    until("the request is there", || held.hits() == 1).await;
    served.reload(&text.replace("down_after = 9", "down_after = 8")).await;
    assert_eq!(active().await, 1, "what the old pool does is told still");
    steer("enable").await;
    first.open();
    assert_eq!(one.read_answer().await.text(), "free");
    // And the other way round.
    steer("drain").await;
    let mut two = served.client().await;
    two.request("GET", "/2", &[("Host", "a")], b"").await;
    until("the request is there", || held.hits() == 2).await;
    steer("enable").await;
    served.reload(&text).await;
    steer("drain").await;
    second.open();
    let answer = two.read_answer().await;
    assert!(answer.status >= 500 && free.hits() == 1, "{}: {}", answer.status, free.hits());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_keeps_a_configuration_that_was_replaced() {
    let origin = called("it").await;
    let pool = format!("[pools.app]\nendpoints = [\"{}\"]\n", origin.url());
    let text = format!("{QUIET}[sites.a]\nhosts = [\"*\"]\npool = \"app\"\n{pool}");
    let (running, source) = run(text.clone(), ms(0));
    let address = running.addresses[0].address.inet().expect("one");
    let (mut machines, mut pools) = (Vec::new(), Vec::new());
    for nth in 1..=5 {
        machines.push(Arc::downgrade(&running.node.machine.machine()));
        pools.push(Arc::downgrade(&running.node.pools()[0]));
        assert_eq!(Client::connect(address).await.get(&format!("/{nth}")).await.status, 200);
        *source.says.lock() = format!("{text}queue = {nth}\n");
        running.reloader().reload().expect("reloaded");
    }
    until("they are gone", || {
        machines.iter().all(|machine| machine.strong_count() == 0)
            && pools.iter().all(|pool| pool.strong_count() == 0)
    })
    .await;
    running.drain();
}
