//! What the programs of this package share: answers whose size is in the path, listeners for one thread each, and
//! the command line.

pub mod answers;
pub mod arguments;
pub mod open_loop;
pub mod threads;
