//! `forebay drain`: takes a node out, or one of its endpoints, and back.

use std::process::ExitCode;

use clap::Args;

use super::client::{AskError, escaped};
use super::endpoints::for_people;
use super::said::{is, pretty};
use super::show;
use super::target::Target;

/// What `drain` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Drain {
    /// The pool of an endpoint that gets no more requests; without one, the node says that it is not ready, and serves on
    #[arg(value_name = "POOL", requires = "endpoint")]
    pool: Option<String>,

    /// The endpoint, by its URL as `forebay endpoints` tells it, or by that without the scheme
    #[arg(value_name = "ENDPOINT")]
    endpoint: Option<String>,

    /// Take it back
    #[arg(long)]
    undo: bool,

    /// Show what came of it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Drain {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.done())
    }

    fn done(&self) -> Result<String, AskError> {
        let node = self.target.node()?;
        let Some((pool, endpoint)) = self.pool.as_ref().zip(self.endpoint.as_ref()) else {
            let value = node.post(if self.undo { "/v1/node/undrain" } else { "/v1/node/drain" })?;
            let says = match (is(&value, "/drained"), is(&value, "/ready")) {
                (true, _) => "the node says that it is not ready, and serves on\n",
                (false, true) => "the node is ready\n",
                (false, false) => "the node is taken back, and not ready yet\n",
            };
            return Ok(if self.json { pretty(&value) } else { says.to_owned() });
        };
        let what = if self.undo { "enable" } else { "drain" };
        let value = node.post(&format!("/v1/endpoints/{}/{}/{what}", escaped(pool), escaped(endpoint)))?;
        Ok(if self.json { pretty(&value) } else { for_people(&[value]) })
    }
}
