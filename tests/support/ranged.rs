//! An origin that does ranges of one large resource, counts what it sends, and may change, lie, or do none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::origin::{Act, SeenRequest, respond_to};

/// More requests than any test has reason for: who asks so often asks without end.
pub const MOST_REQUESTS: usize = 2000;

/// What its `Content-Range` says of a part, by its first and last byte.
pub type Lie = fn(u64, u64) -> String;

/// The resource and what became of it. Cloning shares it.
#[derive(Clone)]
pub struct Ranged(Arc<Mutex<State>>);

struct State {
    /// Of the bytes, and in the `ETag`.
    seed: u64,
    length: u64,
    fields: Vec<(String, String)>,
    ranges: bool,
    lie: Option<Lie>,
    /// The next answers break off behind so many bytes of content.
    dies: VecDeque<u64>,
    /// The next answers are errors of the server.
    errors: u32,
    delay: Option<Duration>,
    sent: Arc<AtomicU64>,
    asked: Vec<Option<String>>,
}

impl Ranged {
    /// `length` bytes of this seed under a strong `ETag`, fresh for a minute.
    pub fn new(seed: u64, length: u64) -> Self {
        let state = State {
            seed,
            length,
            fields: vec![
                ("Cache-Control".into(), "max-age=60".into()),
                ("ETag".into(), format!("\"v{seed}\"")),
                ("Content-Type".into(), "video/mp4".into()),
            ],
            ranges: true,
            lie: None,
            dies: VecDeque::new(),
            errors: 0,
            delay: None,
            sent: Arc::default(),
            asked: Vec::new(),
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Waits before each head.
    pub fn slow(self, delay: Duration) -> Self {
        self.0.lock().delay = Some(delay);
        self
    }

    /// Answers whole whatever is asked.
    pub fn without_ranges(self) -> Self {
        self.0.lock().ranges = false;
        self
    }

    /// Says something else of its parts.
    pub fn lying(self, lie: Lie) -> Self {
        self.0.lock().lie = Some(lie);
        self
    }

    /// Other fields than those of [`Ranged::new`].
    pub fn with_fields(self, fields: &[(&str, &str)]) -> Self {
        self.0.lock().fields =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self
    }

    /// From now on another version.
    pub fn change(&self, seed: u64, length: u64) {
        let mut state = self.0.lock();
        (state.seed, state.length) = (seed, length);
        for (name, value) in &mut state.fields {
            if name == "ETag" {
                *value = format!("\"v{seed}\"");
            }
        }
    }

    /// Has one answer to come break off behind so many bytes of content.
    pub fn die_after(&self, bytes: u64) {
        self.0.lock().dies.push_back(bytes);
    }

    /// Has so many answers to come be errors of the server.
    pub fn fail(&self, times: u32) {
        self.0.lock().errors = times;
    }

    /// Lies of its parts from now on, or not any more.
    pub fn lie(&self, lie: Option<Lie>) {
        self.0.lock().lie = lie;
    }

    /// Does ranges from now on, or does none.
    pub fn do_ranges(&self, ranges: bool) {
        self.0.lock().ranges = ranges;
    }

    /// Does all that is asked again, and honestly.
    pub fn recover(&self) {
        let mut state = self.0.lock();
        (state.lie, state.errors, state.ranges) = (None, 0, true);
        state.dies.clear();
    }

    /// Bytes of content that were written so far.
    pub fn sent(&self) -> u64 {
        self.0.lock().sent.load(Ordering::Relaxed)
    }

    /// The same, counted from here on.
    pub fn take_sent(&self) -> u64 {
        self.0.lock().sent.swap(0, Ordering::Relaxed)
    }

    /// The `Range` of every request so far.
    pub fn asked(&self) -> Vec<Option<String>> {
        self.0.lock().asked.clone()
    }

    /// What it does on a connection.
    pub fn script(&self) -> impl Fn(&SeenRequest, usize) -> Vec<Act> + Send + Sync + 'static {
        let shared = self.clone();
        move |request, _| shared.answer(request)
    }

    fn answer(&self, request: &SeenRequest) -> Vec<Act> {
        let mut state = self.0.lock();
        if state.asked.len() >= MOST_REQUESTS {
            return vec![Act::Reset];
        }
        state.asked.push(request.header("range").map(str::to_owned));
        let tag = state.field("ETag").to_owned();
        let mut acts: Vec<Act> = state.delay.map(Act::Wait).into_iter().collect();
        let fields = state.fields.clone();
        let fields =
            || fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
        if !matches!(&*request.method, "GET" | "HEAD") {
            return vec![Act::ReadBody, respond_to(request, "204 No Content", &[], "")];
        }
        if state.errors > 0 {
            state.errors -= 1;
            return vec![respond_to(request, "503 Service Unavailable", &[], "")];
        }
        if request.header("if-none-match").is_some_and(|known| known == tag) {
            acts.push(respond_to(request, "304 Not Modified", &fields(), ""));
            return acts;
        }
        let unchanged = request.header("if-range").is_none_or(|known| known == tag);
        let part = request.header("range").filter(|_| state.ranges && unchanged);
        let (status, first, end, said) = match part.and_then(|range| within(range, state.length)) {
            Some((first, last)) if first < state.length => {
                let honest = || format!("bytes {first}-{last}/{}", state.length);
                let said = state.lie.map_or_else(honest, |lie| lie(first, last));
                ("206 Partial Content", first, last + 1, Some(said))
            }
            Some(_) => {
                let said = format!("bytes */{}", state.length);
                acts.push(respond_to(request, "416 Range Not Satisfiable", &[("Content-Range", &said)], ""));
                return acts;
            }
            None => ("200 OK", 0, state.length, None),
        };
        let length = (end - first).to_string();
        let mut fields = fields();
        fields.push(("Content-Length", &length));
        if let Some(said) = &said {
            fields.push(("Content-Range", said));
        }
        acts.push(super::origin::head(status, &fields));
        if request.method == "HEAD" {
            return acts;
        }
        let sent = Arc::clone(&state.sent);
        let length = end - first;
        let dies = state.dies.pop_front().filter(|behind| *behind < length);
        acts.push(Act::Pattern { seed: state.seed, first, length: dies.unwrap_or(length), sent });
        acts.extend(dies.map(|_| Act::Reset));
        acts
    }
}

impl State {
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(held, _)| held == name).map_or("", |(_, value)| value)
    }
}

/// The first and last byte of a single range.
fn within(range: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length - 1;
    match (first, last) {
        ("", suffix) => Some((length.saturating_sub(suffix.parse().ok()?), end)),
        (first, "") => Some((first.parse().ok()?, end)),
        (first, last) => Some((first.parse().ok()?, last.parse::<u64>().ok()?.min(end))),
    }
}
