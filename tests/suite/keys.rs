//! Two different resources never share an entry, and the origin is asked for what the key says.

use proptest::prelude::*;

use crate::keyed::is_hit;
use crate::rig::{Pipes, START};
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// Answers with what was asked: the host and the target.
fn echo(request: &SeenRequest, _: usize) -> Vec<Act> {
    let host = request.header("host").unwrap_or("none");
    vec![respond("200 OK", &[FRESH], format!("{host} {}", request.target))]
}

/// The body that a request of this target and host is answered with, and whether it came from memory.
async fn asked(pipes: &Pipes, target: &str, host: &str) -> (u16, String, bool) {
    let mut client = pipes.client();
    client.request("GET", target, &[("Host", host)], b"").await;
    let answer = client.read_answer().await;
    pipes.quiet().await;
    (answer.status, answer.text(), is_hit(&answer))
}

/// Spellings that an origin may take for different resources.
const DIFFERENT: &[&str] = &[
    "/",
    "/?",
    "/a",
    "/A",
    "/a/",
    "/a?",
    "/a??",
    "/a?b",
    "/a?B",
    "/a?b=",
    "/a?b&",
    "/a?&b",
    "/a?b&c",
    "/a?c&b",
    "/a?b=/../c",
    "/a;b",
    "/a;B",
    "/a;",
    "/a;b?c",
    "/a%3Bb",
    "/a%3bb",
    "/a%2Fb",
    "/a%2fb",
    "/a/b",
    "/a//b",
    "//a/b",
    "/a/./b",
    "/a/../b",
    "/b",
    "/a/%2e%2e/b",
    "/a/%2E%2E/b",
    "/a/..%2fb",
    "/a/..;/b",
    "/%61",
    "/a%00",
    "/a%00.css",
    "/a%0a",
    "/a%0d%0aX:y",
    "/a%23b",
    "/a%3Fb",
    "/a%20",
    "/a+",
    "/a%",
    "/a%2",
    "/a\\b",
    "/a.css",
    "/a/.css",
    "/a@b",
    "/a:80",
    "/a|b",
    "/a~",
    "/a%7E",
    "/a*",
];

#[tokio::test(start_paused = true)]
async fn each_spelling_of_a_target_is_a_resource_of_its_own() {
    let pipes = Pipes::new(echo);
    for round in 0..2 {
        for target in DIFFERENT {
            let (status, body, hit) = asked(&pipes, target, "test").await;
            assert_eq!((status, body, hit), (200, format!("test {target}"), round == 1), "{target}");
        }
    }
    assert_eq!(pipes.origin.hits(), DIFFERENT.len());
}

#[tokio::test(start_paused = true)]
async fn the_spellings_of_one_host_are_one_and_others_are_others() {
    let pipes = Pipes::new(echo);
    let (_, body, _) = asked(&pipes, "/x", "test").await;
    assert_eq!(body, "test /x");
    for host in ["TEST", "test.", "test:80", "Test.:80", "test:", "test:0080"] {
        assert_eq!(asked(&pipes, "/x", host).await, (200, "test /x".into(), true), "{host}");
    }
    for (host, canonical) in [
        ("test:443", "test:443"),
        ("test:81", "test:81"),
        ("www.test", "www.test"),
        ("tes", "tes"),
        ("te%73t", "te%73t"),
    ] {
        assert_eq!(asked(&pipes, "/x", host).await, (200, format!("{canonical} /x"), false), "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_absolute_form_names_the_same_resource_and_outranks_host() {
    let pipes = Pipes::new(echo);
    asked(&pipes, "/x?y", "test").await;
    for absolute in ["http://test/x?y", "http://TEST:80/x?y", "HTTP://test./x?y"] {
        assert_eq!(asked(&pipes, absolute, "other").await, (200, "test /x?y".into(), true), "{absolute}");
    }
    asked(&pipes, "/", "test").await;
    assert_eq!(asked(&pipes, "http://test", "test").await, (200, "test /".into(), true));
    // A URL in the path is a path.
    assert_eq!(asked(&pipes, "/http://test/x?y", "test").await, (200, "test /http://test/x?y".into(), false));
    let with_user = asked(&pipes, "http://user@test/x?y", "test").await;
    assert_eq!((with_user.0, with_user.2), (400, false), "{}", with_user.1);
    // The scheme is that of the connection, whatever the target says; and so it is in the key.
    let https = asked(&pipes, "https://test/x?y", "test").await;
    assert_eq!((https.1.as_str(), https.2), ("test /x?y", true));
}

/// hyper takes a fragment off before we see it, where 400 would be better: so what comes is the resource without it, and
/// the origin is asked for that.
#[tokio::test(start_paused = true)]
async fn a_fragment_is_no_part_of_a_request() {
    let pipes = Pipes::new(echo);
    for target in ["/f#", "/f#/../g", "/f#?a=b", "/f?a#b", "/f#.css"] {
        assert_eq!(asked(&pipes, target, "test").await.0, 400, "{target}");
    }
    assert_eq!(pipes.origin.hits(), 0);
}

#[tokio::test(start_paused = true)]
async fn long_targets_differ_in_their_last_byte() {
    let pipes = Pipes::new(echo);
    let long = "x".repeat(7000);
    for last in ["a", "b"] {
        let target = format!("/{long}?{last}");
        assert_eq!(asked(&pipes, &target, "test").await, (200, format!("test {target}"), false));
        assert!(asked(&pipes, &target, "test").await.2);
    }
    let longer = format!("/{}", "x".repeat(20_000));
    let (status, _, hit) = asked(&pipes, &longer, "test").await;
    assert!(status == 414 && !hit, "{status}");
}

#[test]
fn any_two_requests_get_each_its_own() {
    let cases = std::env::var("FOREBAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let piece = || {
        prop::sample::select(vec![
            "a", "A", "/", "//", "/./", "/../", "%2e", "%2F", "%2f", ";", "?", "&", "=", "%00", "%23", "#",
            "%", "+", ".", ":", "@",
        ])
    };
    let target = || prop::collection::vec(piece(), 0..6).prop_map(|pieces| format!("/{}", pieces.concat()));
    let host = || prop::sample::select(vec!["test", "TEST.", "test:80", "test:81", "a.test", "testa"]);
    let requests = prop::collection::vec((target(), host()), 2..8);
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let run = runner.run(&requests, |requests| {
        runtime.block_on(async {
            let pipes = Pipes::new(echo);
            assert_eq!(pipes.clock.now(), START);
            for (target, host) in requests.iter().chain(&requests) {
                let (status, body, _) = asked(&pipes, target, host).await;
                let host = host.to_ascii_lowercase();
                let host = host.trim_end_matches(":80").trim_end_matches('.');
                if target.contains('#') {
                    prop_assert_eq!(status, 400);
                } else {
                    prop_assert_eq!((status, body), (200, format!("{host} {target}")));
                }
            }
            Ok(())
        })
    });
    if let Err(error) = run {
        panic!("{error}");
    }
}
