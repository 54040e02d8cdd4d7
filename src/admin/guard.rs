//! Keeps browsers out that were led here: a page of another site whose name was made to point at loopback (DNS
//! rebinding) names that site in `Host`.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 421 to whoever asks for another host.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    if !is_for_us(request.uri(), request.headers()) {
        let why = "this is asked for by the name of localhost or by a loopback address only\n";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    next.run(request).await
}

/// Every host that the request names, in whatever way, is this machine. A browser always names one, so one that names
/// none is a tool.
fn is_for_us(uri: &Uri, headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or("?"));
    hosts.chain(uri.authority().map(Authority::as_str)).all(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_ours = |address: IpAddr| address.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for ours in ["localhost", "LOCALHOST:9090", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:9090"] {
            assert!(is_loopback(ours), "{ours}");
        }
        for others in [
            "",
            "evil.test",
            "localhost.evil.test:9090",
            "192.0.2.1",
            "127.0.0.1.evil.test",
            "u@localhost",
            "?",
        ] {
            assert!(!is_loopback(others), "{others}");
        }
    }
}
