//! Reading one answer: its status, and a body of the length that its head tells.

/// How far an answer has come.
#[derive(Debug, Default)]
pub struct Answer {
    head: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    ok: bool,
    length: u64,
    left: u64,
}

/// What a piece of an answer meant.
#[derive(Debug, PartialEq)]
pub enum Progress {
    /// There is more to come.
    More,
    /// It is whole: was it a 200, and how long was its body.
    Whole {
        /// Whether its status was 200.
        ok: bool,
        /// Bytes of its body.
        length: u64,
    },
    /// It has no length, or more came than it said.
    Unreadable,
}

impl Answer {
    /// Takes what was read.
    pub fn take(&mut self, piece: &[u8]) -> Progress {
        let Some(body) = &mut self.body else { return self.take_head(piece) };
        let Some(left) = body.left.checked_sub(piece.len() as u64) else { return Progress::Unreadable };
        body.left = left;
        if left > 0 {
            return Progress::More;
        }
        let whole = Progress::Whole { ok: body.ok, length: body.length };
        self.body = None;
        whole
    }

    fn take_head(&mut self, piece: &[u8]) -> Progress {
        self.head.extend_from_slice(piece);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Progress::More;
        };
        let head = std::mem::take(&mut self.head);
        let (head, body) = head.split_at(end + 4);
        let Some(length) = length_in(head) else { return Progress::Unreadable };
        let ok = head.get(8..12) == Some(b" 200");
        self.body = Some(Body { ok, length, left: length });
        self.take(body)
    }
}

fn length_in(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, value) = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_come_in_any_pieces() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        for at in 1..text.len() {
            let mut answer = Answer::default();
            assert_eq!(answer.take(&text[..at]), Progress::More, "{at}");
            assert_eq!(answer.take(&text[at..]), Progress::Whole { ok: true, length: 3 }, "{at}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let take = |text: &[u8]| Answer::default().take(text);
        assert_eq!(
            take(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
            Progress::Whole { ok: false, length: 0 }
        );
        assert_eq!(take(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Progress::Unreadable);
        assert_eq!(take(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"), Progress::Unreadable);
    }
}
