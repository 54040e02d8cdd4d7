//! The composition root: builds everything, runs it, drains it.

mod caretaker;
mod configured;
mod node;
mod purging;
mod run;

pub use node::{BuildError, Node};
pub use run::{RunError, Running};
