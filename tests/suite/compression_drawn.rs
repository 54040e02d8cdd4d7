//! What the property of compression draws: rules of a site, resources of an origin, and what clients do.

use std::time::Duration;

use forebay::base::units::ByteSize;
use forebay::config::file::CodingName;
use forebay::config::{Configuration, Settings};
use proptest::prelude::*;

use crate::compression_model::MADE;
use crate::rig::settings;

pub const PAGES: usize = 2;

/// What the site says.
#[derive(Clone, Debug)]
pub struct Rules {
    pub codings: Vec<&'static str>,
    pub least: usize,
    pub types: Option<&'static str>,
    pub personal: bool,
    pub fast: u8,
    pub dense: u8,
}

impl Rules {
    pub fn settings(&self) -> Settings {
        let mut written = Configuration::default();
        written.only_site(vec!["http://origin.test".parse().unwrap()]);
        written.memory.limit = ByteSize::mib(128);
        // What is stale is confirmed before it is sent: two answers at one time are of one version.
        written.cache.grace = Duration::ZERO;
        let rules = &mut written.compression;
        rules.codings = self.codings.iter().map(|name| coding_name(name)).collect();
        rules.min_length = format!("{}B", self.least).parse().expect("a size");
        rules.types = self.types.map_or_else(|| rules.types.clone(), |types| vec![types.to_owned()]);
        rules.personal = self.personal;
        (rules.fast_br, rules.fast_zstd, rules.fast_gzip) = (self.fast, self.fast, self.fast);
        (rules.dense_br, rules.dense_zstd, rules.dense_gzip) = (self.dense, self.dense, self.dense);
        let sites = Settings::compile(&written).expect("settings").sites;
        Settings { sites, ..settings("http://origin.test") }
    }

    /// Whether a type is one of those that are coded.
    pub fn has_type(&self, page: &Page) -> bool {
        let essence = page.kind.split(';').next().unwrap_or_default();
        let by_default =
            essence.starts_with("text/") || essence.ends_with("+xml") || essence == "application/json";
        match self.types {
            None => by_default,
            Some(types) => match (types.strip_suffix('*'), types.strip_prefix('*')) {
                (Some(begin), _) => essence.starts_with(begin),
                (_, Some(end)) => essence.ends_with(end),
                _ => essence == types,
            },
        }
    }
}

pub fn coding_name(name: &str) -> CodingName {
    match name {
        "br" => CodingName::Brotli,
        "zstd" => CodingName::Zstd,
        _ => CodingName::Gzip,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    Strong,
    Weak,
    /// A strong one that looks as if Forebay had made it.
    LikeOurs,
    Malformed,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Text,
    Noise,
    Repeats,
    /// Coded bytes under a type of text.
    Zipped,
}

/// A resource of the origin.
#[derive(Clone, Debug)]
pub struct Page {
    pub kind: &'static str,
    pub content: Content,
    pub length: usize,
    pub sharing: &'static str,
    pub validator: Validator,
    /// Codings that the origin puts on by itself.
    pub coded: &'static [&'static str],
    /// Whether it does so for those alone who take them.
    pub heeds: bool,
    pub digest: bool,
    /// None: with its length. Otherwise in so many chunks.
    pub chunks: Option<usize>,
}

#[derive(Clone, Debug)]
pub enum Step {
    Ask(Asking),
    /// The last question once more, without conditions: a hit, and the one that has a coding stored.
    Again,
    /// A HEAD, and whether it says what a GET does.
    Compare(usize, Vec<String>),
    /// Waits until what was asked for is stored in its codings.
    Press,
    /// Another version; and whether what the cache has is stale then.
    Change(usize, bool),
    Pass(u64),
}

#[derive(Clone, Debug, Default)]
pub struct Asking {
    pub page: usize,
    pub accept: Vec<String>,
    /// Tags that were seen before, counted from the last.
    pub known: Vec<usize>,
    pub range: Option<(usize, usize)>,
    pub no_transform: bool,
}

pub fn accept() -> impl Strategy<Value = Vec<String>> {
    let name = prop::sample::select(vec![
        "br", "zstd", "gzip", "br", "zstd", "gzip", "deflate", "identity", "*", "x-gzip", "GZip", "Br",
        "x-br", "compress", "dcb", "a-word", "",
    ]);
    let weight = prop::sample::select(vec![
        "",
        "",
        "",
        "",
        ";q=0",
        ";q=0.0",
        ";q=0.001",
        ";q=0.5",
        ";q=1",
        ";q=1.000",
        "; Q=0.3",
        " ; q=0.7",
        ";q=2",
        ";q=",
        ";q=.5",
        ";q=0.1234",
        ";q=1.1",
        ";level=3",
        ";q=0.5;x=1",
        ";q=\"1\"",
        ";",
        ";q=-1",
    ]);
    let member = (name, weight).prop_map(|(name, weight)| format!("{name}{weight}"));
    let joined = (prop::collection::vec(member, 0..6), prop::sample::select(vec![", ", ",", " ,, "]));
    let usual = prop::sample::select(vec![
        "gzip, deflate, br, zstd",
        "gzip, deflate, br",
        "gzip, deflate",
        "br",
        "zstd",
        "gzip",
        "zstd, gzip;q=0.5",
        "br;q=1.0, gzip;q=0.8, *;q=0.1",
        "*",
    ]);
    let uncoded =
        prop::sample::select(vec!["identity", "identity;q=0", "identity;q=0, *;q=0", "gzip;q=0, *", ""]);
    let line = prop_oneof![
        3 => joined.prop_map(|(members, by)| members.join(by)),
        8 => usual.prop_map(str::to_owned),
        2 => uncoded.prop_map(str::to_owned),
        1 => "[a-z0-9;=*,. \"]{0,24}",
    ];
    prop_oneof![
        1 => Just(Vec::new()),
        14 => line.clone().prop_map(|line| vec![line]),
        1 => prop::collection::vec(line, 2..3),
    ]
}

pub fn rules() -> impl Strategy<Value = Rules> {
    let many = prop::sample::select(vec![0, 1, 2, 3, 3, 3, 3, 3, 3, 3]);
    let codings = (Just(MADE.to_vec()).prop_shuffle(), many);
    let codings = codings.prop_map(|(all, many)| all.into_iter().take(many).collect());
    let types = prop_oneof![
        8 => Just(None),
        1 => prop::sample::select(vec![Some("text/html"), Some("application/*"), Some("*+xml")]),
    ];
    let level = || prop::sample::select(vec![1_u8, 3, 5]);
    let least = prop::sample::select(vec![0, 1, 100, 1024]);
    (codings, least, types, any::<bool>(), level(), level()).prop_map(
        |(codings, least, types, personal, fast, dense)| Rules {
            codings,
            least,
            types,
            personal,
            fast,
            dense,
        },
    )
}

pub fn page() -> impl Strategy<Value = Page> {
    let kind = prop_oneof![
        4 => prop::sample::select(vec!["text/html; charset=utf-8", "text/html"]),
        2 => prop::sample::select(vec!["text/css", "application/json", "image/svg+xml"]),
        1 => Just("image/png"),
    ];
    let content = prop_oneof![
        6 => Just(Content::Text),
        1 => prop::sample::select(vec![Content::Noise, Content::Repeats, Content::Zipped]),
    ];
    let length =
        prop_oneof![1 => Just(0), 1 => 1..120_usize, 12 => 900..4_000_usize, 2 => 4_000..60_000_usize];
    let others =
        prop::sample::select(vec!["private, max-age=5", "no-store", "max-age=5, no-transform", "no-cache"]);
    let sharing = prop_oneof![4 => Just("max-age=5"), 1 => others];
    let validator = prop_oneof![
        4 => Just(Validator::Strong),
        1 => Just(Validator::LikeOurs),
        1 => prop::sample::select(vec![Validator::Weak, Validator::None, Validator::Malformed]),
    ];
    let codings: Vec<&'static [&'static str]> = vec![
        &["gzip"],
        &["br"],
        &["zstd"],
        &["deflate"],
        &["gzip", "br"],
        &["zstd", "gzip"],
        &["a-word"],
        &["identity"],
    ];
    let uncoded: &'static [&'static str] = &[];
    let coded = prop_oneof![4 => Just(uncoded), 1 => prop::sample::select(codings)];
    let chunks = prop_oneof![2 => Just(None), 1 => (1..5_usize).prop_map(Some)];
    let origin = (coded, any::<bool>(), prop::bool::weighted(0.05), chunks);
    (kind, content, length, sharing, validator, origin).prop_map(
        |(kind, content, length, sharing, validator, (coded, heeds, digest, chunks))| Page {
            kind,
            content,
            length,
            sharing,
            validator,
            coded,
            heeds,
            digest,
            chunks,
        },
    )
}

pub fn step() -> impl Strategy<Value = Step> {
    let known = prop_oneof![3 => Just(Vec::new()), 4 => prop::collection::vec(0..6_usize, 1..3)];
    let range = prop_oneof![8 => Just(None), 1 => (0..1_000_usize, 0..2_000_usize).prop_map(Some)];
    let asking = (0..PAGES, accept(), known, range, prop::bool::weighted(0.05)).prop_map(
        |(page, accept, known, range, no_transform)| Asking { page, accept, known, range, no_transform },
    );
    prop_oneof![
        8 => asking.prop_map(Step::Ask),
        10 => Just(Step::Again),
        6 => Just(Step::Press),
        1 => (0..PAGES, accept()).prop_map(|(page, accept)| Step::Compare(page, accept)),
        2 => (0..PAGES, any::<bool>()).prop_map(|(page, is_stale)| Step::Change(page, is_stale)),
        1 => (1..7_u64).prop_map(Step::Pass),
    ]
}
