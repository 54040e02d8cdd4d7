//! `Client-Cert` and `Client-Cert-Chain`: what an origin is told of the certificate that a client showed (RFC 9440).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{ItemSerializer, ListSerializer};

/// The client's certificate.
pub const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");

/// Those that it showed beside.
pub const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

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
