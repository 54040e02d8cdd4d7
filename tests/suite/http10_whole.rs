//! Clients of HTTP/1.0 whose connection cannot tell that something is missing, as no Unix socket can: an answer of unknown
//! length waits until it is whole. A pipe in memory is as dumb.

use forebay::app::Running;
use forebay::config::Listen;
use tokio::io::{AsyncReadExt as _, DuplexStream};

use crate::rig::{Pipes, settings, showing};
use crate::site::Nginx;
use crate::support::authority::Authority;
use crate::support::bytes::pattern;
use crate::support::client::Client;
use crate::support::origin::{Act, Gate, Origin, chunk, head, last_chunk, refusing_addr, respond};
use crate::support::{ms, within};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(20);
const OLD: &str = "GET / HTTP/1.0\r\nHost: test\r\n\r\n";
const OLD_THAT_STAYS: &str = "GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n";

fn in_chunks(fields: &[(&str, &str)]) -> Act {
    let fields: Vec<_> =
        [("Transfer-Encoding", "chunked")].into_iter().chain(fields.iter().copied()).collect();
    head("200 OK", &fields)
}

async fn all_of(client: Client<DuplexStream>) -> String {
    let mut all = Vec::new();
    client.into_inner().read_to_end(&mut all).await.expect("read to the end");
    String::from_utf8(all).expect("text")
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_unknown_length_comes_whole_with_its_length_and_the_connection_goes_on() {
    for fields in [("Cache-Control", "max-age=60"), ("Cache-Control", "no-store")] {
        let pipes = Pipes::new(move |_, _| {
            vec![in_chunks(&[fields]), chunk("half of "), Act::Wait(ms(500)), chunk("it"), last_chunk(&[])]
        });
        let mut client = pipes.client();
        for _ in 0..2 {
            client.send(OLD_THAT_STAYS).await;
            let answer = client.read_answer().await;
            assert_eq!((answer.text().as_str(), answer.header("content-length")), ("half of it", Some("10")));
            assert_eq!(answer.header("connection"), Some("keep-alive"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_breaks_off_is_an_error_and_the_connection_goes_on() {
    for end in [Act::Close, Act::Reset] {
        let pipes = Pipes::new(move |_, asked| {
            if asked > 0 {
                return vec![respond("200 OK", &[], "well")];
            }
            let acts = [in_chunks(&[("Cache-Control", "max-age=60")]), chunk("half of "), Act::Wait(ms(500))];
            acts.into_iter().chain([end.clone()]).collect()
        });
        let mut client = pipes.client();
        client.send(OLD_THAT_STAYS).await;
        let answer = client.read_answer().await;
        assert_eq!(answer.status, 502);
        let told = answer.header("proxy-status").expect("why");
        assert!(told.contains("error=http_response_incomplete"), "{told}");
        client.send(OLD_THAT_STAYS).await;
        assert_eq!(client.read_answer().await.text(), "well");
        pipes.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_content_is_not_waited_for() {
    let own = "If-Match: \"a\"\r\n";
    for (method, own, status) in
        [("HEAD", "", "200 OK"), ("GET", "", "204 No Content"), ("GET", own, "304 Not Modified")]
    {
        let pipes = Pipes::new(move |_, _| vec![head(status, &[("Cache-Control", "no-store")])]);
        let mut client = pipes.client();
        client.send(&format!("{method} / HTTP/1.0\r\nHost: test\r\n{own}\r\n")).await;
        let all = within(LIMIT, all_of(client)).await;
        assert!(all.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{all}");
        assert!(!all.to_ascii_lowercase().contains("content-length"), "{all}");
    }
}

/// Without room for a file nobody can wait for all of it: neither the only one who reads it, nor one beside another.
#[tokio::test]
async fn what_there_is_no_room_for_is_sent_as_it_comes() {
    for fields in [("Cache-Control", "no-store"), ("Cache-Control", "max-age=60")] {
        let mut settings = settings("http://origin.test");
        settings.spill.limit = 0;
        settings.fetch.max_object = 64 << 10;
        let long = pattern(7, 1 << 20);
        let body = long.clone();
        let pipes = Pipes::with(settings, move |_, _| {
            vec![in_chunks(&[fields]), Act::Wait(ms(200)), chunk(&body), last_chunk(&[])]
        });
        let (mut old, mut new) = (pipes.client(), pipes.client());
        old.send(OLD).await;
        let (mut all, mut old) = (Vec::new(), old.into_inner());
        let (read, answer) =
            tokio::join!(within(LIMIT, old.read_to_end(&mut all)), within(LIMIT, new.get("/")));
        read.expect("all of it");
        assert!(all.ends_with(&long), "{} bytes", all.len());
        assert!(answer.body == long, "{} bytes beside it", answer.body.len());
    }
}

/// More than fits into the window of a body, so that some of it is in a file when it is sent.
#[tokio::test]
async fn a_long_answer_comes_whole_too() {
    let long = pattern(7, 3 << 20);
    let body = long.clone();
    let pipes = Pipes::new(move |_, _| {
        let fields = [("Cache-Control", "no-store"), ("Connection", "close")];
        vec![head("200 OK", &fields), Act::send(body.clone()), Act::Close]
    });
    let mut client = pipes.client();
    client.send(OLD).await;
    let answer = within(LIMIT, client.read_answer()).await;
    assert_eq!(answer.header("content-length"), Some("3145728"));
    assert!(answer.body == long, "other bytes");
}

/// A stream without an end cannot be waited for.
#[tokio::test(start_paused = true)]
async fn events_are_sent_as_they_come() {
    let pipes = Pipes::new(|_, _| {
        vec![in_chunks(&[("Content-Type", "text/event-stream")]), chunk("data: one\n\n"), Act::Stall]
    });
    let mut client = pipes.client();
    client.send(OLD).await;
    let mut io = client.into_inner();
    let mut text = String::new();
    while !text.ends_with("data: one\n\n") {
        text.push(char::from(within(LIMIT, io.read_u8()).await.expect("an event")));
    }
    assert!(!text.to_ascii_lowercase().contains("content-length"), "{text}");
}

/// Neither can one that is longer than is kept: from then on it is sent as it comes.
#[tokio::test]
async fn what_is_too_long_to_be_kept_is_sent_as_it_comes() {
    let mut settings = settings("http://origin.test");
    settings.fetch.max_object = 64 << 10;
    settings.fetch.max_spool = 128 << 10;
    let long = pattern(9, 1 << 20);
    let body = long.clone();
    let pipes = Pipes::with(settings, move |_, _| {
        vec![head("200 OK", &[("Connection", "close")]), Act::send(body.clone()), Act::Close]
    });
    let mut client = pipes.client();
    client.send(OLD).await;
    let mut all = Vec::new();
    within(LIMIT, client.into_inner().read_to_end(&mut all)).await.expect("all of it");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(!String::from_utf8_lossy(&all[..end]).to_ascii_lowercase().contains("content-length"));
    assert!(all[end..] == long[..], "other bytes");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_is_noticed() {
    let begun = Gate::new();
    let opens = begun.clone();
    let pipes = Pipes::new(move |_, _| {
        let fields = [("Cache-Control", "no-store")];
        vec![in_chunks(&fields), chunk("half of "), Act::Open(opens.clone()), Act::Stall]
    });
    let mut client = pipes.client();
    client.send(OLD).await;
    begun.wait().await;
    drop(client);
    within(LIMIT, pipes.quiet()).await;
}

/// nginx asks by HTTP/1.0 unless it is told otherwise, keeps what it takes for whole, and by TLS minds no missing
/// `close_notify`. That an answer broke off is none of the node's failures to it.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_in_front_takes_no_part_for_the_whole() {
    for by_tls in [false, true] {
        let place = tempfile::tempdir().expect("a directory");
        let socket = place.path().join("s");
        let origin = Origin::tcp(|request, _| {
            let end = if request.path() == "/whole" { last_chunk(&[]) } else { Act::Close };
            vec![in_chunks(&[]), chunk("half of "), Act::Wait(ms(50)), chunk("it"), end]
        })
        .await;
        let other = Origin::tcp(|_, _| vec![respond("200 OK", &[], "another node")]).await;
        let mut settings = settings(&origin.url());
        let address = format!("unix:{}", socket.display()).parse().expect("an address");
        settings.listen =
            vec![Listen { address, tls: by_tls, http2: false, early_data: false, proxies: Vec::new() }];
        let authority = Authority::new();
        let pair = authority.pair("main", &["site.test"], 2999);
        settings.tls = by_tls.then(|| showing(&[&pair], true));
        let _node = Running::start(&settings, None).expect("a running node");
        let scheme = if by_tls { "https" } else { "http" };
        let said = format!(
            "location / {{ proxy_http_version 1.0; proxy_pass {scheme}://nodes; }} }}
            upstream nodes {{ server unix:{}; server {} backup;",
            socket.display(),
            other.addr()
        );
        let front = Nginx::at(refusing_addr(), &said).await;
        for (path, status, text) in
            [("/whole", 200, "half of it"), ("/part", 502, ""), ("/whole", 200, "half of it")]
        {
            let mut client = Client::connect(front.address).await;
            let answer = within(LIMIT, client.get(path)).await;
            assert_eq!(answer.status, status, "{scheme} {path}");
            assert!(status == 502 || answer.text() == text, "{scheme} {path}: {}", answer.text());
        }
    }
}
