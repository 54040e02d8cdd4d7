//! Whether a browser was led here by a page of another site (CSRF). Browsers say so with each request that could change
//! something; tools say nothing.

use axum::http::{HeaderMap, HeaderName, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request comes from nobody's page, or from one of ours.
pub(super) fn is_ours(headers: &HeaderMap) -> bool {
    let site = headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin" || site == "none");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        // Of the schemes there is one alone that we speak at our address.
        origin.zip(host).is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host))
    });
    site && origin
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
            is_ours(&headers)
        };
        assert!(asked(&[]) && asked(&[("sec-fetch-site", "same-origin")]));
        assert!(asked(&[("sec-fetch-site", "none"), ("origin", "http://localhost:9090")]));
        for fields in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "http://evil.test")],
            &[("origin", "http://localhost:8080")],
            &[("origin", "http://localhost:9090"), ("origin", "http://evil.test")],
            &[("origin", "")],
        ] {
            assert!(!asked(fields), "{fields:?}");
        }
    }
}
