//! The configuration file: TOML, read whole, with everything that is wrong told at once and in its place.
//!
//! Each table is declared once, in `tables` and `policy`; what is read, shown and documented follows from that.

mod check;
mod complaint;
mod documentation;
mod hint;
mod include;
mod kinds;
mod load;
mod near;
mod policy;
mod reader;
mod seen;
mod show;
mod source;
mod syntax;
mod table;
mod tables;
mod words;

pub use complaint::{Complaint, Complaints, Severity};
pub use documentation::{full_toml, reference};
pub use kinds::{HostPattern, Secret, SecretSource, StatusPattern};
pub use load::Report;
pub use policy::{
    AgainstRfc, AgainstRfcPolicy, Cache, CachePolicy, Compression, CompressionPolicy, SiteAgainstRfc,
    SiteCache, SiteCompression,
};
pub use seen::Seen;
pub use tables::{
    Admin, Certificate, Client, ClientTls, Configuration, Disk, Fetch, Listener, Log, Memory, Node, Pool,
    Site, SiteTls, Spill, Tls,
};
pub use words::{CacheableMethod, CodingName, IgnoredDirective, LogLevel};
