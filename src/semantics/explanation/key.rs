//! What the key of a request is made of, and what tells variants below it apart.

use http::header::{ACCEPT_LANGUAGE, CONTENT_ENCODING, COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName};

use super::{Step, listed, value};
use crate::semantics::policy::Policy;
use crate::semantics::vary::VarySet;
use crate::semantics::{cookies, language};

/// A request and the key that was made of it.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    /// The canonical URL of the key.
    pub url: &'a str,
    /// The short form of its hash, as logs have it.
    pub hash: &'a str,
    /// Path and query as they were asked for.
    pub asked: &'a PathAndQuery,
    /// What the key was made of.
    pub normal: &'a PathAndQuery,
    /// All fields of the request as they came.
    pub came: &'a HeaderMap,
    /// Those that an origin would get to see.
    pub left: &'a HeaderMap,
    /// The bytes of content that are part of the key, if content is.
    pub content: Option<usize>,
}

/// How the key was made.
pub fn key(keyed: &Keyed<'_>, policy: &Policy) -> Step {
    let mut step = Step::new("Key", Some("RFC 9111 §2"));
    step.say(format!("The URL in its normal form is {}", keyed.url));
    if keyed.asked != keyed.normal {
        step.say(format!("It was asked for as {}.", keyed.asked));
    }
    let dropped = policy.query.left_out(keyed.asked);
    if !dropped.is_empty() {
        step.say(format!("Left out of the query: {}.", listed(&dropped)));
    }
    if is_sorted(keyed, policy) {
        step.say("The query was put in the order of its names.");
    }
    if !policy.cookies.variant.is_empty() {
        let pairs = policy.cookies.variant_pairs(keyed.left).count();
        step.say(format!("Added to it: variant cookies, of which the request has {pairs}."));
    }
    for name in &policy.variant_fields {
        step.say(format!("Added to it: the field {name}, which is {}.", value(keyed.left, name)));
    }
    if let Some(length) = keyed.content {
        step.say(format!("Added to it: the method, and the content of {length} bytes."));
    }
    told_nobody(&mut step, keyed);
    step.say(format!("Its hash begins with {}.", keyed.hash));
    step
}

/// What is not left of the request's fields.
fn told_nobody(step: &mut Step, keyed: &Keyed<'_>) {
    let mut gone: Vec<&str> =
        keyed.came.keys().filter(|name| !keyed.left.contains_key(*name)).map(HeaderName::as_str).collect();
    gone.sort_unstable();
    if !gone.is_empty() {
        step.say(format!("Fields that no origin would see, and so nothing varies by: {}.", listed(&gone)));
    }
    let left: Vec<&[u8]> = cookies::names(keyed.left).collect();
    let ignored: Vec<String> = cookies::names(keyed.came)
        .filter(|name| !name.is_empty() && !left.contains(name))
        .map(|name| String::from_utf8_lossy(name).escape_debug().to_string())
        .collect();
    if !ignored.is_empty() {
        step.say(format!("Cookies that are left out: {}.", listed(&ignored)));
    }
}

/// Whether what is left of the query stands in another order than it came.
fn is_sorted(keyed: &Keyed<'_>, policy: &Policy) -> bool {
    let dropped = policy.query.left_out(keyed.asked);
    let parts = |target: &PathAndQuery| -> Vec<String> {
        target.query().into_iter().flat_map(|query| query.split('&')).map(str::to_owned).collect()
    };
    let mut came = parts(keyed.asked);
    came.retain(|part| !dropped.contains(&part.as_str()));
    let normal = parts(keyed.normal);
    policy.query.sort && came.len() == normal.len() && came != normal
}

/// What selects among the variants of the key: the sets of fields that are `known`, and the one of what is `stored`.
pub fn variant(known: &[VarySet], stored: Option<(&VarySet, &HeaderMap)>, request: &HeaderMap) -> Step {
    let mut step = Step::new("Variant", Some("RFC 9111 §4.1"));
    let own = stored.map(|(set, _)| set).filter(|set| !set.is_empty());
    let mut sets: Vec<&VarySet> = known.iter().collect();
    sets.extend(own.filter(|set| !known.contains(set)));
    if sets.is_empty() {
        step.say("Answers are not known to vary by any field.");
    }
    for set in sets {
        let names: Vec<&str> = set.names().iter().map(HeaderName::as_str).collect();
        step.say(format!("Answers are known to vary by {}.", listed(&names)));
        for name in set.names() {
            step.say(format!("{name}: {}", selecting(request, name)));
        }
    }
    if let Some(coding) = stored.and_then(|(_, head)| head.get(CONTENT_ENCODING)) {
        let coding = coding.to_str().unwrap_or("?");
        step.say(format!("What is stored is coded as {coding}, which the request's Accept-Encoding takes."));
    }
    step
}

fn selecting(request: &HeaderMap, name: &HeaderName) -> String {
    let told = value(request, name);
    if *name == COOKIE {
        let names: Vec<String> = cookies::names(request)
            .map(|name| String::from_utf8_lossy(name).escape_debug().to_string())
            .collect();
        return if names.is_empty() { told } else { format!("{} (values are not told)", listed(&names)) };
    }
    match language::preferences(request).filter(|_| *name == ACCEPT_LANGUAGE) {
        Some(wanted) => format!("{told}, compared as \"{}\"", wanted.join(", ")),
        None => told,
    }
}
