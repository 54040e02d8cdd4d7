//! Content that is coded here: as it leaves, and once for all.

use std::collections::HashSet;

use forebay::base::units::ByteSize;
use forebay::cache::ledger::Source;
use forebay::cache::wish::Wish;
use forebay::config::file::CodingName;
use forebay::config::{Configuration, Settings};

use crate::compression_model::{decoded, decoded_so_far, text};
use crate::disk_rig::DiskNode;
use crate::rig::{Pipes, settings};
use crate::support::client::Answer;
use crate::support::origin::{Act, Gate, SeenRequest, head, respond};

const ALL: [&str; 3] = ["br", "zstd", "gzip"];
const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");
const TAG: (&str, &str) = ("ETag", "\"v1\"");

fn coding(change: impl FnOnce(&mut Configuration)) -> Settings {
    let mut written = Configuration::default();
    written.only_site(vec!["http://origin.test".parse().unwrap()]);
    written.memory.limit = ByteSize::mib(128);
    written.compression.codings = vec![CodingName::Brotli, CodingName::Zstd, CodingName::Gzip];
    change(&mut written);
    let sites = Settings::compile(&written).expect("settings").sites;
    Settings { sites, ..settings("http://origin.test") }
}

fn node(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    Pipes::with(coding(|_| {}), script)
}

/// The content as it was before it was coded.
async fn plain(answer: &Answer) -> Vec<u8> {
    decoded(answer.header("content-encoding").unwrap_or_default(), &answer.body).await.expect("coded content")
}

/// Waits until all is coded that was asked for.
async fn pressed(pipes: &Pipes) {
    pipes.quiet().await;
    pipes.node.press.finish();
}

async fn get(pipes: &Pipes, path: &str, accept: &str) -> Answer {
    pipes.ask(path, &[("Accept-Encoding", accept)]).await
}

#[tokio::test(start_paused = true)]
async fn the_first_is_coded_as_it_leaves_and_the_others_are_sent_as_it_is_stored() {
    for length in [2_000, 100_000, 3_000_000] {
        let pipes = node(move |_, _| vec![respond("200 OK", &[FRESH, HTML, TAG], text(length))]);
        let whole = text(length);
        let mut tags = HashSet::new();
        for coding in ALL {
            let first = get(&pipes, "/", coding).await;
            assert_eq!(first.header("content-encoding"), Some(coding));
            assert_eq!(first.header("content-length"), None);
            assert_eq!(first.header("etag"), Some(&*format!("W/\"v1~{coding}\"")));
            assert_eq!(plain(&first).await, whole, "{coding}");
            // A miss asks for nothing: the first hit does.
            assert_eq!(plain(&get(&pipes, "/", coding).await).await, whole);
            pressed(&pipes).await;
            let stored = get(&pipes, "/", coding).await;
            assert!(stored.cache_status().contains("; hit"));
            assert_eq!(stored.header("content-encoding"), Some(coding));
            assert_eq!(stored.header("content-length"), Some(&*stored.body.len().to_string()));
            assert_eq!(stored.header("vary"), Some("accept-encoding"));
            assert!(stored.body.len() * 2 < length, "{coding}: {}", stored.body.len());
            assert_eq!(plain(&stored).await, whole, "{coding}");
            let tag = stored.header("etag").expect("a tag").to_owned();
            assert!(tag.starts_with(&format!("\"v1~{coding}.")), "{tag}");
            assert!(tags.insert(tag), "two codings share a tag");
            let again = get(&pipes, "/", coding).await;
            assert_eq!(again.body, stored.body);
        }
        let uncoded = get(&pipes, "/", "identity").await;
        assert_eq!(
            (uncoded.header("etag"), uncoded.header("vary")),
            (Some("\"v1\""), Some("accept-encoding"))
        );
        assert_eq!(uncoded.body, whole);
        assert_eq!(pipes.origin.hits(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_it_gets_a_304_by_the_tag_of_either_time() {
    let pipes = node(|_, _| vec![respond("200 OK", &[FRESH, HTML, TAG], text(5_000))]);
    let streamed = get(&pipes, "/", "br").await.header("etag").expect("a tag").to_owned();
    get(&pipes, "/", "br").await;
    pressed(&pipes).await;
    let stored = get(&pipes, "/", "br").await.header("etag").expect("a tag").to_owned();
    for tag in [&streamed, &stored] {
        let fields = [("Accept-Encoding", "br"), ("If-None-Match", tag.as_str())];
        let answer = pipes.ask("/", &fields).await;
        assert_eq!((answer.status, answer.header("etag")), (304, Some(tag.as_str())));
        // Of another coding, or of none, it is not what this one would be sent.
        let fields = [("Accept-Encoding", "gzip"), ("If-None-Match", tag.as_str())];
        assert_eq!(pipes.ask("/", &fields).await.status, 200);
    }
    let answer = pipes.ask("/", &[("If-None-Match", "\"v1\"")]).await;
    assert_eq!((answer.status, answer.header("etag")), (304, Some("\"v1\"")));
}

#[tokio::test(start_paused = true)]
async fn parts_are_of_what_the_origin_sent() {
    let pipes = node(|_, _| vec![respond("200 OK", &[FRESH, HTML, TAG], text(5_000))]);
    for _ in 0..3 {
        let answer = pipes.ask("/", &[("Accept-Encoding", "br"), ("Range", "bytes=0-9")]).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (206, None));
        assert_eq!((answer.header("etag"), &answer.body[..]), (Some("\"v1\""), &text(5_000)[..10]));
        get(&pipes, "/", "br").await;
        pressed(&pipes).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_says_what_a_get_would() {
    let pipes = node(|_, _| vec![respond("200 OK", &[FRESH, HTML, TAG], text(5_000))]);
    for _ in 0..3 {
        let got = get(&pipes, "/", "zstd").await;
        pressed(&pipes).await;
        let mut client = pipes.client();
        client.request("HEAD", "/", &[("Accept-Encoding", "zstd")], b"").await;
        let head = client.read_head().await;
        assert_eq!(head.header("content-encoding"), Some("zstd"));
        if got.header("content-length").is_some() {
            for name in ["etag", "content-length", "vary"] {
                assert_eq!(head.header(name), got.header(name), "{name}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_coded_leaves_as_it_is() {
    let pipes = node(|request, _| {
        let length = if request.path() == "/short" { 100 } else { 5_000 };
        let more = match request.path() {
            "/image" => ("Content-Type", "image/png"),
            "/kept" => ("Cache-Control", "no-transform"),
            "/digest" => ("Content-Digest", "sha-256=:AAAA:"),
            "/coded" => ("Content-Encoding", "aes128gcm"),
            "/private" => ("Cache-Control", "private"),
            _ => ("X-More", "no"),
        };
        let kind = if more.0 == "Content-Type" { more } else { HTML };
        vec![respond("200 OK", &[FRESH, kind, TAG, more], text(length))]
    });
    for path in ["/short", "/image", "/kept", "/digest", "/private"] {
        for _ in 0..2 {
            let answer = get(&pipes, path, "br, zstd, gzip").await;
            assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None), "{path}");
            assert_eq!(answer.header("etag"), Some("\"v1\""), "{path}");
        }
    }
    for _ in 0..2 {
        let coded = get(&pipes, "/coded", "br, aes128gcm").await;
        assert_eq!(coded.header("content-encoding"), Some("aes128gcm"));
    }
    let fields = [("Accept-Encoding", "br"), ("Cache-Control", "no-transform")];
    for _ in 0..2 {
        let kept = pipes.ask("/", &fields).await;
        assert_eq!((kept.header("content-encoding"), kept.header("vary")), (None, Some("accept-encoding")));
    }
    assert_eq!(get(&pipes, "/", "deflate, br;q=0").await.header("content-encoding"), None);
}

#[tokio::test(start_paused = true)]
async fn what_hardly_gets_shorter_is_sent_as_it_is() {
    let mut noise = vec![0; 50_000];
    fastrand::Rng::with_seed(1).fill(&mut noise);
    let pipes = node(move |_, _| vec![respond("200 OK", &[FRESH, HTML], noise.clone())]);
    for _ in 0..2 {
        get(&pipes, "/", "gzip").await;
        pressed(&pipes).await;
    }
    let answer = get(&pipes, "/", "gzip").await;
    assert_eq!((answer.header("content-encoding"), answer.body.len()), (None, 50_000));
}

#[tokio::test(start_paused = true)]
async fn what_is_compressed_in_itself_is_not_coded_whatever_its_type_says() {
    let pipes = node(|request, _| {
        let first: &[u8] = if request.path() == "/png" { b"\x89PNG\r\n\x1a\n" } else { b"\x1f\x8b\x08\0" };
        vec![respond("200 OK", &[FRESH, HTML, TAG], [first, &text(50_000)].concat())]
    });
    for path in ["/png", "/gzip"] {
        for _ in 0..3 {
            let answer = get(&pipes, path, "br").await;
            pressed(&pipes).await;
            assert_eq!((answer.header("content-encoding"), answer.header("etag")), (None, Some("\"v1\"")));
        }
    }
    assert_eq!(pipes.node.counters.pressed.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_same_is_sent_one_coded_stream() {
    let gate = Gate::new();
    let held = std::sync::Arc::clone(&gate);
    let pipes = node(move |_, _| {
        let fields = [FRESH, HTML, ("Content-Length", "90000")];
        let (first, rest) = (text(90_000)[..30_000].to_vec(), text(90_000)[30_000..].to_vec());
        vec![head("200 OK", &fields), Act::send(first), Act::WaitFor(held.clone()), Act::send(rest)]
    });
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = pipes.client();
        client.request("GET", "/", &[("Accept-Encoding", "br")], b"").await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.read_head().await.header("content-encoding"), Some("br"));
        assert!(!client.read_chunk().await.expect("some").is_empty());
    }
    // Thirty encoders would take 200 MiB.
    let used = pipes.node.means.budget.used();
    assert!(used < 20 << 20, "{used}");
    // Most leave, the one who came first among them: the others are sent the rest all the same.
    let last = clients.split_off(27);
    drop(clients);
    gate.open();
    for mut client in last {
        while client.read_chunk().await.is_some_and(|chunk| !chunk.is_empty()) {}
    }
    let whole = get(&pipes, "/", "br").await;
    assert_eq!(plain(&whole).await, text(90_000));
    assert_eq!(pipes.origin.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn hits_are_coded_as_they_leave_a_few_at_a_time() {
    let pipes = node(|_, _| vec![respond("200 OK", &[FRESH, HTML], text(5_000))]);
    get(&pipes, "/", "identity").await;
    let all: Vec<_> = std::iter::from_fn(|| pipes.node.press.place()).collect();
    let uncoded = get(&pipes, "/", "br").await;
    assert_eq!((uncoded.header("content-encoding"), uncoded.header("vary")), (None, Some("accept-encoding")));
    assert_eq!(uncoded.body, text(5_000));
    pressed(&pipes).await;
    let stored = get(&pipes, "/", "br").await;
    assert_eq!((stored.header("content-encoding"), &plain(&stored).await), (Some("br"), &text(5_000)));
    drop(all);
    assert_eq!(get(&pipes, "/", "zstd").await.header("content-encoding"), Some("zstd"));
    assert!(pipes.node.press.place().is_some(), "a place comes back");
}

/// Of a node with a disk: what has been coded once is not coded again after a restart, whatever is in memory.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_coded_outlasts_a_restart() {
    for length in [2_000, 300_000, 5_000_000] {
        let compression = coding(|_| {}).sites[0].policy.compression.clone();
        let mut node = DiskNode::new(
            |settings| settings.sites[0].policy.compression = compression,
            move |_, _| vec![respond("200 OK", &[FRESH, HTML, TAG], text(length))],
        )
        .await;
        let ask =
            async |node: &DiskNode| node.client().await.get_with("/", &[("Accept-Encoding", "zstd")]).await;
        let press = async |node: &DiskNode| {
            let running = node.running();
            tokio::task::block_in_place(|| running.node.press.finish());
            node.settled().await;
        };
        for _ in 0..2 {
            ask(&node).await;
            press(&node).await;
        }
        let stored = ask(&node).await;
        assert_eq!(plain(&stored).await, text(length));
        let tag = stored.header("etag").expect("a tag").to_owned();
        assert!(tag.starts_with("\"v1~zstd."), "{tag}");
        node.restart().await;
        // Long ones may be read behind the first answer.
        for _ in 0..3 {
            let answer = ask(&node).await;
            assert_eq!((answer.status, plain(&answer).await), (200, text(length)));
            press(&node).await;
        }
        let again = ask(&node).await;
        assert_eq!((again.header("etag"), &again.body), (Some(tag.as_str()), &stored.body), "{length}");
        assert_eq!((node.origin.hits(), node.running().node.counters.pressed.get()), (1, 0), "{length}");
        // What was purged is gone on disk too, its codings with it.
        let all = Wish { all: true, ..Wish::default() };
        node.running().node.machine.purge(&all, Source::default()).await.expect("purged");
        node.restart().await;
        let fetched = ask(&node).await;
        assert_eq!((fetched.header("etag"), node.origin.hits()), (Some("W/\"v1~zstd\""), 2), "{length}");
    }
}

/// Who has a coding of what is stored, of whatever time, has it after the origin said that nothing changed, after a purge, where
/// it is not worth it any more, and where it is for him alone.
#[tokio::test(start_paused = true)]
async fn who_has_a_coding_is_told_so_whoever_judges_his_condition() {
    for more in ["max-age=60", "no-cache", "private"] {
        let settings = coding(|written| written.compression.personal = true);
        let pipes = Pipes::with(settings, move |request, _| {
            let known = request.header("if-none-match").unwrap_or_default().to_owned();
            if known.split(", ").any(|tag| tag.trim_start_matches("W/") == "\"v1\"") {
                return vec![respond("304 Not Modified", &[TAG, ("Cache-Control", more)], "")];
            }
            vec![respond("200 OK", &[("Cache-Control", more), HTML, TAG], text(5_000))]
        });
        for _ in 0..3 {
            let answer = get(&pipes, "/", "br").await;
            assert_eq!(
                (answer.header("content-encoding"), answer.header("vary")),
                (Some("br"), Some("accept-encoding"))
            );
            pressed(&pipes).await;
            let tag = answer.header("etag").expect("a tag").to_owned();
            let has = [("Accept-Encoding", "br"), ("If-None-Match", tag.as_str())];
            for again in 0..4 {
                if again == 2 {
                    pipes.pass_time(61);
                }
                if again == 3 {
                    let all = Wish { all: true, ..Wish::default() };
                    pipes.node.machine.purge(&all, Source::default()).await.expect("purged");
                }
                let answer = pipes.ask("/", &has).await;
                assert_eq!(
                    (answer.status, answer.header("etag")),
                    (304, Some(tag.as_str())),
                    "{more} {again}"
                );
                pressed(&pipes).await;
            }
        }
        // Stored once and coded once, however often it was confirmed.
        if more == "no-cache" {
            let before = pipes.node.counters.pressed.get();
            for _ in 0..5 {
                get(&pipes, "/", "br").await;
                pressed(&pipes).await;
            }
            let made = pipes.node.counters.pressed.get() - before;
            assert!(made <= 1, "{made}");
            let stored = get(&pipes, "/", "br").await;
            assert!(stored.header("etag").expect("a tag").starts_with("\"v1~br."), "sent as it is stored");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_what_was_coded_are_asked_of_nobody() {
    let settings = coding(|written| {
        written.cache.personal_cookies = vec!["session".to_owned()];
    });
    let pipes = Pipes::with(settings, |request, _| {
        if request.header("range").is_some() && request.header("if-range") == Some("\"v1\"") {
            let part = [FRESH, HTML, TAG, ("Content-Range", "bytes 100-4999/5000")];
            return vec![respond("206 Partial Content", &part, &text(5_000)[100..])];
        }
        vec![respond("200 OK", &[FRESH, HTML, TAG], text(5_000))]
    });
    for _ in 0..2 {
        get(&pipes, "/", "br").await;
        pressed(&pipes).await;
    }
    let stored = get(&pipes, "/", "br").await;
    assert_eq!(stored.header("accept-ranges"), None);
    for tag in [stored.header("etag").expect("a tag"), "W/\"v1~br\""] {
        for cookie in ["session=1", "other=1"] {
            let fields =
                [("Accept-Encoding", "br"), ("Range", "bytes=100-"), ("If-Range", tag), ("Cookie", cookie)];
            let answer = pipes.ask("/", &fields).await;
            assert_eq!((answer.status, plain(&answer).await), (200, text(5_000)), "{tag} {cookie}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_trailers_stays_as_it_is() {
    let pipes = node(|_, _| {
        let fields = [FRESH, HTML, TAG, ("Transfer-Encoding", "chunked"), ("Trailer", "Content-Digest")];
        let content = text(5_000);
        let chunked =
            [b"1388\r\n", &content[..], b"\r\n0\r\nContent-Digest: sha-256=:AAAA:\r\n\r\n"].concat();
        vec![head("200 OK", &fields), Act::send(chunked)]
    });
    let answer = pipes.ask("/", &[("Accept-Encoding", "br"), ("TE", "trailers"), ("Connection", "te")]).await;
    assert_eq!((answer.header("content-encoding"), &answer.body), (None, &text(5_000)));
}

/// All queries are one to this site: they have one coding too.
#[tokio::test(start_paused = true)]
async fn urls_that_are_the_same_have_one_coding() {
    for length in [5_000, 300_000] {
        let same = ("No-Vary-Search", "params");
        let pipes = node(move |_, _| vec![respond("200 OK", &[FRESH, HTML, TAG, same], text(length))]);
        let mut last = None;
        for query in 0..6 {
            let answer = get(&pipes, &format!("/?u={query}"), "br").await;
            assert_eq!(plain(&answer).await, text(length));
            pressed(&pipes).await;
            last = answer.header("etag").map(str::to_owned);
        }
        assert_eq!((pipes.origin.hits(), pipes.node.counters.pressed.get()), (1, 1), "{length}");
        assert!(last.expect("a tag").starts_with("\"v1~br."));
    }
}

#[tokio::test(start_paused = true)]
async fn codings_go_with_what_they_were_made_of() {
    let pipes = node(|request, nth| {
        if request.header("if-none-match").is_some() && nth == 1 {
            return vec![respond("304 Not Modified", &[FRESH, TAG, ("X-Turn", "second")], "")];
        }
        let turn = format!("{nth}");
        vec![respond("200 OK", &[FRESH, HTML, TAG, ("X-Turn", &turn)], text(5_000 + nth))]
    });
    for _ in 0..2 {
        get(&pipes, "/", "br").await;
        pressed(&pipes).await;
    }
    let stored = get(&pipes, "/", "br").await;
    pipes.pass_time(61);
    get(&pipes, "/", "br").await;
    let by_new_head = get(&pipes, "/", "br").await;
    assert_eq!(by_new_head.header("x-turn"), Some("second"));
    pressed(&pipes).await;
    let confirmed = get(&pipes, "/", "br").await;
    assert_eq!(confirmed.header("x-turn"), Some("second"), "the old head is not sent");
    assert_eq!((by_new_head.header("etag"), &by_new_head.body), (stored.header("etag"), &stored.body));
    assert_eq!((confirmed.header("etag"), &confirmed.body), (stored.header("etag"), &stored.body));
    assert_eq!(pipes.node.counters.pressed.get(), 1, "coded once, and put under the new head");
    let all = Wish { all: true, ..Wish::default() };
    pipes.node.machine.purge(&all, Source::default()).await.expect("purged");
    let after = get(&pipes, "/", "br").await;
    assert_eq!(plain(&after).await, text(5_002));
}

#[tokio::test(start_paused = true)]
async fn what_has_come_leaves_at_once() {
    let gate = Gate::new();
    let held = std::sync::Arc::clone(&gate);
    let pipes = node(move |_, _| {
        let fields = [FRESH, HTML, ("Content-Length", "6000")];
        let (first, rest) = (text(6_000)[..3_000].to_vec(), text(6_000)[3_000..].to_vec());
        vec![head("200 OK", &fields), Act::send(first), Act::WaitFor(held.clone()), Act::send(rest)]
    });
    for coding in ALL {
        let mut client = pipes.client();
        client.request("GET", &format!("/{coding}"), &[("Accept-Encoding", coding)], b"").await;
        client.read_head().await;
        let mut coded = Vec::new();
        let mut some = Vec::new();
        // Not before all of what has come can be read.
        while some.len() < 3_000 {
            coded.extend_from_slice(&client.read_chunk().await.expect("more"));
            some = decoded_so_far(coding, &coded).await;
        }
        assert_eq!(some, text(6_000)[..3_000], "{coding}");
    }
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn what_is_for_one_is_coded_where_the_operator_says_so() {
    let settings = coding(|written| written.compression.personal = true);
    let pipes = Pipes::with(settings, |request, _| {
        if request.header("if-none-match") == Some("W/\"v1\"") {
            return vec![respond("304 Not Modified", &[TAG], "")];
        }
        vec![respond("200 OK", &[("Cache-Control", "private"), HTML, TAG], text(5_000))]
    });
    let answer = get(&pipes, "/", "gzip").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(plain(&answer).await, text(5_000));
    let tag = answer.header("etag").expect("a tag").to_owned();
    let fields = [("Accept-Encoding", "gzip"), ("If-Match", tag.as_str())];
    pipes.ask("/", &fields).await;
    let asked = "\"v1\", W/\"v1~gzip\"";
    assert_eq!(pipes.origin.seen().last().unwrap().header("if-match"), Some(asked));
}
