//! What every other module may lean on: time, identities, units, and errors that carry blame.

pub mod blame;
pub mod clock;
pub mod ids;
pub mod units;
