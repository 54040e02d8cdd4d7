//! Whether a request makes sense, whatever site it is for.

use http::{HeaderMap, Method, StatusCode, Version, header};

use crate::body::message::Request;
use crate::semantics::cdn_loop;
use crate::semantics::notable::Notable;
use crate::semantics::target::{HostError, canonical_host};

/// What admission found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The canonical host (RFC 9110 §4.2.3).
    pub host: String,
    /// What of its fields decides about its way.
    pub notable: Notable,
    /// Whether it comes from a node of the same operator's. Told by who knows the peers.
    pub is_peer: bool,
    /// Up to which place in the fleet's stream a peer wants what answers it to have been purged; zero of everybody else.
    pub applied: u64,
}

/// Why a request goes no further. Each has one name, used in the log and in tests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// RFC 9112 §3.2: an HTTP/1.1 request without `Host`.
    #[error("the request has no Host field")]
    MissingHost,
    /// More than one `Host` line.
    #[error("the request has more than one Host field")]
    RepeatedHost,
    /// A host that is not one.
    #[error("the request's host is invalid: {0}")]
    InvalidHost(#[from] HostError),
    /// RFC 9113 §8.3.1: `Host` beside another `:authority`.
    #[error("the request's Host names another host than its :authority")]
    OtherHost,
    /// CONNECT and TRACE: this is no forward proxy and no mirror.
    #[error("the method {0} is not served here")]
    Method(Method),
    /// Other expectations than 100-continue (RFC 9110 §10.1.1).
    #[error("the request expects something other than 100-continue")]
    Expectation,
    /// Path and query are longer than the limit (RFC 9110 §15.5.15).
    #[error("the request's path and query are longer than {0} bytes")]
    LongTarget(usize),
    /// It has been here before, more often than it may (RFC 8586 §2). Found out by [`never_circles`].
    #[error("the request goes in circles: it has been here before")]
    Loop,
    /// No site answers for the host (RFC 9110 §15.5.20). Found out by the route.
    #[error("this host is not served here")]
    UnknownHost,
    /// The site is served by TLS alone, at this URL. Found out by the route.
    #[error("this site is served by TLS, at {0}")]
    NeedsTls(String),
    /// Something else was asked of the client in its handshake than the site asks, such as no certificate (RFC 9110
    /// §15.5.20). Found out by the route.
    #[error(
        "this site is served on connections of its own, by TLS: its clients are asked for certificates there, or not"
    )]
    OtherPolicy,
    /// It came before the end of its client's handshake, which came to nothing (RFC 8470 §5.2). Found out by the client
    /// machine.
    #[error("the request may be a replay: the handshake of its connection has not ended")]
    TooEarly,
    /// The content is longer than the site takes (RFC 9110 §15.5.14).
    #[error("the request's content is longer than {0} bytes")]
    LargeContent(u64),
    /// The content did not come in time, or too slowly (RFC 9110 §15.5.9). Found out by who reads it.
    #[error("the request's content did not come in time")]
    LateContent,
}

impl Rejection {
    /// The name used in logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MissingHost => "missing-host",
            Self::RepeatedHost => "repeated-host",
            Self::InvalidHost(_) => "invalid-host",
            Self::OtherHost => "other-host",
            Self::Method(_) => "method",
            Self::Expectation => "expectation",
            Self::LongTarget(_) => "long-target",
            Self::Loop => "loop",
            Self::UnknownHost => "unknown-host",
            Self::NeedsTls(_) => "needs-tls",
            Self::OtherPolicy => "other-policy",
            Self::TooEarly => "too-early",
            Self::LargeContent(_) => "large-content",
            Self::LateContent => "late-content",
        }
    }

    /// The status that tells the client.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MissingHost | Self::RepeatedHost | Self::InvalidHost(_) | Self::OtherHost => {
                StatusCode::BAD_REQUEST
            }
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::LongTarget(_) => StatusCode::URI_TOO_LONG,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::UnknownHost | Self::OtherPolicy => StatusCode::MISDIRECTED_REQUEST,
            Self::NeedsTls(_) => StatusCode::PERMANENT_REDIRECT,
            Self::TooEarly => StatusCode::TOO_EARLY,
            Self::LargeContent(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LateContent => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

/// Checks what can be checked without knowing the site. Path and query may have `max_target` bytes.
pub fn check(request: &Request, max_target: usize) -> Result<Admitted, Rejection> {
    if request.target.as_str().len() > max_target {
        return Err(Rejection::LongTarget(max_target));
    }
    if request.method == Method::CONNECT || request.method == Method::TRACE {
        return Err(Rejection::Method(request.method.clone()));
    }
    let notable = Notable::of(&request.headers);
    if notable.may_have(Notable::EXPECT) && !expects_continue(&request.headers) {
        return Err(Rejection::Expectation);
    }
    let host = canonical_host(raw_host(request)?, request.scheme.as_str())?;
    if request.version >= Version::HTTP_2 && names_another(request, &host) {
        return Err(Rejection::OtherHost);
    }
    Ok(Admitted { host, notable, is_peer: false, applied: 0 })
}

/// Refuses a request that has passed by `id` more than `max_loops` times, by its `CDN-Loop` (RFC 8586 §2).
pub fn never_circles(
    request: &Request,
    admitted: &Admitted,
    id: &str,
    max_loops: usize,
) -> Result<(), Rejection> {
    let circles = || cdn_loop::passages(&request.headers, id) > max_loops;
    if admitted.notable.may_have(Notable::LOOP) && circles() { Err(Rejection::Loop) } else { Ok(()) }
}

fn expects_continue(headers: &HeaderMap) -> bool {
    let mut expectations = headers.get_all(header::EXPECT).iter();
    expectations.all(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The absolute-form target's authority outranks `Host`, which must be there all the same (RFC 9112 §3.2.2).
fn raw_host(request: &Request) -> Result<&str, Rejection> {
    let mut lines = request.headers.get_all(header::HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err(Rejection::RepeatedHost);
    }
    let missing = host.is_none() && request.version == Version::HTTP_11;
    match (&request.target_authority, host) {
        _ if missing => Err(Rejection::MissingHost),
        (Some(authority), _) => Ok(authority),
        (None, Some(host)) => host.to_str().map_err(|_| Rejection::InvalidHost(HostError::Character)),
        (None, None) => Err(Rejection::MissingHost),
    }
}

/// Whether `Host` is not what the authority says, `host`: two would read two things.
fn names_another(request: &Request, host: &str) -> bool {
    let named = request.headers.get(header::HOST).and_then(|named| named.to_str().ok());
    let same = |named| canonical_host(named, request.scheme.as_str()).is_ok_and(|named| named == host);
    request.headers.contains_key(header::HOST) && !named.is_some_and(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::ClientPolicy;
    use crate::body::Body;
    use http::uri::Scheme;

    fn request(method: Method, version: Version, fields: &[(&'static str, &str)]) -> Request {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a value"));
        }
        Request {
            method,
            scheme: Scheme::HTTP,
            target_authority: None,
            target: "/".parse().expect("a target"),
            version,
            headers,
            body: Body::Empty,
            peer: std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into(),
            policy: ClientPolicy::NONE,
            certificate: None,
            early: None,
            can_break_off: true,
        }
    }

    #[test]
    fn a_host_is_needed_once_and_valid() {
        let get = |fields: &[(&'static str, &str)]| check(&request(Method::GET, Version::HTTP_11, fields), 8);
        assert_eq!(get(&[("host", "A.Example:80")]).map(|admitted| admitted.host), Ok("a.example".into()));
        assert_eq!(get(&[]), Err(Rejection::MissingHost));
        assert_eq!(get(&[("host", "a"), ("host", "a")]), Err(Rejection::RepeatedHost));
        assert!(matches!(get(&[("host", "a b")]), Err(Rejection::InvalidHost(_))));
        assert!(matches!(get(&[("host", "user@a")]), Err(Rejection::InvalidHost(_))));
    }

    #[test]
    fn the_absolute_form_outranks_host() {
        let mut absolute = request(Method::GET, Version::HTTP_11, &[("host", "other")]);
        absolute.target_authority = Some("site.example:8080".into());
        assert_eq!(check(&absolute, 8).map(|admitted| admitted.host), Ok("site.example:8080".into()));
    }

    #[test]
    fn http2_names_one_host() {
        let named = |host| {
            let mut named = request(Method::GET, Version::HTTP_2, &[("host", host)]);
            named.target_authority = Some("site.example:80".into());
            check(&named, 8).map(|admitted| admitted.host)
        };
        assert_eq!(named("SITE.example"), Ok("site.example".into()));
        assert_eq!(named("other.example"), Err(Rejection::OtherHost));
        assert_eq!(named("site.example:81"), Err(Rejection::OtherHost));
    }

    #[test]
    fn this_is_no_forward_proxy_and_no_mirror() {
        for method in [Method::CONNECT, Method::TRACE] {
            let rejection =
                check(&request(method, Version::HTTP_11, &[("host", "a")]), 8).expect_err("rejected");
            assert_eq!(rejection.status(), StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    #[test]
    fn only_one_expectation_is_understood() {
        let expects =
            |what| check(&request(Method::POST, Version::HTTP_11, &[("host", "a"), ("expect", what)]), 8);
        assert!(expects("100-Continue").is_ok());
        assert_eq!(expects("a-miracle"), Err(Rejection::Expectation));
    }

    #[test]
    fn a_request_passes_as_often_as_it_may_and_no_more() {
        let passed = request(
            Method::GET,
            Version::HTTP_11,
            &[("host", "a"), ("cdn-loop", "me, other"), ("cdn-loop", "me;a=1")],
        );
        let admitted = check(&passed, 8).expect("admitted");
        let circles = |id, most| never_circles(&passed, &admitted, id, most);
        assert!(circles("me", 2).is_ok() && circles("else", 0).is_ok());
        let rejection = circles("me", 1).expect_err("a loop");
        assert_eq!(rejection.status(), StatusCode::LOOP_DETECTED);
    }

    #[test]
    fn a_target_is_as_long_as_it_may_be_and_no_longer() {
        let mut long = request(Method::GET, Version::HTTP_11, &[("host", "a")]);
        long.target = "/a?b=123".parse().expect("a target");
        assert!(check(&long, 8).is_ok());
        assert_eq!(check(&long, 7).expect_err("too long").status(), StatusCode::URI_TOO_LONG);
    }
}
