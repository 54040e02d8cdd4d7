//! `No-Vary-Search`: which parts of a query make no difference to a response
//! (draft-ietf-httpbis-no-vary-search).

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

/// The field's name.
pub const NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// What a response says of queries: by it two URLs that differ in nothing but their query may be the same
/// ("URL search variance" in the draft). Never one by which every difference counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SearchRule {
    /// Which parameters count.
    counted: Counted,
    /// Whether the order of names counts.
    ordered: bool,
}

/// Which parameters count, by their decoded names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Counted {
    /// All but these.
    AllBut(Vec<Vec<u8>>),
    /// None but these.
    NoneBut(Vec<Vec<u8>>),
}

impl SearchRule {
    /// The rule of a response; `None` if every difference counts, because it says so, says nothing, or because
    /// anything in it is malformed. Keys that are not known are passed over, as the draft wants it.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::of_lines(headers.get_all(&NO_VARY_SEARCH).iter().map(HeaderValue::as_bytes))
    }

    /// The same of the lines of `No-Vary-Search`.
    pub fn of_lines<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let lines: Vec<&[u8]> = lines.collect();
        if lines.is_empty() {
            return None;
        }
        let said: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
        Self::parse(&said).filter(Self::makes_a_difference)
    }

    /// The rule that a dictionary states; `None` if it is no such rule.
    fn parse(said: &Dictionary) -> Option<Self> {
        let ordered = match said.get("key-order") {
            None => true,
            Some(entry) => !flag(entry)?,
        };
        let counted = match (said.get("params"), said.get("except")) {
            (None, None) => Counted::AllBut(Vec::new()),
            (Some(ListEntry::InnerList(ignored)), None) => Counted::AllBut(names(ignored)?),
            (Some(entry), None) if !flag(entry)? => Counted::AllBut(Vec::new()),
            (Some(_), None) => Counted::NoneBut(Vec::new()),
            (Some(entry), Some(ListEntry::InnerList(counted))) if flag(entry)? => {
                Counted::NoneBut(names(counted)?)
            }
            (_, Some(_)) => return None,
        };
        Some(Self { counted, ordered })
    }

    fn makes_a_difference(&self) -> bool {
        !self.ordered || self.counted != Counted::AllBut(Vec::new())
    }

    /// Whether two queries, neither with its `?`, are the same by this rule. None at all is as good as an empty one.
    ///
    /// Names and values are compared as decoded bytes. The draft would have two that are no UTF-8 be the same
    /// wherever both decode to replacement characters; here they are not, which can only cost a fetch.
    pub fn equivalent(&self, a: Option<&str>, b: Option<&str>) -> bool {
        self.counting(a) == self.counting(b)
    }

    /// Bytes that are equal for two queries exactly if they are [`SearchRule::equivalent`].
    pub fn normal_form(&self, query: Option<&str>) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in self.counting(query) {
            for part in [name, value] {
                out.extend_from_slice(&(part.len() as u64).to_be_bytes());
                out.extend_from_slice(&part);
            }
        }
        out
    }

    /// What the rule takes in memory beside itself, in bytes.
    pub fn weight(&self) -> usize {
        let (Counted::AllBut(names) | Counted::NoneBut(names)) = &self.counted;
        names.iter().map(|name| name.len() + size_of::<Vec<u8>>()).sum()
    }

    /// The parameters that count, in the order that counts.
    fn counting<'a>(&self, query: Option<&'a str>) -> Vec<Parameter<'a>> {
        let mut counting: Vec<_> =
            parameters(query.unwrap_or_default()).filter(|(name, _)| self.counts(name)).collect();
        if !self.ordered {
            // Those of one name stay in their order.
            counting.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        counting
    }

    fn counts(&self, name: &[u8]) -> bool {
        let among = |names: &[Vec<u8>]| names.iter().any(|other| other == name);
        match &self.counted {
            Counted::AllBut(ignored) => !among(ignored),
            Counted::NoneBut(counted) => among(counted),
        }
    }
}

/// A decoded name and a decoded value.
type Parameter<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

fn flag(entry: &ListEntry) -> Option<bool> {
    match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::Boolean(flag) => Some(flag),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

/// The names in a list of strings, decoded, sorted, each once; `None` if anything else is among them.
fn names(list: &InnerList) -> Option<Vec<Vec<u8>>> {
    let name = |item: &sfv::Item| match &item.bare_item {
        BareItem::String(text) => Some(decoded(text.as_str().as_bytes()).into_owned()),
        _ => None,
    };
    let mut names = list.items.iter().map(name).collect::<Option<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// The parameters of a query as a form has them (`application/x-www-form-urlencoded`): empty ones left out, names and
/// values decoded.
fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    query.as_bytes().split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=').map(decoded);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    })
}

/// A `+` is a space, and `%XX` the byte XX; a `%` before anything else stays.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.split_first_chunk::<2>().filter(|_| *byte == b'%');
        let hex = escaped.and_then(|([high, low], after)| Some(((digit(*high)? << 4) | digit(*low)?, after)));
        let (byte, after) = match (byte, hex) {
            (_, Some(hex)) => hex,
            (b'+', None) => (b' ', after),
            (byte, None) => (*byte, after),
        };
        out.push(byte);
        rest = after;
    }
    Cow::Owned(out)
}

fn digit(hex: u8) -> Option<u8> {
    char::from(hex).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
