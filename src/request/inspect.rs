//! What is stored for a request that nobody makes: its key is made as for one that somebody makes.

use std::sync::Arc;

use super::explain::{Unexplained, imagined};
use super::{ClientMachine, classify, content};
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
        let mut request = imagined(method, url, fields)?;
        self.imagine_client(&mut request);
        let (admitted, site) = self.receive(&request).map_err(|(why, _)| Unexplained::Rejected(why))?;
        let content = content::collect(&mut request, &site.policy, &self.budget).await;
        let (ask, ..) = classify::sort(request, content, &admitted, (site, &self.setup), None);
        let ask = Arc::new(ask);
        Ok(self.cache.inspect(&ask.key, &ask, self.clock.now()).await)
    }
}
