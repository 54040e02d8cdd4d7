//! The memory limit is the limit of the process.

use crate::support::client::Client;
use crate::support::origin::{Origin, respond};
use crate::support::process::{Process, rss_anon_kib};

const LIMIT_KIB: u64 = 128 << 10;

/// Four times the limit goes through the cache, in objects of sizes that take each way of being stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_filled_four_times_over_stays_within_the_limit() {
    let origin = Origin::tcp(|request, _| {
        let size: usize =
            request.path().rsplit('/').next().and_then(|size| size.parse().ok()).expect("a size");
        // The head is long, because a head that kept its read buffer would not show otherwise.
        let fields = [("Cache-Control", "max-age=600"), ("X-Note", &"n".repeat(500))];
        vec![respond("200 OK", &fields, vec![b'x'; size])]
    })
    .await;
    let node = Process::start(
        env!("CARGO_BIN_EXE_forebay"),
        &[
            "serve",
            "--origin",
            &origin.url(),
            "--listen",
            "127.0.0.1:0",
            "--access-log",
            "off",
            "--memory",
            "128MiB",
        ],
    );
    let mut client = Client::connect(node.listening().await).await;
    let mut most = 0;
    for (count, size) in [(2500, 100_000), (60, 3 << 20), (6000, 10_000), (3000, 1000)] {
        for index in 0..count {
            let answer = client.get(&format!("/{index}/{size}")).await;
            assert!(answer.complete && answer.body.len() == size);
            if index % 50 == 0 {
                most = most.max(rss_anon_kib(node.pid()));
            }
        }
    }
    println!("RssAnon was at most {most} KiB of {LIMIT_KIB} KiB");
    assert!(most < LIMIT_KIB, "RssAnon reached {most} KiB");
}
