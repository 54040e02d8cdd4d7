//! What every other module may lean on: time, early data, identities, tokens, units, who and where, and errors that carry blame.

pub mod blame;
pub mod clock;
pub mod early;
pub mod ids;
pub mod limit;
pub mod peer;
pub mod polite;
pub mod print;
pub mod token;
pub mod units;
pub mod unix;
