//! Answers that stand for more than one URL, by their own `No-Vary-Search`.

use crate::disk_rig::DiskNode;
use crate::rig::{Pipes, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const ALIAS: &str = "forebay; hit; ttl=60; detail=no-vary-search";

/// An origin that answers each URL with the URL, and states `rule`.
fn stating(rule: &'static str) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static {
    move |request, _| vec![respond("200 OK", &[FRESH, ("No-Vary-Search", rule)], &request.target)]
}

#[track_caller]
fn assert_said(answer: &Answer, text: &str, cache: &str) {
    assert_eq!((answer.text().as_str(), answer.cache_status().as_str()), (text, cache));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_answers_every_url_that_it_says_is_the_same() {
    let pipes = Pipes::new(stating("params=(\"utm\"), key-order"));
    pipes.ask("/a?x=1&y=2&utm=3", &[]).await;
    for same in ["/a?y=2&x=1", "/a?utm&x=1&y=2", "/a?x=%31&y=2&&utm=9"] {
        assert_said(&pipes.ask(same, &[]).await, "/a?x=1&y=2&utm=3", ALIAS);
    }
    for other in ["/a?x=1", "/b?x=1&y=2", "/a?x=1&y=3", "/A?x=1&y=2", "/a"] {
        assert_eq!(pipes.ask(other, &[]).await.text(), other);
    }
    assert_eq!(pipes.origin.hits(), 6);
}

#[tokio::test(start_paused = true)]
async fn its_own_url_goes_first_and_the_newest_of_others() {
    let pipes = Pipes::new(|request, nth| match nth {
        0 => vec![respond("200 OK", &[FRESH, ("No-Vary-Search", "params=(\"u\")")], &request.target)],
        1 => vec![respond("200 OK", &[FRESH], &request.target)],
        _ => vec![respond("200 OK", &[FRESH, ("No-Vary-Search", "params")], &request.target)],
    });
    pipes.ask("/?u=1", &[]).await;
    assert_said(&pipes.ask("/?other", &[]).await, "/?other", "forebay; fwd=uri-miss; stored; ttl=60");
    assert_said(&pipes.ask("/?other", &[]).await, "/?other", "forebay; hit; ttl=60");
    assert_said(&pipes.ask("/?u=2", &[]).await, "/?u=1", ALIAS);
    pipes.ask("/?new", &[]).await;
    assert_said(&pipes.ask("/?u=2", &[]).await, "/?new", ALIAS);
    assert_said(&pipes.ask("/?u=1", &[]).await, "/?u=1", "forebay; hit; ttl=60");
}

#[tokio::test(start_paused = true)]
async fn what_would_need_the_origins_word_goes_its_own_way() {
    let pipes = Pipes::new(stating("params"));
    pipes.ask("/?a", &[]).await;
    pipes.pass_time(60);
    let own = pipes.ask("/?b", &[]).await;
    assert_said(&own, "/?b", "forebay; fwd=uri-miss; stored; ttl=60");
    assert_eq!(pipes.origin.exchange(1).request.header("if-none-match"), None);
    for wish in [("Cache-Control", "no-cache"), ("Cache-Control", "max-age=0"), ("Pragma", "no-cache")] {
        let target = format!("/?{}", wish.1);
        assert_eq!(pipes.ask(&target, &[wish]).await.text(), target, "{wish:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_it_says_now_counts_and_not_what_it_said_before() {
    let pipes = Pipes::new(|request, nth| {
        let rule = if nth == 0 { "params" } else { "params=(\"u\")" };
        vec![respond("200 OK", &[FRESH, ("No-Vary-Search", rule)], &request.target)]
    });
    pipes.ask("/?a", &[]).await;
    assert_said(&pipes.ask("/?b", &[]).await, "/?a", ALIAS);
    pipes.pass_time(60);
    pipes.ask("/?a", &[]).await;
    assert_eq!(pipes.ask("/?b", &[]).await.text(), "/?b");
    assert_said(&pipes.ask("/?a&u", &[]).await, "/?a", ALIAS);
}

#[tokio::test(start_paused = true)]
async fn vary_and_codings_hold_under_another_url_too() {
    let pipes = Pipes::new(|request, _| {
        let fields = [FRESH, ("No-Vary-Search", "params"), ("Vary", "X"), ("Content-Encoding", "deflate")];
        vec![respond("200 OK", &fields, &request.target)]
    });
    let deflate = ("Accept-Encoding", "deflate");
    pipes.ask("/?a", &[("X", "1"), deflate]).await;
    assert_said(&pipes.ask("/?b", &[("X", "1"), deflate]).await, "/?a", ALIAS);
    assert_eq!(pipes.ask("/?c", &[("X", "1")]).await.text(), "/?c", "takes no such coding");
    assert_eq!(pipes.ask("/?d", &[("X", "2"), deflate]).await.text(), "/?d");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_none_makes_no_url_the_same() {
    for rule in ["params=(\"a\" b)", "except=(\"x\")", "nonsense", "params=?0"] {
        let pipes = Pipes::new(stating(rule));
        pipes.ask("/?a", &[]).await;
        assert_eq!(pipes.ask("/?b", &[]).await.text(), "/?b", "{rule}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_may_go_by_the_url_alone() {
    let mut exact = settings("http://origin.test");
    for site in &mut exact.sites {
        site.policy.ignore_no_vary_search = true;
    }
    let pipes = Pipes::with(exact, stating("params"));
    pipes.ask("/?a", &[]).await;
    assert_eq!(pipes.ask("/?b", &[]).await.text(), "/?b");
}

#[tokio::test(start_paused = true)]
async fn a_condition_is_answered_from_the_other_url() {
    let pipes = Pipes::new(|request, _| {
        vec![respond("200 OK", &[FRESH, ("No-Vary-Search", "params"), ("ETag", "\"v\"")], &request.target)]
    });
    pipes.ask("/?a", &[]).await;
    let answer = pipes.ask("/?b", &[("If-None-Match", "\"v\"")]).await;
    assert_eq!((answer.status, answer.cache_status().as_str()), (304, ALIAS));
}

/// Aliases are in memory only: after a restart every URL is asked for once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_forgets_which_urls_are_the_same() {
    let mut node = DiskNode::new(|_| {}, stating("params")).await;
    node.client().await.get("/?a").await;
    node.settled().await;
    assert!(node.client().await.get("/?b").await.cache_status().ends_with("detail=no-vary-search"));
    node.restart().await;
    assert_eq!(node.client().await.get("/?b").await.text(), "/?b");
    assert_eq!(node.client().await.get("/?a").await.text(), "/?a");
}
