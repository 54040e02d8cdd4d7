//! Random interleavings of clients, origin behaviour and drops through the whole machine: every reader gets the
//! exact bytes or an error, never a wrong whole, and never what was meant for another.
//!
//! `FOREBAY_CASES` sets how many cases are run (see `docs/proofs.md`).

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::DuplexStream;

use crate::rig::{Pipes, settings};
use crate::support::bytes::{Verify, pattern};
use crate::support::client::Client;
use crate::support::origin::{Act, SeenRequest, chunk, head, last_chunk};
use crate::support::{ms, within};

/// More than a block, so that one is sealed on the way.
const LARGE: usize = (1 << 20) + 70_000;

/// What is larger is not stored.
const MAX_OBJECT: usize = 1_500_000;

/// How the origin treats one request.
#[derive(Clone, Debug)]
struct Behaviour {
    wait: u64,
    sharing: Sharing,
    length: usize,
    chunked: bool,
    /// Pauses between pieces of the body, in milliseconds.
    pause: u64,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    MaxAge,
    VaryLanguage,
    NoStore,
    Private,
    SetCookie,
    NoCache,
    NoWord,
    TooLarge,
    /// Fresh for a second, then confirmed or replaced.
    Validated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    BeforeHead,
    /// Breaks off after this part of the body, in percent.
    InBody(usize),
    Stall(usize),
    Error,
}

/// What one client does.
#[derive(Clone, Debug)]
struct Visitor {
    arrives: u64,
    path: bool,
    german: bool,
    head: bool,
    authorized: bool,
    leaves: Option<u64>,
    slow: bool,
    /// Seconds by which the clock moves on when it arrives.
    later: u64,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let sharing = prop_oneof![
        4 => Just(Sharing::MaxAge),
        2 => Just(Sharing::VaryLanguage),
        1 => Just(Sharing::NoStore),
        1 => Just(Sharing::Private),
        1 => Just(Sharing::SetCookie),
        1 => Just(Sharing::NoCache),
        1 => Just(Sharing::NoWord),
        1 => Just(Sharing::TooLarge),
        3 => Just(Sharing::Validated),
    ];
    let fault = prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::BeforeHead),
        1 => (0..100_usize).prop_map(Fault::InBody),
        1 => (0..100_usize).prop_map(Fault::Stall),
        1 => Just(Fault::Error),
    ];
    let length =
        prop_oneof![2 => Just(0), 4 => 1..20_000_usize, 4 => 20_000..400_000_usize, 1 => Just(LARGE)];
    (0..300_u64, sharing, length, any::<bool>(), 0..40_u64, fault).prop_map(
        |(wait, sharing, length, chunked, pause, fault)| Behaviour {
            wait,
            sharing,
            length,
            chunked,
            pause,
            fault,
        },
    )
}

fn visitor() -> impl Strategy<Value = Visitor> {
    let leaves = prop_oneof![3 => Just(None), 1 => (0..600_u64).prop_map(Some)];
    let rarely = || prop::bool::weighted(0.1);
    let later = prop_oneof![2 => Just(0), 1 => 1..3_u64];
    (0..800_u64, any::<bool>(), any::<bool>(), rarely(), rarely(), leaves, any::<bool>(), later).prop_map(
        |(arrives, path, german, head, authorized, leaves, slow, later)| Visitor {
            arrives,
            path,
            german,
            head,
            authorized,
            leaves,
            slow,
            later,
        },
    )
}

/// Every answer tells its seed, its length, whom it was made for and in which language, so that a client can tell
/// a wrong one.
fn answer(request: &SeenRequest, nth: usize, behaviour: &Behaviour) -> Vec<Act> {
    let wait = Act::Wait(ms(behaviour.wait));
    if behaviour.fault == Fault::BeforeHead {
        return vec![wait, Act::Reset];
    }
    if behaviour.sharing == Sharing::Validated
        && nth.is_multiple_of(2)
        && let Some(known) = request.header("if-none-match")
    {
        return vec![wait, head("304 Not Modified", &[("ETag", known), ("Cache-Control", "max-age=1")])];
    }
    let length = if behaviour.sharing == Sharing::TooLarge { MAX_OBJECT + 100_000 } else { behaviour.length };
    // The head of an answer to HEAD becomes that of what is stored if both have one length and no validator (RFC 9111
    // section 4.3.5), and would then tell another seed than the content has.
    let length = if request.method == "HEAD" { length + 1 } else { length };
    let body = pattern(nth as u64, length);
    let echo = |name| request.header(name).unwrap_or("none").to_owned();
    let mut fields = vec![
        ("X-Seed", nth.to_string()),
        ("X-Length", length.to_string()),
        ("X-Client", echo("x-client")),
        ("X-Language", echo("accept-language")),
        ("X-Path", request.target.clone()),
    ];
    fields.extend(sharing_fields(behaviour.sharing));
    if behaviour.sharing == Sharing::Validated {
        fields.push(("ETag", format!("\"{nth}\"")));
    }
    fields.push(if behaviour.chunked {
        ("Transfer-Encoding", "chunked".to_owned())
    } else {
        ("Content-Length", length.to_string())
    });
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let status = if behaviour.fault == Fault::Error { "503 Service Unavailable" } else { "200 OK" };
    let mut acts = vec![wait, head(status, &fields)];
    let (sent, end) = match behaviour.fault {
        Fault::InBody(percent) => (length * percent / 100, Some(Act::Reset)),
        Fault::Stall(percent) => (length * percent / 100, Some(Act::Stall)),
        _ => (length, None),
    };
    for piece in body.slice(..sent).chunks(50_000) {
        acts.push(Act::Wait(ms(behaviour.pause)));
        acts.push(if behaviour.chunked { chunk(piece) } else { Act::send(piece.to_vec()) });
    }
    match end {
        Some(end) => acts.push(end),
        None if behaviour.chunked => acts.push(last_chunk(&[])),
        None => {}
    }
    acts
}

fn sharing_fields(sharing: Sharing) -> Vec<(&'static str, String)> {
    let cache_control = |value: &str| ("Cache-Control", value.to_owned());
    match sharing {
        Sharing::MaxAge | Sharing::TooLarge => vec![cache_control("max-age=60")],
        Sharing::VaryLanguage => vec![cache_control("max-age=60"), ("Vary", "Accept-Language".to_owned())],
        Sharing::Validated => vec![cache_control("max-age=1")],
        Sharing::NoStore => vec![cache_control("no-store")],
        Sharing::Private => vec![cache_control("private, max-age=60")],
        Sharing::SetCookie => vec![cache_control("max-age=60"), ("Set-Cookie", "a=b".to_owned())],
        Sharing::NoCache => vec![cache_control("no-cache"), ("ETag", "\"never the same\"".to_owned())],
        Sharing::NoWord => Vec::new(),
    }
}

/// One client's visit: checks every byte and everything that the answer says of itself.
async fn visit(mut client: Client<DuplexStream>, id: usize, visitor: &Visitor) -> Result<(), TestCaseError> {
    let path = if visitor.path { "/a" } else { "/b" };
    let language = if visitor.german { "de" } else { "en" };
    let me = id.to_string();
    let mut fields = vec![("X-Client", me.as_str()), ("Accept-Language", language)];
    if visitor.authorized {
        fields.push(("Authorization", me.as_str()));
    }
    client.request(if visitor.head { "HEAD" } else { "GET" }, path, &fields, b"").await;
    let Some(head) = client.try_head().await else { return Ok(()) };
    let Some(seed) = head.header("x-seed") else {
        prop_assert!(matches!(head.status, 502..=504), "{head:?}");
        return Ok(());
    };
    prop_assert_eq!(head.header("x-path"), Some(path));
    let says = |name, what: &str| head.header(name).is_some_and(|value| value.contains(what));
    let for_me = head.header("x-client") == Some(&me);
    let shareable =
        says("cache-control", "max-age") && !says("cache-control", "private") && !says("set-cookie", "a");
    prop_assert!(for_me || shareable, "another's answer: {:?}", head);
    if says("vary", "Accept-Language") {
        prop_assert_eq!(head.header("x-language"), Some(language));
    }
    let mut verify = Verify::new(seed.parse().expect("a number"));
    while let Some(bytes) = client.read_chunk().await {
        verify.check(&bytes).map_err(TestCaseError::fail)?;
        if visitor.slow {
            tokio::time::sleep(ms(20)).await;
        }
    }
    if client.is_complete() && !visitor.head {
        let length: u64 = head.header("x-length").expect("told").parse().expect("a number");
        prop_assert_eq!(verify.position(), length, "a part was presented as whole");
    }
    Ok(())
}

async fn run(behaviours: Vec<Behaviour>, visitors: Vec<Visitor>, budget: u64) -> Result<(), TestCaseError> {
    let mut settings = settings("http://origin.test");
    settings.fetch.max_object = MAX_OBJECT as u64;
    settings.memory.budget = budget;
    let rig = Arc::new(Pipes::with(settings, move |request, nth| {
        answer(request, nth, &behaviours[nth % behaviours.len()])
    }));
    let mut visits = tokio::task::JoinSet::new();
    for (id, visitor) in visitors.into_iter().enumerate() {
        let rig = Arc::clone(&rig);
        visits.spawn(async move {
            tokio::time::sleep(ms(visitor.arrives)).await;
            rig.clock.advance(Duration::from_secs(visitor.later));
            let visit = visit(rig.client(), id, &visitor);
            match visitor.leaves {
                Some(after) => tokio::time::timeout(ms(after), visit).await.unwrap_or(Ok(())),
                None => visit.await,
            }
        });
    }
    while let Some(visit) = within(Duration::from_hours(1), visits.join_next()).await {
        visit.expect("no panic")?;
    }
    rig.quiet().await;
    rig.origin.stop();
    Ok(())
}

fn cases() -> u32 {
    std::env::var("FOREBAY_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn every_reader_gets_the_exact_bytes_or_an_error(
        behaviours in prop::collection::vec(behaviour(), 1..6),
        visitors in prop::collection::vec(visitor(), 1..14),
        budget in prop_oneof![2 => Just(64 << 20), 1 => 600_000_u64..3_000_000],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(run(behaviours, visitors, budget))?;
    }
}
