//! The operator's rules about keys: what is in them, what reaches the origin, and what passes by the cache.

use std::path::Path;

use forebay::config::{Configuration, Settings};

use crate::rig::Pipes;
use crate::support::client::Answer;
use crate::support::origin::{Act, SeenRequest, respond};

const FRESH: (&str, &str) = ("Cache-Control", "max-age=60");

/// A node of one site with these keys under `[cache]`, as they stand in a file.
pub fn cached(keys: &str, script: impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static) -> Pipes {
    let text = format!(
        "[memory]\nlimit = \"128MiB\"\n[node]\nworkers = 2\ncdn_id = \"cdn.test\"\n[sites.only]\nhosts = [\"*\"]\n\
         origins = [\"http://origin.test\"]\n[cache]\n{keys}\n"
    );
    let report = Configuration::read_text(Path::new("/test.toml"), &text);
    let written = report.configuration.unwrap_or_else(|| panic!("{}", report.complaints));
    Pipes::with(Settings::compile(&written).expect("settings"), script)
}

/// Answers with the number of the request and all that the origin saw of it but our own fields.
pub fn echo(request: &SeenRequest, nth: usize) -> Vec<Act> {
    vec![Act::ReadBody, respond("200 OK", &[FRESH], format!("{nth} {} {}", request.method, request.target))]
}

/// Whether it came from memory.
pub fn is_hit(answer: &Answer) -> bool {
    answer.cache_status().starts_with("forebay; hit")
}

fn seen(pipes: &Pipes, nth: usize, name: &str) -> Option<String> {
    pipes.origin.exchange(nth).request.header(name).map(str::to_owned)
}

// ---- the query ----

#[tokio::test(start_paused = true)]
async fn kept_and_sorted_parameters_make_the_key_and_the_forwarded_url() {
    let pipes = cached("kept_query = [\"id\", \"p_*\"]\nsort_query = true", echo);
    assert_eq!(pipes.ask("/a?p_2=x&junk&id=2&id=1", &[]).await.text(), "0 GET /a?id=2&id=1&p_2=x");
    for same in ["/a?id=2&id=1&p_2=x", "/a?id=2&p_2=x&other=3&id=1"] {
        assert!(is_hit(&pipes.ask(same, &[]).await), "{same}");
    }
    for other in ["/a?id=1&id=2&p_2=x", "/a?id=2&id=1&p_2=X", "/a", "/a?"] {
        assert!(!is_hit(&pipes.ask(other, &[]).await), "{other}");
    }
    let mut client = pipes.client();
    client.request("POST", "/a?junk&id=1", &[], b"x").await;
    assert!(client.read_answer().await.text().ends_with("POST /a?junk&id=1"), "a pass is as it came");
}

// ---- cookies ----

#[tokio::test(start_paused = true)]
async fn ignored_cookies_reach_no_fetch_and_split_no_variants() {
    let keys = "ignored_cookies = [\"_ga*\"]\npersonal_cookies = [\"_gate\"]";
    let pipes = cached(keys, |_, nth| {
        vec![Act::ReadBody, respond("200 OK", &[FRESH, ("Vary", "Cookie")], nth.to_string())]
    });
    pipes.ask("/", &[("Cookie", "_ga=1; theme=dark")]).await;
    assert_eq!(seen(&pipes, 0, "cookie").as_deref(), Some("theme=dark"));
    assert!(is_hit(&pipes.ask("/", &[("Cookie", "theme=dark; _ga_X=7")]).await));
    assert!(is_hit(&pipes.ask("/", &[("Cookie", "theme=dark")]).await));
    assert!(!is_hit(&pipes.ask("/", &[("Cookie", "theme=light; _ga=1")]).await));
    pipes.ask("/", &[("Cookie", "_ga=1")]).await;
    assert_eq!(seen(&pipes, 2, "cookie"), None, "an emptied field goes");
    assert!(is_hit(&pipes.ask("/", &[]).await));
    pipes.ask("/other", &[("Cookie", "_gate=me")]).await;
    assert_eq!(seen(&pipes, 3, "cookie").as_deref(), Some("_gate=me"), "a personal cookie is not ignored");
    let mut client = pipes.client();
    client.request("POST", "/", &[("Cookie", "_ga=1")], b"x").await;
    client.read_answer().await;
    assert_eq!(seen(&pipes, 4, "cookie").as_deref(), Some("_ga=1"), "a pass is as it came");
}

#[tokio::test(start_paused = true)]
async fn each_value_of_a_variant_cookie_is_stored_by_itself() {
    let pipes = cached("variant_cookies = [\"lang\"]", |request, nth| {
        let cookie = request.header("cookie").unwrap_or("none");
        vec![respond("200 OK", &[FRESH], format!("{nth} {cookie}"))]
    });
    let lines = [None, Some("lang="), Some("lang"), Some("lang=de"), Some("lang=de; lang=en")];
    for round in 0..2 {
        for (nth, line) in lines.iter().enumerate() {
            let fields: Vec<_> = line.iter().map(|line| ("Cookie", *line)).collect();
            let answer = pipes.ask("/", &fields).await;
            assert_eq!(answer.text(), format!("{nth} {}", line.unwrap_or("none")));
            assert_eq!(is_hit(&answer), round == 1, "{line:?}");
        }
    }
    let other_cookies = pipes.ask("/", &[("Cookie", "a=1; lang=de")]).await;
    assert!(is_hit(&other_cookies), "{}", other_cookies.cache_status());
    let hidden = pipes.ask("/", &[("Cookie", "lang=de"), ("Connection", "cookie")]).await;
    assert_eq!(hidden.text(), "0 none", "the key is made of what the origin sees");
}

// ---- fields ----

#[tokio::test(start_paused = true)]
async fn a_variant_field_is_in_the_key_and_forwarded_as_it_came() {
    let pipes = cached("variant_fields = [\"X-Country\", \"X-Forwarded-Host\"]", |request, nth| {
        let all = |name| request.header_all(name).join("|");
        vec![respond("200 OK", &[FRESH], format!("{nth} {} {}", all("x-country"), all("x-forwarded-host")))]
    });
    for round in 0..2 {
        for (nth, (fields, told)) in [
            (&[][..], " "),
            (&[("X-Country", "de")], "de "),
            (&[("X-Country", "")], " "),
            (&[("X-Country", "de"), ("X-Forwarded-Host", "evil.test")], "de evil.test"),
            (&[("X-Country", "d"), ("X-Country", "e")], "d|e "),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = pipes.ask("/", fields).await;
            assert_eq!(answer.text(), format!("{nth} {told}"));
            assert_eq!(is_hit(&answer), round == 1, "{fields:?}");
        }
    }
    let hidden = [("X-Country", "de"), ("Connection", "x-country")];
    assert_eq!(pipes.ask("/", &hidden).await.text(), "0  ", "the key is made of what the origin sees");
}

#[tokio::test(start_paused = true)]
async fn an_origin_may_vary_by_what_is_in_the_key_anyway() {
    let pipes = cached("variant_fields = [\"X-Scheme\"]", |_, nth| {
        let vary = ("Vary", "X-Forwarded-Proto, X-Forwarded-Host, X-Scheme");
        vec![respond("200 OK", &[FRESH, vary], nth.to_string())]
    });
    pipes.ask("/", &[("X-Scheme", "https")]).await;
    assert!(is_hit(&pipes.ask("/", &[("X-Scheme", "https"), ("X-Forwarded-Proto", "https")]).await));
    assert!(!is_hit(&pipes.ask("/", &[("X-Scheme", "http")]).await));
}

// ---- passing by ----

#[tokio::test(start_paused = true)]
async fn what_the_site_names_passes_by_the_cache() {
    let keys = "bypass_paths = [\"/admin/*\", \"*/preview\"]\nbypass_cookies = [\"wp_in*\"]";
    let pipes = cached(keys, echo);
    let paths = ["/admin/", "/%61dmin/x", "/a/../admin/x", "//admin/x", "/a/preview", "/a/preview?b"];
    for path in paths {
        for _ in 0..2 {
            let status = pipes.ask(path, &[]).await.cache_status();
            assert_eq!(status, "forebay; fwd=bypass; detail=path", "{path}");
        }
    }
    pipes.ask("/page", &[]).await;
    let cookie = pipes.ask("/page", &[("Cookie", "a=1; wp_in_7=x")]).await;
    assert_eq!(cookie.cache_status(), "forebay; fwd=bypass; detail=cookie");
    assert!(is_hit(&pipes.ask("/page", &[("Cookie", "a=wp_in")]).await));
    for path in ["/admin", "/administration", "/preview/"] {
        assert_eq!(
            pipes.ask(path, &[]).await.cache_status(),
            "forebay; fwd=uri-miss; stored; ttl=60",
            "{path}"
        );
    }
}
