//! Fields by which a client could tell an origin about itself, or have it answer for another resource than the key
//! says. They are of two kinds ([decision 9](../../docs/decisions/0009-what-an-origin-sees.md)):
//!
//! - *unbelieved*: a claim that only a proxy may make. No origin ever gets to see one from a client; those that have a
//!   use are made anew.
//! - *personal*: one client's business. An origin gets to see them where the answer is for this client alone, and not
//!   where it may be stored.
//!
//! In both lists `*` ends the beginning of many names, and whatever is no letter and no digit counts as `-`, because programs
//! behind CGI, WSGI or PHP cannot tell them apart.

use http::HeaderName;

use crate::semantics::client_cert;
use crate::semantics::fields::begins_like;

/// Whether a client's field of this name is not believed.
pub(super) fn is_unbelieved(name: &HeaderName) -> bool {
    is_among(name.as_str(), unbelieved)
}

/// Whether a field of this name says who a client is by its certificate (RFC 9440): this node's word alone, which origins
/// rely on.
pub(super) fn is_of_certificate(name: &HeaderName) -> bool {
    client_cert::is_one(name.as_str())
}

/// Whether a field of this name is one client's business.
pub(super) fn is_personal(name: &HeaderName) -> bool {
    is_among(name.as_str(), personal)
}

/// By the first letter: most names are none of these, and few begin like them.
fn unbelieved(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["ali-cdn-real-ip"],
        b'b' => &["base-url"],
        b'c' => &[
            "cdn-real-ip",
            "cdn-src-ip",
            "cf-connecting-ip*",
            "cf-pseudo-ipv4",
            "cf-visitor",
            // Who a certificate says that a client is (RFC 9440).
            "client-cert*",
            "client-ip",
            "cloudfront-forwarded-proto",
            "cloudfront-viewer-address",
            "cluster-client-ip",
        ],
        b'f' => &["fastly-client*", "fastly-ff", "fastly-ssl", "forebay-*", "forwarded*", "front-end-https"],
        b'h' => &["http2-settings", "https"],
        b'i' => &["incap-client-ip"],
        // CGI programs see `Proxy` as HTTP_PROXY, and then talk through it.
        b'p' => &["path-info", "proxy", "proxy-client-ip", "proxy-host"],
        // Whether the origin's answers may have ESI and the like is for the surrogate to say.
        b's' => &["script-name", "ssl-client-*", "surrogate-*"],
        b'r' => &["remote-*", "request-uri"],
        b't' => &["tls-client-*", "true-client-ip"],
        b'w' => &["wl-proxy-*", "wsgi-url-scheme"],
        b'x' => &[
            "x-accel-*",
            "x-appengine-user-ip",
            "x-arr-*",
            "x-azure-clientip",
            "x-azure-socketip",
            "x-backend-host",
            "x-base-url",
            "x-client-cert*",
            "x-client-ip",
            "x-client-proto",
            "x-cluster-client-ip",
            "x-coming-from",
            "x-custom-ip-authorization",
            "x-envoy-*",
            "x-forward*",
            "x-from-ip",
            "x-host*",
            "x-http-*",
            "x-http2-*",
            "x-https",
            // What frameworks tell themselves, and have taken from strangers.
            "x-invoke-*",
            "x-matched-path",
            "x-method*",
            "x-middleware-*",
            "x-nextjs-*",
            "x-now-route-matches",
            "x-original-*",
            "x-originating-*",
            "x-override-*",
            "x-path-info",
            "x-proto*",
            "x-proxy-*",
            "x-proxyuser-ip",
            "x-real-*",
            "x-redirect-url",
            "x-remote-*",
            "x-request-uri",
            "x-rewrite-*",
            "x-scheme*",
            "x-script-name",
            "x-sendfile*",
            "x-server-name",
            "x-ssl*",
            "x-sucuri-clientip",
            "x-url-scheme",
        ],
        _ => &[],
    }
}

/// What other networks say of a client, what picks a part or a form of a resource outside of HTTP's negotiation, and
/// names that many origins give back.
fn personal(first: u8) -> &'static [&'static str] {
    match first {
        b'a' => &["a-im", "akamai-*"],
        // Of a GET, they say something about content that it does not have. Where there is content, they are in the key.
        b'c' => &["cf-*", "cloudfront-*", "content-*"],
        b'f' => &["fastly-*", "from"],
        b'i' => &["if"],
        b'm' => &["max-forwards"],
        b'p' => &["prefer", "profile"],
        b't' => &["translate"],
        b'v' => &["via"],
        b'x' => &[
            "x-akamai-*",
            "x-amz-*",
            "x-amzn-*",
            "x-appengine-*",
            "x-azure-*",
            "x-correlation-id",
            "x-goog-*",
            "x-ms-*",
            "x-nf-*",
            "x-request-id",
            "x-vercel-*",
            "x-wap-profile",
        ],
        _ => &[],
    }
}

fn is_among(name: &str, list: fn(u8) -> &'static [&'static str]) -> bool {
    let listed = name.bytes().next().map(list).unwrap_or_default();
    listed.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => begins_like(name, beginning),
        None => name.len() == pattern.len() && begins_like(name, pattern),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::notable::Notable;

    fn name(name: &'static str) -> HeaderName {
        HeaderName::from_static(name)
    }

    #[test]
    fn every_spelling_is_known() {
        for unbelieved in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-ssl",
            "x-forwarder-for",
            "x-real_ip",
            "proxy",
            "x-scheme",
            "forwarded",
            "forwarded-for",
            "x-http-method",
            "x-http-host-override",
            "surrogate_capability",
            "client-cert-chain",
            "https",
            "x-request_uri",
        ] {
            assert!(is_unbelieved(&name(unbelieved)), "{unbelieved}");
        }
        for personal in [
            "x-amz-date",
            "x_request_id",
            "via",
            "content-type",
            "cf-ipcountry",
            "max-forwards",
            "if",
            "prefer",
        ] {
            assert!(is_personal(&name(personal)), "{personal}");
        }
        for plain in ["accept", "cookie", "proxy-status", "x-note", "host", "x-client", "vary", "x-cache"] {
            assert!(!is_unbelieved(&name(plain)) && !is_personal(&name(plain)), "{plain}");
        }
    }

    #[test]
    fn who_a_certificate_says_that_a_client_is_is_told_by_nobody_else() {
        for known in ["client-cert", "client-cert-chain", "client_cert", "client.cert"] {
            assert!(is_of_certificate(&name(known)) && is_unbelieved(&name(known)), "{known}");
        }
        for other in ["client-ip", "x-client-cert", "client"] {
            assert!(!is_of_certificate(&name(other)), "{other}");
        }
    }

    /// Nobody looks through these lists for a request all of whose fields are of a kind that is known.
    #[test]
    fn none_is_of_a_kind_that_is_known() {
        let known = "host user-agent accept accept-encoding accept-language referer cookie authorization origin if-range \
            dnt priority upgrade-insecure-requests connection keep-alive proxy-connection proxy-authenticate \
            proxy-authorization proxy-authentication-info te trailer transfer-encoding upgrade cache-control pragma \
            if-none-match if-modified-since if-match if-unmodified-since range expect cdn-loop early-data \
            sec-fetch-mode sec-ch-ua sec-gpc sec-websocket-key";
        for known in known.split_whitespace().map(name) {
            assert_ne!(Notable::of_name(&known), Notable::OTHER, "{known}");
            assert!(!is_unbelieved(&known) && !is_personal(&known), "{known}");
        }
        for pattern in (0..=u8::MAX).flat_map(|first| unbelieved(first).iter().chain(personal(first))) {
            for spelling in [pattern.replace('*', ""), pattern.replace('*', "x").replace('-', "_")] {
                let spelling = HeaderName::from_bytes(spelling.as_bytes()).expect("a name");
                assert_eq!(Notable::of_name(&spelling), Notable::OTHER, "{spelling}");
            }
        }
    }

    #[test]
    fn each_stands_under_its_first_letter() {
        for first in 0..=u8::MAX {
            for pattern in unbelieved(first).iter().chain(personal(first)) {
                assert_eq!(pattern.bytes().next(), Some(first), "{pattern}");
            }
        }
    }
}
