//! Three real nginx endpoints behind one node, under load: one is killed, one stopped, one slowed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forebay::app::Running;
use forebay::origin::{EndpointSettings, Settings};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::rig::settings;
use crate::site::Nginx;
use crate::support::client::Client;
use crate::support::ms;
use crate::support::origin::refusing_addr;

const CLIENTS: usize = 16;

/// Longer than anything that is well takes on a busy machine.
const FIRST_BYTE: Duration = Duration::from_millis(1500);

async fn endpoint(name: char, at: std::net::SocketAddr) -> Nginx {
    let said = format!("location / {{ add_header Cache-Control no-store; return 200 '{name}'; }}");
    Nginx::at(at, &said).await
}

async fn three() -> Vec<Nginx> {
    let mut endpoints = Vec::new();
    for name in ['a', 'b', 'c'] {
        endpoints.push(endpoint(name, refusing_addr()).await);
    }
    endpoints
}

fn node(endpoints: &[Nginx]) -> Running {
    let url = |nginx: &Nginx| EndpointSettings::from(forebay::config::OriginUrl::from(nginx.address));
    let mut pool = Settings::new("three", endpoints.iter().map(url).collect());
    pool.first_byte_timeout = FIRST_BYTE;
    pool.connect_timeout = FIRST_BYTE;
    pool.backoff = ms(300);
    pool.max_backoff = ms(1000);
    let mut settings = settings("http://unused");
    settings.pools = vec![pool];
    Running::start(&settings, None).expect("a running node")
}

/// An answer: who gave it, when it was asked for, and how long it took.
#[derive(Clone, Copy, Debug)]
struct Sample {
    status: u16,
    who: char,
    asked: Instant,
    took: Duration,
}

/// Clients that ask for ever new objects, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: JoinSet<Vec<Sample>>,
}

impl Load {
    async fn start(node: &Running) -> Self {
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let mut client = Client::connect(node.addresses[0].address.inet().expect("an address")).await;
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            clients.spawn(async move {
                let mut samples = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let asked = Instant::now();
                    let answer = client.get(&format!("/{number}/{}", samples.len())).await;
                    let who = answer.text().chars().next().unwrap_or('?');
                    samples.push(Sample { status: answer.status, who, asked, took: asked.elapsed() });
                    sent.fetch_add(1, Ordering::SeqCst);
                }
                samples
            });
        }
        Self { stop, sent, clients }
    }

    /// Waits until so many more have been answered.
    async fn more(&self, count: usize) {
        let goal = self.sent.load(Ordering::SeqCst) + count;
        let limit = Instant::now() + Duration::from_mins(1);
        while self.sent.load(Ordering::SeqCst) < goal {
            assert!(Instant::now() < limit, "the load does not get on");
            tokio::time::sleep(ms(5)).await;
        }
    }

    async fn end(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await.concat()
    }
}

/// Every answer is whole and right, whatever an endpoint went through.
#[track_caller]
fn assert_none_failed(samples: &[Sample]) {
    let failed: Vec<_> = samples.iter().filter(|sample| sample.status != 200 || sample.who == '?').collect();
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), samples.len(), failed.first());
}

fn count(samples: &[Sample], who: char) -> usize {
    samples.iter().filter(|sample| sample.who == who).count()
}

/// Sends a round of requests until `who` answers some of them again.
async fn until_back(node: &Running, who: char) {
    let mut client = Client::connect(node.addresses[0].address.inet().expect("an address")).await;
    let limit = Instant::now() + Duration::from_secs(20);
    for number in 0.. {
        let answer = client.get(&format!("/back/{who}/{number}")).await;
        assert_eq!(answer.status, 200);
        if answer.text().starts_with(who) {
            return;
        }
        assert!(Instant::now() < limit, "{who} never came back");
        tokio::time::sleep(ms(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn well_endpoints_are_balanced_within_three_percent() {
    let endpoints = three().await;
    let node = node(&endpoints);
    let load = Load::start(&node).await;
    load.more(10_000).await;
    let samples = load.end().await;
    assert_none_failed(&samples);
    let counts = ['a', 'b', 'c'].map(|who| count(&samples, who));
    let opened: u64 = node.node.pools()[0].endpoints().iter().map(|endpoint| endpoint.opened).sum();
    println!("of {}: {counts:?}, over {opened} connections", samples.len());
    // Workers share them, and take their own first: there may be a few more than requests at a time.
    assert!(opened <= 4 * CLIENTS as u64, "{opened} connections");
    // Three percent of a share is one percent of all.
    let (share, most) = (samples.len() / 3, samples.len() / 100);
    assert!(counts.iter().all(|count| count.abs_diff(share) <= most), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_endpoint_fails_no_request_and_takes_its_share_again_once_it_is_back() {
    let mut endpoints = three().await;
    let node = node(&endpoints);
    let load = Load::start(&node).await;
    load.more(500).await;
    endpoints[0].process.kill().await;
    let killed = Instant::now();
    load.more(2000).await;
    let address = endpoints[0].address;
    endpoints[0] = endpoint('a', address).await;
    until_back(&node, 'a').await;
    let back = Instant::now();
    load.more(1500).await;
    let samples = load.end().await;
    assert_none_failed(&samples);
    let (after, again): (Vec<_>, Vec<_>) = samples
        .iter()
        .copied()
        .filter(|sample| sample.asked > killed)
        .partition(|sample| sample.asked < back);
    println!("{} in all, {} without it, {} with it again", samples.len(), after.len(), again.len());
    assert!(
        after.len() >= 1900 && count(&again, 'a') * 5 > again.len(),
        "{} of {}",
        count(&again, 'a'),
        again.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_endpoint_fails_no_request_and_costs_one_time_limit() {
    let endpoints = three().await;
    let node = node(&endpoints);
    let load = Load::start(&node).await;
    load.more(500).await;
    endpoints[1].process.signal("STOP");
    let stopped = Instant::now();
    tokio::time::sleep(FIRST_BYTE * 2).await;
    load.more(500).await;
    let under_way = stopped.elapsed();
    endpoints[1].process.signal("CONT");
    until_back(&node, 'b').await;
    load.more(500).await;
    let samples = load.end().await;
    assert_none_failed(&samples);
    // Those that were under way ran into the limit. After the first did, only single ones try it.
    let noticed = stopped + FIRST_BYTE;
    let slow = |from: Instant, to: Instant| {
        let within = samples.iter().filter(|sample| sample.asked >= from && sample.asked < to);
        within.filter(|sample| sample.took >= FIRST_BYTE).count()
    };
    let (first, later) = (slow(stopped - ms(50), noticed), slow(noticed + ms(300), stopped + under_way));
    println!("{} in all; into the limit: {first} at first, {later} later", samples.len());
    assert!((1..=CLIENTS).contains(&first), "{first}");
    let trials = under_way.as_millis() / FIRST_BYTE.as_millis() + 1;
    assert!(later as u128 <= trials, "{later} later, of {trials} trials");
    assert!(count(&samples, 'b') > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_endpoint_fails_no_request_and_stays() {
    let endpoints = three().await;
    let node = node(&endpoints);
    let load = Load::start(&node).await;
    load.more(500).await;
    // Slow, but within the limit: stopped and continued over and over.
    for _ in 0..10 {
        endpoints[2].process.signal("STOP");
        tokio::time::sleep(ms(150)).await;
        endpoints[2].process.signal("CONT");
        tokio::time::sleep(ms(30)).await;
    }
    let slowed = Instant::now();
    load.more(1000).await;
    let samples = load.end().await;
    assert_none_failed(&samples);
    let after: Vec<_> = samples.iter().copied().filter(|sample| sample.asked > slowed).collect();
    let share = count(&after, 'c');
    println!("{} in all; afterwards {share} of {}", samples.len(), after.len());
    assert!(share * 5 > after.len(), "it was never left alone: {share} of {}", after.len());
}

/// Real sockets, the system's resolver (whose first address may be one where nobody listens), and TLS to nginx.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_is_reached_by_name_and_by_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let (plain, secure) = (refusing_addr(), refusing_addr());
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(file("cert.pem"), made.cert.pem()).expect("write");
    std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).expect("write");
    let said = format!(
        "listen {secure} ssl; ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {};
        location / {{ add_header Cache-Control no-store; return 200 'by $scheme $ssl_protocol'; }}",
        file("cert.pem").display(),
        file("key.pem").display()
    );
    let _nginx = Nginx::at(plain, &said).await;
    let answers = |url: String, ca: Option<std::path::PathBuf>| async move {
        let mut pool = Settings::new(
            "tls",
            vec![EndpointSettings::from(url.parse::<forebay::config::OriginUrl>().expect("an origin"))],
        );
        pool.tls.ca = ca;
        let mut settings = settings("http://unused");
        settings.pools = vec![pool];
        let node = Running::start(&settings, None).expect("a running node");
        let mut client = Client::connect(node.addresses[0].address.inet().expect("an address")).await;
        let (first, second) = (client.get("/1").await, client.get("/2").await);
        assert_eq!(first.status, second.status);
        let opened = node.node.pools()[0].endpoints()[0].opened;
        (first.status, first.text(), first.header("proxy-status").map(str::to_owned), opened)
    };
    let (status, text, _, opened) = answers(format!("http://localhost:{}", plain.port()), None).await;
    assert_eq!((status, text.as_str(), opened), (200, "by http ", 1));
    let url = format!("https://localhost:{}", secure.port());
    let (status, text, _, opened) = answers(url.clone(), Some(file("cert.pem"))).await;
    assert_eq!((status, text.as_str(), opened), (200, "by https TLSv1.3", 1));
    // The system does not know who signed it.
    let (status, _, said, _) = answers(url, None).await;
    assert_eq!((status, said.as_deref()), (502, Some("forebay; error=tls_certificate_error")));
}
