//! The bytes of a segment: frames behind one another, and at the end of a full one a summary of them.
//!
//! ```text
//! frame    check 16 | head length 4 | kind 1 | content length 3 | slot 8 | head | content | guard
//! head     payload, and the check of the content in 16 if there is one
//! segment  frame … frame, summary, trailer
//! ```
//!
//! The check (XXH3-128) covers header and head. It is seeded with the segment's number and the frame's offset, so that a
//! frame that was moved, or a segment that was swapped for another, is found out. The content has a check of its own, so
//! that a frame can be known without it; and behind it stands a byte with which no trailer ends, so that no origin can
//! send one for the end of a segment that was left by a kill. The trailer is a frame without payload whose slot is the offset of the summary.
//! A segment without a valid trailer is read frame by frame, without the contents, up to the first that is not whole.

use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::record::Outline;
use super::volume::{How, SegmentFile, ShortAddress};

/// Bytes of a frame before its payload.
pub const HEADER: u32 = 32;

/// The longest content that a frame can have.
pub const MOST_CONTENT: usize = (1 << 24) - 1;

const CHECK: usize = 16;

/// What stands behind a content: the last byte of a trailer is that of an offset, which has no such upper bits.
pub const GUARD: [u8; 1] = [0xff];

/// Bytes of a frame beside its payload and so much content: with any, there are a check and a guard.
pub const fn overhead(content: usize) -> u32 {
    if content == 0 { HEADER } else { HEADER + 17 }
}

/// What stands behind so much content.
pub const fn guard(content: usize) -> &'static [u8] {
    if content == 0 { &[] } else { &GUARD }
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The record of a slot.
    Put = 1,
    /// The slot is empty from here on.
    Gone = 2,
    /// The lines of all frames before it.
    Summary = 3,
    /// Where the summary is.
    Trailer = 4,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Put, Self::Gone, Self::Summary, Self::Trailer].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// What a summary says of one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The slot, by its short hash.
    pub slot: u64,
    /// Where the frame begins.
    pub offset: u32,
    /// Its length, header included.
    pub length: u32,
    /// The record; none if the slot is empty from here on.
    pub put: Option<Put>,
}

/// What a summary says of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// The site that it belongs to.
    pub site: u32,
    /// The generation of its object, if it has one.
    pub generation: Option<u64>,
    /// Whether it has `Vary` sets.
    pub varies: bool,
    /// The contents that it names, with their lengths.
    pub contents: Vec<(ShortAddress, u32)>,
    /// Bytes of content in the frame itself.
    pub within: u32,
}

impl From<&Outline> for Put {
    fn from(outline: &Outline) -> Self {
        Self {
            site: outline.site,
            generation: outline.generation.map(|generation| generation.0),
            varies: outline.varies,
            contents: outline.blocks.iter().map(super::record::BlockRef::counted).collect(),
            within: outline.within,
        }
    }
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The segment's number.
    pub segment: u32,
    /// The frame's offset.
    pub offset: u32,
}

impl Spot {
    fn seed(self) -> u64 {
        u64::from(self.segment) << 32 | u64::from(self.offset)
    }
}

/// A frame ready to be written at `at`, but for its content and the [`guard`], which follow it.
pub fn frame(kind: Kind, slot: u64, payload: &[u8], content: &[u8], at: Spot) -> Vec<u8> {
    let check = (!content.is_empty()).then(|| xxh3_128(content).to_le_bytes());
    let check = check.as_ref().map_or(&[][..], |check| check);
    let head = u32::try_from(payload.len() + check.len()).unwrap_or(u32::MAX);
    let [first, second, third, _] = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = Vec::with_capacity(HEADER as usize + payload.len() + check.len());
    out.extend_from_slice(&[0; CHECK]);
    out.extend_from_slice(&head.to_le_bytes());
    out.extend_from_slice(&[kind as u8, first, second, third]);
    out.extend_from_slice(&slot.to_le_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(check);
    if let Some((check, checked)) = out.split_first_chunk_mut::<CHECK>() {
        *check = xxh3_128_with_seed(checked, at.seed()).to_le_bytes();
    }
    out
}

/// A frame whose header and head were read and verified.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What it says.
    pub kind: Kind,
    /// Of which slot.
    pub slot: u64,
    /// The rest, without content.
    pub payload: &'a [u8],
    /// Bytes of content behind it.
    pub within: u32,
    /// What their check has to be.
    check: Option<u128>,
}

impl<'a> Frame<'a> {
    /// The frame that begins with `bytes`, which are its header and head, if it is one that was written at `at`.
    pub fn verify(bytes: &'a [u8], at: Spot) -> Option<Self> {
        let (check, checked) = bytes.split_first_chunk::<CHECK>()?;
        if u128::from_le_bytes(*check) != xxh3_128_with_seed(checked, at.seed()) {
            return None;
        }
        let (header, head) = bytes.split_first_chunk::<{ HEADER as usize }>()?;
        let Header { length, kind, within, slot } = Header::of(header)?;
        if length as usize != head.len() {
            return None;
        }
        let (payload, check) = match within {
            0 => (head, None),
            _ => head.split_last_chunk::<CHECK>().map(|(payload, check)| (payload, Some(check)))?,
        };
        let check = check.map(|check| u128::from_le_bytes(*check));
        Some(Self { kind: Kind::of(kind)?, slot, payload, within, check })
    }

    /// Whether this is its content.
    pub fn verify_content(&self, content: &[u8]) -> bool {
        content.len() == self.within as usize && self.check.is_none_or(|check| check == xxh3_128(content))
    }
}

/// What a header says behind the check.
struct Header {
    length: u32,
    kind: u8,
    within: u32,
    slot: u64,
}

impl Header {
    fn of(header: &[u8; HEADER as usize]) -> Option<Self> {
        let (length, rest) = header.get(CHECK..)?.split_first_chunk::<4>()?;
        let ([kind, first, second, third], rest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            length: u32::from_le_bytes(*length),
            kind: *kind,
            within: u32::from_le_bytes([*first, *second, *third, 0]),
            slot: u64::from_le_bytes(*rest.first_chunk::<8>()?),
        })
    }
}

/// The frames of a segment, as they were found when it was opened.
#[derive(Debug, Default)]
pub struct Found {
    /// A line for each, in order.
    pub lines: Vec<Line>,
    /// Where the frames end, and the next may be written.
    pub end: u32,
    /// Bytes that were expected to be frames and are not.
    pub lost: u64,
}

/// Reads what a segment holds: its summary, or all frames if it has none.
pub fn survey(file: &dyn SegmentFile, number: u32) -> io::Result<Found> {
    let length = file.len()?;
    if let Some(found) = by_summary(file, number, length)? {
        return Ok(found);
    }
    by_frames(file, number, length)
}

fn by_summary(file: &dyn SegmentFile, number: u32, length: u64) -> io::Result<Option<Found>> {
    let Some(at) = length.checked_sub(u64::from(HEADER)).and_then(|at| u32::try_from(at).ok()) else {
        return Ok(None);
    };
    let mut trailer = vec![0; HEADER as usize];
    file.read_at(&mut trailer, u64::from(at), How::Patiently)?;
    let trailer = Frame::verify(&trailer, Spot { segment: number, offset: at });
    let Some(start) = trailer.filter(|trailer| trailer.kind == Kind::Trailer).map(|trailer| trailer.slot)
    else {
        return Ok(None);
    };
    let Some(start) = u32::try_from(start).ok().filter(|start| *start < at) else { return Ok(None) };
    let mut summary = vec![0; (at - start) as usize];
    file.read_at(&mut summary, u64::from(start), How::Patiently)?;
    let at = Spot { segment: number, offset: start };
    let lines = Frame::verify(&summary, at)
        .filter(|frame| frame.kind == Kind::Summary)
        .and_then(|frame| postcard::from_bytes::<Vec<Line>>(frame.payload).ok());
    Ok(lines.map(|lines| Found { lines, end: start, lost: 0 }))
}

fn by_frames(file: &dyn SegmentFile, number: u32, length: u64) -> io::Result<Found> {
    let mut found = Found::default();
    let mut bytes = Vec::new();
    loop {
        let offset = found.end;
        let left = length.saturating_sub(u64::from(offset));
        match next_line(file, Spot { segment: number, offset }, left, &mut bytes)? {
            Next::Line(line) => {
                let Some(end) = offset.checked_add(line.length) else { return Ok(found) };
                found.lines.push(line);
                found.end = end;
            }
            // What follows is only the summary of what was read.
            Next::Summary => return Ok(found),
            Next::None => {
                found.lost = left;
                return Ok(found);
            }
        }
    }
}

/// What stands behind the last frame that was read.
enum Next {
    Line(Line),
    Summary,
    /// Nothing that is whole.
    None,
}

/// Reads the frame at `at`, without its content, into `bytes`, for which no more is read than is `left`.
fn next_line(file: &dyn SegmentFile, at: Spot, left: u64, bytes: &mut Vec<u8>) -> io::Result<Next> {
    if left < u64::from(HEADER) {
        return Ok(Next::None);
    }
    let mut header = [0; HEADER as usize];
    file.read_at(&mut header, u64::from(at.offset), How::Patiently)?;
    let Some(header) = Header::of(&header) else { return Ok(Next::None) };
    let head = header.length.checked_add(HEADER);
    let rest = header.within + u32::try_from(guard(header.within as usize).len()).unwrap_or(0);
    let whole = head.and_then(|head| head.checked_add(rest));
    let (Some(head), Some(length)) = (head, whole.filter(|whole| u64::from(*whole) <= left)) else {
        return Ok(Next::None);
    };
    bytes.resize(head as usize, 0);
    file.read_at(bytes, u64::from(at.offset), How::Patiently)?;
    let Some(frame) = Frame::verify(bytes, at) else { return Ok(Next::None) };
    let put = match frame.kind {
        Kind::Put => match Outline::of(frame.payload) {
            Ok(outline) if outline.within == frame.within => Some(Put::from(&outline)),
            _ => return Ok(Next::None),
        },
        Kind::Gone => None,
        Kind::Summary | Kind::Trailer => return Ok(Next::Summary),
    };
    Ok(Next::Line(Line { slot: frame.slot, offset: at.offset, length, put }))
}
