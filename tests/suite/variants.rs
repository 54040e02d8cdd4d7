//! A key has only so many variants.

use crate::disk_rig::DiskNode;
use crate::rig::{Pipes, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, SeenRequest, respond};
use forebay::config::Settings;
use forebay::semantics::policy::MaxVariants;

const VARIES: [(&str, &str); 3] = [("Cache-Control", "max-age=600"), ("Vary", "X, Y"), ("ETag", "\"v\"")];

fn at_most(max: usize, settings: &mut Settings) {
    for site in &mut settings.sites {
        site.policy.max_variants = MaxVariants(max);
    }
}

fn variant(request: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &VARIES, request.header("x").unwrap_or("none"))]
}

fn is_hit(answer: &Answer) -> bool {
    answer.cache_status().starts_with("forebay; hit")
}

#[tokio::test(start_paused = true)]
async fn beyond_the_most_variants_the_oldest_goes() {
    let mut few = settings("http://origin.test");
    at_most(3, &mut few);
    let pipes = Pipes::with(few, variant);
    for x in ["1", "2", "3", "4", "5"] {
        assert!(!is_hit(&pipes.ask("/", &[("X", x)]).await));
    }
    for x in ["3", "4", "5"] {
        assert!(is_hit(&pipes.ask("/", &[("X", x)]).await), "{x}");
    }
    assert_eq!(pipes.node.counters.surplus_variants.get(), 2);
    // Another key has a list of its own.
    pipes.ask("/other", &[("X", "1")]).await;
    assert!(is_hit(&pipes.ask("/", &[("X", "3")]).await));
    // It is not looked for in vain: stored anew, it is the newest, and the next oldest goes.
    assert_eq!(pipes.ask("/", &[("X", "1")]).await.cache_status(), "forebay; fwd=vary-miss; stored; ttl=600");
    assert!(is_hit(&pipes.ask("/", &[("X", "1")]).await));
    assert!(!is_hit(&pipes.ask("/", &[("X", "3")]).await));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_again_is_new_again_and_no_further_variant() {
    let mut few = settings("http://origin.test");
    at_most(2, &mut few);
    let pipes = Pipes::with(few, |request, nth| match request.header("if-none-match") {
        Some(_) => vec![respond("304 Not Modified", &VARIES, "")],
        None => variant(request, nth),
    });
    pipes.ask("/", &[("X", "1")]).await;
    pipes.pass_time(300);
    pipes.ask("/", &[("X", "2")]).await;
    pipes.pass_time(300);
    // Confirmed, and so stored again.
    assert!(
        pipes.ask("/", &[("X", "1")]).await.cache_status().starts_with("forebay; fwd=stale; fwd-status=304")
    );
    pipes.ask("/", &[("X", "3")]).await;
    assert!(is_hit(&pipes.ask("/", &[("X", "1")]).await));
    assert!(!is_hit(&pipes.ask("/", &[("X", "2")]).await));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_vary_is_no_variant() {
    let mut few = settings("http://origin.test");
    at_most(1, &mut few);
    let pipes = Pipes::with(few, |_, _| vec![respond("200 OK", &[("Cache-Control", "max-age=60")], "")]);
    for path in ["/?1", "/?2", "/?3"] {
        pipes.ask(path, &[]).await;
        assert!(is_hit(&pipes.ask(path, &[]).await));
    }
    assert!(is_hit(&pipes.ask("/?1", &[]).await));
    assert_eq!(pipes.node.counters.surplus_variants.get(), 0);
}

/// A variant that goes is gone from the disk as well, also after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_variant_is_gone_from_the_disk_too() {
    let mut node = DiskNode::new(|settings| at_most(2, settings), variant).await;
    for x in ["1", "2", "3"] {
        node.client().await.get_with("/", &[("X", x)]).await;
        node.settled().await;
    }
    node.restart().await;
    for (x, stored) in [("2", true), ("3", true), ("1", false)] {
        let answer = node.client().await.get_with("/", &[("X", x)]).await;
        assert_eq!(is_hit(&answer), stored, "{x}: {}", answer.cache_status());
    }
}
