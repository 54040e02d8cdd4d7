//! Errors as RFC 9457 has them: each with a word that never changes.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::v1::Complained;

/// What the types of problems begin with.
const PREFIX: &str = "urn:forebay:problem:";

/// Declares what can be wrong: the word, the status, and what it is called for people.
macro_rules! kinds {
    ($( $(#[doc = $doc:literal])+ $kind:ident = $word:literal, $status:ident, $title:literal; )+) => {
        /// What is wrong, by a word that never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $( $(#[doc = $doc])+ $kind, )+ }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$kind, )+];

            /// The word behind `urn:forebay:problem:`.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$kind => $word, )+ }
            }

            /// The status of the answer.
            pub const fn status(self) -> StatusCode {
                match self { $( Self::$kind => StatusCode::$status, )+ }
            }

            /// What it is called, for people.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$kind => $title, )+ }
            }
        }
    };
}

kinds! {
    /// The request makes no sense.
    Malformed = "malformed", BAD_REQUEST, "The request makes no sense";
    /// Nothing was shown that lets in, or something wrong.
    Unproven = "unproven", UNAUTHORIZED, "It takes a token or a certificate";
    /// A page of another site has led a browser here.
    ForeignOrigin = "foreign-origin", FORBIDDEN, "A page of another site has asked for this";
    /// There is no such path.
    NoSuchPath = "no-such-path", NOT_FOUND, "There is nothing at this path";
    /// No site answers for the host.
    NoSuchSite = "no-such-site", NOT_FOUND, "No site answers for this host";
    /// There is no such pool, or no such endpoint in it.
    NoSuchEndpoint = "no-such-endpoint", NOT_FOUND, "There is no such endpoint";
    /// There are more globs than there may be.
    TooManyGlobs = "too-many-globs", CONFLICT, "There are too many globs at work";
    /// The files of the configuration cannot be put in place.
    NotReloaded = "not-reloaded", CONFLICT, "The configuration cannot be put in place, and nothing was changed";
    /// It holds, and is not durable.
    NotDurable = "not-durable", SERVICE_UNAVAILABLE, "It holds, and may not outlive the process";
    /// Somebody else is at it.
    Busy = "busy", SERVICE_UNAVAILABLE, "Others are at it; come again";
    /// The path has other methods.
    NoSuchMethod = "no-such-method", METHOD_NOT_ALLOWED, "This path has other methods";
    /// What is wanted cannot be done on this node.
    NotHere = "not-here", CONFLICT, "This node cannot do that";
    /// The content is too long.
    TooLong = "too-long", PAYLOAD_TOO_LARGE, "The content is too long";
    /// The content is not JSON.
    NotJson = "not-json", UNSUPPORTED_MEDIA_TYPE, "The content has to be application/json";
    /// The request is asked for by a name that is not ours.
    WrongHost = "wrong-host", MISDIRECTED_REQUEST, "This is not asked for by that name";
    /// The request is well formed, and what it says cannot be.
    Unusable = "unusable", UNPROCESSABLE_ENTITY, "What the request says cannot be used";
    /// Too many wrong tokens came from there.
    TooManyGuesses = "too-many-guesses", TOO_MANY_REQUESTS, "Too many wrong tokens";
}

/// An error, for programs (`type`) and for people (`title`, `detail`).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:forebay:problem:no-such-endpoint",
    "title": "There is no such endpoint",
    "status": 404,
    "detail": "the pool \"shop\" has no endpoint \"http://127.0.0.1:1\"",
}))]
pub(super) struct Problem {
    /// `urn:forebay:problem:` and a word. It never changes.
    #[serde(rename = "type")]
    kind: String,
    /// The same for people. It may change.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong with this request, for people. It may change.
    detail: String,
    /// What is wrong with the files of the configuration, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    complaints: Vec<Complained>,
    #[serde(skip)]
    of: Kind,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("{PREFIX}{}", kind.word()),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            complaints: Vec::new(),
            of: kind,
        }
    }

    /// With what is wrong, one by one.
    pub(super) fn with(self, complaints: Vec<Complained>) -> Self {
        Self { complaints, ..self }
    }

    pub(super) fn kind(&self) -> Kind {
        self.of
    }

    pub(super) fn word(&self) -> &'static str {
        self.of.word()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        // It is made of texts and a number alone.
        let text = serde_json::to_string(&self).unwrap_or_default();
        (self.of.status(), content_type, text + "\n").into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_fit_into_a_urn() {
        let mut words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        let fits = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(words.iter().all(fits), "{words:?}");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Kind::ALL.len());
    }
}
