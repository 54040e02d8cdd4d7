//! A request that nobody makes, taken as far as its key, for those who want to know what would come of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use super::classify::{self, Way};
use super::{ClientMachine, content};
use crate::admission::{self, Rejection};
use crate::base::ids::ClientPolicy;
use crate::body::Body;
use crate::body::message::Request;
use crate::fetch::ask::Ask;
use crate::route::Site;

/// Why there is nothing to be said of a request.
#[derive(Debug, thiserror::Error)]
pub enum Unexplained {
    /// No whole URL.
    #[error("{0:?} is no whole URL: write http://HOST/PATH")]
    Url(String),
    /// No method.
    #[error("{0:?} is no method of HTTP")]
    Method(String),
    /// No field.
    #[error("{0:?} is no field of HTTP: write NAME: VALUE")]
    Field(String),
    /// The request would be refused before the cache is asked.
    #[error("such a request is answered with {status}: {0}", status = .0.status())]
    Rejected(Rejection),
}

/// A request that nobody makes, sorted as one that somebody makes.
pub(super) struct Imagined<'a> {
    pub(super) ask: Ask,
    pub(super) way: Way,
    pub(super) site: &'a Site,
    /// What it asks for, as it was written.
    pub(super) target: PathAndQuery,
    /// Its fields as they came.
    pub(super) headers: HeaderMap,
}

impl ClientMachine {
    /// A request with this method, URL and these fields (names and values), and no content. Nothing is counted. Cancel-safe.
    pub(super) async fn imagine(
        &self,
        method: &str,
        url: &str,
        fields: &[(String, String)],
    ) -> Result<Imagined<'_>, Unexplained> {
        let mut request = written(method, url, fields)?;
        self.give_client(&mut request);
        let (admitted, site) = self.receive(&request).map_err(|(why, _)| Unexplained::Rejected(why))?;
        let (target, headers) = (request.target.clone(), request.headers.clone());
        let content = content::collect(&mut request, &site.policy, &self.budget).await;
        let (ask, way, _) = classify::sort(request, content, &admitted, (site, &self.setup), None);
        Ok(Imagined { ask, way, site, target, headers })
    }

    /// The client of an imagined request by TLS was asked what its site asks, and showed what it has to.
    fn give_client(&self, request: &mut Request) {
        let admitted = admission::check(request, self.settings.max_target).ok();
        let site = admitted.and_then(|admitted| self.router.site(&admitted.host));
        if let Some(site) = site.filter(|_| request.scheme == Scheme::HTTPS) {
            let clients = site.clients;
            request.policy = clients.policy;
            request.certificate = (clients.need_certificate && clients.are_told).then(Arc::default);
        }
    }
}

/// The request as it would have come.
fn written(method: &str, url: &str, fields: &[(String, String)]) -> Result<Request, Unexplained> {
    let wrong_url = || Unexplained::Url(url.to_owned());
    let method: Method = method.parse().map_err(|_| Unexplained::Method(method.to_owned()))?;
    let uri: Uri = url.parse().map_err(|_| wrong_url())?;
    let scheme = uri
        .scheme()
        .filter(|scheme| [&Scheme::HTTP, &Scheme::HTTPS].contains(scheme))
        .ok_or_else(wrong_url)?;
    let authority = uri.authority().ok_or_else(wrong_url)?;
    let target = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let wrong = || Unexplained::Field(format!("{name}: {value}"));
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
        headers.try_append(name, value).map_err(|_| wrong())?;
    }
    if !headers.contains_key(header::HOST) {
        headers.insert(header::HOST, HeaderValue::from_str(authority.as_str()).map_err(|_| wrong_url())?);
    }
    Ok(Request {
        method,
        scheme: scheme.clone(),
        target_authority: None,
        target,
        version: Version::HTTP_11,
        headers,
        body: Body::Empty,
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into(),
        policy: ClientPolicy::NONE,
        certificate: None,
        early: None,
        can_break_off: true,
    })
}
