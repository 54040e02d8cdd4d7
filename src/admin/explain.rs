//! `/v1/explain`: what would happen to a request now.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::View;

/// The most bytes of a question, as it is written.
const LONGEST: usize = 48 << 10;

/// The most fields of a question.
const MOST_FIELDS: usize = 64;

/// Answers a question without anything else happening.
pub type Explain = Arc<dyn Fn(Question) -> Explaining + Send + Sync>;

/// The answer on its way.
pub type Explaining = Pin<Box<dyn Future<Output = Result<Explained, Refused>> + Send>>;

/// A request that nobody makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its method.
    pub method: String,
    /// Its whole URL.
    pub url: String,
    /// Names and values of its fields.
    pub fields: Vec<(String, String)>,
}

/// What would happen to it.
#[derive(Clone, Debug)]
pub struct Explained {
    /// For programs: an object.
    pub value: Value,
    /// For people.
    pub text: String,
}

/// Why there is nothing to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status that says so.
    pub status: StatusCode,
    /// In words.
    pub why: String,
}

impl Refused {
    fn bad(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }
}

/// `GET /v1/explain?url=URL[&method=METHOD][&header=NAME:%20VALUE…]`: JSON with the text for people in it, or that text
/// alone for who wants `text/plain`.
pub(super) async fn explain(
    State(view): State<Arc<View>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let question = match read(query.as_deref().unwrap_or("")) {
        Ok(question) => question,
        Err(refused) => return problem(&refused),
    };
    match (view.handles.explain)(question).await {
        Err(refused) => problem(&refused),
        Ok(explained) if wants_text(&headers) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], explained.text).into_response()
        }
        Ok(Explained { mut value, text }) => {
            if let Some(object) = value.as_object_mut() {
                object.insert("text".to_owned(), Value::String(text));
            }
            ([(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
        }
    }
}

fn wants_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accept.split(',').next().is_some_and(|first| first.trim().starts_with("text/plain"))
}

/// An error as RFC 9457 has it.
fn problem(refused: &Refused) -> Response {
    let title = refused.status.canonical_reason().unwrap_or("Error");
    let says = json!({ "title": title, "status": refused.status.as_u16(), "detail": refused.why });
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (refused.status, content_type, format!("{says}\n")).into_response()
}

/// Reads a question; what is not known in it is an error, so that a slip of the pen is told.
fn read(query: &str) -> Result<Question, Refused> {
    if query.len() > LONGEST {
        return Err(Refused::bad(format!("the question is longer than {LONGEST} bytes")));
    }
    let (mut url, mut method, mut fields) = (None, None, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = decoded(value).ok_or_else(|| Refused::bad(format!("{name} is no text in UTF-8")))?;
        match name {
            "url" if url.is_none() => url = Some(value),
            "method" if method.is_none() => method = Some(value),
            "header" => fields.push(field(&value)?),
            "url" | "method" => return Err(Refused::bad(format!("{name} is said twice"))),
            other => return Err(Refused::bad(format!("{other:?} is not known: say url, method and header"))),
        }
    }
    if fields.len() > MOST_FIELDS {
        return Err(Refused::bad(format!("there are more than {MOST_FIELDS} fields")));
    }
    let url = url.ok_or_else(|| Refused::bad("say which URL: ?url=http://HOST/PATH"))?;
    Ok(Question { method: method.unwrap_or_else(|| "GET".to_owned()), url, fields })
}

fn field(text: &str) -> Result<(String, String), Refused> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    parts.ok_or_else(|| Refused::bad(format!("{text:?} is no field: write NAME: VALUE")))
}

/// As forms write it: `%XX` is a byte, and `+` a space. `None` if that is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|hex| !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_meant() {
        let question =
            read("url=http%3A%2F%2Fa%2Fb%3Fc%3D%252F&header=X:+1&header=Y%3a%202%3A3").expect("a question");
        let fields = vec![("X".into(), "1".into()), ("Y".into(), "2:3".into())];
        assert_eq!(question, Question { method: "GET".into(), url: "http://a/b?c=%2F".into(), fields });
        assert_eq!(decoded("100%+%zz%2"), Some("100% %zz%2".into()));
        assert_eq!(decoded("%ff"), None);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let many = format!("url=x{}", "&header=a:b".repeat(MOST_FIELDS + 1));
        let long = format!("url={}", "x".repeat(LONGEST));
        for (query, why) in [
            ("", "say which URL"),
            ("url=a&url=b", "said twice"),
            ("url=a&heder=b", "not known"),
            ("url=a&header=b", "no field"),
            ("url=%ff", "UTF-8"),
            (&many, "more than 64 fields"),
            (&long, "longer than"),
        ] {
            let refused = read(query).expect_err(query);
            assert!(refused.why.contains(why) && refused.status == 400, "{query}: {refused:?}");
        }
    }
}
