//! What becomes of content beside being delivered as it came.
//!
//! - [`press`]: codes what is stored, once and densely, behind the answers.

mod making;
mod pace;
mod queue;

pub mod press;
