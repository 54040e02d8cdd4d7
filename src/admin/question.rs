//! A request that nobody makes: of which is asked what would happen to it, or what is stored for it.

use super::problem::{Kind, Problem};
use super::query;

/// The most fields of a question.
const MOST_FIELDS: usize = 64;

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

/// Why there is nothing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong, in a word.
    pub kind: Kind,
    /// In sentences.
    pub why: String,
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::new(refused.kind, refused.why)
    }
}

impl Question {
    /// Reads a question; what is not known in it is an error, so that a slip of the pen is told.
    pub(super) fn read(query: Option<&str>) -> Result<Self, Problem> {
        let (mut url, mut method, mut fields) = (None, None, Vec::new());
        for (name, value) in query::pairs(query)? {
            match name {
                "url" if url.is_none() => url = Some(value),
                "method" if method.is_none() => method = Some(value),
                "header" => fields.push(field(&value)?),
                "url" | "method" => return Err(query::wrong(format!("{name} is said twice"))),
                other => {
                    let why = format!("{other:?} is not known: say url, method and header");
                    return Err(query::wrong(why));
                }
            }
        }
        if fields.len() > MOST_FIELDS {
            return Err(query::wrong(format!("there are more than {MOST_FIELDS} fields")));
        }
        let url = url.ok_or_else(|| query::wrong("say which URL: ?url=http://HOST/PATH"))?;
        Ok(Self { method: method.unwrap_or_else(|| "GET".to_owned()), url, fields })
    }
}

fn field(text: &str) -> Result<(String, String), Problem> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    parts.ok_or_else(|| query::wrong(format!("{text:?} is no field: write NAME: VALUE")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_was_meant() {
        let question =
            Question::read(Some("url=http%3A%2F%2Fa%2Fb%3Fc%3D%252F&header=X:+1&header=Y%3a%202%3A3"))
                .expect("a question");
        let fields = vec![("X".into(), "1".into()), ("Y".into(), "2:3".into())];
        assert_eq!(question, Question { method: "GET".into(), url: "http://a/b?c=%2F".into(), fields });
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let many = format!("url=x{}", "&header=a:b".repeat(MOST_FIELDS + 1));
        let long = format!("url={}", "x".repeat(query::LONGEST));
        for (query, why) in [
            ("", "say which URL"),
            ("url=a&url=b", "said twice"),
            ("url=a&heder=b", "not known"),
            ("url=a&header=b", "no field"),
            ("url=%ff", "UTF-8"),
            (&many, "more than 64 fields"),
            (&long, "longer than"),
        ] {
            let problem = Question::read(Some(query)).expect_err(query);
            let text = serde_json::to_string(&problem).expect("JSON");
            assert!(text.contains(why) && problem.kind() == Kind::Malformed, "{query}: {text}");
        }
    }
}
