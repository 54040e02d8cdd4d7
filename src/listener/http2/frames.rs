//! Where frames begin and end in a stream of bytes (RFC 9113 §4.1), and the first bytes of those that are looked into.

use std::ops::ControlFlow;

/// What a client says first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD: usize = 9;

/// Bytes of a payload that are kept, of kinds that are looked into.
const MOST_KEPT: usize = 256;

/// What a frame is, as far as anybody here wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Content.
    Data,
    /// The beginning of a request's or an answer's fields, or trailers.
    Headers,
    /// What was said of order before RFC 9218.
    Priority,
    /// The end of a stream in an error.
    Reset,
    /// What a side can take.
    Settings,
    /// Is answered at once.
    Ping,
    /// The connection is to end.
    GoAway,
    /// More may be sent.
    WindowUpdate,
    /// RFC 9218 §7.1.
    PriorityUpdate,
    /// Anything else.
    Other,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            16 => Self::PriorityUpdate,
            _ => Self::Other,
        }
    }

    fn is_looked_into(self) -> bool {
        matches!(self, Self::Reset | Self::Settings | Self::WindowUpdate | Self::PriorityUpdate)
    }
}

/// A frame that has passed.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Bytes of its payload.
    pub length: u32,
    /// The first of them, where it is of a kind that is looked into.
    pub payload: &'a [u8],
    /// The stream that it is of; 0 is the connection.
    pub stream: u32,
    flags: u8,
}

impl Frame<'_> {
    /// Whether nothing comes after it on its stream, of one of those that can say so.
    pub fn ends_stream(&self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether it says that something was heard, of one of those that can.
    pub fn acknowledges(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The number that its payload begins with; 0 if it is too short for one.
    pub fn number(&self) -> u32 {
        self.payload.first_chunk().map_or(0, |number| u32::from_be_bytes(*number))
    }
}

/// Follows one direction of a connection.
#[derive(Debug)]
pub struct Frames {
    /// Bytes that are no frame's and come first.
    before: usize,
    head: [u8; HEAD],
    /// How much of the head is there.
    have: usize,
    /// What is still to come of the payload.
    left: u32,
    kept: Vec<u8>,
}

impl Frames {
    /// Frames that begin after so many bytes of something else.
    pub fn after(before: usize) -> Self {
        Self { before, head: [0; HEAD], have: 0, left: 0, kept: Vec::new() }
    }

    /// Follows `bytes`; tells of each frame whose last byte is among them, until it is told to stop. Returns how many bytes
    /// may be passed on: all, or those before the last byte of the frame that it stopped at.
    pub fn feed(&mut self, all: &[u8], mut each: impl FnMut(Frame<'_>) -> ControlFlow<()>) -> usize {
        let mut bytes = all;
        bytes = bytes.get(skip(&mut self.before, bytes.len())..).unwrap_or_default();
        while !bytes.is_empty() {
            if let Some(room) = self.head.get_mut(self.have..).filter(|room| !room.is_empty()) {
                let taken = room.len().min(bytes.len());
                let (now, rest) = bytes.split_at(taken);
                room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
                (self.have, bytes) = (self.have + taken, rest);
                if self.have < HEAD {
                    return all.len();
                }
                self.left = self.length();
                self.kept.clear();
            }
            let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (now, rest) = bytes.split_at(taken);
            if self.kind().is_looked_into() {
                self.kept.extend(now.iter().take(MOST_KEPT - self.kept.len().min(MOST_KEPT)));
            }
            self.left -= u32::try_from(taken).unwrap_or(self.left);
            bytes = rest;
            if self.left == 0 {
                self.have = 0;
                let [.., flags, a, b, c, d] = self.head;
                let stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
                let payload = &self.kept;
                if each(Frame { kind: self.kind(), length: self.length(), payload, stream, flags }).is_break()
                {
                    return (all.len() - bytes.len()).saturating_sub(1);
                }
            }
        }
        all.len()
    }

    fn length(&self) -> u32 {
        let [a, b, c, ..] = self.head;
        u32::from_be_bytes([0, a, b, c])
    }

    fn kind(&self) -> Kind {
        let [_, _, _, kind, ..] = self.head;
        Kind::of(kind)
    }
}

fn skip(left: &mut usize, most: usize) -> usize {
    let skipped = (*left).min(most);
    *left -= skipped;
    skipped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(before: usize, pieces: &[&[u8]]) -> Vec<(Kind, u32, Vec<u8>, bool)> {
        let (mut frames, mut seen) = (Frames::after(before), Vec::new());
        for piece in pieces {
            let passed = frames.feed(piece, |frame| {
                seen.push((frame.kind, frame.length, frame.payload.to_vec(), frame.ends_stream()));
                ControlFlow::Continue(())
            });
            assert_eq!(passed, piece.len());
        }
        seen
    }

    #[test]
    fn frames_are_told_apart() {
        let all = [
            &b"before"[..],
            &[0, 0, 3, 0, 1, 0, 0, 0, 1, 7, 7, 7],
            &[0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 2],
            &[0, 0, 1, 7, 1, 0, 0, 0, 0, 9],
        ]
        .concat();
        let expected = [
            (Kind::Data, 3, vec![], true),
            (Kind::Data, 0, vec![], false),
            (Kind::WindowUpdate, 4, vec![0, 0, 1, 2], false),
            (Kind::GoAway, 1, vec![], true),
        ];
        assert_eq!(seen(6, &[&all]), expected);
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(seen(6, &bytes), expected);
    }

    #[test]
    fn what_it_stops_at_is_not_passed_on() {
        let ping = [0, 0, 2, 6, 0, 0, 0, 0, 0, 1, 1];
        let stop = |frame: Frame<'_>| {
            if frame.kind == Kind::Data { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let data = [0, 0, 1, 0, 0, 0, 0, 0, 1, 9];
        assert_eq!(
            Frames::after(0).feed(&[&ping[..], &data, &ping].concat(), stop),
            ping.len() + data.len() - 1
        );
        let mut frames = Frames::after(0);
        assert_eq!(frames.feed(&data[..9], stop), 9);
        assert_eq!(frames.feed(&data[9..], stop), 0);
    }

    proptest! {
        #[test]
        fn where_it_is_cut_makes_no_difference(
            bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(3), Just(8), Just(16), any::<u8>()], 0..400),
            before in 0..30_usize,
            cuts in prop::collection::vec(1..40_usize, 0..30),
        ) {
            let mut pieces = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(seen(before, &pieces), seen(before, &[&bytes]));
        }
    }
}
