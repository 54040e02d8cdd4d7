//! What is stored and for how long: said once for all sites, and again by a site that wants it otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use super::kinds::{
    StatusPattern, choice, cookie_name, cookie_pattern, either, field_name, flag, key_field, list,
    path_pattern, query_pattern, size, table_of, time_or_none, times_by_status, type_pattern, whole,
};
use super::table::table;
use super::words::{CacheableMethod, CodingName, IgnoredDirective};
use crate::base::units::ByteSize;

/// Declares a policy as three types: the table for all sites, the table of one site, whose every key may be inherited,
/// and what holds in the end.
macro_rules! policy {
    (
        $(#[doc = $meaning:literal])+
        pub struct $general:ident, $particular:ident, $policy:ident {
            $( $(#[doc = $text:literal])+ $name:ident: $type:ty, $kind:expr => $default:expr; )*
        }
        general { $($general_only:tt)* }
        particular { $($particular_only:tt)* }
    ) => {
        table! {
            $(#[doc = $meaning])+
            pub struct $general {
                $( $(#[doc = $text])+ $name: $type, $kind => $default; )*
                $($general_only)*
            }
        }

        table! {
            $(#[doc = $meaning])+
            pub struct $particular {
                $( $(#[doc = $text])+ $name: Option<$type>, either("inherit", $kind) => "inherit"; )*
                $($particular_only)*
            }
        }

        $(#[doc = $meaning])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $policy { $( $(#[doc = $text])+ pub $name: $type, )* }

        impl $particular {
            /// What holds where `general` is said for all.
            pub fn over(&self, general: &$general) -> $policy {
                $policy { $( $name: self.$name.clone().unwrap_or_else(|| general.$name.clone()), )* }
            }
        }
    };
}

policy! {
    /// What is stored and for how long.
    pub struct Cache, SiteCache, CachePolicy {
        /// Lifetime of an answer that states none; `off` leaves it without one. Pages that are made for a cookie state
        /// none either: name session cookies in `personal_cookies` before this is set.
        default_lifetime: Option<Duration>, either("off", time_or_none()) => "off";
        /// Lifetimes of answers that state none, by status: `{ 404 = "1m", 5xx = "1s" }`. They come before
        /// `default_lifetime`.
        status_lifetimes: BTreeMap<StatusPattern, Duration>, times_by_status() => {};
        /// Where an answer states no lifetime and neither do the two above, it lasts for so many percent of the time since
        /// it was last modified; 0 is off.
        heuristic_percent: u8, whole(0..=100_u8) => 10;
        /// The most that comes of `heuristic_percent`.
        max_heuristic: Duration, time_or_none() => "24h";
        /// Fields of answers that rule this cache in place of `Cache-Control` and `Expires`, the first before the others.
        targeted_fields: Vec<String>, list(field_name()) => ["cdn-cache-control", "surrogate-control"];
        /// Whether what clients say in `Cache-Control` (`no-cache`, `max-age`, `only-if-cached` and so on) is heeded.
        request_directives: bool, flag() => true;
        /// The most that a lifetime may be, whatever an answer states.
        max_lifetime: Option<Duration>, either("off", time_or_none()) => "off";
        /// How long past its lifetime an object may still answer at once, while it is refreshed behind the answer. An
        /// answer that says `stale-while-revalidate` knows better.
        stale_while_revalidate: Duration, time_or_none() => "0s";
        /// What is asked for often in the last so many percent of its lifetime is refreshed before that ends; 0 is off.
        refresh_ahead: u8, whole(0..=90_u8) => 0;
        /// How long past its lifetime an object may still answer when the origin fails: no head comes from it, or a 500,
        /// 502, 503 or 504. An answer that says `stale-if-error` knows better.
        grace: Duration, time_or_none() => "24h";
        /// How long past lifetime and grace an object is kept to be confirmed; `off` keeps it until it has to make room.
        keep: Option<Duration>, either("off", time_or_none()) => "off";
        /// Query parameters that are left out of the key and of the forwarded URL; `utm_*` is every name that starts so.
        ignored_query: Vec<String>, list(query_pattern()) => [];
        /// Cookies that make a request personal.
        personal_cookies: Vec<String>, list(cookie_name()) => [];
        /// Whether `Cache-Status` tells the key: the URL without what is ignored of it. It shows how keys are made.
        tell_key: bool, flag() => false;
        /// The most variants (`Vary`) of one URL; beyond it, those that were stored longest ago go.
        max_variants: usize, whole(1..=100_000_usize) => 64;
        /// Whether an answer may stand for other URLs of which it says that they are the same (`No-Vary-Search`).
        no_vary_search: bool, flag() => true;
        /// Whether answers that set a cookie are stored, so that every client gets that cookie.
        store_set_cookie: bool, flag() => false;
        /// Whether answers are stored whose end is told by the closing of the connection alone, with a transfer coding that
        /// nobody knows read as none. An origin that dies in the middle closes just as politely: only for origins of which
        /// this cannot be.
        store_until_close: bool, flag() => false;
        /// The only query parameters that stay in the key and in the forwarded URL; `off` keeps all that are not ignored.
        kept_query: Option<Vec<String>>, either("off", list(query_pattern())) => "off";
        /// Whether query parameters are put in the order of their names, in the key and in the forwarded URL; those of one
        /// name keep their order.
        sort_query: bool, flag() => false;
        /// Cookies that are taken out of requests whose answer may be stored: the origin does not see them there. Cookies
        /// that another key names stay.
        ignored_cookies: Vec<String>, list(cookie_pattern()) => [];
        /// Cookies whose values are part of the key.
        variant_cookies: Vec<String>, list(cookie_pattern()) => [];
        /// Request fields whose values are part of the key. One that is otherwise not believed is then forwarded as the
        /// client sent it.
        variant_fields: Vec<String>, list(key_field()) => [];
        /// Cookies whose requests pass by the cache.
        bypass_cookies: Vec<String>, list(cookie_pattern()) => [];
        /// Paths whose requests pass by the cache, however they are spelled.
        bypass_paths: Vec<String>, list(path_pattern()) => [];
        /// Methods beside GET and HEAD whose answers are stored if they state a lifetime: QUERY, with its content of up to
        /// 64 KiB in the key; POST, for later GETs, if its `Content-Location` is the URL that was asked.
        cacheable_methods: Vec<CacheableMethod>, list(choice()) => [];
        /// Whether the origin is told nothing of a client's address where the answer may be stored.
        hide_clients: bool, flag() => false;
        /// The most parts that a client may ask for at once (`Range`); who asks for more gets the whole. With 0 it is always
        /// the whole.
        max_ranges: usize, whole(0..=256_usize) => 16;
        /// Fields of answers with the tags by which they are purged, parted by blanks or commas.
        tag_fields: Vec<String>, list(field_name()) => ["surrogate-key", "cache-tag"];
        /// Whether clients are shown these fields.
        show_tags: bool, flag() => false;
        /// Whether the groups of RFC 9875 are heeded: `Cache-Groups` are tags too, and `Cache-Group-Invalidation` in the
        /// answer to an unsafe request purges those of its origin. Clients are shown both in any case.
        cache_groups: bool, flag() => true;
    }
    general {
        /// How long it is remembered that an answer was not for sharing (hit-for-miss).
        marker_life: Duration, time_or_none() => "2m";
        /// What HTTP forbids, and an operator may want all the same.
        against_rfc: AgainstRfc, table_of() => {};
    }
    particular {
        /// What HTTP forbids, and an operator may want all the same.
        against_rfc: SiteAgainstRfc, table_of() => {};
    }
}

policy! {
    /// What HTTP forbids, and an operator may want all the same.
    pub struct AgainstRfc, SiteAgainstRfc, AgainstRfcPolicy {
        /// The least that a lifetime is, where an answer states a shorter one.
        min_lifetime: Option<Duration>, either("off", time_or_none()) => "off";
        /// The lifetime of every answer that can be stored and whose status is a usual one, whatever it states.
        lifetime: Option<Duration>, either("off", time_or_none()) => "off";
        /// Directives of answers that are not heeded: `no-store`, `no-cache`, `must-revalidate`, `proxy-revalidate`, and
        /// `s-maxage-revalidates`, by which `s-maxage` forbids to serve stale.
        ignored_directives: Vec<IgnoredDirective>, list(choice()) => [];
        /// Whether a POST is answered by the stored answer to an equal one, its content being part of the key: for origins
        /// where POST changes nothing. The answer must state its lifetime.
        reuse_post: bool, flag() => false;
    }
    general {}
    particular {}
}

policy! {
    /// What is coded for clients that take it. What is stored is coded once, in the background, and sent as it is stored from
    /// then on; before that it is coded as it leaves.
    pub struct Compression, SiteCompression, CompressionPolicy {
        /// The codings that are made, the first before the others where a client likes them the same; none, and nothing is
        /// coded.
        codings: Vec<CodingName>, list(choice()) => [];
        /// Types of content that are coded: others mostly are already.
        types: Vec<String>, list(type_pattern()) => [
            "text/*", "*+json", "*+xml", "application/json", "application/javascript", "application/xml",
            "application/wasm", "application/x-javascript", "font/otf", "font/ttf", "image/bmp", "image/x-icon"
        ];
        /// Content that is shorter is left as it is.
        min_length: ByteSize, size(..) => "1KiB";
        /// Whether answers are coded that are for one client alone. How long such an answer is then tells who listens what of
        /// it repeats what a request could plant in it (BREACH): only where no page has a secret beside words of a request.
        personal: bool, flag() => false;
        /// The quality of brotli for content that is coded as it leaves.
        fast_br: u8, whole(0..=6_u8) => 5;
        /// The level of zstd for that.
        fast_zstd: u8, whole(1..=19_u8) => 3;
        /// The level of gzip for that.
        fast_gzip: u8, whole(1..=9_u8) => 4;
        /// The quality of brotli for content that is coded to be stored.
        dense_br: u8, whole(0..=11_u8) => 9;
        /// The level of zstd for that.
        dense_zstd: u8, whole(1..=19_u8) => 9;
        /// The level of gzip for that.
        dense_gzip: u8, whole(1..=9_u8) => 9;
        /// The codings that origins are asked for where an answer may be stored; none, and they are asked for content as it
        /// is. What comes coded is stored so, sent so to clients that take it, and decoded for others.
        from_origin: Vec<CodingName>, list(choice()) => [];
        /// The longest content that is made of one that is decoded; what becomes longer breaks off.
        max_decoded: ByteSize, size(..) => "1GiB";
        /// How many times its bytes such a content may become, beyond its first MiB.
        max_ratio: u32, whole(1..=100_000_u32) => 250;
    }
    general {}
    particular {}
}
