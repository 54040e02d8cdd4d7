//! The fuzz targets on stable Rust: over their corpora, and over bytes made from them.
//!
//! `FOREBAY_CASES` sets how many inputs are made for each target (see `docs/proofs.md`). With nightly and cargo-fuzz,
//! `cargo +nightly fuzz run dates` looks further.

use std::path::Path;

use fastrand::Rng;

#[path = "../../fuzz/shared.rs"]
mod shared;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    inputs.sort();
    inputs
}

#[test]
fn every_input_of_every_corpus_is_borne() {
    for (name, target) in shared::TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 10, "{name} has {} inputs", inputs.len());
        for input in inputs {
            target(&input);
        }
    }
}

#[test]
fn what_is_like_them_is_borne_too() {
    let cases = std::env::var("FOREBAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000);
    for (name, target) in shared::TARGETS {
        let inputs = corpus(name);
        for seed in 0..cases {
            target(&mutated(&inputs, &mut Rng::with_seed(seed)));
        }
    }
}

/// One or two inputs, cut, joined and with bytes changed.
fn mutated(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = inputs[rng.usize(..inputs.len())].clone();
    for _ in 0..rng.usize(..6) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..6) {
            0 if at < bytes.len() => bytes[at] = rng.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => bytes.truncate(at),
            4 => {
                let other = &inputs[rng.usize(..inputs.len())];
                bytes.splice(at..at, other[rng.usize(..=other.len())..].iter().copied());
            }
            _ => {
                let odd = b",;=\"\\ \t*\n:.%/?&-09aA";
                bytes.insert(at, odd[rng.usize(..odd.len())]);
            }
        }
    }
    bytes
}
