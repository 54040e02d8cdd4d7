//! `forebay explain`: what a running node would do with a request now, and why.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::client::{AskError, escaped};
use super::said::pretty;
use super::show;
use super::target::Target;

/// What `explain` may be told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// The whole URL that is asked for
    #[arg(value_name = "URL")]
    url: String,

    /// A field of the request; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    header: Vec<String>,

    /// The method of the request
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,

    /// Show it as JSON, for programs
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Explain {
    pub(in crate::cli) fn run(&self) -> ExitCode {
        show(self.explained())
    }

    fn explained(&self) -> Result<String, AskError> {
        let node = self.target.node()?;
        let strange = AskError::Strange(node.address);
        let mut value = node.get(&question("/v1/explain", &self.url, &self.method, &self.header))?;
        let text = value.as_object_mut().and_then(|object| object.remove("text"));
        match text.as_ref().and_then(Value::as_str) {
            None => Err(strange),
            Some(_) if self.json => Ok(pretty(&value)),
            Some(text) => Ok(text.to_owned()),
        }
    }
}

/// What is asked of the admin listener about a request.
pub(super) fn question(path: &str, url: &str, method: &str, fields: &[String]) -> String {
    let mut target = format!("{path}?url={}&method={}", escaped(url), escaped(method));
    for field in fields {
        target.push_str("&header=");
        target.push_str(&escaped(field));
    }
    target
}
