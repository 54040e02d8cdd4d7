//! What comes with a request, read strictly: what is not understood is an error.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::{Kind, Problem};

/// Reads JSON of up to `most` bytes. Cancelled, what was read is thrown away.
pub(super) async fn json<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Problem> {
    // Another one was refused by the guard.
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return Err(Problem::new(Kind::NotJson, "say Content-Type: application/json"));
    }
    let bytes = whole(request.into_body(), most).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let kind = if error.classify() == Category::Data { Kind::Unusable } else { Kind::Malformed };
        Problem::new(kind, error.to_string())
    })
}

async fn whole(body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::Malformed, "the content broke off"))?;
        if bytes.len() + chunk.len() > most {
            return Err(Problem::new(Kind::TooLong, format!("the content is longer than {most} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
