//! The pages of the demo site.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::base::clock::Clock;
use crate::body::Body;
use crate::body::content::Blocks;
use crate::body::message::{Reply, Request};
use crate::listener::link::Link;
use crate::listener::refusal::Refusal;
use crate::listener::{Answer, Handler};
use crate::semantics::date;

const HOUR: &str = "max-age=3600";
const SLOW: Duration = Duration::from_secs(2);
const DOWNLOAD_BLOCKS: usize = 20;
static MEGABYTE: [u8; 1_000_000] = [b'~'; 1_000_000];

/// Answers like an ordinary site that states how long its pages may be kept.
#[derive(Debug)]
pub(super) struct DemoSite;

impl Handler for DemoSite {
    type Guest = ();

    fn admit(&self, _link: &Link) -> Option<()> {
        Some(())
    }

    fn refuse(&self, refusal: &Refusal, _link: &Link) -> Reply {
        reply(refusal.status(), "text/plain", "no-store", Body::Bytes(format!("{refusal}\n").into()))
    }

    fn handle(&self, request: Request) -> Answer<'_> {
        Answer::later(|_interim| answer(request))
    }
}

async fn answer(request: Request) -> Reply {
    if request.method != Method::GET && request.method != Method::HEAD {
        return file(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "no-store", b"GET only\n");
    }
    match request.target.path() {
        "/" => page("text/html; charset=utf-8", include_bytes!("index.html")),
        "/style.css" => page("text/css", include_bytes!("style.css")),
        "/script.js" => page("text/javascript", include_bytes!("script.js")),
        "/picture.svg" => page("image/svg+xml", include_bytes!("picture.svg")),
        "/slow" => {
            tokio::time::sleep(SLOW).await;
            page("text/plain", b"This took the origin two seconds. Ask again.\n")
        }
        "/time" => {
            let now = date::format_date(Clock::system().now());
            let text = format!("The origin says it is {}.\n", now.to_str().unwrap_or("late"));
            reply(StatusCode::OK, "text/plain", "no-store", Body::Bytes(text.into()))
        }
        "/download" => {
            let blocks = (0..DOWNLOAD_BLOCKS).map(|_| Bytes::from_static(&MEGABYTE));
            reply(StatusCode::OK, "application/octet-stream", HOUR, Body::Blocks(Blocks::new(blocks)))
        }
        _ => file(StatusCode::NOT_FOUND, "text/plain", "max-age=10", b"There is no such page.\n"),
    }
}

fn page(content_type: &'static str, content: &'static [u8]) -> Reply {
    file(StatusCode::OK, content_type, HOUR, content)
}

fn file(
    status: StatusCode,
    content_type: &'static str,
    cache_control: &'static str,
    content: &'static [u8],
) -> Reply {
    reply(status, content_type, cache_control, Body::Bytes(Bytes::from_static(content)))
}

fn reply(status: StatusCode, content_type: &'static str, cache_control: &'static str, body: Body) -> Reply {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache_control));
    headers.insert(header::DATE, date::format_date(Clock::system().now()));
    if let Some(length) = body.known_length() {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Reply::new(status, headers, body)
}
