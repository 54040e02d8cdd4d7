//! What must hold whatever is said, on the same random exchanges and on plain soup.

use forebay::base::clock::Timestamp;
use forebay::semantics::cache_control::{CacheControl, qualified_fields};
use forebay::semantics::cache_status::{CacheStatus, Forward};
use forebay::semantics::coding::accepts_coding;
use forebay::semantics::etag::{ETag, tag_list};
use forebay::semantics::freshness::{self, State};
use forebay::semantics::policy::Policy;
use forebay::semantics::request_directives::RequestDirectives;
use forebay::semantics::storage::{self, Judgement, RequestFacts};
use forebay::semantics::targeted::TargetList;
use forebay::semantics::vary::VarySet;
use forebay::semantics::{fields, validation};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use sfv::{BareItem, ListEntry, Parser};

use super::generate::Case;
use super::ours;

fn judge(case: &Case) -> Option<storage::Storable> {
    let exchange = &case.exchange;
    let headers = exchange.request.headers();
    let judgement = storage::judge(
        &RequestFacts { method: &Method::from_bytes(exchange.method.as_bytes()).unwrap(), headers: &headers },
        StatusCode::from_u16(exchange.status).unwrap(),
        &exchange.response.headers(),
        &ours::policy(&case.site),
        Timestamp::from_millis(exchange.sent),
        Timestamp::from_millis(exchange.received),
    );
    match judgement {
        Judgement::Store(storable) => Some(storable),
        Judgement::Refuse(_) => None,
    }
}

#[test]
fn an_answer_to_one_credential_is_stored_only_if_it_says_that_it_is_for_others() {
    let mut stored = 0;
    for seed in 0..20_000 {
        let mut case = Case::numbered(seed);
        case.exchange.request.push("authorization", "Bearer one");
        if judge(&case).is_none() {
            continue;
        }
        stored += 1;
        let said: Vec<String> =
            case.exchange.response.0.iter().map(|(_, value)| value.to_ascii_lowercase()).collect();
        let words = ["public", "s-maxage", "must-revalidate"];
        let says_so = said.iter().any(|text| words.iter().any(|word| text.contains(word)));
        assert!(says_so, "case {seed}: {case:#?}");
    }
    assert!(stored > 500, "only {stored} were stored");
}

#[test]
fn another_value_of_a_field_in_vary_is_another_variant() {
    let mut compared = 0;
    for seed in 0..20_000 {
        let case = Case::numbered(seed);
        let Some(vary) = VarySet::of(&case.exchange.response.headers()) else { continue };
        let request = case.exchange.request.headers();
        for name in vary.names() {
            let mut other = request.clone();
            other.append(name, HeaderValue::from_static("zz-other"));
            assert!(!vary.selects_same(&request, &other), "case {seed}: {name}");
            assert_ne!(vary.values(&request), vary.values(&other), "case {seed}: {name}");
            compared += 1;
        }
    }
    assert!(compared > 5_000, "only {compared} were compared");
}

#[test]
fn age_only_grows_and_what_is_stale_never_turns_fresh() {
    for seed in 0..20_000 {
        let case = Case::numbered(seed);
        let Some(storable) = judge(&case) else { continue };
        let freshness = storable.terms.freshness;
        let mut moments = [
            0,
            case.exchange.received,
            case.now,
            case.now.saturating_add(1),
            1 << 45,
            u64::MAX - 1,
            u64::MAX,
        ];
        moments.sort_unstable();
        let states = moments.map(|millis| {
            let now = Timestamp::from_millis(millis);
            (freshness.age(now), matches!(freshness.state(now), State::Fresh { .. }))
        });
        assert!(
            states.is_sorted_by(|before, after| before.0 <= after.0 && before.1 >= after.1),
            "case {seed}: {states:?}"
        );
    }
}

/// Names that the rules look at, and one that they do not.
fn name() -> impl Strategy<Value = HeaderName> {
    let names = [
        "accept-encoding",
        "age",
        "authorization",
        "cache-control",
        "cdn-cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "cookie",
        "date",
        "etag",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "last-modified",
        "pragma",
        "set-cookie",
        "surrogate-control",
        "vary",
        "x-a",
    ];
    prop::sample::select(names.map(HeaderName::from_static).to_vec())
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop::collection::vec(
        prop_oneof![0x20..=0x7e_u8, 0x80..=0xff_u8, Just(b'\t'), Just(b'"'), Just(b',')],
        0..40,
    );
    bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

fn soup() -> impl Strategy<Value = HeaderMap> {
    prop::collection::vec((name(), value()), 0..12).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_soup_of_fields_panics(
        request in soup(), response in soup(), status in 100..=999_u16, sent: u64, received: u64, now: u64,
    ) {
        let targets = TargetList::default();
        let cc = CacheControl::ruling(&response, &targets);
        let _ = (qualified_fields(&response, &targets), cc.names_fields(), RequestDirectives::of(&request));
        let (sent, received, now) =
            (Timestamp::from_millis(sent), Timestamp::from_millis(received), Timestamp::from_millis(now));
        let _ = (freshness::lifetime(&response, &cc, received), freshness::unchanged_for(&response, received));
        let facts = RequestFacts { method: &Method::GET, headers: &request };
        let status = StatusCode::from_u16(status).unwrap();
        let judged = storage::judge(&facts, status, &response, &Policy::default(), sent, received);
        if let Judgement::Store(storable) = judged {
            let _ = storable.terms.freshness.state(now);
        }
        let _ = storage::is_personal(&request, &Policy::default());
        let _ = (accepts_coding(&request, &response), fields::announced_length(&response));
        let _ = fields::connection_names(&request, "close");
        let _ = validation::evaluate(&request, &response);
        let _ = (validation::confirms(&request, &response), validation::not_modified_fields(&response));
        let mut stripped = validation::update_stored(&response, &request);
        fields::strip_hop_by_hop(&mut stripped);
        prop_assert!(!stripped.contains_key("connection"));
        let mut asking = request.clone();
        let asks = validation::add_validators(&mut asking, &response);
        prop_assert_eq!(asks, validation::has_validator(&response));
        if let Some(vary) = VarySet::of(&response) {
            prop_assert!(vary.selects_same(&request, &request));
            prop_assert_eq!(&VarySet::of_names(vary.names().iter().cloned()), &vary);
        }
    }

    #[test]
    fn a_tag_that_is_written_reads_back(tag in "[!#-~]{0,12}", weak: bool) {
        let text = format!("{}\"{tag}\"", if weak { "W/" } else { "" });
        let read = ETag { weak, tag: tag.as_bytes() };
        prop_assert_eq!(ETag::parse(text.as_bytes()), Some(read));
        let list = format!("x, {text} ,, {text}");
        prop_assert_eq!(tag_list(list.as_bytes()).collect::<Vec<_>>(), vec![read, read]);
    }

    #[test]
    fn a_cache_status_that_is_written_reads_back(
        name in "[ -~]{1,12}", key in prop::option::of("[ -~]{1,12}"), hit: bool, stored: bool, collapsed: bool, ttl in prop::option::of(-1_000_000_i64..1_000_000),
        fwd in prop::option::of(0..Forward::ALL.len()), fwd_status in prop::option::of(100..=999_u16),
    ) {
        let forward = fwd.map(|place| Forward::ALL[place]);
        let forward_status = fwd_status.map(|status| StatusCode::from_u16(status).unwrap());
        let status = CacheStatus { hit, forward, forward_status, ttl, stored, collapsed, ..CacheStatus::default() };
        let mut headers = HeaderMap::new();
        status.append_to(&name, key.as_deref(), &mut headers);
        let list: sfv::List = Parser::new(headers["cache-status"].as_bytes()).parse().unwrap();
        let [ListEntry::Item(item)] = &list[..] else { panic!("one member") };
        match &item.bare_item {
            BareItem::String(text) => prop_assert_eq!(text.as_str(), &name),
            BareItem::Token(text) => prop_assert_eq!(text.as_str(), &name),
            other => panic!("{other:?}"),
        }
        let flag = |name: &str| item.params.get(name) == Some(&BareItem::Boolean(true));
        prop_assert_eq!((flag("hit"), flag("stored"), flag("collapsed")), (hit, stored, collapsed));
        let integer = |name: &str| match item.params.get(name) {
            Some(BareItem::Integer(number)) => Some(i64::from(*number)),
            _ => None,
        };
        prop_assert_eq!((integer("ttl"), integer("fwd-status")), (ttl, fwd_status.map(i64::from)));
        let told_key = match item.params.get("key") {
            Some(BareItem::String(text)) => Some(text.as_str().to_owned()),
            Some(BareItem::Token(text)) => Some(text.as_str().to_owned()),
            _ => None,
        };
        prop_assert_eq!(told_key, key);
        let told = match item.params.get("fwd") {
            Some(BareItem::Token(token)) => Some(token.as_str().to_owned()),
            _ => None,
        };
        prop_assert_eq!(told.as_deref(), forward.map(Forward::name));
    }
}
