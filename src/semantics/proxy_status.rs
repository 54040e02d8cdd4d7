//! `Proxy-Status`: why an answer is an error of the proxy's own making (RFC 9209).

use http::{HeaderName, HeaderValue, StatusCode};

use super::structured::{push_string, push_token_or_string};

/// The field's name.
pub const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What went wrong, by the proxy error types of RFC 9209 §2.3, each with the section's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// Looking up the origin's name took too long.
    DnsTimeout,
    /// Looking up the origin's name failed.
    DnsError,
    /// No site or origin is configured for the request.
    DestinationNotFound,
    /// The origin is known to be down, or may not be tried now.
    DestinationUnavailable,
    /// The origin's address is one that may not be connected to.
    DestinationIpProhibited,
    /// There is no way to the origin's address.
    DestinationIpUnroutable,
    /// The origin refused the connection.
    ConnectionRefused,
    /// The connection broke before a whole head came.
    ConnectionTerminated,
    /// Connecting took too long.
    ConnectionTimeout,
    /// The origin sent nothing for too long.
    ConnectionReadTimeout,
    /// The origin took nothing for too long.
    ConnectionWriteTimeout,
    /// There are as many connections as may be.
    ConnectionLimitReached,
    /// TLS with the origin failed.
    TlsProtocolError,
    /// The origin's certificate is not acceptable.
    TlsCertificateError,
    /// The origin sent a TLS alert.
    TlsAlertReceived,
    /// The request itself is wrong.
    HttpRequestError,
    /// The request is not allowed here.
    HttpRequestDenied,
    /// The response broke off.
    HttpResponseIncomplete,
    /// The response's fields together are too large.
    HttpResponseHeaderSectionSize,
    /// One field of the response is too large.
    HttpResponseHeaderSize,
    /// The response's body is too large.
    HttpResponseBodySize,
    /// The response's transfer coding cannot be decoded.
    HttpResponseTransferCoding,
    /// The response's content coding cannot be decoded.
    HttpResponseContentCoding,
    /// The response took too long.
    HttpResponseTimeout,
    /// Switching to another protocol failed.
    HttpUpgradeFailed,
    /// The origin does not speak HTTP correctly.
    HttpProtocolError,
    /// The proxy itself failed.
    ProxyInternalError,
    /// The proxy's configuration makes the answer impossible.
    ProxyConfigurationError,
    /// The request has been here before.
    ProxyLoopDetected,
}

impl ProxyError {
    /// The registered name, also used in logs and metrics (RFC 9209 §2.3).
    pub const fn token(self) -> &'static str {
        match self {
            Self::DnsTimeout => "dns_timeout",
            Self::DnsError => "dns_error",
            Self::DestinationNotFound => "destination_not_found",
            Self::DestinationUnavailable => "destination_unavailable",
            Self::DestinationIpProhibited => "destination_ip_prohibited",
            Self::DestinationIpUnroutable => "destination_ip_unroutable",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTerminated => "connection_terminated",
            Self::ConnectionTimeout => "connection_timeout",
            Self::ConnectionReadTimeout => "connection_read_timeout",
            Self::ConnectionWriteTimeout => "connection_write_timeout",
            Self::ConnectionLimitReached => "connection_limit_reached",
            Self::TlsProtocolError => "tls_protocol_error",
            Self::TlsCertificateError => "tls_certificate_error",
            Self::TlsAlertReceived => "tls_alert_received",
            Self::HttpRequestError => "http_request_error",
            Self::HttpRequestDenied => "http_request_denied",
            Self::HttpResponseIncomplete => "http_response_incomplete",
            Self::HttpResponseHeaderSectionSize => "http_response_header_section_size",
            Self::HttpResponseHeaderSize => "http_response_header_size",
            Self::HttpResponseBodySize => "http_response_body_size",
            Self::HttpResponseTransferCoding => "http_response_transfer_coding",
            Self::HttpResponseContentCoding => "http_response_content_coding",
            Self::HttpResponseTimeout => "http_response_timeout",
            Self::HttpUpgradeFailed => "http_upgrade_failed",
            Self::HttpProtocolError => "http_protocol_error",
            Self::ProxyInternalError => "proxy_internal_error",
            Self::ProxyConfigurationError => "proxy_configuration_error",
            Self::ProxyLoopDetected => "proxy_loop_detected",
        }
    }

    /// The status that RFC 9209 §2.3 recommends; 400 for a wrong request, where it leaves the choice.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HttpRequestError => StatusCode::BAD_REQUEST,
            Self::HttpRequestDenied => StatusCode::FORBIDDEN,
            Self::DestinationNotFound | Self::ProxyInternalError | Self::ProxyConfigurationError => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::DestinationUnavailable | Self::ConnectionLimitReached => StatusCode::SERVICE_UNAVAILABLE,
            Self::DnsTimeout
            | Self::ConnectionTimeout
            | Self::ConnectionReadTimeout
            | Self::ConnectionWriteTimeout
            | Self::HttpResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::DnsError
            | Self::DestinationIpProhibited
            | Self::DestinationIpUnroutable
            | Self::ConnectionRefused
            | Self::ConnectionTerminated
            | Self::TlsProtocolError
            | Self::TlsCertificateError
            | Self::TlsAlertReceived
            | Self::HttpResponseIncomplete
            | Self::HttpResponseHeaderSectionSize
            | Self::HttpResponseHeaderSize
            | Self::HttpResponseBodySize
            | Self::HttpResponseTransferCoding
            | Self::HttpResponseContentCoding
            | Self::HttpUpgradeFailed
            | Self::HttpProtocolError
            | Self::ProxyLoopDetected => StatusCode::BAD_GATEWAY,
        }
    }

    /// Our member of the field: `name; error=token; details="…"` (RFC 9209 §2). `name` says which proxy
    /// speaks; of `detail` only printable ASCII is kept.
    pub fn field(self, name: &str, detail: Option<&str>) -> HeaderValue {
        let mut out = String::new();
        let _ = push_token_or_string(&mut out, name);
        out.push_str("; error=");
        out.push_str(self.token());
        if let Some(detail) = detail {
            out.push_str("; details=");
            let _ = push_string(&mut out, detail);
        }
        // Always a legal value: nothing but printable ASCII was written.
        HeaderValue::try_from(out).unwrap_or(HeaderValue::from_static(self.token()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_field_names_the_proxy_and_the_error() {
        let field = ProxyError::ConnectionRefused.field("forebay", None);
        assert_eq!(field, "forebay; error=connection_refused");
    }

    #[test]
    fn details_are_escaped() {
        let field = ProxyError::DnsError.field("forebay", Some("no \"such\"\n\\ nämé"));
        assert_eq!(field, r#"forebay; error=dns_error; details="no \"such\"\\ nm""#);
    }

    #[test]
    fn statuses_follow_the_blame() {
        assert_eq!(ProxyError::HttpResponseTimeout.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(ProxyError::ConnectionLimitReached.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ProxyError::HttpRequestError.status(), StatusCode::BAD_REQUEST);
        assert_eq!(ProxyError::ProxyLoopDetected.status(), StatusCode::BAD_GATEWAY);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_field(name: String, detail: String) {
            let field = ProxyError::ProxyInternalError.field(&name, Some(&detail));
            prop_assert!(field.to_str().is_ok_and(|text| text.contains("; error=proxy_internal_error; ")));
        }
    }
}
