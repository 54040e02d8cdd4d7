//! An open-loop client: requests are due at a constant rate whatever the server does, and latency counts from when a
//! request was due, so a server that stalls is charged for everybody it kept waiting.
//!
//!     open-loop --port 8080 --path /1024/{} --rate 5000 --seconds 4
//!         [--numbers random:N|from:N] [--requests N] [--connections 64] [--expect BYTES]
//!
//! `{}` in the path is replaced by a number. `--rate 0` asks as fast as the connections allow, and latency then counts
//! from when a request was sent. Prints one JSON object.

use references::arguments::{Arguments, fail};
use references::open_loop::{numbers::Numbers, run::Plan, run::run};

fn main() {
    let arguments =
        Arguments::read(&["port", "path", "rate", "seconds", "numbers", "requests", "connections", "expect"]);
    let plan = Plan {
        port: arguments.need("port"),
        path: arguments.need("path"),
        rate: arguments.need("rate"),
        seconds: arguments.need("seconds"),
        requests: arguments.optional("requests"),
        numbers: arguments.optional("numbers").unwrap_or(Numbers::From(0)),
        connections: arguments.optional("connections").unwrap_or(64),
        expect: arguments.optional("expect"),
    };
    match run(&plan) {
        Ok(report) => println!("{}", report.to_json()),
        Err(error) => fail(&format!("port {}: {error}", plan.port)),
    }
}
