//! Moments as lines tell them. The part down to the second is made once a second on each thread.

use std::cell::Cell;

use super::layout::Style;
use crate::base::clock::Timestamp;

/// `2026-11-24T11:47:00`
const SECOND: usize = 19;

thread_local! {
    static LAST: Cell<(u64, [u8; SECOND])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

pub(super) fn push(line: &mut Vec<u8>, style: Style, time: Timestamp) {
    match style {
        Style::Json | Style::Fields => push_rfc3339(line, time),
        Style::Combined => push_common(line, time),
    }
}

/// `2026-11-24T11:47:00.123Z`
fn push_rfc3339(line: &mut Vec<u8>, time: Timestamp) {
    let (mut second, mut text) = LAST.get();
    if second != time.as_secs() {
        second = time.as_secs();
        let made =
            humantime::format_rfc3339_seconds(Timestamp::from_secs(second).to_system_time()).to_string();
        let Some(made) = made.as_bytes().first_chunk() else { return };
        text = *made;
        LAST.set((second, text));
    }
    line.extend_from_slice(&text);
    let millis = time.as_millis() % 1000;
    line.push(b'.');
    for place in [100, 10, 1] {
        line.push(b'0' + u8::try_from(millis / place % 10).unwrap_or(0));
    }
    line.push(b'Z');
}

/// `24/Nov/2026:11:47:00 +0000`, out of the date of HTTP: `Tue, 24 Nov 2026 11:47:00 GMT`.
fn push_common(line: &mut Vec<u8>, time: Timestamp) {
    let date = httpdate::fmt_http_date(time.to_system_time());
    let mut words = date.split(' ').skip(1);
    for end in [b'/', b'/', b':', b' '] {
        line.extend_from_slice(words.next().unwrap_or("-").as_bytes());
        line.push(end);
    }
    line.extend_from_slice(b"+0000");
}
