//! `Cache-Status`: what the cache did with a request, for people and tools (RFC 9211).

use std::fmt::{self, Write};

use http::header::CACHE_STATUS;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::structured::{push_integer, push_string, push_token_or_string};

/// Why a request went on to the origin: the values of `fwd` (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// Nothing is stored for the URL.
    UriMiss,
    /// Something is stored for the URL, but for other values of the fields that `Vary` names.
    VaryMiss,
    /// Nothing usable is stored, for either reason.
    Miss,
    /// What is stored is stale.
    Stale,
    /// The cache was told not to handle this request.
    Bypass,
    /// The request's method is not answered from a cache.
    Method,
    /// What is stored is fresh, but the request does not allow its use.
    Request,
    /// What is stored does not hold all that is asked for.
    Partial,
}

impl Forward {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::UriMiss,
        Self::VaryMiss,
        Self::Miss,
        Self::Stale,
        Self::Bypass,
        Self::Method,
        Self::Request,
        Self::Partial,
    ];

    /// The name in `fwd`, in logs and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::Request => "request",
            Self::Partial => "partial",
        }
    }
}

/// What this cache did with one request (RFC 9211 §2). It writes what it is given; by the RFC, a `hit` has no
/// `forward`, and `forward_status`, `stored` and `collapsed` go with a `forward`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Answered from the cache, without going forward.
    pub hit: bool,
    /// Why the request went to the origin.
    pub forward: Option<Forward>,
    /// What the origin answered, where that is not the status which the client sees.
    pub forward_status: Option<StatusCode>,
    /// Seconds of freshness left; negative for a stale response.
    pub ttl: Option<i64>,
    /// Whether the origin's answer was stored.
    pub stored: bool,
    /// Whether the request shared another's fetch.
    pub collapsed: bool,
    /// More, in one word of the node's own.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Answered from the cache, with so many seconds of freshness left.
    pub fn hit(ttl: i64) -> Self {
        Self { hit: true, ttl: Some(ttl), ..Self::default() }
    }

    /// Adds this as the last member, after those of caches nearer to the origin (RFC 9211 §2): `name` says
    /// which cache speaks, `key` what it looked for, if that is to be told (§2.7). What stands there already
    /// is never touched, malformed or not. Fields beyond what a header map holds are left out.
    pub fn append_to(&self, name: &str, key: Option<&str>, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.text(name, key)) {
            // An overfull map only loses this note.
            let _ = headers.try_append(CACHE_STATUS, value);
        }
    }

    /// The member, as `forebay; hit; ttl=3599`.
    pub fn text(&self, name: &str, key: Option<&str>) -> String {
        let mut out = String::with_capacity(name.len() + 64);
        // A String takes everything.
        let _ = self.write(name, key, &mut out);
        out
    }

    /// Writes the member. Fails only where `out` does.
    pub fn write(&self, name: &str, key: Option<&str>, out: &mut impl Write) -> fmt::Result {
        push_token_or_string(out, name)?;
        self.write_parameters(key, out)
    }

    /// Writes all of the member but the name, which stands before it as [`written_name`] gives it.
    pub fn write_parameters(&self, key: Option<&str>, out: &mut impl Write) -> fmt::Result {
        if self.hit {
            out.write_str("; hit")?;
        }
        if let Some(forward) = self.forward {
            out.write_str("; fwd=")?;
            out.write_str(forward.name())?;
        }
        if let Some(status) = self.forward_status {
            out.write_str("; fwd-status=")?;
            out.write_str(status.as_str())?;
        }
        if self.stored {
            out.write_str("; stored")?;
        }
        if self.collapsed {
            out.write_str("; collapsed")?;
        }
        if let Some(ttl) = self.ttl {
            out.write_str("; ttl=")?;
            push_integer(out, ttl)?;
        }
        if let Some(key) = key {
            out.write_str("; key=")?;
            push_string(out, key)?;
        }
        if let Some(detail) = self.detail {
            out.write_str("; detail=")?;
            push_token_or_string(out, detail)?;
        }
        Ok(())
    }
}

/// A cache's name as it stands in the field.
pub fn written_name(name: &str) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = push_token_or_string(&mut out, name);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::{BareItem, Item, List, ListEntry, Parser};

    use super::*;
    use crate::semantics::testing::{fields, repeated};

    /// The member that `item` is, read as any other program would; with what else it holds.
    fn read(item: &Item) -> Option<(String, CacheStatus, Option<String>)> {
        let text = |item: &BareItem| match item {
            BareItem::Token(token) => Some(token.as_str().to_owned()),
            BareItem::String(string) => Some(string.as_str().to_owned()),
            _ => None,
        };
        let (mut status, mut key) = (CacheStatus::default(), None);
        for (name, value) in &item.params {
            let flag = matches!(value, BareItem::Boolean(true));
            let number =
                || if let BareItem::Integer(number) = value { Some(i64::from(*number)) } else { None };
            match name.as_str() {
                "hit" => status.hit = flag,
                "stored" => status.stored = flag,
                "collapsed" => status.collapsed = flag,
                "fwd" => {
                    status.forward =
                        Forward::ALL.into_iter().find(|why| Some(why.name().into()) == text(value));
                }
                "fwd-status" => {
                    status.forward_status =
                        number().and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
                }
                "ttl" => status.ttl = number(),
                "key" => key = Some(text(value)?),
                "detail" => {
                    status.detail = DETAILS.into_iter().find(|detail| Some((*detail).into()) == text(value));
                }
                _ => return None,
            }
        }
        Some((text(&item.bare_item)?, status, key))
    }

    const DETAILS: [&str; 4] = ["disk", "hit-for-miss", "DNS error", "a\"b\\c"];

    fn any_status() -> impl Strategy<Value = CacheStatus> {
        let forward = prop::option::of(prop::sample::select(Forward::ALL.as_slice()));
        let detail = prop::option::of(prop::sample::select(DETAILS.as_slice()));
        let code = prop::option::of((100_u16..1000).prop_map(|code| StatusCode::from_u16(code).unwrap()));
        let ttl = prop::option::of(-999_999_999_999_999_i64..=999_999_999_999_999);
        (any::<[bool; 3]>(), forward, code, ttl, detail).prop_map(
            |([hit, stored, collapsed], forward, forward_status, ttl, detail)| CacheStatus {
                hit,
                forward,
                forward_status,
                ttl,
                stored,
                collapsed,
                detail,
            },
        )
    }

    #[test]
    fn a_hit_is_short() {
        let status = CacheStatus { hit: true, ttl: Some(3599), ..CacheStatus::default() };
        assert_eq!(status.text("forebay", None), "forebay; hit; ttl=3599");
        let stale = CacheStatus { hit: true, ttl: Some(-12), ..CacheStatus::default() };
        assert_eq!(stale.text("forebay", None), "forebay; hit; ttl=-12");
    }

    #[test]
    fn a_forward_says_why_and_what_came_of_it() {
        let miss = CacheStatus { forward: Some(Forward::UriMiss), stored: true, ..CacheStatus::default() };
        assert_eq!(miss.text("forebay", None), "forebay; fwd=uri-miss; stored");
        let refreshed = CacheStatus {
            forward: Some(Forward::Stale),
            forward_status: Some(StatusCode::NOT_MODIFIED),
            stored: true,
            collapsed: true,
            detail: Some("hit-for-miss"),
            ..CacheStatus::default()
        };
        assert_eq!(
            refreshed.text("forebay", None),
            "forebay; fwd=stale; fwd-status=304; stored; collapsed; detail=hit-for-miss"
        );
    }

    #[test]
    fn ours_comes_after_the_inner_caches() {
        let mut headers = fields(&[("cache-status", "inner; hit")]);
        CacheStatus { hit: true, ..CacheStatus::default() }.append_to("my edge", None, &mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).into_iter().collect();
        assert_eq!(lines, ["inner; hit", r#""my edge"; hit"#]);
    }

    #[test]
    fn a_key_is_a_string_whatever_it_holds() {
        let hit = CacheStatus { hit: true, detail: Some("disk"), ..CacheStatus::default() };
        let expected = r#"forebay; hit; key="http://a.example/x?\"y"; detail=disk"#;
        assert_eq!(hit.text("forebay", Some("http://a.example/x?\"y\n")), expected);
    }

    #[test]
    fn what_inner_caches_said_is_not_touched_even_if_it_makes_no_sense() {
        let inner = ["inner; hit", "\"unclosed; ,;;", "", "a b c; hit=?2"];
        let mut headers = repeated(&CACHE_STATUS, &inner.map(str::to_owned));
        CacheStatus { hit: true, ..CacheStatus::default() }.append_to("forebay", None, &mut headers);
        let lines: Vec<_> = headers.get_all(CACHE_STATUS).into_iter().collect();
        assert_eq!(lines, [&inner[..], &["forebay; hit"]].concat());
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            status in any_status(), name in "[ -~]{0,12}", key in prop::option::of("[ -~]{0,20}"),
        ) {
            let text = status.text(&name, key.as_deref());
            let list: List = Parser::new(&text).parse().unwrap();
            let [ListEntry::Item(item)] = list.as_slice() else { panic!("not one member: {text}") };
            prop_assert_eq!(read(item), Some((name, status, key)), "{}", text);
        }

        #[test]
        fn it_is_the_last_of_many(status in any_status(), inner in any_status()) {
            let mut headers = HeaderMap::new();
            inner.append_to("inner", None, &mut headers);
            status.append_to("forebay", None, &mut headers);
            let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().map(|line| line.to_str().unwrap()).collect();
            let list: List = Parser::new(&lines.join(", ")).parse().unwrap();
            let members: Vec<_> = list.iter().map(|entry| match entry {
                ListEntry::Item(item) => read(item),
                ListEntry::InnerList(_) => None,
            }).collect();
            prop_assert_eq!(members, [Some(("inner".into(), inner, None)), Some(("forebay".into(), status, None))]);
        }
    }
}
