//! What the proofs of compression found, mended since.

use forebay::base::units::ByteSize;
use forebay::config::file::CodingName;
use forebay::config::{Configuration, Settings};

use crate::compression_model::text;
use crate::rig::{Pipes, settings};
use crate::support::origin::{Act, SeenRequest, chunk, head, last_chunk, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");
const HTML: (&str, &str) = ("Content-Type", "text/html");

fn node(script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    let mut written = Configuration::default();
    written.only_site(vec!["http://origin.test".parse().unwrap()]);
    written.memory.limit = ByteSize::mib(128);
    written.compression.codings = vec![CodingName::Gzip];
    let sites = Settings::compile(&written).expect("settings").sites;
    Pipes::with(Settings { sites, ..settings("http://origin.test") }, script)
}

async fn pressed(pipes: &Pipes) {
    pipes.quiet().await;
    pipes.node.press.finish();
}

#[tokio::test(start_paused = true)]
async fn digests_in_trailers_are_not_told_of_other_bytes() {
    for announced in [true, false] {
        let pipes = node(move |_, _| {
            let mut fields = vec![FRESH, HTML, ("Transfer-Encoding", "chunked")];
            fields.extend(announced.then_some(("Trailer", "Repr-Digest, Content-Digest, X-Sum")));
            let digests =
                [("Repr-Digest", "sha-256=:AAAA:"), ("Content-Digest", "sha-256=:AAAA:"), ("X-Sum", "1")];
            vec![head("200 OK", &fields), chunk(text(5_000)), last_chunk(&digests)]
        });
        let fields = [("Accept-Encoding", "gzip"), ("TE", "trailers"), ("Connection", "TE")];
        let answer = pipes.ask("/", &fields).await;
        if answer.header("content-encoding").is_some() {
            let told: Vec<&str> = answer.trailers.iter().map(|(name, _)| name.as_str()).collect();
            let is_digest = |name: &&str| name.to_lowercase().ends_with("digest");
            assert!(!told.iter().any(is_digest), "{announced}: {told:?}");
            assert!(!answer.header("trailer").unwrap_or("").to_lowercase().contains("digest"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn by_a_date_no_part_is_sent_to_who_may_hold_a_coding() {
    let date = "Tue, 12 Jan 2027 08:00:00 GMT";
    let pipes =
        node(move |_, _| vec![respond("200 OK", &[FRESH, HTML, ("Last-Modified", date)], text(5_000))]);
    let gzip = ("Accept-Encoding", "gzip");
    for _ in 0..2 {
        pipes.ask("/", &[gzip]).await;
        pressed(&pipes).await;
    }
    let stored = pipes.ask("/", &[gzip]).await;
    assert_eq!(
        (stored.header("content-encoding"), stored.header("last-modified")),
        (Some("gzip"), Some(date))
    );
    // Cut off after forty bytes, the client has this one validator to go on by.
    let answer = pipes.ask("/", &[gzip, ("Range", "bytes=40-"), ("If-Range", date)]).await;
    let of_stored = stored.body[40..] == answer.body[..] && answer.header("content-encoding") == Some("gzip");
    assert!(answer.status == 200 || of_stored, "{} {:?}", answer.status, answer.headers);
}

#[tokio::test(start_paused = true)]
async fn what_others_use_once_it_is_confirmed_is_coded_the_first_time_too() {
    let pipes = node(|request, _| {
        let fields = [("Cache-Control", "no-cache"), HTML, ("ETag", "\"v1\"")];
        if request.header("if-none-match").is_some() {
            return vec![respond("304 Not Modified", &fields, "")];
        }
        vec![respond("200 OK", &fields, text(5_000))]
    });
    for round in ["fetched", "confirmed"] {
        let answer = pipes.ask("/", &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{round}");
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{round}");
    }
}
