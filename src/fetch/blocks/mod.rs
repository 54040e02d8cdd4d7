//! The blocks of divided objects: who has which of them brought, and who reads them (decision 10).
//!
//! - `assembly`: of one object, the blocks under way and who wants what next.
//! - `state`: what it knows at one moment, and the rules by which whole answers go on.
//! - `landing`: one block under way: a busy body that ends in the tiers.
//! - `room`: where blocks wait for memory.
//! - `run`: an exchange with the origin that brings some blocks that follow each other.
//! - `answer`: what the origin's answer to it is good for.
//! - `carry`: from the body of an answer into blocks.
//! - `stream`: a whole answer, of which the blocks are kept as they pass.
//! - `give`: what a client is given, at once or by a gather.
//! - `gather`: one client's reading, block after block from wherever it is.

mod answer;
pub(super) mod assembly;
pub(super) mod carry;
mod gather;
pub mod give;
pub(super) mod landing;
mod room;
mod run;
mod state;
pub(super) mod stream;

/// How far ahead of what is given to a client blocks are asked for, once it has read two in a row.
const AHEAD: u32 = 4;

/// The same before that: the next one.
const NEXT: u32 = 1;
