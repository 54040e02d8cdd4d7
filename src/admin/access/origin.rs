//! Whether a browser was led here by a page of another site (CSRF). Browsers say so with each request that could change
//! something; tools say nothing.

use axum::http::{HeaderMap, HeaderName, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser was not led here by a page of another site, as far as it says so.
pub(super) fn is_same_site(headers: &HeaderMap) -> bool {
    headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin" || site == "none")
}

/// Whether the request comes from nobody's page, or from one of ours.
pub(super) fn is_ours(headers: &HeaderMap, by_tls: bool) -> bool {
    let scheme = if by_tls { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.zip(host).is_some_and(|((by, authority), host)| {
            by.eq_ignore_ascii_case(scheme) && authority.eq_ignore_ascii_case(host)
        })
    });
    is_same_site(headers) && origin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_of_another_site_asks_for_is_known() {
        let asked = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in [("host", "localhost:9090")].iter().chain(fields) {
                headers.append(*name, value.parse().expect("a value"));
            }
            is_ours(&headers, false)
        };
        assert!(asked(&[]) && asked(&[("sec-fetch-site", "same-origin")]));
        assert!(asked(&[("sec-fetch-site", "none"), ("origin", "http://localhost:9090")]));
        for fields in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "https://localhost:9090")],
            &[("origin", "http://evil.test")],
            &[("origin", "http://localhost:8080")],
            &[("origin", "http://localhost:9090"), ("origin", "http://evil.test")],
            &[("origin", "")],
        ] {
            assert!(!asked(fields), "{fields:?}");
        }
    }
}
