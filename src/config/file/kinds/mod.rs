//! The kinds of values.

mod address;
mod choice;
mod endpoint;
mod field;
mod host;
mod measure;
mod network;
mod place;
mod plain;
mod secret;
mod status;
mod tables;
mod word;

pub use host::HostPattern;
pub use secret::{Secret, SecretSource};
pub use status::StatusPattern;

pub(super) use address::{admin_address, listen_address, socket_mode};
pub(super) use choice::{Words, choice, words};
pub(super) use endpoint::{endpoint, origin_url};
pub(super) use field::fields;
pub(super) use host::{host_pattern, server_name};
pub(super) use measure::{size, time, time_or_none};
pub(super) use network::{network, proxies};

pub(super) use place::{log_target, path, readable_file, unread_path};
pub(super) use plain::{either, flag, list, whole};
pub(super) use secret::{kept_token, token};
pub(super) use status::times_by_status;
pub(super) use tables::{named, table_of, tables_of};
pub(super) use word::{
    cdn_id, certificate_name, cookie_name, cookie_pattern, field_name, key_field, node_name, path_pattern,
    pool_name, query_pattern, type_pattern,
};

use super::table::Shown;

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.extend(format!("\\u{:04X}", u32::from(c)).chars()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text as it is written.
fn shown(text: &(impl ToString + ?Sized)) -> Shown {
    Shown::Value(quoted(&text.to_string()))
}
