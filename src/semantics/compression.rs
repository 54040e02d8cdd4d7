//! What this cache codes by itself: which answers, for whom, and by which validators their codings go (RFC 9110 §8.4, §8.8.3).

use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::coded_tag::coded_tag;
use super::coding::{self, Coding};
use super::etag::ETag;
use super::fields::list_members;

/// What is coded, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codings that are made, the first before the others where a client likes them the same; none, and nothing is coded.
    pub codings: Vec<Coding>,
    /// Types of content that are coded.
    pub types: Vec<TypePattern>,
    /// Content that is shorter is not coded, where its length is known beforehand.
    pub least: u64,
    /// Whether answers are coded too that are for one client alone.
    pub personal: bool,
    /// How hard content is worked at that is coded as it leaves.
    pub fast: Levels,
    /// The same of content that is coded once, to be stored.
    pub dense: Levels,
    /// The codings that origins are asked for, where an answer may be stored: none, and they are asked for content as it is.
    pub from_origin: Vec<Coding>,
    /// Most bytes of content whose coding is taken off for a client that does not take it.
    pub max_decoded: u64,
    /// Most bytes of it for each coded one.
    pub max_ratio: u64,
    /// Tells these rules from others by which something else is coded ([`Compression::sealed`]).
    pub print: u16,
}

/// How hard each coding is worked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Brotli, 0 to 11.
    pub brotli: u8,
    /// Zstandard, 1 to 22.
    pub zstd: u8,
    /// gzip, 1 to 9.
    pub gzip: u8,
}

/// Types of content that mostly are not coded in themselves.
const TYPES: [&str; 12] = [
    "text/*",
    "*+json",
    "*+xml",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/wasm",
    "application/x-javascript",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
];

impl Default for Compression {
    /// Nothing is coded, for want of codings.
    fn default() -> Self {
        Self {
            codings: Vec::new(),
            types: TYPES.into_iter().filter_map(|pattern| pattern.parse().ok()).collect(),
            least: 1024,
            personal: false,
            fast: Levels { brotli: 5, zstd: 3, gzip: 4 },
            dense: Levels { brotli: 9, zstd: 9, gzip: 9 },
            from_origin: Vec::new(),
            max_decoded: 1 << 30,
            max_ratio: 250,
            print: 0,
        }
        .sealed()
    }
}

/// Types of content: one, all that begin so (`text/*`), or all that end so (`*+xml`). In small letters, without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(String);

/// Why a text is no pattern of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a type (text/html), how types begin (text/*) or how they end (*+xml)")]
pub struct TypePatternError;

impl std::str::FromStr for TypePattern {
    type Err = TypePatternError;

    fn from_str(text: &str) -> Result<Self, TypePatternError> {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/*".contains(&byte);
        let stars = text.matches('*').count();
        let at_an_end = text.starts_with('*') || text.ends_with('*');
        let is_pattern =
            text.len() > 1 && text.bytes().all(is_of_name) && (stars == 0 || stars == 1 && at_an_end);
        is_pattern.then(|| Self(text.to_ascii_lowercase())).ok_or(TypePatternError)
    }
}

impl std::fmt::Display for TypePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TypePattern {
    fn matches(&self, essence: &str) -> bool {
        match (self.0.strip_prefix('*'), self.0.strip_suffix('*')) {
            (Some(end), _) => essence.ends_with(end),
            (None, Some(begin)) => essence.starts_with(begin),
            (None, None) => essence == self.0,
        }
    }
}

/// Fields that are about the bytes as they are: where one is, they stay so (RFC 9530, and what came before it).
pub(super) static ABOUT_BYTES: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

impl Compression {
    /// The same rules with their print. Two that code different things share one as rarely as sixteen bits do, and then what is
    /// stored already stays as it was looked at.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.least, self.types.iter().map(|pattern| &pattern.0).collect::<Vec<_>>()).hash(&mut hasher);
        let [first, second, ..] = hasher.finish().to_le_bytes();
        self.print = u16::from_le_bytes([first, second]);
        self
    }

    /// Whether this answer is one that is coded for whoever takes that, if its content has this length, as far as that is
    /// known. Such an answer varies by `Accept-Encoding`, coded or not.
    pub fn covers(&self, status: StatusCode, fields: &HeaderMap, length: Option<u64>) -> bool {
        !self.codings.is_empty()
            && has_content_of_its_own(status)
            && length.is_none_or(|length| length >= self.least.max(1))
            && !fields.contains_key(CONTENT_ENCODING)
            && !fields.contains_key(CONTENT_RANGE)
            && self.is_of_type(fields)
            && !forbids_transforms(fields)
            && !ABOUT_BYTES.iter().any(|name| fields.contains_key(name))
    }

    fn is_of_type(&self, fields: &HeaderMap) -> bool {
        let said = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = said.map(|said| said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        essence.is_some_and(|essence| self.types.iter().any(|pattern| pattern.matches(&essence)))
    }

    /// The coding that is made for this request, if it takes one.
    pub fn for_request(&self, request: &HeaderMap) -> Option<Coding> {
        let coding = coding::preferred(request, self.codings.iter().copied())?;
        (!forbids_transforms(request)).then_some(coding)
    }
}

fn has_content_of_its_own(status: StatusCode) -> bool {
    let others = [StatusCode::NO_CONTENT, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED];
    !status.is_informational() && !others.contains(&status)
}

/// `no-transform`, in a request (RFC 9111 §5.2.1.6) or an answer (§5.2.2.6).
pub(super) fn forbids_transforms(fields: &HeaderMap) -> bool {
    list_members(fields, &CACHE_CONTROL).any(|member| {
        let name = member.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        name.eq_ignore_ascii_case(b"no-transform")
    })
}

/// Says that there are codings to choose from (RFC 9110 §12.5.5).
pub fn vary(fields: &mut HeaderMap) {
    let says_so = |member: &[u8]| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding");
    if !list_members(fields, &VARY).any(says_so) {
        // A map that is full says less.
        let _ = fields.try_append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Makes the fields of plain content those of the same content as it is coded on its way: nobody knows its bytes beforehand, so
/// that it has no length, no parts and a weak validator.
pub fn as_streamed(fields: &mut HeaderMap, coding: Coding) {
    coded(fields, coding, None);
    fields.remove(CONTENT_LENGTH);
    fields.remove(ACCEPT_RANGES);
}

/// The same of content that was coded as a whole, to so many bytes with this digest.
pub fn as_stored(fields: &mut HeaderMap, coding: Coding, length: u64, digest: u32) {
    coded(fields, coding, Some(digest));
    fields.insert(CONTENT_LENGTH, length.into());
    // There are none of this.
    fields.remove(ACCEPT_RANGES);
}

fn coded(fields: &mut HeaderMap, coding: Coding, digest: Option<u32>) {
    fields.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    let tag = ETag::of(fields).and_then(|tag| coded_tag(tag, coding.name(), digest));
    match tag {
        Some(tag) => drop(fields.insert(ETAG, tag)),
        // What is no tag is not one of coded content either.
        None => drop(fields.remove(ETAG)),
    }
    vary(fields);
}
