//! Origins and endpoints.

use toml::de::DeTable;

use super::super::near::nearest;
use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::plain::whole;
use super::shown;
use crate::origin::{EndpointSettings, OriginUrl};

/// The least weight, and that of an endpoint of which none is told.
const ONE: u16 = 1;

/// The largest weight.
const MOST: u16 = 1000;

/// The URL of an origin.
pub struct Url;

/// The URL of an origin. Only its syntax is checked: whether its host is there shows when it is asked.
pub fn origin_url() -> Url {
    Url
}

impl Kind for Url {
    type Value = OriginUrl;

    fn name(&self) -> String {
        "URL".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<OriginUrl> {
        let text = reader.text(said, "a URL", "\"http://127.0.0.1:3000\"")?;
        match text.parse() {
            Ok(url) => Some(url),
            Err(error) => {
                reader.complain(&said.span(), format!("{error}"), None);
                None
            }
        }
    }

    fn show(&self, value: &OriginUrl) -> Shown {
        shown(value)
    }
}

/// A URL, or a table of a URL and a weight.
pub struct WeightedUrl;

/// A URL, or a table of a URL and a weight.
pub fn endpoint() -> WeightedUrl {
    WeightedUrl
}

impl Kind for WeightedUrl {
    type Value = EndpointSettings;

    fn name(&self) -> String {
        format!("URL or {{ url = URL, weight = 1 to {MOST} }}")
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<EndpointSettings> {
        let Some(table) = said.get_ref().as_table() else {
            if said.get_ref().is_str() {
                return origin_url().read(said, reader).map(EndpointSettings::from);
            }
            let example = "\"http://10.0.0.1:3000\" or { url = \"http://10.0.0.1:3000\", weight = 3 }";
            reader.wrong_kind(said, "a URL, or a table of url and weight", example);
            return None;
        };
        let known = only(&["url", "weight"], table, reader);
        let Some(url) = table.get("url") else {
            // A misspelt key is told already.
            if known {
                reader.complain(&said.span(), format!("{} has no url", reader.key()), None);
            }
            return None;
        };
        let url = reader.below("url", |reader| origin_url().read(url, reader));
        let weight = table.get("weight").map_or(Some(ONE), |weight| {
            reader.below("weight", |reader| whole(ONE..=MOST).read(weight, reader))
        });
        if known { Some(EndpointSettings { url: url?, weight: weight? }) } else { None }
    }

    fn show(&self, value: &EndpointSettings) -> Shown {
        let url = shown(&value.url);
        if value.weight == ONE {
            return url;
        }
        Shown::Table(vec![("url".into(), url), ("weight".into(), Shown::Value(value.weight.to_string()))])
    }
}

/// Complains about every key but these.
pub(super) fn only(known: &[&str], table: &DeTable<'_>, reader: &mut Reader) -> bool {
    let mut all_known = true;
    for (key, _) in table {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            all_known = false;
            let hint = match nearest(name, known.iter().copied()) {
                Some((_, near)) => format!("did you mean {near:?}?"),
                None => format!("it has only {}", known.join(" and ")),
            };
            let message = format!("{} has no key {name:?}", reader.key());
            reader.complain(&key.span(), message, Some(hint));
        }
    }
    all_known
}
