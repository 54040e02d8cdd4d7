//! Rules of RFC 9113 that the codec does not tell apart from others: which error a frame has to end in that has the wrong
//! size, says what cannot be, or comes after the end of its stream.

use std::collections::VecDeque;

use h2::Reason;

use super::frames::{Frame, Kind};

/// Streams that are known to have ended. Of older ones the codec says what it has to say.
const MOST_ENDED: usize = 128;

/// RFC 9113 §6.5.2.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// RFC 9113 §6.9.1.
pub const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// What a client has said so far, as far as rules depend on it.
#[derive(Debug, Default)]
pub struct Rules {
    has_begun: bool,
    /// Streams that the client has ended, and the one with the highest number.
    ended: VecDeque<u32>,
    newest: u32,
}

impl Rules {
    /// Looks at the next frame. `Err`: the connection has to end with this error.
    pub fn check(&mut self, frame: &Frame<'_>) -> Result<(), Reason> {
        if !self.has_begun && frame.kind != Kind::Settings {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.has_begun = true;
        check_length(frame)?;
        match frame.kind {
            Kind::Settings => check_settings(frame),
            Kind::Data | Kind::Headers if self.has_ended(frame.stream) => Err(Reason::STREAM_CLOSED),
            Kind::Data | Kind::Headers if frame.ends_stream() => {
                self.end(frame.stream);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What comes on a stream that begins is beyond all that have ended, as nearly everything is.
    fn has_ended(&self, stream: u32) -> bool {
        stream <= self.newest && self.ended.contains(&stream)
    }

    fn end(&mut self, stream: u32) {
        if self.ended.len() == MOST_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(stream);
        self.newest = self.newest.max(stream);
    }
}

/// RFC 9113 §4.2, and of each kind in §6.
fn check_length(frame: &Frame<'_>) -> Result<(), Reason> {
    let fits = match frame.kind {
        Kind::Priority => frame.length == 5,
        Kind::Reset | Kind::WindowUpdate => frame.length == 4,
        Kind::Settings if frame.acknowledges() => frame.length == 0,
        Kind::Settings => frame.length.is_multiple_of(6),
        Kind::Ping => frame.length == 8,
        Kind::GoAway => frame.length >= 8,
        Kind::Data | Kind::Headers | Kind::PriorityUpdate | Kind::Other => true,
    };
    if fits { Ok(()) } else { Err(Reason::FRAME_SIZE_ERROR) }
}

/// RFC 9113 §6.5.2, where it asks for another error than for most.
fn check_settings(frame: &Frame<'_>) -> Result<(), Reason> {
    let (settings, _) = frame.payload.as_chunks::<6>();
    let is_too_large = |&[a, b, c, d, e, f]: &[u8; 6]| {
        u16::from_be_bytes([a, b]) == INITIAL_WINDOW_SIZE && u32::from_be_bytes([c, d, e, f]) > LARGEST_WINDOW
    };
    if settings.iter().any(is_too_large) { Err(Reason::FLOW_CONTROL_ERROR) } else { Ok(()) }
}
