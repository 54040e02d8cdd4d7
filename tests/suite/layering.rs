//! Layers import downward only: reads every `crate::` path and every mention of hyper.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom. This table is the law; `docs/ARCHITECTURE.md` has its picture.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("telemetry", &["base", "semantics"]),
    ("semantics", &["base"]),
    ("body", &["base", "telemetry"]),
    ("http1", &["body"]),
    ("admission", &["base", "telemetry", "semantics", "body"]),
    ("route", &["base", "telemetry", "semantics", "body"]),
    ("cache", &["base", "telemetry", "semantics", "body"]),
    ("origin", &["base", "telemetry", "semantics", "body", "http1"]),
    ("fetch", &["base", "telemetry", "semantics", "body", "cache", "origin"]),
    ("transform", &["base", "telemetry", "semantics", "body", "cache"]),
    ("deliver", &["base", "telemetry", "semantics", "body", "admission", "cache", "origin", "fetch"]),
    // Of `origin` and `listener` only what is said in `ONLY`.
    (
        "request",
        &[
            "base",
            "telemetry",
            "semantics",
            "body",
            "admission",
            "route",
            "cache",
            "fetch",
            "deliver",
            "transform",
            "origin",
            "listener",
        ],
    ),
    ("listener", &["base", "telemetry", "body", "http1"]),
    ("admin", &["base", "telemetry", "body", "admission", "cache", "fetch", "listener"]),
    (
        "config",
        &[
            "base",
            "telemetry",
            "semantics",
            "route",
            "cache",
            "fetch",
            "origin",
            "request",
            "listener",
            "admin",
        ],
    ),
];

/// Edges that are allowed for these names only.
const ONLY: &[(&str, &str, &[&str])] = &[
    ("telemetry", "semantics", &["cache_status::Forward"]),
    ("request", "origin", &["OriginError"]),
    ("deliver", "origin", &["OriginError"]),
    ("deliver", "admission", &["Rejection"]),
    ("request", "listener", &["Answer", "Handler", "link::Link", "refusal::Refusal"]),
    ("admin", "admission", &["Connections"]),
    ("admin", "fetch", &["Fetcher"]),
    // What reads certificates and authorities, so that the admin listener takes the same files as the others.
    (
        "admin",
        "listener",
        &[
            "tls::authorities::Authorities",
            "tls::authorities::AuthoritiesError",
            "tls::certificate::Certificate",
            "tls::certificate::CertificateError",
            "tls::certificate::Files",
            "tls::provider",
        ],
    ),
    ("config", "route", &["Settings", "Clients", "HostPattern", "HostPatternError"]),
    ("config", "request", &["Settings"]),
    (
        "config",
        "listener",
        &[
            "MinRate",
            "Settings",
            "address::Address",
            "address::AddressError",
            "address::Mode",
            "proxied::Proxies",
            "tls::MinimumVersion",
            "tls::authorities::Authorities",
            "tls::certificate::CertificateName",
            "tls::certificate::Files",
            "tls::gate::Asked",
            "tls::sessions::COST",
            "tls::gate::ClientCertificates",
            "tls::gate::Told",
            "tls::keeper::Named",
            "tls::provider",
            "tls::tickets::TicketKey",
        ],
    ),
    ("config", "fetch", &["Settings"]),
    ("config", "cache", &["Settings", "DiskSettings", "Admission"]),
    (
        "config",
        "origin",
        &["Settings", "EndpointSettings", "HttpVersion", "TlsSettings", "OriginUrl", "OriginUrlError"],
    ),
    ("config", "admin", &["Settings", "AddressError", "AccessError"]),
];

/// They see everything, and nothing imports them.
const TOP: &[&str] = &["app", "cli"];

#[test]
fn layers_import_downward_only() {
    let mut forbidden = Vec::new();
    for (module, file, text) in sources() {
        for (imported, rest) in imports(&text) {
            if imported == module || TOP.contains(&module.as_str()) {
                continue;
            }
            if !may_import(&module, &imported, &rest) {
                forbidden.push(format!("{}: crate::{imported}{rest}", file.display()));
            }
        }
    }
    assert!(forbidden.is_empty(), "imports that climb a floor:\n{}", forbidden.join("\n"));
}

#[test]
fn hyper_is_for_tests() {
    let mut forbidden = Vec::new();
    for (_, file, text) in sources() {
        let mentions = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if mentions.filter(|line| line.contains("hyper::") || line.contains("hyper_util::")).count() > 0 {
            forbidden.push(file.display().to_string());
        }
    }
    assert!(forbidden.is_empty(), "hyper in the product: {forbidden:?}");
}

#[test]
fn the_law_names_every_module() {
    let known: BTreeSet<&str> = MAY_IMPORT
        .iter()
        .map(|(module, _)| *module)
        .chain(TOP.iter().copied())
        .chain(["lib", "main"])
        .collect();
    let unknown: BTreeSet<String> = sources()
        .into_iter()
        .map(|(module, ..)| module)
        .filter(|module| !known.contains(module.as_str()))
        .collect();
    assert!(unknown.is_empty(), "modules without a floor: {unknown:?}");
}

fn may_import(module: &str, imported: &str, rest: &str) -> bool {
    let only = ONLY.iter().find(|(from, to, _)| *from == module && *to == imported);
    if let Some((_, _, names)) = only {
        // A bare `crate::cache` brings in the module for the sake of `cache::Settings`.
        return rest.is_empty() || names.iter().any(|name| rest == format!("::{name}"));
    }
    MAY_IMPORT.iter().any(|(from, to)| *from == module && to.contains(&imported))
}

/// Every `crate::a::b` in the text, groups (`crate::{a, b::c}`, `crate::a::{b, c}`) taken apart.
fn imports(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        for path in expand(&code[at + "crate::".len()..]) {
            let (module, rest) = path.split_at(path.find("::").unwrap_or(path.len()));
            found.push((module.to_owned(), rest.to_owned()));
        }
    }
    found
}

fn expand(text: &str) -> Vec<String> {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        return split_group(group).iter().flat_map(|part| expand(part)).collect();
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => {
            expand(rest).into_iter().map(|tail| format!("{name}::{tail}")).collect()
        }
        _ => vec![name.to_owned()],
    }
}

/// The members of a group, whose closing brace ends it.
fn split_group(text: &str) -> Vec<String> {
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(String::new());
                continue;
            }
            _ => {}
        }
        members.last_mut().expect("never empty").push(c);
    }
    members.into_iter().filter(|member| !member.trim().is_empty()).collect()
}

/// Module, file and text of every source file.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found
        .into_iter()
        .map(|file| {
            let relative = file.strip_prefix(&root).expect("inside");
            let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
            let text = fs::read_to_string(&file).expect("a source file");
            (first.trim_end_matches(".rs").to_owned(), file.clone(), text)
        })
        .collect()
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_test_sees_groups_and_nesting() {
    let text = "use crate::{a, b::{c, d::e}};\nuse crate::f::g;\n// use crate::h;\nlet x = crate::i::j();";
    let modules: Vec<String> = imports(text).into_iter().map(|(module, rest)| module + &rest).collect();
    assert_eq!(modules, ["a", "b::c", "b::d::e", "f::g", "i::j"]);
    assert!(!may_import("semantics", "cache", "::key"));
    assert!(!may_import("request", "origin", "::Origin"));
}
