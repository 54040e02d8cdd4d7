//! What can be told of the certificates that clients are shown, for metrics and people.

use crate::base::clock::Timestamp;

/// One certificate as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateState {
    /// What the operator calls it.
    pub name: String,
    /// When it ends.
    pub expires: Timestamp,
    /// What is in its files cannot be used; the one from before is shown.
    pub refused: bool,
}
