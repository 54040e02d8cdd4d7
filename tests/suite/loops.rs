//! Requests that go in circles (RFC 8586).

use forebay::config::Settings;

use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, SeenRequest, respond};

const ID: &str = "cdn.example";

fn one_of(id: &str, max_loops: usize) -> Settings {
    let mut settings = settings("http://origin.test");
    settings.fetch.cdn_id = id.into();
    settings.request.cdn_id = id.into();
    settings.request.max_loops = max_loops;
    settings
}

fn fresh(_: &SeenRequest, _: usize) -> Vec<Act> {
    vec![respond("200 OK", &[("Cache-Control", "max-age=60")], "page")]
}

/// What the origin saw of `CDN-Loop` in its last exchange.
fn seen(pipes: &Pipes) -> Vec<String> {
    let exchange = pipes.origin.exchange(pipes.origin.hits() - 1);
    exchange.request.header_all("cdn-loop").into_iter().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn every_request_to_the_origin_tells_that_it_went_by_here() {
    let pipes = Pipes::with(one_of(ID, 0), fresh);
    pipes.ask("/", &[]).await;
    assert_eq!(seen(&pipes), [ID], "a fetch");
    pipes.ask("/2", &[("If-Match", "\"a\""), ("CDN-Loop", "other; a=\"1,2\", \"")]).await;
    assert_eq!(seen(&pipes), ["other; a=\"1,2\", \"", ID], "a pass");
    pipes.ask("/3", &[("CDN-Loop", "a"), ("CDN-Loop", "b"), ("Cache-Control", "no-store")]).await;
    assert_eq!(seen(&pipes), ["a", "b", ID], "a fetch for one client");
    pipes.pass_time(60);
    pipes.ask("/", &[]).await;
    assert_eq!(seen(&pipes), [ID], "a fetch that replaces");
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_the_field_off_by_naming_it_in_connection() {
    let pipes = Pipes::with(one_of(ID, 0), fresh);
    pipes.ask("/", &[("CDN-Loop", "other"), ("Connection", "CDN-Loop, close")]).await;
    assert_eq!(seen(&pipes), ["other", ID]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_here_before_is_refused_even_if_it_would_be_a_hit() {
    let pipes = Pipes::with(one_of(ID, 0), fresh);
    pipes.ask("/", &[]).await;
    for (method, fields) in
        [("GET", "x, CDN.example; a=b"), ("POST", "cdn.example"), ("GET", "\"x, cdn.example, y\"")]
    {
        let mut client = pipes.client();
        client.request(method, "/", &[("CDN-Loop", fields)], b"").await;
        let answer = client.read_answer().await;
        assert_eq!((answer.status, answer.cache_status()), (508, "forebay; detail=loop".into()), "{fields}");
        assert_eq!(answer.header("proxy-status"), Some("forebay; error=proxy_loop_detected"));
    }
    assert_eq!(pipes.origin.hits(), 1);
    assert_eq!(
        pipes.ask("/", &[("CDN-Loop", "a.cdn.example, cdn.example.b, b;cdn.example")]).await.status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn nodes_of_one_id_may_stand_behind_each_other_as_often_as_is_said() {
    let pipes = Pipes::with(one_of(ID, 2), fresh);
    for (passed, status) in [
        ("", 200),
        ("cdn.example", 200),
        ("cdn.example,cdn.example", 200),
        ("cdn.example,cdn.example,cdn.example", 508),
    ] {
        assert_eq!(pipes.ask("/", &[("CDN-Loop", passed)]).await.status, status, "{passed}");
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_that_were_given_no_id_never_take_each_other_for_themselves() {
    let (one, other) = (Pipes::new(fresh), Pipes::new(fresh));
    one.ask("/", &[]).await;
    let passed = seen(&one).concat();
    assert!(passed.starts_with("forebay-") && passed.len() == 40, "{passed}");
    assert_eq!(other.ask("/", &[("CDN-Loop", &passed)]).await.status, 200);
    assert_eq!(one.ask("/", &[("CDN-Loop", &passed)]).await.status, 508);
    assert_eq!(seen(&other), [passed.clone(), seen(&other)[1].clone()]);
    assert_ne!(seen(&other)[1], passed);
}
