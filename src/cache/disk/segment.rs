//! The bytes of a segment: frames behind one another, and at the end of a full one a summary of them.
//!
//! ```text
//! frame    check 16 | payload length 4 | kind 1 | 0 3 | slot 8 | payload
//! segment  frame … frame, summary, trailer
//! ```
//!
//! The check (XXH3-128) is seeded with the segment's number and the frame's offset, so that a frame that was moved,
//! or a segment that was swapped for another, is found out. The trailer is a frame without payload whose slot is
//! the offset of the summary. A segment without a valid trailer is read frame by frame up to the first that is
//! not whole.

use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::record::Outline;
use super::volume::{How, SegmentFile, ShortAddress};

/// Bytes of a frame before its payload.
pub const HEADER: u32 = 32;

const CHECK: usize = 16;

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
}

impl From<&Outline> for Put {
    fn from(outline: &Outline) -> Self {
        Self {
            site: outline.site,
            generation: outline.generation.map(|generation| generation.0),
            varies: outline.varies,
            contents: outline.blocks.iter().map(super::record::BlockRef::counted).collect(),
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

/// A frame ready to be written at `at`.
pub fn frame(kind: Kind, slot: u64, payload: &[u8], at: Spot) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER as usize + payload.len());
    out.extend_from_slice(&[0; CHECK]);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    out.extend_from_slice(&slot.to_le_bytes());
    out.extend_from_slice(payload);
    if let Some((check, checked)) = out.split_first_chunk_mut::<CHECK>() {
        *check = xxh3_128_with_seed(checked, at.seed()).to_le_bytes();
    }
    out
}

/// A frame that was read and verified.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What it says.
    pub kind: Kind,
    /// Of which slot.
    pub slot: u64,
    /// The rest.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` are, if they are one that was written at `at`.
    pub fn verify(bytes: &'a [u8], at: Spot) -> Option<Self> {
        let (check, checked) = bytes.split_first_chunk::<CHECK>()?;
        if u128::from_le_bytes(*check) != xxh3_128_with_seed(checked, at.seed()) {
            return None;
        }
        let (length, rest) = checked.split_first_chunk::<4>()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let (slot, payload) = rest.split_first_chunk::<8>()?;
        if u32::from_le_bytes(*length) as usize != payload.len() {
            return None;
        }
        Some(Self { kind: Kind::of(*kind.first()?)?, slot: u64::from_le_bytes(*slot), payload })
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
    let mut header = [0; HEADER as usize];
    loop {
        let offset = found.end;
        let left = length.saturating_sub(u64::from(offset));
        let whole = if left < u64::from(HEADER) {
            None
        } else {
            file.read_at(&mut header, u64::from(offset), How::Patiently)?;
            frame_length(&header).filter(|whole| u64::from(*whole) <= left)
        };
        let Some(whole) = whole else {
            found.lost = left;
            return Ok(found);
        };
        let mut bytes = vec![0; whole as usize];
        file.read_at(&mut bytes, u64::from(offset), How::Patiently)?;
        let frame = Frame::verify(&bytes, Spot { segment: number, offset });
        let put = match frame.as_ref().map(|frame| frame.kind) {
            Some(Kind::Put) => {
                frame.as_ref().and_then(|frame| Outline::of(frame.payload).ok()).map(|o| Some(Put::from(&o)))
            }
            Some(Kind::Gone) => Some(None),
            // What follows is only the summary of what was read.
            Some(Kind::Summary | Kind::Trailer) => return Ok(found),
            None => None,
        };
        let (Some(frame), Some(put)) = (frame, put) else {
            found.lost = left;
            return Ok(found);
        };
        let Some(end) = offset.checked_add(whole) else { return Ok(found) };
        found.lines.push(Line { slot: frame.slot, offset, length: whole, put });
        found.end = end;
    }
}

/// The length of the frame that begins with this header, if it has one that makes sense.
fn frame_length(header: &[u8; HEADER as usize]) -> Option<u32> {
    let length = header.get(CHECK..CHECK + 4)?.first_chunk::<4>()?;
    u32::from_le_bytes(*length).checked_add(HEADER)
}
