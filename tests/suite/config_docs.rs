//! The files in `config/` and the reference, which are made from the declarations of the tables.

use std::fs;
use std::path::{Path, PathBuf};

use forebay::config::file::{Configuration, Pool, Report, Site, full_toml, reference};

/// Set, the generated files are written anew.
const WRITE: &str = "FOREBAY_WRITE_DOCS";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_generated(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(&file, text).expect("written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "{path} is out of date: {WRITE}=1 cargo nextest run config_docs writes it anew");
}

#[test]
fn the_full_configuration_is_what_the_tables_say() {
    is_generated("config/full.toml", &full_toml());
}

#[test]
fn the_reference_is_what_the_tables_say() {
    is_generated("docs/CONFIGURATION.md", &reference());
}

#[test]
fn the_full_configuration_is_the_default() {
    let full =
        Configuration::load(&root().join("config/full.toml")).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(full, Configuration::default());
}

/// The examples in it, without their mark; but for certificates, which are in files that are not there.
pub fn full_with_examples() -> String {
    const NOT_THERE: [&str; 3] = ["[certificates.example]", "chain = ", "key = "];
    let text = full_toml();
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(example) if NOT_THERE.iter().any(|begin| example.starts_with(begin)) => line,
        Some(example) if !example.is_empty() && !example.starts_with(' ') => example,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_examples_in_it_are_the_defaults_of_sites_and_pools() {
    let Report { configuration, complaints, .. } =
        Configuration::read_text(Path::new("full.toml"), &full_with_examples());
    let mut all = configuration.unwrap_or_else(|| panic!("{complaints}"));
    let mut site = all.sites.remove("example").expect("a site");
    let mut pool = all.pools.remove("example").expect("a pool");
    assert_eq!(all, Configuration::default());
    assert_eq!((site.hosts.len(), site.pool.as_deref()), (2, Some("example")));
    site.hosts.clear();
    site.pool = None;
    assert_eq!(site, Site::default());
    assert_eq!((pool.endpoints.len(), pool.send_fields.len()), (2, 1));
    pool.endpoints.clear();
    pool.send_fields.clear();
    assert_eq!(pool, Pool::default());
}

#[test]
fn every_file_in_config_is_well() {
    let mut seen = 0;
    for file in
        ["minimal.toml", "full.toml", "example/forebay.toml"].map(|name| root().join("config").join(name))
    {
        let Report { configuration, complaints, .. } = Configuration::read(&file);
        assert!(complaints.is_empty(), "{complaints}");
        reads_back(&configuration.expect("well"));
        seen += 1;
    }
    // What these do not include is looked at too, as far as it stands alone.
    let tops = fs::read_dir(root().join("config")).expect("a directory").filter(|entry| {
        entry.as_ref().expect("an entry").path().extension().is_some_and(|extension| extension == "toml")
    });
    assert_eq!(tops.count() + 1, seen, "name every file of config/ here");
}

/// What is shown of a configuration is the same configuration.
pub fn reads_back(configuration: &Configuration) {
    let shown = configuration.to_toml();
    let again = Configuration::read_text(&PathBuf::from("/shown.toml"), &shown);
    let again = again.configuration.unwrap_or_else(|| panic!("{}\n{shown}", again.complaints));
    assert_eq!(&again, configuration, "{shown}");
}

#[test]
fn the_default_reads_back() {
    reads_back(&Configuration::default());
}

#[test]
fn a_site_says_otherwise_than_the_rest() {
    let configuration = Configuration::load(&root().join("config/example/forebay.toml")).expect("well");
    let blog = configuration.cache_of(&configuration.sites["blog"]);
    assert_eq!(blog.default_lifetime, Some(std::time::Duration::from_mins(5)));
    assert_eq!(blog.ignored_query, ["utm_*", "fbclid", "gclid"]);
    let shop = configuration.cache_of(&configuration.sites["shop"]);
    assert_eq!(shop.default_lifetime, Some(std::time::Duration::from_secs(30)));
    assert_eq!(shop.personal_cookies, ["session", "basket"]);
    assert_eq!(configuration.pool_of(&configuration.sites["shop"]).expect("a pool").retries, 1);
    assert_eq!(configuration.pool_of(&configuration.sites["blog"]).expect("a pool").endpoints.len(), 1);
}
