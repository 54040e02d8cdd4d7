#![no_main]

#[path = "../shared.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod shared;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shared::ticket(data));
