//! What is stored and for how long: said once for all sites, and again by a site that wants it otherwise.

use std::time::Duration;

use super::kinds::{cookie_name, either, flag, list, query_pattern, table_of, time_or_none};
use super::table::table;

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
        /// The most that a lifetime may be, whatever an answer states.
        max_lifetime: Option<Duration>, either("off", time_or_none()) => "off";
        /// How long past its lifetime an object may still answer when no head comes from the origin.
        grace: Duration, time_or_none() => "24h";
        /// How long past lifetime and grace an object is kept to be confirmed; `off` keeps it until it has to make room.
        keep: Option<Duration>, either("off", time_or_none()) => "off";
        /// Query parameters that are left out of the key and of the forwarded URL; `utm_*` is every name that starts so.
        ignored_query: Vec<String>, list(query_pattern()) => [];
        /// Cookies that make a request personal.
        personal_cookies: Vec<String>, list(cookie_name()) => [];
        /// Whether answers that set a cookie are stored, so that every client gets that cookie.
        store_set_cookie: bool, flag() => false;
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
    }
    general {}
    particular {}
}
