//! The composition root: builds everything, runs it, reloads it, drains it.

mod caretaker;
mod configured;
mod descriptors;
mod listeners;
mod logs;
mod made;
mod node;
mod policies;
mod purging;
pub mod reload;
mod run;
mod worker;

pub use descriptors::fit as fit_to_descriptors;
pub use logs::{LogError, Logs};
pub use node::{BuildError, Node};
pub use run::{RunError, Running};
