//! What a site adds to the rules of HTTP.

mod ignored;
mod lifetimes;

use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue};

use super::compression::Compression;
use super::cookies::CookieRules;
use super::patterns::Paths;
use super::query::QueryRules;
use super::tags::TagRules;
use super::targeted::TargetList;

pub use ignored::IgnoredDirectives;
pub use lifetimes::{Basis, Heuristic, Lifetimes, StatusRange};

/// What the operator of a site decides, where HTTP leaves it to him, or against it. The default adds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule that holds or not")]
pub struct Policy {
    /// Store responses that set a cookie, so that all clients get it. HTTP allows this; hardly any site
    /// means it, so it is off by default.
    pub store_set_cookie: bool,
    /// Store responses whose end is told by the closing of the connection alone (RFC 9112 §8), and read a transfer
    /// coding that nobody knows as none.
    pub store_until_close: bool,
    /// Names of cookies, as they are written, that make a request personal.
    pub personal_cookies: Vec<String>,
    /// Whether `Cache-Status` tells the key, which shows how keys are made (RFC 9211 §2.7).
    pub tell_key: bool,
    /// Answer by the URL alone, whatever responses say of its query (`No-Vary-Search`).
    pub ignore_no_vary_search: bool,
    /// The most variants of one key.
    pub max_variants: MaxVariants,
    /// How long responses last.
    pub lifetimes: Lifetimes,
    /// For how long an object outlasts its lifetime.
    pub outlasting: Outlasting,
    /// The fields that rule above `Cache-Control` (RFC 9213).
    pub targets: TargetList,
    /// Heed the directives of requests (RFC 9111 §5.2.1), which a cache need not.
    pub request_directives: bool,
    /// Refresh what is asked for in the last so many percent of its lifetime, before that ends; 0 is off.
    pub refresh_ahead: u8,
    /// Directives of responses that are overheard: **against the RFC**.
    pub ignored: IgnoredDirectives,
    /// What of the query is part of the key, and in which order.
    pub query: QueryRules,
    /// What cookies mean.
    pub cookies: CookieRules,
    /// Fields whose values are part of the key, in order, each once.
    pub variant_fields: Vec<HeaderName>,
    /// Paths of which no request asks the cache.
    pub bypass_paths: Paths,
    /// The methods beside GET and HEAD whose responses may be stored.
    pub methods: CacheableMethods,
    /// Tell the origin nothing of the client's address where the response may be stored.
    pub hide_clients: bool,
    /// The most parts that one `Range` may ask for; more, and it is ignored. 0 ignores each.
    pub max_ranges: usize,
    /// Where the tags of responses are.
    pub tags: TagRules,
    /// What clients that speak TLS are told of `Strict-Transport-Security` (RFC 6797), in place of what the origin says
    /// of it.
    pub strict_transport: Option<HeaderValue>,
    /// What is coded for clients that take it.
    pub compression: Compression,
}

impl Policy {
    /// What a client that came by this scheme is told of `Strict-Transport-Security`: by others it must not be said
    /// (RFC 6797 §7.2).
    pub fn strict_transport_by(&self, scheme: &Scheme) -> Option<&HeaderValue> {
        self.strict_transport.as_ref().filter(|_| *scheme == Scheme::HTTPS)
    }
}

/// The methods beside GET and HEAD whose responses may be stored: each is the operator's decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct CacheableMethods {
    /// QUERY, with its content in the key.
    pub query: bool,
    /// POST: its response may answer a later GET, if it says that it may (RFC 9110 §9.3.3). Every POST itself goes to
    /// the origin.
    pub post: bool,
    /// POST is treated like QUERY: **against the RFC**, by which a POST is never answered from a cache (RFC 9110
    /// §9.3.3, RFC 9111 §4).
    pub reuse_post: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            store_set_cookie: false,
            store_until_close: false,
            personal_cookies: Vec::new(),
            tell_key: false,
            ignore_no_vary_search: false,
            max_variants: MaxVariants::default(),
            lifetimes: Lifetimes::default(),
            outlasting: Outlasting::default(),
            targets: TargetList::default(),
            request_directives: true,
            refresh_ahead: 0,
            ignored: IgnoredDirectives::default(),
            query: QueryRules::default(),
            cookies: CookieRules::default(),
            variant_fields: Vec::new(),
            bypass_paths: Paths::default(),
            methods: CacheableMethods::default(),
            hide_clients: false,
            max_ranges: 16,
            tags: TagRules::default(),
            strict_transport: None,
            compression: Compression::default(),
        }
    }
}

/// The most variants of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxVariants(pub usize);

impl Default for MaxVariants {
    fn default() -> Self {
        Self(64)
    }
}

impl Policy {
    /// Whether no rule makes more of a GET for this target than its URL, whatever its fields: the key is made of the target
    /// as it is and of nothing else, no cookie has a meaning, and nobody is told how the key is made.
    pub fn treats_alike(&self, target: &PathAndQuery) -> bool {
        self.cookies.is_empty()
            && self.variant_fields.is_empty()
            && !self.tell_key
            && !self.bypass_paths.has(target.path())
            && self.query.normal(target).is_none()
    }

    /// What tells the keys and the stored responses of one policy from those of another: two policies with equal
    /// texts may share what is stored. Lifetimes are not in it: a change of them is for what comes.
    pub fn key_rules(&self) -> Vec<u8> {
        let mut text = vec![u8::from(self.store_set_cookie), u8::from(self.store_until_close)];
        let names = self.personal_cookies.iter().map(String::as_str);
        push_list(&mut text, names.collect());
        push_list(&mut text, self.query.patterns());
        // What is left at its default is not written, so that what was stored before there was such a rule is kept.
        let cookies = [&self.cookies.ignored, &self.cookies.variant, &self.cookies.bypass];
        for (tag, names) in (1..).zip(cookies) {
            if !names.is_empty() {
                text.push(tag);
                push_list(&mut text, names.patterns().collect());
            }
        }
        if !self.variant_fields.is_empty() {
            text.push(4);
            push_list(&mut text, self.variant_fields.iter().map(HeaderName::as_str).collect());
        }
        if self.hide_clients {
            text.push(5);
        }
        text
    }
}

fn push_list(text: &mut Vec<u8>, list: Vec<&str>) {
    text.extend_from_slice(&(list.len() as u64).to_be_bytes());
    for name in list {
        text.extend_from_slice(&(name.len() as u64).to_be_bytes());
        text.extend_from_slice(name.as_bytes());
    }
}

/// For how long an object outlasts its lifetime, where neither it nor the request says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlasting {
    /// For so long it may still answer when the origin fails (RFC 9111 §4.2.4).
    pub grace: Duration,
    /// For so long it may still answer while it is refreshed (RFC 5861 §3).
    pub while_revalidate: Duration,
    /// For so long beyond that it is kept to be confirmed; `None`: as long as the tiers keep it.
    pub keep: Option<Duration>,
}

impl Default for Outlasting {
    fn default() -> Self {
        Self { grace: Duration::from_hours(24), while_revalidate: Duration::ZERO, keep: None }
    }
}

#[cfg(test)]
mod tests;
