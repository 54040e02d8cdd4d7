//! What `Cache-Status` says of each way that a request may take (RFC 9211).

use forebay::config::Settings;

use crate::disk_rig::DiskNode;
use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const TAG: (&str, &str) = ("ETag", "\"v1\"");

fn fresh(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &[FRESH, TAG], "page")]
}

#[tokio::test(start_paused = true)]
async fn a_miss_tells_how_long_what_was_stored_will_last() {
    let pipes = Pipes::new(|request, _| match request.target.as_str() {
        "/aged" => vec![respond("200 OK", &[FRESH, ("Age", "45")], "")],
        "/born-stale" => vec![respond("200 OK", &[("Cache-Control", "max-age=0"), TAG], "")],
        "/refused" => vec![respond("200 OK", &[("Cache-Control", "no-store, max-age=60")], "")],
        _ => vec![respond("200 OK", &[FRESH], "")],
    });
    for (path, expected) in [
        ("/", "forebay; fwd=uri-miss; stored; ttl=60"),
        ("/aged", "forebay; fwd=uri-miss; stored; ttl=15"),
        ("/born-stale", "forebay; fwd=uri-miss; stored; ttl=0"),
        ("/refused", "forebay; fwd=uri-miss; detail=no-store"),
    ] {
        assert_eq!(pipes.ask(path, &[]).await.cache_status(), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_tells_what_the_origin_answered_where_the_client_sees_another_status() {
    let pipes = Pipes::new(fresh);
    let known = ("If-None-Match", "\"v1\"");
    let answer = pipes.ask("/", &[known]).await;
    assert_eq!(answer.status, 304);
    assert_eq!(answer.cache_status(), "forebay; fwd=uri-miss; fwd-status=200; stored; ttl=60");
    let hit = pipes.ask("/", &[known]).await;
    assert_eq!((hit.status, hit.cache_status().as_str()), (304, "forebay; hit; ttl=60"));
}

#[tokio::test(start_paused = true)]
async fn the_key_is_told_only_where_the_site_says_so_and_holds_only_what_was_asked() {
    let mut telling: Settings = settings("http://origin.test");
    for site in &mut telling.sites {
        let policy = &mut site.policy;
        policy.tell_key = true;
        policy.query = forebay::semantics::query::QueryRules::ignoring(["u"]);
    }
    let pipes = Pipes::with(telling, fresh);
    let expected = r#"key="http://test/a?b=%221""#;
    let fields = [("Cookie", "secret=1"), ("Accept-Language", "de")];
    let miss = pipes.ask("/a?u=2&b=%221", &fields).await.cache_status();
    assert_eq!(miss, format!("forebay; fwd=uri-miss; stored; ttl=60; {expected}"));
    assert_eq!(
        pipes.ask("/a?b=%221&u=3", &[]).await.cache_status(),
        format!("forebay; hit; ttl=60; {expected}")
    );
    let quiet = Pipes::new(fresh);
    assert!(!quiet.ask("/a", &[]).await.cache_status().contains("key="));
}

#[tokio::test(start_paused = true)]
async fn what_inner_caches_say_comes_first_and_stays_as_it_is() {
    let inner =
        [("Cache-Status", "inner; hit; ttl=5, \"mid one\"; fwd=miss"), ("Cache-Status", "\"broken; ,;")];
    let pipes = Pipes::new(move |_, _| vec![respond("200 OK", &[FRESH, inner[0], inner[1]], "")]);
    for ours in ["forebay; fwd=uri-miss; stored; ttl=60", "forebay; hit; ttl=60"] {
        assert_eq!(pipes.ask("/", &[]).await.header_all("cache-status"), [inner[0].1, inner[1].1, ours]);
    }
}

/// Memory of a node that was just started knows nothing, and the disk may not have it for this request: neither
/// `uri-miss` nor `vary-miss` would be known to be true.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_disk_may_have_it_nobody_says_that_nothing_is_stored() {
    let mut node =
        DiskNode::new(|_| {}, |_, _| vec![respond("200 OK", &[FRESH, ("Vary", "X")], "page")]).await;
    let mut client = node.client().await;
    client.get_with("/", &[("X", "1")]).await;
    node.settled().await;
    node.restart().await;
    let mut client = node.client().await;
    let other = client.get_with("/", &[("X", "2")]).await.cache_status();
    assert!(other.starts_with("forebay; fwd=miss; stored; ttl="), "{other}");
    let unknown = client.get("/unknown").await.cache_status();
    assert!(unknown.starts_with("forebay; fwd=uri-miss; stored"), "{unknown}");
    let hit = client.get_with("/", &[("X", "1")]).await.cache_status();
    assert!(hit.starts_with("forebay; hit; ttl="), "{hit}");
}
