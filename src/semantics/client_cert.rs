//! `Client-Cert` and `Client-Cert-Chain`: what an origin is told of the certificate that a client showed (RFC 9440).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sfv::{ItemSerializer, ListSerializer};

use super::fields;

/// The client's certificate.
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// Those that it showed beside.
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// Whether a field of this name is one of these, or what some program takes for one ([`fields::begins_like`]).
pub fn is_one(name: &str) -> bool {
    fields::begins_like(name, "client-cert")
}

/// Tells of a client's own certificate, and of those `beside` it, if there are any; all in DER form. What stands there
/// already goes (RFC 9440 §2.4).
pub fn tell(request: &mut HeaderMap, own: &[u8], beside: &[Bytes]) {
    put(request, CLIENT_CERT, Some(ItemSerializer::new().bare_item(own).finish()));
    let mut chain = ListSerializer::new();
    for certificate in beside {
        let _ = chain.bare_item(&certificate[..]);
    }
    put(request, CLIENT_CERT_CHAIN, chain.finish());
}

/// Whether a response is for one certificate, or for none, by what it varies by (RFC 9440 §2.4).
pub fn selects(response: &HeaderMap) -> bool {
    fields::list_members(response, &header::VARY).any(|member| {
        let is = |name: HeaderName| member.eq_ignore_ascii_case(name.as_str().as_bytes());
        is(CLIENT_CERT) || is(CLIENT_CERT_CHAIN)
    })
}

fn put(request: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    request.remove(&name);
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
        request.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_a_certificate_if_it_varies_by_it() {
        let varies = |by: &'static str| {
            let vary = (header::VARY, HeaderValue::from_static(by));
            selects(&HeaderMap::from_iter([vary]))
        };
        assert!(varies("Cookie, Client-cert") && varies("client-cert-chain"));
        assert!(!varies("Client-Cert-X, X-Client-Cert") && !varies("*"));
    }

    #[test]
    fn certificates_are_byte_sequences() {
        let mut request = HeaderMap::new();
        request.append(CLIENT_CERT, HeaderValue::from_static("forged"));
        request.append(CLIENT_CERT, HeaderValue::from_static("twice"));
        request.append(CLIENT_CERT_CHAIN, HeaderValue::from_static("forged"));
        let all = |request: &HeaderMap, name| request.get_all(name).iter().cloned().collect::<Vec<_>>();
        tell(&mut request, &[0xfb, 0xff, 0x00], &[]);
        assert_eq!(all(&request, CLIENT_CERT), [":+/8A:"]);
        assert!(all(&request, CLIENT_CERT_CHAIN).is_empty());
        tell(&mut request, b"a", &[Bytes::from_static(b"b"), Bytes::from_static(b"cc")]);
        assert_eq!(all(&request, CLIENT_CERT), [":YQ==:"]);
        assert_eq!(all(&request, CLIENT_CERT_CHAIN), [":Yg==:, :Y2M=:"]);
    }
}
