//! The command line: a file for each subcommand.

mod check;
mod demo;
mod node;
mod serve;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code for what the operator said wrong.
const USAGE: u8 = 2;

/// A caching web accelerator and CDN edge node.
#[derive(Debug, Parser)]
#[command(name = "forebay", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Stand in front of an origin and answer from memory or disk whenever HTTP allows it
    Serve(Box<serve::Serve>),
    /// Say everything that is wrong with a configuration; exits with 2 if something is
    Check(check::Check),
    /// Ask a running node what would happen to a request now, and why; nothing happens by it
    Explain(node::Explain),
    /// Tell what a running node does and holds
    Stats(node::Stats),
    /// Tell what a running node has stored under a URL, or what is asked for most there
    Objects(node::Objects),
    /// Take back what a running node has stored: by URL, tag, prefix, glob, host, or everything
    Purge(node::Purge),
    /// Have a running node read its configuration anew, or tell what that would change
    Reload(node::Reload),
    /// Tell how the endpoints of a running node are
    Endpoints(node::Endpoints),
    /// Take a running node out of use, or one of its endpoints; and take it back
    Drain(node::Drain),
    /// Tell or change what a running node tells on standard error
    LogLevel(node::LogLevel),
}

/// Says something on standard error, if that can be written to: unlike `eprintln!`, which panics otherwise.
fn say(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Runs the command line to its end.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Stats(stats) => stats.run(),
        Command::Objects(objects) => objects.run(),
        Command::Purge(purge) => purge.run(),
        Command::Reload(reload) => reload.run(),
        Command::Endpoints(endpoints) => endpoints.run(),
        Command::Drain(drain) => drain.run(),
        Command::LogLevel(level) => level.run(),
    }
}
