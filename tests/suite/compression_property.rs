//! Random clients, site rules and origins through the whole node: whoever is sent a coding takes it, it decodes to what the
//! origin has, and no strong validator is ever that of two sequences of bytes.
//!
//! `FOREBAY_CODING_RUNS` sets how many cases are run (see `docs/proofs.md`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::DuplexStream;

use crate::compression_drawn::{Asking, Content, PAGES, Page, Rules, Step, Validator, page, rules, step};
use crate::compression_model::{MADE, best, decoded, encoded, named, noise, takes, takes_plain, text};
use crate::disk_rig::from_environment;
use crate::rig::Pipes;
use crate::support::client::{Answer, Client};
use crate::support::ms;
use crate::support::origin::{Act, SeenRequest, chunk, head, last_chunk};

const VERSIONS: usize = 3;

// ---- the origin ----

/// What the origin sends of a version, coded or not.
#[derive(Clone, Debug)]
struct Sent {
    plain: Vec<u8>,
    bytes: Vec<u8>,
    codings: &'static [&'static str],
    tag: Option<String>,
}

/// Every version of a page: uncoded, and as the origin codes it.
async fn versions(nth: usize, page: &Page) -> Vec<[Sent; 2]> {
    let mut all = Vec::new();
    for version in 0..VERSIONS {
        let length = if page.length == 0 { 0 } else { page.length + version };
        let plain = match page.content {
            Content::Text => text(length),
            Content::Noise => noise(length),
            Content::Repeats => vec![b'a' + u8::try_from(version).expect("small"); length],
            Content::Zipped => encoded("gzip", &text(length)).await,
        };
        let mut bytes = plain.clone();
        for coding in page.coded {
            bytes = encoded(coding, &bytes).await;
        }
        let tag = |form: &str| {
            let text = format!("p{nth}v{version}{form}");
            match page.validator {
                Validator::Strong => Some(format!("\"{text}\"")),
                Validator::Weak => Some(format!("W/\"{text}\"")),
                Validator::LikeOurs => Some(format!("\"{text}~br.0123abcd\"")),
                Validator::Malformed => Some(text),
                Validator::None => None,
            }
        };
        let uncoded = Sent { bytes: plain.clone(), plain: plain.clone(), codings: &[], tag: tag("") };
        all.push([uncoded, Sent { plain, bytes, codings: page.coded, tag: tag(&page.coded.join("+")) }]);
    }
    all
}

/// What is there, and which version it is that the origin sends now.
struct World {
    pages: Vec<Page>,
    versions: Vec<Vec<[Sent; 2]>>,
    current: Vec<usize>,
}

impl World {
    fn answer(&self, request: &SeenRequest) -> Vec<Act> {
        let nth: usize = request.target.trim_start_matches('/').parse().expect("a page");
        let (page, version) = (&self.pages[nth], self.current[nth]);
        let accept: Vec<String> =
            request.header_all("accept-encoding").iter().map(|&line| line.into()).collect();
        let is_coded = !page.heeds || page.coded.iter().all(|coding| takes(&accept, coding));
        let sent = &self.versions[nth][version][usize::from(is_coded)];
        let form = format!("{version} {}", usize::from(is_coded));
        let mut fields = vec![("Cache-Control", page.sharing), ("X-Sent", &form)];
        if page.heeds && !page.coded.is_empty() {
            fields.push(("Vary", "Accept-Encoding"));
        }
        if let Some(tag) = &sent.tag {
            fields.push(("ETag", tag));
            let known = request.header_all("if-none-match").join(",");
            let opaque = tag.trim_start_matches("W/");
            if known.split(',').any(|known| known.trim().trim_start_matches("W/") == opaque) {
                return vec![head("304 Not Modified", &fields)];
            }
        }
        let (codings, length) = (sent.codings.join(", "), sent.bytes.len().to_string());
        fields.push(("Content-Type", page.kind));
        if !codings.is_empty() {
            fields.push(("Content-Encoding", &codings));
        }
        if page.digest {
            fields.push(("Repr-Digest", "sha-256=:AAAA:"));
        }
        fields.push(match page.chunks {
            Some(_) => ("Transfer-Encoding", "chunked"),
            None => ("Content-Length", &length),
        });
        let mut acts = vec![head("200 OK", &fields)];
        match page.chunks {
            _ if request.method == "HEAD" => {}
            None => acts.push(Act::send(sent.bytes.clone())),
            Some(many) => {
                for piece in sent.bytes.chunks(sent.bytes.len().div_ceil(many).max(1)) {
                    acts.extend([chunk(piece), Act::Wait(ms(5))]);
                }
                acts.push(last_chunk(&[]));
            }
        }
        acts
    }
}

// ---- a run ----

/// A tag that was given with content.
#[derive(Clone, Debug)]
struct Seen {
    page: usize,
    version: usize,
    tag: String,
    codings: Vec<String>,
}

/// What cases have come to, so that none of this shows nothing.
#[derive(Debug, Default)]
struct Came {
    streamed: [AtomicUsize; 3],
    stored: [AtomicUsize; 3],
    uncoded: AtomicUsize,
    unchanged: AtomicUsize,
    parts: AtomicUsize,
    compared: AtomicUsize,
}

struct Run<'a> {
    rules: &'a Rules,
    world: Arc<Mutex<World>>,
    pipes: Pipes,
    client: Option<Client<DuplexStream>>,
    /// What was asked for last.
    last: Asking,
    seen: Vec<Seen>,
    /// The newest version of each page that anybody was sent.
    newest: [usize; PAGES],
    /// The bytes, and the coding, that each strong tag of a page was given for.
    strong: HashMap<(usize, String), (String, Vec<u8>)>,
    came: &'a Came,
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Ask(asking) => {
                self.last = asking.clone();
                self.ask(asking).await
            }
            Step::Again => {
                let again = Asking { known: Vec::new(), range: None, ..self.last.clone() };
                self.ask(&again).await
            }
            Step::Compare(page, accept) => self.compare(*page, accept).await,
            Step::Press => {
                pressed(&self.pipes).await;
                Ok(())
            }
            Step::Change(page, is_stale) => {
                let mut world = self.world.lock().unwrap();
                world.current[*page] = (world.current[*page] + 1).min(VERSIONS - 1);
                if *is_stale {
                    self.pipes.pass_time(6);
                }
                Ok(())
            }
            Step::Pass(seconds) => {
                self.pipes.pass_time(*seconds);
                Ok(())
            }
        }
    }

    /// One request, on the one connection of the run.
    async fn send(
        &mut self,
        method: &str,
        page: usize,
        accept: &[String],
        more: &[(&str, String)],
    ) -> Answer {
        let mut client = self.client.take().unwrap_or_else(|| self.pipes.client());
        let mut fields: Vec<(&str, &str)> =
            accept.iter().map(|line| ("Accept-Encoding", line.as_str())).collect();
        fields.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
        client.request(method, &format!("/{page}"), &fields, b"").await;
        let answer = client.read_answer().await;
        self.pipes.quiet().await;
        if answer.complete && answer.header("connection") != Some("close") {
            assert!(client.unread().is_empty(), "bytes behind an answer: {answer:?}");
            self.client = Some(client);
        }
        answer
    }

    async fn ask(&mut self, asking: &Asking) -> Result<(), String> {
        let mut more = Vec::new();
        let of_page: Vec<Seen> =
            self.seen.iter().rev().filter(|seen| seen.page == asking.page).cloned().collect();
        let known: Vec<Seen> = asking.known.iter().filter_map(|at| of_page.get(*at).cloned()).collect();
        if !known.is_empty() {
            let tags: Vec<&str> = known.iter().map(|seen| seen.tag.as_str()).collect();
            more.push(("If-None-Match", tags.join(", ")));
        }
        if let Some((first, length)) = asking.range {
            more.push(("Range", format!("bytes={first}-{}", first + length)));
        }
        if asking.no_transform {
            more.push(("Cache-Control", "no-transform".to_owned()));
        }
        let answer = self.send("GET", asking.page, &asking.accept, &more).await;
        let told = || format!("{asking:?} {more:?}: {} {:?}", answer.status, answer.headers);
        match answer.status {
            200 => self.check(asking, &answer).await.map_err(|what| format!("{what}; {}", told())),
            206 => self.check_part(asking, &answer).map_err(|what| format!("{what}; {}", told())),
            304 => self
                .check_unchanged(asking, &answer, &known)
                .await
                .map_err(|what| format!("{what}; {}", told())),
            416 if asking.range.is_some() => Ok(()),
            _ => Err(told()),
        }
    }

    /// What the origin sent of which this answer was made, and its version.
    fn sent(&self, page: usize, answer: &Answer) -> Result<(usize, Sent), String> {
        let said = answer.header("x-sent").ok_or("nothing tells what was sent")?;
        let (version, form) = said.split_once(' ').ok_or("a version and a form")?;
        let version: usize = version.parse().map_err(|_| "a number")?;
        let form = usize::from(form == "1");
        Ok((version, self.world.lock().unwrap().versions[page][version][form].clone()))
    }

    /// An answer with all content.
    async fn check(&mut self, asking: &Asking, answer: &Answer) -> Result<(), String> {
        ensure(answer.complete, || "cut off".into())?;
        let (version, sent) = self.sent(asking.page, answer)?;
        let codings = named(&answer.header_all("content-encoding"));
        let mut content = answer.body.clone();
        for coding in codings.iter().rev() {
            content = decoded(coding, &content).await?;
        }
        // A word of the origin's own leaves bytes as they are, for the reference too.
        ensure(content == sent.plain, || "it decodes to something else".into())?;
        let by_origin: Vec<String> = sent.codings.iter().map(|&coding| coding.to_owned()).collect();
        let is_left = codings == by_origin && self.is_left_coded(asking);
        for coding in &codings {
            ensure(takes(&asking.accept, coding) || is_left, || format!("{coding} is not taken"))?;
        }
        if let Some(length) = answer.header("content-length") {
            ensure(length == answer.body.len().to_string(), || "another length".into())?;
        }
        if answer.header("repr-digest").is_some() {
            ensure(answer.body == sent.bytes, || "a digest of other bytes".into())?;
        }
        self.check_choice(asking, answer, &codings, &sent)?;
        self.note(asking.page, (version, &sent), answer, &codings)
    }

    /// Whether the origin insists on a coding that cannot or may not be taken off: who does not take it is sent it all the same.
    fn is_left_coded(&self, asking: &Asking) -> bool {
        let page = &self.world.lock().unwrap().pages[asking.page];
        let is_only = matches!(page.coded, [coding] if MADE.contains(coding));
        let may_be =
            !page.sharing.contains("no-transform") && !asking.no_transform && takes_plain(&asking.accept);
        !(page.heeds || is_only && may_be)
    }

    /// Whether it is coded exactly where the site says so and the client takes it, and says that there is a choice.
    fn check_choice(
        &self,
        asking: &Asking,
        answer: &Answer,
        codings: &[String],
        sent: &Sent,
    ) -> Result<(), String> {
        let page = &self.world.lock().unwrap().pages[asking.page];
        if !sent.codings.is_empty() {
            return Ok(());
        }
        let is_confirmed = answer.cache_status().contains("fwd-status=304");
        let is_hit = answer.cache_status().contains("; hit") || is_confirmed;
        let is_shared = !page.sharing.contains("private") && page.sharing != "no-store";
        let is_known = is_hit || page.chunks.is_none();
        let is_covered = !self.rules.codings.is_empty()
            && self.rules.has_type(page)
            && !page.sharing.contains("no-transform")
            && !page.digest
            && (is_shared || self.rules.personal)
            && (!is_known || sent.bytes.len() >= self.rules.least.max(1))
            && asking.range.is_none();
        let says_so = named(&answer.header_all("vary")).iter().any(|name| name == "accept-encoding");
        let expected =
            best(&asking.accept, &self.rules.codings).filter(|_| is_covered && !asking.no_transform);
        ensure(!is_covered || says_so, || "nothing says that there is a choice".into())?;
        let came = match codings {
            [] => None,
            [one] => Some(one.as_str()),
            _ => return Err("more than one coding".into()),
        };
        // What is compressed in itself is not coded, and a hit of what gets no shorter neither.
        let is_compressed = matches!(page.content, Content::Noise | Content::Zipped);
        let is_no_shorter = is_hit && (page.content != Content::Text || sent.bytes.len() < 300);
        let may_be_plain = is_compressed || is_no_shorter;
        ensure(came == expected || came.is_none() && may_be_plain, || {
            format!("{came:?} instead of {expected:?}, covered: {is_covered}")
        })?;
        let Some(coding) = came else {
            self.came.uncoded.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        let at = MADE.iter().position(|made| *made == coding).expect("one that is made");
        let is_stored = answer.header("content-length").is_some();
        let count = if is_stored { &self.came.stored } else { &self.came.streamed };
        count[at].fetch_add(1, Ordering::Relaxed);
        ensure(!is_stored || is_hit, || "a length before it is known".into())
    }

    /// Remembers the tag, which may be given for the same bytes only if it is strong, and for the same version if it is not.
    fn note(
        &mut self,
        page: usize,
        (version, sent): (usize, &Sent),
        answer: &Answer,
        codings: &[String],
    ) -> Result<(), String> {
        // What the origin does not code goes through the cache for all, which never goes back to what was there before.
        if sent.codings.is_empty() && self.world.lock().unwrap().pages[page].coded.is_empty() {
            let newest = &mut self.newest[page];
            ensure(version >= *newest, || format!("version {version} after {newest}"))?;
            *newest = version;
        }
        let Some(tag) = answer.header("etag") else { return Ok(()) };
        let codings = codings.to_vec();
        if !tag.ends_with('"') {
            let is_the_origin_s =
                sent.tag.as_deref() == Some(tag) && sent.codings.iter().copied().eq(&codings);
            return ensure(is_the_origin_s, || "what is no tag, with a coding that was put on".into());
        }
        if tag.starts_with('"') {
            let (coding, bytes) = self
                .strong
                .entry((page, tag.to_owned()))
                .or_insert_with(|| (codings.join("+"), answer.body.clone()));
            ensure(*coding == codings.join("+"), || format!("{tag} of two codings, {coding} too"))?;
            ensure(*bytes == answer.body, || format!("{tag} of two sequences of bytes"))?;
        }
        let other =
            self.seen.iter().find(|seen| seen.page == page && seen.tag == tag && seen.version != version);
        ensure(other.is_none(), || format!("{tag} of two versions"))?;
        self.seen.push(Seen { page, version, tag: tag.to_owned(), codings });
        Ok(())
    }

    /// A part, which is one of what the origin sent.
    fn check_part(&mut self, asking: &Asking, answer: &Answer) -> Result<(), String> {
        let (_, sent) = self.sent(asking.page, answer)?;
        let (first, length) = asking.range.ok_or("nobody asked for a part")?;
        let last = (first + length + 1).min(sent.bytes.len());
        ensure(sent.bytes.get(first..last) == Some(&answer.body[..]), || "other bytes".into())?;
        let codings = named(&answer.header_all("content-encoding"));
        ensure(sent.codings.iter().copied().eq(&codings), || "a part of another coding".into())?;
        ensure(answer.header("etag") == sent.tag.as_deref(), || "another tag than the origin's".into())?;
        self.came.parts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A 304: what the client has is of the version that it would be sent, in a coding that it takes.
    async fn check_unchanged(
        &mut self,
        asking: &Asking,
        answer: &Answer,
        known: &[Seen],
    ) -> Result<(), String> {
        ensure(answer.body.is_empty(), || "a 304 with content".into())?;
        let more =
            if asking.no_transform { vec![("Cache-Control", "no-transform".to_owned())] } else { Vec::new() };
        let now = self.send("GET", asking.page, &asking.accept, &more).await;
        let (version, _) = self.sent(asking.page, &now)?;
        let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
        let of_version = |seen: &&Seen| seen.version == version;
        let said = answer.header("etag").map(opaque);
        // What passes is confirmed by the origin's own tag.
        let mut meant = known.iter().filter(of_version).filter(|seen| {
            said.as_ref().is_none_or(|said| {
                let tag = opaque(&seen.tag);
                tag == *said || tag.starts_with(&format!("{}~", said.trim_end_matches('"')))
            })
        });
        let is_left = self.is_left_coded(asking);
        let takes_all =
            |seen: &Seen| seen.codings.iter().all(|coding| takes(&asking.accept, coding) || is_left);
        ensure(meant.any(takes_all), || format!("a 304 for {known:?}, where {version} is what there is"))?;
        self.came.unchanged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A HEAD says what a GET says, once nothing is in the making any more.
    async fn compare(&mut self, page: usize, accept: &[String]) -> Result<(), String> {
        for _ in 0..2 {
            self.send("HEAD", page, accept, &[]).await;
            pressed(&self.pipes).await;
        }
        let head = self.send("HEAD", page, accept, &[]).await;
        let got = self.send("GET", page, accept, &[]).await;
        for name in ["etag", "content-encoding", "content-length", "content-type", "vary", "x-sent"] {
            let (of_head, of_get) = (head.header_all(name), got.header_all(name));
            ensure(of_head == of_get, || format!("{page} {accept:?}: {name} {of_head:?} and {of_get:?}"))?;
        }
        self.came.compared.fetch_add(1, Ordering::Relaxed);
        let accept = accept.to_vec();
        let asking = Asking { page, accept, known: Vec::new(), range: None, no_transform: false };
        self.check(&asking, &got).await.map_err(|what| format!("{what}; {asking:?}: {:?}", got.headers))
    }
}

fn ensure(is_so: bool, or: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(or()) }
}

/// Waits until all is coded that was asked for.
async fn pressed(pipes: &Pipes) {
    pipes.quiet().await;
    pipes.node.press.finish();
}

async fn run(rules: &Rules, pages: Vec<Page>, steps: &[Step], came: &Came) -> Result<(), String> {
    let mut all = Vec::new();
    for (nth, page) in pages.iter().enumerate() {
        all.push(versions(nth, page).await);
    }
    let world = World { current: vec![0; pages.len()], pages, versions: all };
    let world = Arc::new(Mutex::new(world));
    let of_origin = Arc::clone(&world);
    let pipes = Pipes::with(rules.settings(), move |request, _| of_origin.lock().unwrap().answer(request));
    let (seen, strong) = (Vec::new(), HashMap::new());
    let mut run = Run {
        rules,
        world,
        pipes,
        client: None,
        last: Asking::default(),
        seen,
        newest: [0; PAGES],
        strong,
        came,
    };
    for (nth, step) in steps.iter().enumerate() {
        run.step(step).await.map_err(|what| format!("step {nth}: {what}"))?;
    }
    run.pipes.origin.assert_clean();
    Ok(())
}

#[test]
fn who_is_sent_a_coding_takes_it_and_no_strong_tag_is_of_two() {
    let cases = from_environment("FOREBAY_CODING_RUNS", 100);
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let came = Came::default();
    let drawn = (rules(), prop::collection::vec(page(), PAGES), prop::collection::vec(step(), 10..50));
    runner
        .run(&drawn, |(rules, pages, steps)| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(run(&rules, pages, &steps, &came)).map_err(TestCaseError::fail)
        })
        .unwrap();
    println!("{came:?}");
    let least = usize::try_from(cases / 10).expect("small");
    let all = [&came.uncoded, &came.unchanged, &came.parts, &came.compared];
    for count in came.streamed.iter().chain(&came.stored).chain(all) {
        assert!(count.load(Ordering::Relaxed) >= least, "hardly anything of it came to pass: {came:?}");
    }
}
