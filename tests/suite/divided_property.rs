//! Random ranges of one large file whose origin changes it, dies, lies and fails at random: whatever comes out is of one
//! version, and of the one that it says.

use proptest::prelude::*;
use tokio::io::DuplexStream;

use crate::disk_rig::from_environment;
use crate::rig::{Pipes, settings};
use crate::support::bytes::pattern_at;
use crate::support::client::Client;
use crate::support::ranged::{Lie, MOST_REQUESTS, Ranged};

const BLOCK: u64 = 1 << 20;
/// Lengths that end in the middle of a block, at its end, and a byte behind it.
const LENGTHS: [u64; 4] = [5 * BLOCK + 777, 20 * BLOCK, 18 * BLOCK + 1, 3 * BLOCK - 1];
const LIES: [Lie; 3] = [
    |first, last| format!("bytes {}-{}/{}", first + 1, last + 1, 99 * BLOCK),
    // One more than comes. What lies of the length alone cannot be found out before something else says another.
    |first, last| format!("bytes {first}-{}/{}", last + 1, last + 2),
    |_, _| "bytes 0-0/*".to_owned(),
];

#[derive(Clone, Debug)]
enum Step {
    /// A client asks for this, and leaves after so many bytes if it is to.
    Ask {
        range: Option<String>,
        leaves_after: Option<u64>,
        condition: bool,
    },
    /// Two ask at once.
    Together(String, String),
    /// The origin has another version from now on.
    Change(usize),
    Die(u64),
    Fail(u32),
    Lie(usize),
    NoRanges,
    Recover,
    Wait(u64),
    Purge,
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..21 * BLOCK,
        (0..21_u64, 0..5_u64).prop_map(|(block, near)| (block * BLOCK + near).saturating_sub(2)),
    ]
}

fn range() -> impl Strategy<Value = String> {
    let length = || prop_oneof![1..200_u64, 1..3 * BLOCK];
    let spec = prop_oneof![
        4 => (offset(), length()).prop_map(|(first, length)| format!("{first}-{}", first + length - 1)),
        1 => offset().prop_map(|first| format!("{first}-")),
        1 => length().prop_map(|length| format!("-{length}")),
    ];
    prop_oneof![
        5 => spec.clone().prop_map(|spec| format!("bytes={spec}")),
        1 => prop::collection::vec(spec, 2..4).prop_map(|specs| format!("bytes={}", specs.join(","))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (range(), prop::option::weighted(0.2, 0..3 * BLOCK), prop::bool::weighted(0.2))
            .prop_map(|(range, leaves_after, condition)| Step::Ask { range: Some(range), leaves_after, condition }),
        1 => prop::option::weighted(0.5, 0..9 * BLOCK)
            .prop_map(|leaves_after| Step::Ask { range: None, leaves_after, condition: false }),
        3 => (range(), range()).prop_map(|(one, other)| Step::Together(one, other)),
        1 => (0..LENGTHS.len()).prop_map(Step::Change),
        2 => (0..3 * BLOCK).prop_map(Step::Die),
        1 => (1..3_u32).prop_map(Step::Fail),
        1 => (0..LIES.len()).prop_map(Step::Lie),
        1 => Just(Step::NoRanges),
        3 => Just(Step::Recover),
        1 => (1..100_u64).prop_map(Step::Wait),
        1 => Just(Step::Purge),
    ]
}

/// What is known of the origin: the length of each version, by its seed.
struct Model {
    lengths: Vec<u64>,
    /// No answer to who asks from now on is of an earlier version.
    least: u64,
}

impl Model {
    fn seed(&self) -> u64 {
        self.lengths.len() as u64
    }

    /// Reads an answer as far as it is wanted, and holds it against the version that it names.
    async fn check(
        &self,
        client: &mut Client<DuplexStream>,
        leaves_after: Option<u64>,
    ) -> Result<(), String> {
        let Some(head) = client.try_head().await else { return Err("no head".into()) };
        if head.status >= 500 || head.status == 304 {
            return Ok(());
        }
        let mut body = Vec::new();
        while leaves_after.is_none_or(|most| (body.len() as u64) < most)
            && let Some(chunk) = client.read_chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        if head.status == 416 {
            return Ok(());
        }
        let tag = head.header("etag").ok_or("no ETag")?;
        let seed: u64 = tag.trim_matches('"').trim_start_matches('v').parse().map_err(|_| tag.to_owned())?;
        if seed < self.least {
            return Err(format!("version {seed} after a purge of what was before {}", self.least));
        }
        let length = self.lengths[usize::try_from(seed - 1).unwrap()];
        let content_range = head.header("content-range").map(str::to_owned);
        match (head.status, content_range) {
            (200, None) => same(seed, 0, length, &body, client.is_complete()),
            (206, Some(said)) => {
                let (first, last, complete) = part(&said).ok_or("no range")?;
                if complete != length {
                    return Err(format!("{said} of {length}"));
                }
                same(seed, first, last + 1, &body, client.is_complete())
            }
            (206, None) => {
                let kind = head.header("content-type").unwrap_or_default();
                let boundary = kind.split("boundary=").nth(1).ok_or("no boundary")?;
                parts(seed, length, &body, boundary, client.is_complete())
            }
            other => Err(format!("{other:?}")),
        }
    }
}

fn part(said: &str) -> Option<(u64, u64, u64)> {
    let (range, complete) = said.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, complete.parse().ok()?))
}

/// The bytes, or the first of them where the body broke off.
fn same(seed: u64, first: u64, end: u64, body: &[u8], complete: bool) -> Result<(), String> {
    let length = usize::try_from(end - first).unwrap();
    if body.len() > length || (complete && body.len() != length) {
        return Err(format!("{} bytes instead of {length}", body.len()));
    }
    let right = pattern_at(seed, first, body.len()) == body;
    if right { Ok(()) } else { Err(format!("bytes from {first} on are not of version {seed}")) }
}

/// Every part that there is of a multipart body.
fn parts(seed: u64, length: u64, mut body: &[u8], boundary: &str, complete: bool) -> Result<(), String> {
    let end = format!("--{boundary}--\r\n");
    loop {
        let skip = if body.starts_with(b"\r\n") { 2 } else { 0 };
        body = &body[skip..];
        if body == end.as_bytes() {
            return Ok(());
        }
        let Some(at) = body.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if complete { Err("it ends within its framing".into()) } else { Ok(()) };
        };
        let head = String::from_utf8_lossy(&body[..at]).into_owned();
        let said = head.lines().find_map(|line| line.strip_prefix("Content-Range: ")).ok_or("no range")?;
        let (first, last, said_length) = part(said).ok_or("no range")?;
        if said_length != length {
            return Err(format!("{said} of {length}"));
        }
        body = &body[at + 4..];
        let here = body.len().min(usize::try_from(last + 1 - first).unwrap());
        same(seed, first, last + 1, &body[..here], false)?;
        if (here as u64) < last + 1 - first {
            return if complete { Err("it ends within a part".into()) } else { Ok(()) };
        }
        body = &body[here..];
    }
}

async fn run(steps: &[Step]) -> Result<(), String> {
    let ranged = Ranged::new(1, LENGTHS[0]);
    let mut settings = settings("http://origin.test");
    // Some blocks go while others are still wanted.
    settings.memory.tier = 12 << 20;
    let pipes = Pipes::with(settings, ranged.script());
    let mut model = Model { lengths: vec![LENGTHS[0]], least: 1 };
    for (nth, step) in steps.iter().enumerate() {
        let told = |error: String| format!("step {nth}, {step:?}: {error}");
        match step {
            Step::Ask { range, leaves_after, condition } => {
                let mut client = pipes.client();
                let tag = format!("\"v{}\"", model.seed());
                let mut fields: Vec<(&str, &str)> = Vec::new();
                fields.extend(range.as_deref().map(|range| ("Range", range)));
                fields.extend(condition.then_some(("If-Range", &*tag)));
                client.request("GET", "/film", &fields, b"").await;
                model.check(&mut client, *leaves_after).await.map_err(told)?;
            }
            Step::Together(one, other) => {
                let (mut first, mut second) = (pipes.client(), pipes.client());
                first.request("GET", "/film", &[("Range", one)], b"").await;
                second.request("GET", "/film", &[("Range", other)], b"").await;
                let (one, other) =
                    tokio::join!(model.check(&mut first, None), model.check(&mut second, None));
                one.and(other).map_err(told)?;
            }
            Step::Change(length) => {
                model.lengths.push(LENGTHS[*length]);
                ranged.change(model.seed(), LENGTHS[*length]);
            }
            Step::Die(after) => ranged.die_after(*after),
            Step::Fail(times) => ranged.fail(*times),
            Step::Lie(lie) => ranged.lie(Some(LIES[*lie])),
            Step::NoRanges => ranged.do_ranges(false),
            Step::Recover => ranged.recover(),
            Step::Wait(seconds) => pipes.pass_time(*seconds),
            Step::Purge => {
                let mut client = pipes.client();
                client.request("DELETE", "/film", &[], b"").await;
                client.read_answer().await;
                model.least = model.seed();
            }
        }
        if ranged.asked().len() >= MOST_REQUESTS {
            return Err(format!("step {nth}, {step:?}: it asks without end: {:?}", ranged.asked().get(..20)));
        }
    }
    pipes.quiet().await;
    ranged.recover();
    pipes.pass_time(100_000);
    let mut client = pipes.client();
    client.request("GET", "/film", &[], b"").await;
    model.check(&mut client, None).await?;
    if client.is_complete() { Ok(()) } else { Err("at the end the whole is not to be had".into()) }
}

#[test]
fn no_answer_mixes_versions() {
    let cases = from_environment("FOREBAY_RANGE_CASES", 60);
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let steps = prop::collection::vec(step(), 1..25);
    runner
        .run(&steps, |steps| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .expect("a runtime");
            runtime.block_on(run(&steps)).map_err(TestCaseError::fail)
        })
        .unwrap();
}
