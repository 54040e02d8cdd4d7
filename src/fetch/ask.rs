//! What a client wants of an origin, in the terms of both machines.

use std::net::IpAddr;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Version, header};

use crate::cache::key::Key;
use crate::semantics::fields;

/// One client's request as the fetch machine sees it: the key it asks for and the fields it asks with.
#[derive(Debug)]
pub struct Ask {
    /// The key.
    pub key: Key,
    /// The client's method.
    pub method: Method,
    /// Path and query, byte for byte.
    pub target: PathAndQuery,
    /// The canonical host.
    pub host: String,
    /// The scheme that the client used.
    pub scheme: Scheme,
    /// The client's address.
    pub peer: IpAddr,
    /// The client's HTTP version.
    pub version: Version,
    /// The client's fields as they came.
    pub headers: HeaderMap,
}

impl Ask {
    /// The protocols that the client would leave HTTP for, if it offers any (RFC 9110 §7.8).
    pub fn upgrade(&self) -> Option<&http::HeaderValue> {
        let offered = self.version == Version::HTTP_11 && fields::connection_names(&self.headers, "upgrade");
        self.headers.get(header::UPGRADE).filter(|_| offered)
    }

    /// Whether the client takes trailers (RFC 9110 §10.1.4).
    pub fn takes_trailers(&self) -> bool {
        fields::list_members(&self.headers, &header::TE)
            .any(|member| member.eq_ignore_ascii_case(b"trailers"))
    }
}
