//! What comes with a request, read strictly: what is not understood is an error.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::header;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::patience::Working;
use super::peer::Caller;
use super::problem::{Kind, Problem};

/// Bytes over the limit that are still read, and not kept, before a refusal.
const SPARE: usize = 16 << 20;

/// Reads JSON of up to `most` bytes. From then on its request is worked on, until what comes with it is dropped. Cancelled,
/// what was read is thrown away.
pub(super) async fn json<T: DeserializeOwned>(
    request: Request,
    most: usize,
) -> Result<(T, Option<Working>), Problem> {
    // Another one was refused by the guard.
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return Err(Problem::new(Kind::NotJson, "say Content-Type: application/json"));
    }
    let caller = request.extensions().get::<ConnectInfo<Caller>>().map(|info| Arc::clone(&info.0.work));
    let bytes = whole(request.into_body(), most).await?;
    let read = serde_json::from_slice(&bytes).map_err(|error| {
        let kind = if error.classify() == Category::Data { Kind::Unusable } else { Kind::Malformed };
        Problem::new(kind, error.to_string())
    });
    Ok((read?, caller.map(|work| work.begin())))
}

/// All of `body`. One that is too long is read and thrown away up to [`SPARE`] bytes, since whoever still sends when the
/// connection closes may never see why.
async fn whole(body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let (mut stream, mut bytes, mut seen) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Kind::Malformed, "the content broke off"))?;
        seen = seen.saturating_add(chunk.len());
        if seen <= most {
            bytes.extend_from_slice(&chunk);
        } else if seen - most > SPARE {
            break;
        }
    }
    if seen > most {
        return Err(Problem::new(Kind::TooLong, format!("the content is longer than {most} bytes")));
    }
    Ok(bytes)
}
