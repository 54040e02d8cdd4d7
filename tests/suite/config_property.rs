//! No text makes the reading of a configuration panic, what reads well is shown as it is, and a misspelt key is known
//! for what it is.
//!
//! `FOREBAY_CASES` sets how many cases are run (see `docs/proofs.md`).

use std::path::Path;

use forebay::config::file::{Configuration, Report};
use proptest::prelude::*;

use crate::config_docs::{full_with_examples, reads_back};

fn read(text: &str) -> Report {
    let report = Configuration::read_text(Path::new("random.toml"), text);
    let said = report.complaints.to_string();
    assert_eq!(report.configuration.is_none(), report.complaints.has_errors(), "{said}");
    if let Some(configuration) = &report.configuration {
        reads_back(configuration);
    }
    report
}

fn cases() -> u32 {
    std::env::var("FOREBAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

/// Pieces of TOML, of our keys and of nonsense.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        " = ",
        ",",
        ".",
        "\n",
        "\r\n",
        "\"",
        "\"\"\"",
        "'",
        "'''",
        "#",
        "\\",
        "\\u0000",
        "client",
        "sites",
        "pools",
        "sites.a",
        "pools.a",
        "listeners",
        "cache",
        "against_rfc",
        "tls",
        "send_fields",
        "hosts",
        "origins",
        "pool",
        "endpoints",
        "url",
        "weight",
        "max_head",
        "limit",
        "address",
        "include",
        "fields",
        "drain",
        "\"off\"",
        "\"auto\"",
        "\"inherit\"",
        "\"1GiB\"",
        "\"60s\"",
        "\"*\"",
        "\"a.example\"",
        "\"http://a\"",
        "\"127.0.0.1:80\"",
        "0",
        "1",
        "-1",
        "99999999999999999999999",
        "0x10",
        "1.5",
        "true",
        "false",
        "1979-05-27",
        "inf",
        "é",
        "\u{feff}",
    ];
    prop_oneof![
        12 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        2 => "[a-z_]{1,8} = [0-9a-z\"\\[\\]]{0,8}\n",
        1 => "\\PC{0,6}",
    ]
}

/// One change to a text: where (of 1000), how many characters go, and what comes.
fn change() -> impl Strategy<Value = (usize, usize, String)> {
    (0..1000_usize, 0..12_usize, prop_oneof![3 => piece(), 1 => Just(String::new())])
}

fn changed(text: &str, changes: &[(usize, usize, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, gone, piece) in changes {
        let at = at * chars.len() / 1000;
        let end = (at + gone).min(chars.len());
        chars.splice(at..end, piece.chars());
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&String::from_utf8_lossy(&bytes));
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes).expect("written");
        let report = Configuration::read(file.path());
        prop_assert_eq!(report.configuration.is_none(), report.complaints.has_errors());
    }

    #[test]
    fn nothing_like_toml_panics(pieces in prop::collection::vec(piece(), 0..60)) {
        read(&pieces.concat());
    }

    #[test]
    fn nothing_like_a_configuration_panics(changes in prop::collection::vec(change(), 1..5)) {
        read(&changed(&full_with_examples(), &changes));
    }

    #[test]
    fn values_that_are_well_read_back(
        workers in 1..=1024_u16, drain in 0..10_000_000_000_u64, limit in 64_u64 << 20..1 << 50,
        name in "[A-Za-z][A-Za-z0-9._-]{0,20}", grace in 0..1_000_000_u64, file in "[^\\x00]{1,20}", field in "[ -~]{0,20}",
    ) {
        let mut configuration = Configuration::default();
        configuration.node.name = name;
        configuration.node.workers = Some(workers);
        configuration.node.drain = std::time::Duration::from_micros(drain);
        configuration.memory.limit = forebay::base::units::ByteSize(limit);
        configuration.cache.grace = std::time::Duration::from_secs(grace);
        configuration.disk.directory = Some(Path::new("/").join(file));
        let report = Configuration::read_text(
            Path::new("fields.toml"),
            &format!("[pools.a]\nendpoints = [\"http://a\"]\n[pools.a.send_fields]\nX-A = {field:?}\n"),
        );
        prop_assert!(!report.complaints.has_errors(), "{}", report.complaints);
        configuration.pools = report.configuration.expect("well").pools;
        reads_back(&configuration);
    }
}

/// Every table and key of the full configuration: the lines to write before it, the line that says it, and where the
/// key stands in that line.
fn keys() -> Vec<(String, String, std::ops::Range<usize>)> {
    let mut header = String::new();
    let mut keys = Vec::new();
    for line in full_with_examples().lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let path = path.trim_start_matches('[');
            line.clone_into(&mut header);
            // Names in it are the operator's.
            let start = path.rfind('.').map_or(0, |dot| dot + 1);
            let name = &path[start..];
            let (start, name) = if name == "example" {
                path.split_once('.').map_or((0, path), |(first, _)| (0, first))
            } else {
                (start, name)
            };
            let at = line.find(path).expect("there") + start;
            keys.push((String::new(), line.to_owned(), at..at + name.len()));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#'))
            && name != "X-Example"
        {
            keys.push((header.clone(), line.to_owned(), 0..name.len()));
        }
    }
    keys
}

/// The words that one slip makes of a word.
fn misspellings(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut all = Vec::new();
    for at in 0..letters.len() {
        let mut dropped = letters.clone();
        dropped.remove(at);
        let mut doubled = letters.clone();
        doubled.insert(at, letters[at]);
        let mut replaced = letters.clone();
        replaced[at] = 'q';
        let mut swapped = letters.clone();
        swapped.swap(at, (at + 1) % letters.len());
        all.extend([dropped, doubled, replaced]);
        if at + 1 < letters.len() {
            all.push(swapped);
        }
    }
    all.push(letters.iter().map(char::to_ascii_uppercase).collect());
    all.push(letters.iter().map(|letter| if *letter == '_' { '-' } else { *letter }).collect());
    let all = all.into_iter().map(|letters: Vec<char>| letters.into_iter().collect::<String>());
    all.filter(|other| other != word && !other.is_empty()).collect()
}

#[test]
fn every_misspelt_key_is_known_for_what_it_is() {
    let keys = keys();
    assert!(keys.len() > 80, "only {} keys", keys.len());
    for (header, line, at) in keys {
        let word = &line[at.clone()];
        for wrong in misspellings(word) {
            let text = format!("{header}\n{}{wrong}{}\n", &line[..at.start], &line[at.end..]);
            let said = Configuration::read_text(Path::new("wrong.toml"), &text).complaints.to_string();
            let place = format!("wrong.toml:2:{}: ", at.start + 1);
            assert!(said.contains(&place), "{text}\n{said}");
            assert!(said.contains(&format!("did you mean {word:?}?")), "{text}\n{said}");
        }
    }
}
