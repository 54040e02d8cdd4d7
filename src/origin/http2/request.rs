//! The head of a request as HTTP/2 has it (RFC 9113 §8.3.1).

use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Request, Uri, Version, header};

use crate::http1::lines::OF_A_CONNECTION;
use crate::origin::outgoing::Fields;

/// `fields` with the host as `:authority`; `None` if that is none.
pub(super) fn request(fields: &Fields, scheme: &Scheme) -> Option<Request<()>> {
    let host = fields.headers.get(header::HOST)?;
    let uri = Uri::builder()
        .scheme(scheme.clone())
        .authority(Authority::try_from(host.as_bytes()).ok()?)
        .path_and_query(fields.target.clone())
        .build()
        .ok()?;
    let mut request = Request::new(());
    *request.method_mut() = fields.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.reserve(fields.headers.len());
    for (name, value) in fields.headers.iter().filter(|(name, value)| may_go(name, value)) {
        headers.append(name, value.clone());
    }
    Some(request)
}

fn may_go(name: &HeaderName, value: &HeaderValue) -> bool {
    match *name {
        header::HOST => false,
        header::TE => value == "trailers",
        _ => !OF_A_CONNECTION.contains(name),
    }
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;
    use http::{HeaderMap, Method};

    use super::*;

    fn fields(of: &[(&'static str, &'static str)]) -> Fields {
        let field = |&(name, value): &(&'static str, _)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = of.iter().map(field).collect();
        Fields { method: Method::POST, target: PathAndQuery::from_static("/a?b"), headers }
    }

    #[test]
    fn the_host_becomes_the_authority_and_nothing_of_the_connection_goes() {
        let said = [
            ("host", "a.test:8080"),
            ("te", "trailers"),
            ("connection", "te, close"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("upgrade", "websocket"),
            ("accept", "*/*"),
        ];
        let request = request(&fields(&said), &Scheme::HTTPS).expect("a request");
        assert_eq!(request.uri(), "https://a.test:8080/a?b");
        let names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["te", "accept"]);
    }

    #[test]
    fn of_te_only_trailers_goes() {
        let said = [("host", "a"), ("te", "gzip")];
        let request = request(&fields(&said), &Scheme::HTTP).expect("a request");
        assert!(request.headers().is_empty());
    }

    #[test]
    fn without_a_host_there_is_no_request() {
        for said in [&[][..], &[("host", "")], &[("host", "a b")]] {
            assert!(request(&fields(said), &Scheme::HTTP).is_none(), "{said:?}");
        }
    }
}
