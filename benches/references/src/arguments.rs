//! A command line of `--name value` pairs.

use std::collections::HashMap;
use std::str::FromStr;

/// The options that were given.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads them; ends the program with exit code 2 when they are not pairs or name something unknown.
    pub fn read(known: &[&str]) -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let mut pairs = HashMap::new();
        for pair in words.chunks(2) {
            match pair {
                [name, value] if known.contains(&name.trim_start_matches("--")) => {
                    pairs.insert(name.trim_start_matches("--").to_owned(), value.clone());
                }
                _ => fail(&format!(
                    "cannot make sense of {pair:?}; known are --{} with a value each",
                    known.join(", --")
                )),
            }
        }
        Self(pairs)
    }

    /// An option that must be there.
    pub fn need<T: FromStr>(&self, name: &str) -> T {
        self.optional(name).unwrap_or_else(|| fail(&format!("--{name} is missing")))
    }

    /// An option that may be left out.
    pub fn optional<T: FromStr>(&self, name: &str) -> Option<T> {
        let value = self.0.get(name)?;
        Some(value.parse().unwrap_or_else(|_| fail(&format!("--{name} {value} makes no sense"))))
    }
}

/// Says what is wrong and ends the program.
pub fn fail(what: &str) -> ! {
    eprintln!("{what}");
    std::process::exit(2)
}
