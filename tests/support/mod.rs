//! Tools for the integration suite: a scripted origin, a strict raw-byte client, child processes,
//! and bodies whose every byte is known.
//!
//! Nothing here uses hyper or any of Forebay's own code, so a mistake in either cannot hide itself; but for [`disk`],
//! which stands behind a trait of Forebay's, and [`hyper_server`], which is there to be compared with.
//!
//! - [`origin`]: speaks HTTP/1.1 by hand, follows a script, and keeps account of what happened.
//! - [`client`]: sends what it is told and reads answers with a strict grammar.
//! - [`authority`]: certificates for both sides of TLS.
//! - [`bytes`]: deterministic bodies and a streaming check of them.
//! - [`disk`]: a disk in memory that fails, tears and forgets.
//! - [`http2`]: frames of HTTP/2 by hand, also such as nobody may send.
//! - [`hyper_server`]: connections of clients by hyper, which our own driver is held against.
//! - [`process`]: the built binary as a child, its lines, its memory and its end.
//! - [`ranged`]: an origin that does ranges of one large resource.
//! - [`wire`]: the head and body grammar that origin and client share.
//!
//! Two ways to use it. Over **in-memory pipes** (`Origin::pipe`, `Client::over`) in a
//! `#[tokio::test(start_paused = true)]`: time jumps when every task is idle, so a test of a 3 s body takes
//! no time and measures it exactly. Over **loopback sockets** (`Origin::tcp`, `Client::connect`), with time
//! running: pausing it there makes timers fire while bytes are still in the kernel.

#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::missing_panics_doc)]

pub mod authority;
pub mod bytes;
pub mod client;
pub mod disk;
pub mod http2;
pub mod hyper_server;
pub mod origin;
pub mod process;
pub mod ranged;
pub mod wire;

use std::future::Future;
use std::time::Duration;

/// Runs `what`, and fails the test if it takes longer than `limit`, so that a stuck waiter is a failure with a
/// name instead of a suite that hangs.
pub async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(limit, what).await;
    done.unwrap_or_else(|_| panic!("not done within {limit:?}"))
}

/// Shorthand for a [`Duration`] of milliseconds.
pub const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Waits until a file has so many lines. A client has its answer before the line about it is written.
pub async fn wait_for_lines(path: &std::path::Path, count: usize) {
    let there = async {
        while std::fs::read_to_string(path).map_or(0, |text| text.lines().count()) < count {
            tokio::time::sleep(ms(2)).await;
        }
    };
    within(ms(10_000), there).await;
}
