//! What overlaps and what competes: late joiners, late 304s, variants, and room in a full tier.

use std::time::Duration;

use crate::rig::{Pipes, settings};
use crate::support::bytes::pattern;
use crate::support::ms;
use crate::support::origin::{Act, Gate, chunk, head, last_chunk, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

impl Pipes {
    /// Waits until what came is stored, and the tier has decided what it keeps.
    async fn settle(&self) {
        self.quiet().await;
        self.node.cache.memory_used();
    }
}

#[tokio::test(start_paused = true)]
async fn a_variant_is_named_by_what_the_origin_saw() {
    let pipes = Pipes::new(|request, _| {
        let lang = request.header("accept-language").unwrap_or("none").to_owned();
        vec![respond("200 OK", &[FRESH, ("Vary", "Accept-Language")], lang)]
    });
    pipes.client().get_with("/", &[("Accept-Language", "de"), ("Connection", "accept-language")]).await;
    pipes.quiet().await;
    let victim = pipes.client().get_with("/", &[("Accept-Language", "de")]).await;
    assert_eq!(victim.text(), "de", "{}", victim.cache_status());
}

#[tokio::test(start_paused = true)]
async fn what_varies_by_our_own_fields_is_not_stored() {
    let pipes = Pipes::new(|request, _| {
        vec![respond(
            "200 OK",
            &[FRESH, ("Vary", "X-Forwarded-For")],
            request.header("x-forwarded-for").unwrap_or("none"),
        )]
    });
    let client = |ip: [u8; 4]| {
        let (near, far) = tokio::io::duplex(64 << 10);
        let machine = pipes.node.machine.clone();
        let serving = forebay::listener::Serving {
            settings: pipes.settings.listener.clone().into(),
            uploads: pipes.node.means.clone(),
            counters: pipes.node.counters.clone(),
            draining: pipes.draining.clone(),
        };
        tokio::spawn(async move {
            forebay::listener::http1::serve(
                far,
                forebay::listener::link::Link::plain(std::net::SocketAddr::from((ip, 1))),
                &*machine,
                &serving,
            )
            .await;
        });
        crate::support::client::Client::over(near)
    };
    let a = client([192, 0, 2, 1]).get("/").await;
    pipes.quiet().await;
    let b = client([192, 0, 2, 2]).get("/").await;
    assert_eq!((a.text().as_str(), b.text().as_str()), ("192.0.2.1", "192.0.2.2"), "{}", b.cache_status());
}

#[tokio::test(start_paused = true)]
async fn nobody_joins_a_fetch_whose_answer_has_expired() {
    let gate = Gate::new();
    let go = gate.clone();
    let pipes = Pipes::new(move |_, nth| match nth {
        0 => vec![
            head("200 OK", &[("Cache-Control", "max-age=1"), ("Transfer-Encoding", "chunked")]),
            chunk("old"),
            Act::WaitFor(go.clone()),
            last_chunk(&[]),
        ],
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=1")], "new")],
    });
    let mut leader = pipes.client();
    leader.request("GET", "/", &[], b"").await;
    leader.read_head().await;
    pipes.clock.advance(Duration::from_hours(1));
    let mut late = pipes.client();
    late.request("GET", "/", &[], b"").await;
    let _h = late.read_head().await;
    gate.open();
    let body = late.read_body().await;
    assert_eq!(String::from_utf8_lossy(&body), "new");
}

#[tokio::test(start_paused = true)]
async fn a_304_that_adds_vary_is_heeded() {
    let pipes = Pipes::new(|request, _| {
        let lang = request.header("accept-language").unwrap_or("none").to_owned();
        if request.header("if-none-match").is_some() && lang == "de" {
            return vec![respond(
                "304 Not Modified",
                &[FRESH, ("ETag", "\"1\""), ("Vary", "Accept-Language")],
                "",
            )];
        }
        vec![respond("200 OK", &[("Cache-Control", "max-age=10"), ("ETag", "\"1\"")], lang)]
    });
    pipes.client().get_with("/", &[("Accept-Language", "de")]).await;
    pipes.quiet().await;
    pipes.clock.advance(Duration::from_secs(11));
    pipes.client().get_with("/", &[("Accept-Language", "de")]).await;
    pipes.quiet().await;
    let en = pipes.client().get_with("/", &[("Accept-Language", "en")]).await;
    assert_eq!(en.text(), "en", "{} {:?}", en.cache_status(), en.headers);
}

#[tokio::test(start_paused = true)]
async fn a_late_304_does_not_bring_back_the_old_object() {
    let gate = Gate::new();
    let go = gate.clone();
    let pipes = Pipes::new(move |request, nth| match nth {
        0 => vec![respond("200 OK", &[("Cache-Control", "max-age=10"), ("ETag", "\"1\"")], "one")],
        1 => {
            assert!(request.header("authorization").is_some());
            vec![
                Act::WaitFor(go.clone()),
                respond(
                    "304 Not Modified",
                    &[("Cache-Control", "public, max-age=60"), ("ETag", "\"1\"")],
                    "",
                ),
            ]
        }
        _ => vec![respond("200 OK", &[("Cache-Control", "public, max-age=60"), ("ETag", "\"2\"")], "two")],
    });
    pipes.client().get("/").await;
    pipes.quiet().await;
    pipes.clock.advance(Duration::from_secs(11));
    let mut a = pipes.client();
    a.request("GET", "/", &[("Authorization", "x")], b"").await;
    pipes.origin.wait_for_hits(2).await;
    let b = pipes.client().get("/").await;
    assert_eq!(b.text(), "two");
    pipes.clock.advance(Duration::from_secs(1));
    gate.open();
    a.read_answer().await;
    pipes.quiet().await;
    let c = pipes.client().get("/").await;
    assert_eq!(c.text(), "two", "{}", c.cache_status());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_forbids_storing_takes_nothing_out() {
    let pipes = Pipes::new(move |request, _| match request.header("if-none-match") {
        Some(_) => vec![respond("304 Not Modified", &[("ETag", "\"1\"")], "")],
        _ => vec![respond("200 OK", &[("Cache-Control", "max-age=10"), ("ETag", "\"1\"")], "one")],
    });
    pipes.client().get("/").await;
    pipes.quiet().await;
    pipes.clock.advance(Duration::from_secs(11));
    pipes.client().get_with("/", &[("Cache-Control", "no-store")]).await;
    pipes.quiet().await;
    let c = pipes.client().get("/").await;
    assert_eq!(
        pipes.origin.exchange(2).request.header("if-none-match"),
        Some("\"1\""),
        "{}",
        c.cache_status()
    );
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_forbids_storing_ends_with_its_client() {
    let pipes = Pipes::new(|_, _| vec![Act::Stall]);
    for n in 0..200 {
        let mut c = pipes.client();
        c.request("GET", &format!("/{n}"), &[("Cache-Control", "no-store")], b"").await;
        pipes.origin.wait_for_hits(n + 1).await;
        drop(c);
    }
    tokio::time::sleep(ms(1000)).await;
    assert_eq!((pipes.node.fetcher.running(), pipes.origin.open_now()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dead_blocks_give_way() {
    let mut settings = settings("http://origin.test");
    settings.cache.memory = 24 << 20;
    settings.fetch.max_object = 6 << 20;
    let pipes = Pipes::with(settings, |_, nth| {
        vec![respond("200 OK", &[("Cache-Control", "max-age=10")], pattern(nth as u64, 5 << 20))]
    });
    for _generation in 0..12 {
        for _ in 0..30 {
            pipes.client().get("/big").await;
            pipes.settle().await;
        }
        pipes.clock.advance(Duration::from_secs(11));
    }
    assert!(pipes.origin.hits() <= 13, "{}", pipes.origin.hits());
}

#[tokio::test(start_paused = true)]
async fn one_who_joins_late_is_told_the_age() {
    let gate = Gate::new();
    let go = gate.clone();
    let pipes = Pipes::new(move |_, _| {
        vec![
            head("200 OK", &[FRESH, ("Transfer-Encoding", "chunked")]),
            chunk("old"),
            Act::WaitFor(go.clone()),
            last_chunk(&[]),
        ]
    });
    let mut leader = pipes.client();
    leader.request("GET", "/", &[], b"").await;
    leader.read_head().await;
    pipes.clock.advance(Duration::from_secs(30));
    let mut late = pipes.client();
    late.request("GET", "/", &[], b"").await;
    let h = late.read_head().await;
    assert_eq!(h.header("age"), Some("30"), "{:?}", h.headers);
}

#[tokio::test(start_paused = true)]
async fn a_popular_large_newcomer_gets_in() {
    let mut settings = settings("http://origin.test");
    settings.cache.memory = 24 << 20;
    settings.fetch.max_object = 6 << 20;
    let pipes = Pipes::with(settings, |request, _| {
        vec![respond(
            "200 OK",
            &[("Cache-Control", "max-age=3600")],
            pattern(request.target.len() as u64, 5 << 20),
        )]
    });
    for n in (0..5).cycle().take(15) {
        pipes.client().get(&format!("/old{n}")).await;
        pipes.settle().await;
    }
    let mut hits = 0;
    for _ in 0..200 {
        let a = pipes.client().get("/popular").await;
        pipes.settle().await;
        hits += usize::from(a.cache_status().contains("hit;"));
    }
    eprintln!("REV3 popular: {hits} hits of 200; origin {}", pipes.origin.hits_of("/popular"));
    assert!(hits > 190);
}

#[tokio::test(start_paused = true)]
async fn an_answer_too_large_to_store_is_not_joined_once_it_has_expired() {
    let gate = Gate::new();
    let go = gate.clone();
    let mut settings = settings("http://origin.test");
    settings.fetch.max_object = 10;
    let pipes = Pipes::with(settings, move |_, nth| {
        let fields = [("Cache-Control", "max-age=1"), ("Content-Length", "11")];
        let wait = if nth == 0 { Act::WaitFor(go.clone()) } else { Act::Wait(ms(0)) };
        vec![head("200 OK", &fields), wait, Act::send(if nth == 0 { "the old one" } else { "the new one" })]
    });
    let mut leader = pipes.client();
    leader.request("GET", "/", &[], b"").await;
    leader.read_head().await;
    pipes.clock.advance(Duration::from_secs(2));
    assert_eq!(pipes.client().get("/").await.text(), "the new one");
    gate.open();
    assert_eq!(leader.read_body().await, b"the old one");
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_of_fetches_a_miss_is_a_503_and_a_hit_is_a_hit() {
    let mut settings = settings("http://origin.test");
    settings.fetch.max_fetches = 1;
    let pipes = Pipes::with(settings, |request, _| match request.path() {
        "/stored" => vec![respond("200 OK", &[FRESH], "stored")],
        _ => vec![Act::Stall],
    });
    pipes.client().get("/stored").await;
    pipes.settle().await;
    let mut busy = pipes.client();
    busy.request("GET", "/busy", &[], b"").await;
    pipes.origin.wait_for_hits(2).await;
    let refused = pipes.client().get("/other").await;
    assert_eq!(refused.status, 503);
    assert!(refused.header("proxy-status").is_some_and(|status| status.contains("connection_limit_reached")));
    assert!(pipes.client().get("/stored").await.cache_status().contains("hit"));
    assert_eq!(pipes.origin.hits(), 2);
}
