//! The short way of plain hits beside the long one. A field that nobody knows has a request take the long way, and changes
//! nothing else: two nodes that are asked the same, one with it and one without, must answer, count and ask their origins
//! alike.

use forebay::semantics::date;

use crate::keyed::cached;
use crate::rig::{Pipes, START};
use crate::support::client::Answer;
use crate::support::origin::{Act, SeenRequest, respond};

const LONG_WAY: (&str, &str) = ("X-Any", "1");

const PATHS: [&str; 9] =
    ["/plain", "/vary", "/coded", "/big", "/stale", "/missing", "/none", "/bypass", "/q?b=1&a=2&c"];

const FIELDS: [&[(&str, &str)]; 12] = [
    &[],
    &[("Accept-Encoding", "gzip"), ("Accept-Language", "de")],
    &[("Accept-Language", "de"), ("Connection", "keep-alive"), ("Sec-Fetch-Mode", "cors")],
    &[("Cookie", "b=1; v=2")],
    &[("Cookie", "v=3")],
    &[("Range", "bytes=1-2")],
    &[("If-None-Match", "\"1\"")],
    &[("If-Match", "\"2\"")],
    &[("Cache-Control", "max-age=5")],
    &[("Connection", "X-Gone"), ("X-Gone", "1")],
    &[("Authorization", "Basic YTpi")],
    &[("Early-Data", "1")],
];

fn script(request: &SeenRequest, nth: usize) -> Vec<Act> {
    let path = request.target.split('?').next().unwrap_or_default();
    let date = date::format_date(START);
    let date = ("Date", date.to_str().expect("a date"));
    let tag = ("ETag", "\"1\"");
    let body = format!("{nth} {}", request.target);
    vec![match path {
        "/vary" => respond(
            "200 OK",
            &[date, ("Cache-Control", "max-age=60"), ("Vary", "Accept-Language, Cookie")],
            body,
        ),
        "/coded" => {
            respond("200 OK", &[date, ("Cache-Control", "max-age=60"), ("Content-Encoding", "gzip")], body)
        }
        "/big" => respond("200 OK", &[date, tag, ("Cache-Control", "max-age=60")], vec![b'x'; 100_000]),
        "/stale" => {
            respond("200 OK", &[date, ("Cache-Control", "max-age=9, stale-while-revalidate=20")], body)
        }
        "/missing" => respond("404 Not Found", &[date, ("Cache-Control", "max-age=60")], body),
        "/none" => respond("200 OK", &[date, ("Cache-Control", "no-store")], body),
        _ => respond(
            "200 OK",
            &[date, tag, ("Cache-Control", "max-age=60"), ("Surrogate-Control", "max-age=70")],
            body,
        ),
    }]
}

async fn answers(pipes: &Pipes, more: &[(&str, &str)]) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    for seconds in [0, 6, 6, 60] {
        pipes.pass_time(seconds);
        for (path, fields) in PATHS.into_iter().flat_map(|path| FIELDS.map(|fields| (path, fields))) {
            answers.push((format!("{path} {fields:?}"), pipes.ask(path, &[fields, more].concat()).await));
        }
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn both_ways_lead_to_the_same_answer() {
    for rules in [
        "",
        "sort_query = true",
        "ignored_query = [\"c\"]",
        "bypass_paths = [\"/bypass\"]",
        "bypass_cookies = [\"b\"]",
        "variant_cookies = [\"v\"]",
        "ignored_cookies = [\"v\"]",
        "variant_fields = [\"accept-language\"]",
        "refresh_ahead = 90",
        "tell_key = true",
        "request_directives = false",
    ] {
        let (short, long) = (cached(rules, script), cached(rules, script));
        let (of_short, of_long) = (answers(&short, &[]).await, answers(&long, &[LONG_WAY]).await);
        for ((asked, one), (_, other)) in of_short.iter().zip(&of_long) {
            assert_eq!(one.status, other.status, "{rules}: {asked}");
            assert_eq!(one.headers, other.headers, "{rules}: {asked}");
            assert_eq!(one.body, other.body, "{rules}: {asked}");
        }
        let counted = |pipes: &Pipes| {
            let site = pipes.node.metrics.site("only");
            let hits = pipes.node.counters.hits.get();
            (hits, site.requests().collect::<Vec<_>>(), site.details(), site.broken(), site.bytes())
        };
        assert_eq!(counted(&short), counted(&long), "{rules}");
        assert!(counted(&short).0 > 100, "{rules}: most of them are hits");
    }
}
