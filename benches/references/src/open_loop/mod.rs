//! The parts of the open-loop client.

pub mod answer;
pub mod numbers;
pub mod report;
pub mod run;
