//! `/v1/explain`: what would happen to a request now, and why.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::View;
use crate::admin::openapi::{Guarded, Queried};
use crate::admin::problem::Problem;
use crate::admin::question::{Question, Refused};

/// Answers a question without anything else happening.
pub type Explain = Arc<dyn Fn(Question) -> Explaining + Send + Sync>;

/// The answer on its way.
pub type Explaining = Pin<Box<dyn Future<Output = Result<Explained, Refused>> + Send>>;

/// What would happen to a request.
#[derive(Clone, Debug)]
pub struct Explained {
    /// For programs: an object.
    pub value: Value,
    /// For people.
    pub text: String,
}

/// What would happen to a request, step by step.
#[derive(Debug, Serialize, ToSchema)]
struct Explanation {
    /// The steps in their order.
    steps: Vec<ExplainedStep>,
    /// What comes of them.
    verdict: ExplainedVerdict,
    /// All of it for people.
    text: String,
}

/// One step.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainedStep {
    /// What it is about.
    title: String,
    /// A sentence each.
    says: Vec<String>,
    /// Where it is written.
    rfc: Option<String>,
}

/// What would happen.
#[derive(Debug, Serialize, ToSchema)]
struct ExplainedVerdict {
    /// In one word: `hit`, `hit-and-refresh`, `revalidation`, `miss`, `joins`, `pass` or `not-stored`.
    outcome: String,
    /// What `Cache-Status` would say.
    cache_status: String,
    /// A sentence each.
    says: Vec<String>,
    /// Where it is written.
    rfc: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Arc<View>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// What would happen to a request now
///
/// Nothing is fetched, stored or counted by it. Who prefers `text/plain` gets the text for people alone.
#[utoipa::path(
    get, path = "/v1/explain", tag = "cache",
    params(
        ("url" = String, Query, description = "the whole URL", example = "http://shop.example/a"),
        ("method" = Option<String>, Query, description = "the method; GET if none is said"),
        ("header" = Option<Vec<String>>, Query, description = "a field, NAME: VALUE; may be given more than once"),
    ),
    responses(
        (status = 200, description = "what would happen", content((Explanation = "application/json"), (String = "text/plain"))),
        Guarded, Queried,
    )
)]
async fn explain(
    State(view): State<Arc<View>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let question = Question::read(query.as_deref())?;
    let Explained { mut value, text } = (view.handles.explain)(question).await?;
    if wants_text(&headers) {
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    if let Some(object) = value.as_object_mut() {
        object.insert("text".to_owned(), Value::String(text));
    }
    Ok(super::json(&value))
}

fn wants_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accept.split(',').next().is_some_and(|first| first.trim().starts_with("text/plain"))
}
