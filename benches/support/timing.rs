//! Nanoseconds for one call, in a table on standard output.

#![allow(dead_code, clippy::cast_precision_loss)]

use std::hint::black_box;
use tokio::time::Instant;

/// The heads of the columns.
pub fn title() {
    println!("{:<52} {:>9} {:>9}", "ns for one call", "median", "quickest");
}

/// Times a call, without the making of its input, and prints it.
pub fn row<I>(name: &str, input: impl Fn() -> I, call: impl Fn(I)) {
    row_of((30, 20_000), name, input, call);
}

/// The same with so many rounds of so many calls, unless `ROUNDS` and `CALLS` say otherwise.
pub fn row_of<I>((rounds, calls): (u64, u64), name: &str, input: impl Fn() -> I, call: impl Fn(I)) {
    const BATCH: u64 = 100;
    let (rounds, calls) = (number("ROUNDS", rounds), number("CALLS", calls));
    let mut times: Vec<f64> = (0..rounds.max(1))
        .map(|_| {
            let mut nanos = 0;
            for _ in 0..calls.div_ceil(BATCH) {
                let inputs: Vec<I> = (0..BATCH).map(|_| input()).collect();
                let start = Instant::now();
                for input in inputs {
                    call(black_box(input));
                }
                nanos += start.elapsed().as_nanos();
            }
            nanos as f64 / (calls.div_ceil(BATCH) * BATCH) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let quickest = times.first().copied().unwrap_or_default();
    println!("{name:<52} {median:>9.0} {quickest:>9.0}");
}

/// What the environment says, or a number that does.
pub fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
