//! What is stored for a request that nobody makes.

use std::sync::Arc;

use super::ClientMachine;
use super::imagined::{Imagined, Unexplained};
use crate::cache::inspect::Inspection;

impl ClientMachine {
    /// What is stored under the key of a request with this method, URL and these fields, and no content; what it would be
    /// given of that comes first. Nothing is fetched, counted or moved. Cancel-safe.
    pub async fn inspect(
        &self,
        method: &str,
        url: &str,
        fields: &[(String, String)],
    ) -> Result<Inspection, Unexplained> {
        let Imagined { ask, .. } = self.imagine(method, url, fields).await?;
        let ask = Arc::new(ask);
        Ok(self.cache.inspect(&ask.key, &ask, self.clock.now()).await)
    }
}
