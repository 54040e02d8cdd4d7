//! What a shared cache may store and for how long it is fresh, by RFC 9111 §3 and §4.2, RFC 9213 and the site.
//!
//! Times are nanoseconds in an `i128`, where nothing wraps.

use super::dates;
use super::dictionary::{self, Value};
use super::text::{Message, delta_seconds, directives, field_name, field_names, members, unquoted};
use super::wishes::Wishes;

pub const SECOND: i128 = 1_000_000_000;
pub const FOREVER: i128 = 1 << 100;

/// What an operator decides: the model's own words for a policy. Spans are in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub store_set_cookie: bool,
    pub personal_cookies: Vec<&'static str>,
    pub targets: Vec<&'static str>,
    pub heeds_requests: bool,
    pub ahead: u8,
    pub forced: Option<i128>,
    pub by_status: Vec<(u16, u16, i128)>,
    pub default: Option<i128>,
    pub percent: u8,
    pub longest_guess: i128,
    pub min: Option<i128>,
    pub max: Option<i128>,
    pub grace: i128,
    pub while_revalidate: i128,
    pub keep: Option<i128>,
    pub ignores: Ignores,
}

/// Directives that are overheard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignores {
    pub no_store: bool,
    pub no_cache: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub s_maxage_revalidates: bool,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            store_set_cookie: false,
            personal_cookies: Vec::new(),
            targets: vec!["cdn-cache-control", "surrogate-control"],
            heeds_requests: true,
            ahead: 0,
            forced: None,
            by_status: Vec::new(),
            default: None,
            percent: 10,
            longest_guess: 24 * 3600,
            min: None,
            max: None,
            grace: 24 * 3600,
            while_revalidate: 0,
            keep: None,
            ignores: Ignores::default(),
        }
    }
}

/// An exchange with the origin. Times are milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: &'static str,
    pub request: Message,
    pub status: u16,
    pub response: Message,
    pub sent: u64,
    pub received: u64,
}

/// How far `no-cache` or `private` reaches (RFC 9111 §5.2.2.4, §5.2.2.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    #[default]
    Nothing,
    Fields,
    All,
}

/// What the response says to a shared cache. Numbers are seconds.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub max_age: Option<i128>,
    pub s_maxage: Option<i128>,
    pub flags: Vec<String>,
    pub no_cache: Reach,
    pub private: Reach,
    pub while_revalidate: Option<i128>,
    pub if_error: Option<i128>,
    pub named: Vec<String>,
    pub targeted: bool,
}

impl Said {
    pub fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    fn number(&mut self, name: &str) -> Option<&mut Option<i128>> {
        Some(match name {
            "max-age" => &mut self.max_age,
            "s-maxage" => &mut self.s_maxage,
            "stale-while-revalidate" => &mut self.while_revalidate,
            "stale-if-error" => &mut self.if_error,
            _ => return None,
        })
    }

    fn reach(&mut self, name: &str) -> Option<&mut Reach> {
        match name {
            "no-cache" => Some(&mut self.no_cache),
            "private" => Some(&mut self.private),
            _ => None,
        }
    }

    fn name_fields(&mut self, names: Vec<String>) {
        // What says how the content is to be read, and the directives themselves, cannot be taken out.
        let fixed = [
            "cache-control",
            "content-encoding",
            "content-length",
            "content-range",
            "content-type",
            "date",
            "vary",
        ];
        self.named.extend(names.into_iter().filter(|name| !fixed.contains(&name.as_str())));
    }

    /// The first target that is a dictionary of something, else `Cache-Control` (RFC 9213 §2.2).
    pub fn by(response: &Message, site: &Site) -> Self {
        let targeted = site.targets.iter().find_map(|target| {
            let lines = response.lines(target);
            if lines.is_empty() {
                return None;
            }
            dictionary::parse(&lines.join(", ")).filter(|members| !members.is_empty())
        });
        let mut said = match targeted {
            Some(members) => Self::targeted(&members),
            None => Self::plain(response),
        };
        let ignores = site.ignores;
        said.flags.retain(|flag| match flag.as_str() {
            "no-store" => !ignores.no_store,
            "must-revalidate" => !ignores.must_revalidate,
            "proxy-revalidate" => !ignores.proxy_revalidate,
            _ => true,
        });
        if ignores.no_cache {
            said.no_cache = Reach::Nothing;
        }
        said
    }

    fn plain(response: &Message) -> Self {
        let mut said = Self::default();
        for directive in directives(response, "cache-control") {
            if let Some(number) = said.number(&directive.name) {
                // Invalid freshness is taken for stale (RFC 9111 §4.2.1); of two the one that is stale first.
                let seconds = directive.seconds().unwrap_or(0);
                *number = Some(number.map_or(seconds, |before| before.min(seconds)));
            } else if said.reach(&directive.name).is_some() {
                let names = directive.argument.as_ref().and_then(|text| field_names(&unquoted(text)));
                let reaches = if names.is_some() { Reach::Fields } else { Reach::All };
                said.name_fields(names.unwrap_or_default());
                let reach = said.reach(&directive.name).unwrap();
                *reach = (*reach).max(reaches);
            } else {
                said.flags.push(directive.name);
            }
        }
        said
    }

    fn targeted(dictionary: &[(String, Value)]) -> Self {
        let mut said = Self { targeted: true, ..Self::default() };
        for (name, value) in dictionary {
            if let Some(number) = said.number(name) {
                *number = Some(match value {
                    Value::Integer(n) => (*n).clamp(0, 1 << 31),
                    _ => 0,
                });
            } else if said.reach(name).is_some() {
                let names = match value {
                    Value::Text(text) => field_names(text),
                    Value::List(items) if !items.is_empty() => {
                        let name = |item: &Value| match item {
                            Value::Text(text) => field_name(text),
                            _ => None,
                        };
                        items.iter().map(name).collect()
                    }
                    _ => None,
                };
                let reaches = match value {
                    Value::Boolean(false) => Reach::Nothing,
                    _ if names.is_some() => Reach::Fields,
                    _ => Reach::All,
                };
                said.name_fields(names.unwrap_or_default());
                *said.reach(name).unwrap() = reaches;
            } else if *value != Value::Boolean(false) {
                said.flags.push(name.clone());
            }
        }
        said
    }

    /// It is for others though the request had credentials (RFC 9111 §3.5).
    fn is_for_others(&self) -> bool {
        self.flag("public") || self.s_maxage.is_some() || self.flag("must-revalidate")
    }
}

/// A stored response. Spans are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub received: i128,
    pub initial_age: i128,
    pub lifetime: i128,
    pub basis: &'static str,
    /// It may answer without validation.
    pub shared: bool,
    /// It may be used stale: for so long while it is refreshed, and for so long when the origin fails, if it says so.
    pub stale: Option<(Option<i128>, Option<i128>)>,
    pub immutable: bool,
}

impl Stored {
    pub fn age(&self, now: i128) -> i128 {
        self.initial_age + (now - self.received).max(0)
    }
}

/// Every reason against storing it, or how it is stored.
pub fn judge(exchange: &Exchange, site: &Site) -> Result<Stored, Vec<&'static str>> {
    let said = Said::by(&exchange.response, site);
    let mut reasons = reasons(exchange, site, &said);
    let validator = has_validator(&exchange.response);
    let is_confirmable = exchange.status == 200 && exchange.method == "GET" && validator;
    let lifetime = lifetime(exchange, site, &said).or(is_confirmable.then_some((0, "none")));
    let Some((lifetime, basis)) = lifetime else {
        reasons.push("no-lifetime");
        return Err(reasons);
    };
    let may_be_stale = !(said.flag("must-revalidate")
        || said.flag("proxy-revalidate")
        || (said.s_maxage.is_some() && !site.ignores.s_maxage_revalidates)
        || said.no_cache == Reach::All);
    let span = |seconds: Option<i128>| seconds.map(|seconds| seconds * SECOND);
    let stale = may_be_stale.then(|| (span(said.while_revalidate), span(said.if_error)));
    let initial_age = initial_age(exchange);
    let window = stale.map_or(0, |(own, _)| own.unwrap_or(0));
    let shared = said.no_cache != Reach::All && initial_age < lifetime + window;
    // What nobody may ever use unconfirmed bridges an error only if it says so itself.
    let stale = match stale {
        Some((_, if_error)) if !shared => if_error.filter(|span| *span > 0).map(|span| (Some(0), Some(span))),
        other => other,
    };
    if !shared && stale.is_none() && !validator {
        reasons.push("no-validator");
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let received = i128::from(exchange.received) * 1_000_000;
    let immutable = said.flag("immutable");
    Ok(Stored { received, initial_age, lifetime, basis, shared, stale, immutable })
}

fn reasons(exchange: &Exchange, site: &Site, said: &Said) -> Vec<&'static str> {
    let Exchange { request, response, status, .. } = exchange;
    let understood = [
        200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404,
        405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503,
        504, 505,
    ];
    let credentials = request.has("authorization");
    let cookies: Vec<String> = request
        .lines("cookie")
        .iter()
        .flat_map(|line| line.split(';'))
        .map(|pair| pair.split('=').next().unwrap().trim_matches([' ', '\t']).to_owned())
        .collect();
    let personal = cookies.iter().any(|name| site.personal_cookies.contains(&name.as_str()));
    let set_cookie_is_left_out = (said.no_cache == Reach::Fields || said.private == Reach::Fields)
        && said.named.iter().any(|name| name == "set-cookie");
    let vary = super::variants::names(response);
    let must_understand = said.flag("must-understand");
    let checks = [
        (said.private == Reach::All, "private"),
        (credentials && !said.is_for_others(), "authorization"),
        (personal && !said.is_for_others(), "personal-cookie"),
        (response.has("set-cookie") && !site.store_set_cookie && !set_cookie_is_left_out, "set-cookie"),
        // GET, and what a site may choose beside it.
        (!["GET", "POST", "QUERY"].contains(&exchange.method), "method"),
        (Wishes::of(request).no_store, "request-no-store"),
        (*status < 200 || *status > 599 || *status == 304 || *status == 425, "status"),
        (must_understand && !understood.contains(status), "status"),
        (*status == 206, "partial"),
        (said.flag("no-store") && !must_understand, "no-store"),
        (vary.is_none(), "vary-star"),
    ];
    checks.into_iter().filter(|(applies, _)| *applies).map(|(_, reason)| reason).collect()
}

/// How long it is fresh, and who says so (RFC 9111 §4.2.1, §4.2.2).
fn lifetime(exchange: &Exchange, site: &Site, said: &Said) -> Option<(i128, &'static str)> {
    let Exchange { response, status, .. } = exchange;
    let usual = [200, 203, 204, 300, 301, 308, 404, 410].contains(status);
    let guessed = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(status);
    let public = said.flag("public");
    let at_most = |span: i128| site.max.map_or(span, |max| span.min(max * SECOND));
    let date = date(exchange);
    let stated = match (said.s_maxage, said.max_age) {
        (Some(seconds), _) | (None, Some(seconds)) => Some(seconds * SECOND),
        // A targeted field stands in for `Expires` too (RFC 9213 §2.2).
        (None, None) if said.targeted => None,
        (None, None) => {
            let lines = response.lines("expires");
            let until = |line: &&str| dates::seconds(line).map_or(0, |at| (at * SECOND - date).max(0));
            lines.iter().map(until).min()
        }
    };
    // An answer to another method than GET must state its lifetime (RFC 9110 §9.3.3).
    if stated.is_none() && exchange.method != "GET" {
        return None;
    }
    if let Some(forced) = site.forced
        && usual
    {
        return Some((forced * SECOND, "forced"));
    }
    if let Some(stated) = stated {
        return Some((at_most(stated.max(site.min.unwrap_or(0) * SECOND)), "stated"));
    }
    if let Some((.., span)) = site.by_status.iter().find(|(from, to, _)| (from..=to).contains(&status)) {
        return Some((at_most(span * SECOND), "by-status"));
    }
    let is_client_error = (400..500).contains(status);
    if let Some(span) = site.default
        && (usual || (public && !is_client_error))
    {
        return Some((at_most(span * SECOND), "default"));
    }
    // Nothing is guessed for all from what was made for a cookie.
    if exchange.request.has("cookie") {
        return None;
    }
    let modified = dates::seconds(response.first("last-modified")?)? * SECOND;
    let guess = ((date - modified).max(0) * i128::from(site.percent) / 100).min(site.longest_guess * SECOND);
    ((public || guessed) && guess > 0).then(|| (at_most(guess), "heuristic"))
}

/// `Date`, or else the time of receipt (RFC 9110 §6.6.1), in nanoseconds.
fn date(exchange: &Exchange) -> i128 {
    let stated = exchange.response.first("date").and_then(dates::seconds);
    stated.map_or(i128::from(exchange.received) * 1_000_000, |seconds| seconds * SECOND)
}

/// `corrected_initial_age` (RFC 9111 §4.2.3).
fn initial_age(exchange: &Exchange) -> i128 {
    let (sent, received) = (i128::from(exchange.sent), i128::from(exchange.received));
    // In whole seconds, as `Date` has no fraction.
    let apparent_age = (received / 1000 - date(exchange) / SECOND).max(0) * SECOND;
    // The first member that is a number: later than the RFC would have it, which ignores the field if the very first
    // is none.
    // What follows a `;` is passed over.
    let number = |age: &String| delta_seconds(age.split(';').next()?.trim_end_matches([' ', '\t']));
    let age_value = members(&exchange.response, "age").iter().find_map(number);
    let response_delay = (received - sent).max(0) * 1_000_000;
    apparent_age.max(age_value.unwrap_or(0) * SECOND + response_delay)
}

/// It has an `ETag` or a `Last-Modified` that is one (RFC 9110 §8.8).
pub fn has_validator(response: &Message) -> bool {
    super::variants::etag(response).is_some()
        || response.first("last-modified").and_then(dates::seconds).is_some()
}
