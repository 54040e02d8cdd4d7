//! What is decided before a site is known: how many connections there may be, and whether a request makes
//! sense at all.

mod connections;
mod sense;

pub use connections::{Connections, Guest};
pub use sense::{Admitted, Rejection, check, never_circles};
