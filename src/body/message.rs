//! Messages as every module above the adapters speaks them.

use std::net::SocketAddr;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, StatusCode, Version};

use super::Body;
use crate::telemetry::record::Record;

/// A request, parsed and taken apart by an adapter. Nothing of its framing is left in it.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Of the connection that it came on, not of what the client claims.
    pub scheme: Scheme,
    /// The authority of an absolute-form target, which outranks `Host` (RFC 9112 §3.2.2).
    pub target_authority: Option<String>,
    /// Path and query, byte for byte.
    pub target: PathAndQuery,
    /// The version that the client speaks.
    pub version: Version,
    /// All fields, hop-by-hop ones included.
    pub headers: HeaderMap,
    /// The content.
    pub body: Body,
    /// The connection's other end.
    pub peer: SocketAddr,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    /// The status code.
    pub status: StatusCode,
    /// The fields; framing fields are the adapters' business.
    pub headers: HeaderMap,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    /// Status and fields.
    pub head: ReplyHead,
    /// The content, which may still be arriving.
    pub body: Body,
    /// What is counted, and written to the access log, when the body has left or broken off.
    pub record: Option<Box<Record>>,
}

impl Reply {
    /// A response that nobody counts (yet).
    pub fn new(status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self { head: ReplyHead { status, headers }, body, record: None }
    }
}
