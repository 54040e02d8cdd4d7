//! What a body costs on its way from a fetch to those who read it.
//!
//! ```sh
//! cargo bench --bench busy_body        # ROUNDS=10 CALLS=1000
//! ```
//!
//! A body is made, written in the chunks in which an origin's bytes come, ended, and read by as many readers; nothing
//! waits. Nanoseconds for all of that: the median of the rounds, with the quickest.

#![allow(missing_docs, clippy::expect_used)]

#[path = "support/timing.rs"]
mod timing;

use std::hint::black_box;

use bytes::Bytes;
use forebay::body::budget::Budget;
use forebay::body::busy::{BusyBody, Means, Reader, Retention, SpillArea, Writer};
use tokio::runtime::Runtime;

use timing::{row_of, title};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What one read from a socket brings at most.
const CHUNK: usize = 16 << 10;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let means = Means {
        budget: Budget::new(1 << 34),
        spill: SpillArea::new(std::env::temp_dir(), 0),
        window: 8 << 20,
    };
    title();
    for (name, length) in [("1 KB", 1 << 10), ("64 KB", 64 << 10), ("1 MB", 1 << 20)] {
        let chunks = chunks(length);
        for (kept, retention) in [("passed on", Retention::Spool), ("stored", Retention::Store)] {
            for readers in [1, 10] {
                row_of(
                    (10, 1_000),
                    &format!("{name}, {kept}, readers: {readers}"),
                    || BusyBody::with_reader(means.clone(), retention),
                    |(body, writer, first)| {
                        let more = (1..readers).map(|_| body.reader().expect("may join"));
                        let readers: Vec<Reader> = std::iter::once(first).chain(more).collect();
                        black_box(carry(&runtime, &chunks, writer, readers));
                    },
                );
            }
        }
    }
}

/// A content in the pieces in which it comes.
fn chunks(length: usize) -> Vec<Bytes> {
    let whole = Bytes::from(vec![7; length]);
    (0..length).step_by(CHUNK).map(|at| whole.slice(at..length.min(at + CHUNK))).collect()
}

/// Writes all of it and has everybody read it; how many bytes were read.
fn carry(runtime: &Runtime, chunks: &[Bytes], mut writer: Writer, mut readers: Vec<Reader>) -> usize {
    runtime.block_on(async {
        let mut read = 0;
        for chunk in chunks {
            writer.append(chunk.clone()).await.expect("wanted");
            for reader in &mut readers {
                read += reader.next().await.expect("more").expect("bytes").len();
            }
        }
        writer.finish(None);
        for mut reader in readers {
            assert!(reader.next().await.is_none());
        }
        read
    })
}
