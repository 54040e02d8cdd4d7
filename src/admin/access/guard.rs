//! What stands before every route, in the order in which it is cheap to refuse.

use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::guesses::PAUSE;
use super::{Access, origin};
use crate::admin::View;
use crate::admin::audit::Who;
use crate::admin::peer::Caller;
use crate::admin::problem::{Kind, Problem};

/// What is asked without proof: what load balancers ask, and what tells nothing of this node.
const OPEN: [&str; 5] = ["/", "/healthz", "/readyz", "/openapi.json", "/docs"];

/// How a field begins that shows a token (RFC 6750 §2.1).
const BEARER: &[u8] = b"bearer ";

/// Lets through who may come in, and notes who it is. Cancel-safe.
pub(in crate::admin) async fn guard(
    State(view): State<Arc<View>>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    mut request: Request,
    next: Next,
) -> Response {
    caller.work.heard();
    match view.access.let_in(&caller, &request) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            // What comes with content is worked on once that is there.
            let _working = request.body().is_end_stream().then(|| caller.work.begin());
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

impl Access {
    fn let_in(&self, caller: &Caller, request: &Request) -> Result<Who, Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        if !self.hosts.are_ours(uri, headers, caller.local) {
            let why = "this is asked for by a name of this machine, its address, or a name in admin.names";
            return Err(Problem::new(Kind::WrongHost, why).into());
        }
        let is_open = OPEN.contains(&uri.path());
        if !is_open && !origin::is_same_site(headers) {
            let why = "a page of another site has asked for this (Sec-Fetch-Site)";
            return Err(Problem::new(Kind::ForeignOrigin, why).into());
        }
        let who = if is_open { caller.who() } else { self.prove(caller, headers)? };
        if changes(request.method()) {
            if !origin::is_ours(headers, self.speaks_tls) {
                let why = "a page of another site has asked for this (Origin, Sec-Fetch-Site)";
                return Err(Problem::new(Kind::ForeignOrigin, why).into());
            }
            if headers.get_all(header::CONTENT_TYPE).iter().any(|kind| !is_json(kind)) {
                return Err(
                    Problem::new(Kind::NotJson, "a request's content is application/json here").into()
                );
            }
        }
        Ok(who)
    }

    /// Whether one who asks for what is open may be told what others have to show something for: one on this machine, and one
    /// who shows it all the same.
    pub(in crate::admin) fn trusts(&self, caller: &Caller, headers: &HeaderMap) -> bool {
        caller.peer.ip().to_canonical().is_loopback() || self.prove(caller, headers).is_ok()
    }

    fn prove(&self, caller: &Caller, headers: &HeaderMap) -> Result<Who, Refusal> {
        if self.takes_certificates && caller.certificate().is_some() {
            return Ok(caller.who());
        }
        let Some(token) = &self.token else {
            if self.takes_certificates {
                return Err(Refusal::unproven("a certificate of a client is needed here"));
            }
            return Ok(caller.who());
        };
        let Some(shown) = shown(headers) else {
            return Err(Refusal::unproven("a token is needed here: Authorization: Bearer TOKEN"));
        };
        let from = caller.peer.ip();
        if !self.guesses.may(from) {
            let why = "too many wrong tokens came from this address; this one was not looked at";
            return Err(Refusal { problem: Problem::new(Kind::TooManyGuesses, why), challenge: false });
        }
        if token.is_borne_by(shown) {
            return Ok(caller.who_with_token());
        }
        self.guesses.wrong(from);
        tracing::warn!(target: "audit", from = %caller.peer, outcome = "refused", "a wrong token was shown to the admin listener");
        Err(Refusal::unproven("this is not the token"))
    }
}

/// A problem with what belongs to it in the head.
struct Refusal {
    problem: Problem,
    /// Tells how to prove who one is (RFC 9110 §11.6.1).
    challenge: bool,
}

impl Refusal {
    fn unproven(why: &str) -> Self {
        Self { problem: Problem::new(Kind::Unproven, why), challenge: true }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, challenge: false }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let waits = self.problem.kind() == Kind::TooManyGuesses;
        let mut response = self.problem.into_response();
        if self.challenge {
            let scheme = HeaderValue::from_static("Bearer realm=\"forebay\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if waits {
            response.headers_mut().insert(header::RETRY_AFTER, PAUSE.as_secs().into());
        }
        response
    }
}

fn changes(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// What a request shows; nothing, if it shows two things, of which one may be anybody's.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    // What is of another scheme is no token, and no guess.
    value.get(..BEARER.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(BEARER)).then_some(value)
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or("");
    let (essence, _) = kind.split_once(';').unwrap_or((kind, ""));
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Settings;

    #[test]
    fn from_elsewhere_without_proof_one_is_told_no_more_than_that_it_lives() {
        let mut settings: Settings = "0.0.0.0:0".parse().expect("an address");
        settings.token = Some("0123456789abcdef".parse().expect("a token"));
        let access = Access::new(&settings);
        let trusts = |from: &str, token: Option<&str>| {
            let peer = from.parse().expect("an address");
            let caller = Caller { peer, local: peer.ip(), shown: Arc::default(), work: Arc::default() };
            let mut headers = HeaderMap::new();
            if let Some(token) = token {
                headers.insert(header::AUTHORIZATION, token.parse().expect("a value"));
            }
            access.trusts(&caller, &headers)
        };
        assert!(trusts("127.0.0.1:1", None) && trusts("192.0.2.1:1", Some("Bearer 0123456789abcdef")));
        assert!(!trusts("192.0.2.1:1", None) && !trusts("192.0.2.1:1", Some("Bearer 0123456789abcdeF")));
    }
}
