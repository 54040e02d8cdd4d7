//! The blocks of divided objects: who has which of them brought, and who reads them (decision 10).
//!
//! - `assembly`: of one object, the blocks under way and who wants what next.
//! - `landing`: one block under way: a busy body that ends in the tiers.
//! - `room`: where blocks wait for memory.
//! - `run`: an exchange with the origin that brings some blocks that follow each other.
//! - `stream`: a whole answer, of which the blocks are kept as they pass.
//! - `give`: what a client is given, at once or by a gather.
//! - `gather`: one client's reading, block after block from wherever it is.

pub(super) mod assembly;
mod gather;
pub mod give;
pub(super) mod landing;
mod room;
pub(super) mod run;
pub(super) mod stream;

/// How far ahead of what is given to a client blocks are asked for, once it has read two in a row.
const AHEAD: u32 = 4;

/// The same before that: the next one.
const NEXT: u32 = 1;
