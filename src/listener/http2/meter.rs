//! What passes on a connection, frame by frame: the budget of what a client may have done for nothing, and what it says of
//! urgency beside its requests; what breaks a rule is kept from the codec. Bytes in, verdicts out; no I/O.
//!
//! The codec behind it answers PINGs and SETTINGS, counts windows and resets streams by itself, at the client's pleasure.
//! Each costs next to nothing, and a flood of them a core. So here frames are paid for: by requests, by content that leaves,
//! and by time.

use std::ops::ControlFlow;
use std::time::Duration;

use h2::Reason;
use tokio::time::Instant;

use super::frames::{Frame, Frames, Kind, PREFACE};
use super::rules::Rules;

/// Frames that do nothing for anybody, at once and in a second.
const NUISANCES: Allowance = Allowance { most: 1_000, by_second: 200 };

/// Streams that were reset, by either side, at once and in a second. Each whole answer pays for one more.
const RESETS: Allowance = Allowance { most: 200, by_second: 20 };

/// What a request pays for, and what a frame of content that leaves does: clients measure the way by PINGs, and open windows
/// by the frame.
const BY_REQUEST: u32 = 4;
const BY_DATA: u32 = 2;

/// Windows that may be opened at once for content that left before.
const MOST_WINDOWS: u32 = 10_000;

/// Words about urgency that are kept until somebody hears them; of more the oldest are forgotten.
const MOST_URGENCIES: usize = 128;

/// Why a client is told to calm down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// More frames than its requests can be a reason for.
    Frames,
    /// Requests that are given up, or made to be refused.
    Resets,
}

impl Flood {
    /// The word for it in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Resets => "resets",
        }
    }
}

/// Counts what passes.
#[derive(Debug)]
pub struct Meter {
    came: Frames,
    left: Frames,
    nuisances: Bucket,
    resets: Bucket,
    /// Windows that may be opened for content that left.
    windows: u32,
    flood: Option<Flood>,
    /// The newest words about urgency (RFC 9218 §7.1): the stream, and the value of the field.
    urgencies: Vec<(u32, Vec<u8>)>,
    rules: Rules,
    broken: Option<Reason>,
}

impl Meter {
    /// Of a connection that begins.
    pub fn new(now: Instant) -> Self {
        Self {
            came: Frames::after(PREFACE.len()),
            left: Frames::after(0),
            nuisances: Bucket::full(NUISANCES, now),
            resets: Bucket::full(RESETS, now),
            windows: 0,
            flood: None,
            urgencies: Vec::new(),
            rules: Rules::default(),
            broken: None,
        }
    }

    /// Bytes of the client. The time is asked for where it has to pay. Returns how many of them the codec may see: not those
    /// that break a rule.
    pub fn came(&mut self, bytes: &[u8], now: impl Fn() -> Instant) -> usize {
        let Self { came, nuisances, resets, flood, windows, urgencies, rules, broken, .. } = self;
        came.feed(bytes, |frame| {
            if let Err(reason) = rules.check(&frame) {
                broken.get_or_insert(reason);
                return ControlFlow::Break(());
            }
            match frame.kind {
                Kind::Headers => nuisances.earn(BY_REQUEST),
                Kind::Data if frame.length > 0 || frame.ends_stream() => {}
                Kind::Reset => note(resets.pay(1, &now), flood, Flood::Resets),
                // Windows are opened for what left: of its stream, and of the connection.
                Kind::WindowUpdate if *windows > 0 => *windows -= 1,
                _ => note(nuisances.pay(1, &now), flood, Flood::Frames),
            }
            if frame.kind == Kind::PriorityUpdate {
                take_urgency(urgencies, &frame);
            }
            ControlFlow::Continue(())
        })
    }

    /// Bytes that leave for the client. The time is asked for where it has to pay.
    pub fn left(&mut self, bytes: &[u8], now: impl Fn() -> Instant) {
        let Self { left, nuisances, resets, flood, windows, .. } = self;
        left.feed(bytes, |frame| {
            match frame.kind {
                Kind::Data if frame.length > 0 => {
                    nuisances.earn(BY_DATA);
                    *windows = windows.saturating_add(BY_DATA).min(MOST_WINDOWS);
                }
                // Who has not heard how many there may be asks for too many; the rest of a request may not be needed.
                Kind::Reset
                    if [Reason::REFUSED_STREAM, Reason::NO_ERROR].contains(&frame.number().into()) => {}
                Kind::Reset => note(resets.pay(1, &now), flood, Flood::Resets),
                _ => {}
            }
            ControlFlow::Continue(())
        });
    }

    /// An answer left whole.
    pub fn answered(&mut self) {
        self.resets.earn(1);
    }

    /// Whether there was too much of something; then the connection is to end.
    pub fn flood(&self) -> Option<Flood> {
        self.flood
    }

    /// The rule that was broken; then the connection is to end with this error.
    pub fn broken(&self) -> Option<Reason> {
        self.broken
    }

    /// What came of urgencies since the last time: streams, and values of the field `priority`.
    pub fn take_urgencies(&mut self) -> Vec<(u32, Vec<u8>)> {
        std::mem::take(&mut self.urgencies)
    }
}

fn note(is_paid: bool, flood: &mut Option<Flood>, why: Flood) {
    if !is_paid {
        flood.get_or_insert(why);
    }
}

fn take_urgency(urgencies: &mut Vec<(u32, Vec<u8>)>, frame: &Frame<'_>) {
    let Some((stream, value)) = frame.payload.split_first_chunk() else { return };
    let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
    urgencies.retain(|(of, _)| *of != stream);
    if urgencies.len() == MOST_URGENCIES {
        urgencies.remove(0);
    }
    urgencies.push((stream, value.to_vec()));
}

/// How much may be had.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    most: u32,
    by_second: u32,
}

/// What is left of an allowance.
#[derive(Debug)]
struct Bucket {
    allowance: Allowance,
    left: u32,
    /// Until when time was paid for.
    since: Instant,
}

impl Bucket {
    fn full(allowance: Allowance, now: Instant) -> Self {
        Self { allowance, left: allowance.most, since: now }
    }

    fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.allowance.most);
    }

    /// Whether there was enough.
    fn pay(&mut self, price: u32, now: impl Fn() -> Instant) -> bool {
        if self.left < price {
            let each = Duration::from_secs(1) / self.allowance.by_second;
            let passed = now().saturating_duration_since(self.since);
            let earned = u32::try_from(passed.as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX);
            // What is left of it earns next time.
            self.since += each * earned;
            self.earn(earned);
        }
        let rest = self.left.checked_sub(price);
        self.left = rest.unwrap_or(0);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn meter() -> (Meter, Instant) {
        let now = Instant::now();
        let mut meter = Meter::new(now);
        // The first SETTINGS count as any others.
        meter.nuisances.left += 1;
        meter.came(PREFACE, || now);
        meter.came(&frame(4, 0, 0, &[]), || now);
        (meter, now)
    }

    fn flooded(kind: u8, flags: u8, payload: &[u8], times: usize) -> Option<Flood> {
        let (mut meter, now) = meter();
        for _ in 0..times {
            meter.came(&frame(kind, flags, 1, payload), || now);
        }
        meter.flood()
    }

    #[test]
    fn what_does_nothing_for_anybody_is_limited() {
        for (kind, payload) in
            [(6, &[0; 8][..]), (4, &[]), (2, &[0; 5]), (8, &[0, 1, 0, 0]), (99, &[]), (0, &[])]
        {
            assert_eq!(flooded(kind, 0, payload, 1_000), None, "{kind}");
            assert_eq!(flooded(kind, 0, payload, 1_001), Some(Flood::Frames), "{kind}");
        }
        assert_eq!(flooded(3, 0, &[0, 0, 0, 8], 201), Some(Flood::Resets));
        assert_eq!(flooded(0, 0, b"content", 5_000), None);
        assert_eq!(flooded(1, 4, b"fields", 5_000), None, "they have limits of their own");
    }

    #[test]
    fn requests_content_and_time_pay_for_frames() {
        let (mut meter, now) = meter();
        let (ping, window) = (frame(6, 0, 0, &[0; 8]), frame(8, 0, 1, &[0, 0, 0, 1]));
        let many = |meter: &mut Meter, bytes: &[u8], times, now| {
            for _ in 0..times {
                meter.came(bytes, || now);
            }
        };
        for _ in 0..1_000 {
            meter.came(&frame(1, 4, 1, b"fields"), || now);
            many(&mut meter, &ping, 4, now);
            meter.left(&frame(0, 0, 1, &[0; 20]), || now);
            many(&mut meter, &ping, 2, now);
            many(&mut meter, &window, 2, now);
        }
        assert_eq!(meter.flood(), None);
        // What was paid for last is used up.
        many(&mut meter, &ping, 1_000 - 4, now);
        assert_eq!(meter.flood(), None);
        let later = now + Duration::from_secs(2);
        many(&mut meter, &window, 400, later);
        assert_eq!(meter.flood(), None);
        many(&mut meter, &window, 1, later);
        assert_eq!(meter.flood(), Some(Flood::Frames));
    }

    #[test]
    fn resets_count_whoever_makes_them_and_answers_pay_for_them() {
        let (mut meter, now) = meter();
        for _ in 0..1_000 {
            meter.left(&frame(3, 0, 1, &[0, 0, 0, 1]), || now);
            meter.answered();
            meter.left(&frame(3, 0, 1, &[0; 4]), || now);
            meter.left(&frame(3, 0, 1, &[0, 0, 0, 7]), || now);
        }
        assert_eq!(meter.flood(), None);
        (0..201).for_each(|_| meter.left(&frame(3, 0, 1, &[0, 0, 0, 1]), || now));
        assert_eq!(meter.flood(), Some(Flood::Resets));
    }

    #[test]
    fn the_newest_word_about_urgency_counts() {
        let (mut meter, now) = meter();
        for value in [&b"u=1"[..], b"u=5, i"] {
            meter.came(&frame(16, 0, 0, &[&[0x80, 0, 0, 3], value].concat()), || now);
        }
        meter.came(&frame(16, 0, 0, &[0, 0]), || now);
        assert_eq!(meter.take_urgencies(), [(3, b"u=5, i".to_vec())]);
        assert_eq!(meter.take_urgencies(), []);
    }
}
