//! The documentation of every key: `config/full.toml` and `docs/CONFIGURATION.md`.

use std::fmt::Write as _;
use std::sync::OnceLock;

use super::table::{Description, KeyDescription, Shape, Table as _, table_name};
use super::tables::Configuration;

/// How wide comments are.
const WIDTH: usize = 100;

/// What stands before the keys in `docs/CONFIGURATION.md`.
const INTRODUCTION: &str = include_str!("introduction.md");

/// Of keys that have no default to show, an example.
const EXAMPLES: &[(&str, &str)] = &[
    ("certificates.example.chain", r#""/etc/forebay/example.chain.pem""#),
    ("certificates.example.key", r#""/etc/forebay/example.key.pem""#),
    ("sites.example.hosts", r#"["example.com", "*.example.com"]"#),
    ("sites.example.pool", r#""example""#),
    (
        "pools.example.endpoints",
        r#"["http://127.0.0.1:3000", { url = "http://127.0.0.1:3001", weight = 3 }]"#,
    ),
];

/// Every key with the table that it belongs to, such as `("[client]", "max_head")`.
pub(super) fn described() -> &'static [(String, &'static str)] {
    static ALL: OnceLock<Vec<(String, &'static str)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Vec::new();
        collect("", &Configuration::keys(), &mut all);
        all
    })
}

fn collect(path: &str, keys: &[KeyDescription], all: &mut Vec<(String, &'static str)>) {
    for key in keys {
        all.push((table_name(path), key.name));
        if let Some(table) = &key.table {
            collect(&below(path, key.name, table.shape, "NAME"), &table.keys, all);
        }
    }
}

/// The path of a table, the operator's name in it being `name`.
fn below(path: &str, key: &str, shape: Shape, name: &str) -> String {
    let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    if shape == Shape::Named { format!("{path}.{name}") } else { path }
}

/// `config/full.toml`: every key with its meaning and its default.
pub fn full_toml() -> String {
    let mut out = String::from(
        "# Every key of Forebay's configuration, with its default. docs/CONFIGURATION.md says more.\n\
         # What is commented out with #, and no space after it, is an example: names of certificates, sites and pools are yours.\n",
    );
    write_keys(&mut out, "", &Configuration::keys(), "");
    out
}

fn write_keys(out: &mut String, path: &str, keys: &[KeyDescription], mark: &str) {
    for key in keys.iter().filter(|key| key.table.is_none()) {
        out.push('\n');
        let text = format!("{} ({})", key.meaning, key.kind);
        comment(out, &text);
        let full = format!("{path}.{}", key.name);
        let example = EXAMPLES.iter().find(|(path, _)| *path == full).map(|(_, example)| *example);
        let value = example.map_or_else(|| one_line(key.default), str::to_owned);
        let _ = writeln!(out, "{mark}{} = {value}", key.name);
    }
    for key in keys {
        if let Some(table) = &key.table {
            write_table(out, path, key, table, mark);
        }
    }
}

fn write_table(out: &mut String, path: &str, key: &KeyDescription, table: &Description, mark: &str) {
    let mark = if table.shape == Shape::Named { "#" } else { mark };
    let path = below(path, key.name, table.shape, "example");
    out.push_str("\n\n");
    comment(out, &key.meaning);
    let _ = match table.shape {
        Shape::Many => writeln!(out, "{mark}[[{path}]]"),
        Shape::One | Shape::Named => writeln!(out, "{mark}[{path}]"),
    };
    write_keys(out, &path, &table.keys, mark);
    if table.keys.is_empty() {
        let _ = writeln!(out, "{mark}X-Example = \"text\"");
    }
}

/// A default may be longer than a line of ours.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn comment(out: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        if width == 0 || width + word.len() + 1 > WIDTH {
            out.push_str(if width == 0 { "# " } else { "\n# " });
            width = 1;
        } else {
            out.push(' ');
        }
        out.push_str(word);
        width += word.len() + 1;
    }
    out.push('\n');
}

/// `docs/CONFIGURATION.md`.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    describe(&mut out, "", &Configuration::keys());
    out
}

fn describe(out: &mut String, path: &str, keys: &[KeyDescription]) {
    let values: Vec<&KeyDescription> = keys.iter().filter(|key| key.table.is_none()).collect();
    if !values.is_empty() {
        out.push_str("\n| key | kind | default | meaning |\n|---|---|---|---|\n");
        for key in values {
            let default = one_line(key.default);
            let (kind, meaning) = (cell(&key.kind), cell(&key.meaning));
            let _ = writeln!(out, "| `{}` | {kind} | `{default}` | {meaning} |", key.name);
        }
    }
    for key in keys {
        if let Some(table) = &key.table {
            let path = below(path, key.name, table.shape, "NAME");
            let title = if table.shape == Shape::Many { format!("[[{path}]]") } else { format!("[{path}]") };
            let _ = writeln!(out, "\n### `{title}`\n\n{}", key.meaning);
            describe(out, &path, &table.keys);
        }
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace("*.DOMAIN", "\\*.DOMAIN").replace("\"*\"", "\"\\*\"")
}
