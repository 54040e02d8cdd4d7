//! Slow clients cost only what was budgeted: the origin is read at its own speed and released.
//!
//! `FOREBAY_SPOON_SECONDS` sets how long the clients draw slowly before they take the rest at full speed; 130
//! lets them draw all of it slowly (see `docs/proofs.md`).

use std::time::Duration;

use tokio::time::Instant;

use crate::support::bytes::{Verify, pattern};
use crate::support::client::Client;
use crate::support::ms;
use crate::support::origin::{Act, Origin, head};
use crate::support::process::{Process, RssWatch};

const CLIENTS: usize = 50;
const LENGTH: usize = 8 << 20;
const RATE: usize = 64 << 10;

fn seconds_of_drawing() -> u64 {
    std::env::var("FOREBAY_SPOON_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(4)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_slow_clients_cost_disk_and_not_the_origin_or_memory() {
    let body = pattern(0, LENGTH);
    let origin = Origin::tcp(move |_, _| {
        let fields = [("Cache-Control", "no-store"), ("Content-Length", &LENGTH.to_string())];
        vec![head("200 OK", &fields), Act::Send(body.clone())]
    })
    .await;
    let node = Process::start(
        env!("CARGO_BIN_EXE_forebay"),
        &["serve", "--origin", &origin.url(), "--listen", "127.0.0.1:0", "--access-log", "off"],
    );
    let addr = node.listening().await;
    let rss = RssWatch::start(node.pid(), ms(100));
    let begin = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for index in 0..CLIENTS {
        clients.spawn(async move {
            let mut client = Client::connect_narrow(addr, 16 << 10).await;
            client.send(&format!("GET /{index} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            assert_eq!(client.read_head().await.status, 200);
            draw(client, begin + Duration::from_secs(seconds_of_drawing())).await;
        });
    }
    origin.wait_for_finished(CLIENTS).await;
    let released = (0..CLIENTS).filter_map(|nth| origin.finished_at(nth)).max().expect("all finished");
    clients.join_all().await;
    let growth = rss.growth_kib().await;
    println!("origin released after {:?}, RssAnon grew by {growth} KiB", released.duration_since(begin));
    assert!(growth < 64 << 10, "RssAnon grew by {growth} KiB");
    // At 64 KiB/s the bodies take 128 s: this bounds braking, and is many times what a disk needs.
    assert!(released.duration_since(begin) < Duration::from_secs(3), "{:?}", released.duration_since(begin));
}

/// Draws at [`RATE`] until `until`, then at full speed; every byte is checked.
async fn draw(mut client: Client, until: Instant) {
    let mut verify = Verify::new(0);
    let mut tick = tokio::time::interval(ms(250));
    let mut allowance = 0;
    while let Some(bytes) = client.read_chunk().await {
        verify.feed(&bytes);
        allowance += bytes.len();
        while allowance >= RATE / 4 && Instant::now() < until {
            tick.tick().await;
            allowance -= RATE / 4;
        }
    }
    assert!(client.is_complete());
    verify.finish(LENGTH as u64);
}
