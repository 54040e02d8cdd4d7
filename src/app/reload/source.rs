//! Where configurations come from.

use crate::admin::{Fault, NotReloaded};
use crate::config::Configuration;
use crate::config::file::{Complaint, Complaints, Seen, Severity};

/// Reads the configuration of a node, with all that is said beside its files.
pub trait Source: Send + Sync {
    /// What its files say now. Blocking.
    fn read(&self) -> Read;
}

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// The configuration, unless something is wrong with it.
    pub written: Result<Configuration, NotReloaded>,
    /// All that is wrong, and warnings.
    pub complaints: Complaints,
    /// What it was read from.
    pub seen: Seen,
}

/// Complaints as those take them who ask for a reload.
pub fn faults(complaints: &Complaints) -> Vec<Fault> {
    complaints.iter().map(one).collect()
}

fn one(complaint: &Complaint) -> Fault {
    Fault {
        file: complaint.file().display().to_string(),
        position: complaint.position(),
        message: complaint.message().to_owned(),
        what_to_do: complaint.what_to_do().map(str::to_owned),
        is_warning: complaint.severity() == Severity::Warning,
    }
}
