//! Content that an origin sends coded: sent so to clients that take it, and decoded for others.

use forebay::base::units::ByteSize;
use forebay::config::file::CodingName;
use forebay::config::{Configuration, Settings};
use futures_util::FutureExt as _;

use crate::compression_model::{encoded, text};
use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, Gate, SeenRequest, head, respond};

const ALL: [&str; 3] = ["br", "zstd", "gzip"];
const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");
const TAG: (&str, &str) = ("ETag", "\"v1\"");

/// Coded as an origin would.
fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    // The encoders write into memory: nothing is waited for.
    encoded(coding, plain).now_or_never().expect("nothing to wait for")
}

fn with(change: impl FnOnce(&mut Configuration)) -> Settings {
    let mut written = Configuration::default();
    written.only_site(vec!["http://origin.test".parse().unwrap()]);
    written.memory.limit = ByteSize::mib(128);
    change(&mut written);
    let sites = Settings::compile(&written).expect("settings").sites;
    Settings { sites, ..settings("http://origin.test") }
}

fn node(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    Pipes::with(with(|_| {}), script)
}

/// An origin that answers in the coding that its path names, whatever was asked.
fn stubborn(length: usize) -> Pipes {
    node(move |request, _| {
        let coding = request.path().trim_start_matches('/').to_owned();
        let content = coded(&coding, &text(length));
        vec![respond("200 OK", &[FRESH, HTML, TAG, ("Content-Encoding", &coding)], content)]
    })
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_coding_gets_it_as_it_came_and_others_get_it_decoded() {
    for length in [0, 20, 5_000, 1_200_000] {
        let pipes = stubborn(length);
        for coding in ALL {
            let path = format!("/{coding}");
            for (accept, takes) in
                [("identity", false), ("", false), (coding, true), ("deflate", false), ("*", true)]
            {
                let answer = pipes.ask(&path, &[("Accept-Encoding", accept)]).await;
                let said = (answer.status, answer.header("content-encoding"), answer.header("vary"));
                assert_eq!(
                    said,
                    (200, takes.then_some(coding), Some("accept-encoding")),
                    "{coding} to {accept:?}"
                );
                if takes {
                    assert_eq!(answer.header("etag"), Some("\"v1\""));
                    assert_eq!(answer.body, coded(coding, &text(length)));
                } else {
                    assert_eq!(
                        (answer.header("etag"), answer.header("content-length")),
                        (Some("W/\"v1~identity\""), None)
                    );
                    assert_eq!(answer.body, text(length), "{coding} to {accept:?}");
                }
            }
            assert_eq!(
                pipes.origin.seen().iter().filter(|seen| seen.path() == path).count(),
                1,
                "stored once for all"
            );
        }
        pipes.quiet().await;
        assert_eq!(pipes.node.counters.decoded.get(), 9);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_decoded_is_asked_for_by_a_tag_of_its_own() {
    let pipes = stubborn(5_000);
    for _ in 0..2 {
        let fresh = pipes.ask("/gzip", &[("If-None-Match", "W/\"v1~identity\"")]).await;
        assert_eq!((fresh.status, fresh.header("etag")), (304, Some("W/\"v1~identity\"")));
        // That of the coded bytes is of no use to who does not take them. Who has them decoded has them.
        assert_eq!(pipes.ask("/gzip", &[("If-None-Match", "\"v1\"")]).await.status, 200);
        let takes = ("Accept-Encoding", "gzip");
        assert_eq!(pipes.ask("/gzip", &[takes, ("If-None-Match", "\"v1\"")]).await.status, 304);
        let decoded = pipes.ask("/gzip", &[takes, ("If-None-Match", "W/\"v1~identity\"")]).await;
        assert_eq!((decoded.status, decoded.header("etag")), (304, Some("W/\"v1~identity\"")));
    }
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_parts_of_what_is_decoded() {
    let pipes = stubborn(5_000);
    for _ in 0..2 {
        let whole = pipes.ask("/br", &[("Range", "bytes=0-9")]).await;
        assert_eq!((whole.status, whole.header("content-range"), whole.body.len()), (200, None, 5_000));
        assert_eq!(whole.header("accept-ranges"), None);
        let part = pipes.ask("/br", &[("Accept-Encoding", "br"), ("Range", "bytes=0-9")]).await;
        assert_eq!((part.status, &part.body[..]), (206, &coded("br", &text(5_000))[..10]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_says_what_a_get_would() {
    let pipes = stubborn(5_000);
    for _ in 0..2 {
        let mut client = pipes.client();
        client.request("HEAD", "/zstd", &[], b"").await;
        let said = client.read_head().await;
        let got = pipes.ask("/zstd", &[]).await;
        for name in ["etag", "content-length", "vary", "content-encoding"] {
            assert_eq!(said.header(name), got.header(name), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_transformed_or_is_coded_otherwise_goes_as_it_came() {
    let pipes = node(|request, _| {
        let more = match request.path() {
            "/kept" => ("Cache-Control", "no-transform"),
            "/twice" => ("Content-Encoding", "br"),
            _ => ("X-More", "no"),
        };
        let coding = if request.path() == "/deflate" { "deflate" } else { "gzip" };
        vec![respond("200 OK", &[FRESH, HTML, TAG, ("Content-Encoding", coding), more], "whatever")]
    });
    for path in ["/kept", "/twice", "/deflate"] {
        let answer = pipes.ask(path, &[]).await;
        assert_eq!(
            (answer.status, answer.header("etag"), &answer.body[..]),
            (200, Some("\"v1\""), &b"whatever"[..]),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_is_decoded_as_it_comes() {
    let gate = Gate::new();
    let held = std::sync::Arc::clone(&gate);
    let pipes = node(move |_, _| {
        // Two members: the first can be read without the second.
        let (first, rest) = (coded("gzip", &text(3_000)), coded("gzip", &text(2_000)));
        let length = format!("{}", first.len() + rest.len());
        let fields = [FRESH, HTML, ("Content-Length", length.as_str()), ("Content-Encoding", "gzip")];
        vec![head("200 OK", &fields), Act::send(first), Act::WaitFor(held.clone()), Act::send(rest)]
    });
    let mut client = pipes.client();
    client.request("GET", "/", &[], b"").await;
    client.read_head().await;
    let mut plain = Vec::new();
    while plain.len() < 3_000 {
        plain.extend_from_slice(&client.read_chunk().await.expect("more"));
    }
    gate.open();
    while let Some(chunk) = client.read_chunk().await.filter(|chunk| !chunk.is_empty()) {
        plain.extend_from_slice(&chunk);
    }
    assert_eq!(plain, [text(3_000), text(2_000)].concat());
}

#[tokio::test(start_paused = true)]
async fn a_content_that_is_not_in_its_coding_is_told_and_not_kept() {
    for coding in ALL {
        let pipes = node(move |_, nth| {
            let whole = coded(coding, &text(900_000));
            let content = match nth {
                0 => b"no coding of anything, and long enough to be one".to_vec(),
                1 => whole[..whole.len() - 9].to_vec(),
                _ => whole,
            };
            vec![respond("200 OK", &[FRESH, HTML, TAG, ("Content-Encoding", coding)], content)]
        });
        let takes = [("Accept-Encoding", coding)];
        // Stored by one who takes it, whatever it is.
        assert_eq!(pipes.ask("/", &takes).await.status, 200);
        let lie = pipes.ask("/", &[]).await;
        assert_eq!(lie.status, 502, "{coding}");
        assert!(lie.header("proxy-status").unwrap().contains("http_response_content_coding"));
        assert_eq!(pipes.ask("/", &takes).await.status, 200);
        let mut client = pipes.client();
        client.request("GET", "/", &[], b"").await;
        let came = client.read_head().await;
        assert_eq!(came.status, 200, "{coding}: it is found out later");
        let mut plain = 0;
        while let Some(chunk) = client.read_chunk().await {
            assert!(!chunk.is_empty(), "{coding}: a content that breaks off is never taken for whole");
            plain += chunk.len();
        }
        assert!(plain <= 900_000);
        let whole = pipes.ask("/", &[]).await;
        assert_eq!((whole.status, whole.body), (200, text(900_000)), "{coding}");
        assert_eq!((pipes.origin.hits(), pipes.node.counters.undecodable.get()), (3, 2), "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_more_than_it_may_breaks_off() {
    for change in [
        (|written: &mut Configuration| written.compression.max_decoded = ByteSize::mib(2))
            as fn(&mut Configuration),
        |written| written.compression.max_ratio = 20,
    ] {
        let pipes = Pipes::with(with(change), |_, _| {
            vec![respond(
                "200 OK",
                &[FRESH, HTML, ("Content-Encoding", "gzip")],
                coded("gzip", &vec![0; 30 << 20]),
            )]
        });
        let mut client = pipes.client();
        client.request("GET", "/", &[], b"").await;
        assert_eq!(client.read_head().await.status, 200);
        let mut plain = 0;
        while let Some(chunk) = client.read_chunk().await {
            assert!(!chunk.is_empty(), "never taken for whole");
            plain += chunk.len();
        }
        assert!(plain <= 3 << 20, "{plain}");
    }
}

#[tokio::test(start_paused = true)]
async fn origins_are_asked_for_codings_where_the_operator_says_so() {
    let settings =
        with(|written| written.compression.from_origin = vec![CodingName::Gzip, CodingName::Brotli]);
    let pipes = Pipes::with(settings, |request, _| {
        let asked = request.header("accept-encoding").unwrap_or_default().to_owned();
        if asked == "gzip, br" {
            let fields = [FRESH, HTML, ("ETag", "\"g\""), ("Content-Encoding", "gzip")];
            return vec![respond("200 OK", &fields, coded("gzip", &text(5_000)))];
        }
        vec![respond("200 OK", &[FRESH, HTML, TAG, ("X-Asked", &asked)], text(5_000))]
    });
    let first = pipes.ask("/", &[("Accept-Encoding", "zstd")]).await;
    assert_eq!((first.header("content-encoding"), &first.body), (None, &text(5_000)));
    let second = pipes.ask("/", &[("Accept-Encoding", "zstd, gzip;q=0.5")]).await;
    assert_eq!(
        (second.header("content-encoding"), &second.body),
        (Some("gzip"), &coded("gzip", &text(5_000)))
    );
    assert_eq!(pipes.origin.hits(), 1);
    // Parts are asked for of what is in no coding.
    let part = pipes.ask("/other", &[("Range", "bytes=0-9")]).await;
    assert_eq!(part.body[..], text(5_000)[..10]);
    assert_eq!(pipes.origin.seen().last().unwrap().header("accept-encoding"), Some("identity"));
    let without = node(|_, _| vec![respond("200 OK", &[FRESH, HTML], "x")]);
    without.ask("/", &[("Accept-Encoding", "br")]).await;
    assert_eq!(without.origin.seen()[0].header("accept-encoding"), Some("identity"));
}
