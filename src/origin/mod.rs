//! The way to the origin: pools of endpoints, connections that are kept alive and lent out, and one exchange on each
//! at a time ([decision 7](../../docs/decisions/0007-pools.md)).
//!
//! - [`Pool`]: which endpoint a request goes to, and to which next. [`Living`]: all that there are.
//! - `roster`, `health`, `places`: whose turn it is, who is left alone, who has to wait.
//! - `endpoint`, `idle`, `open`, [`connect`], [`resolve`], `tls`: how one endpoint is reached.
//! - `fitted`, `outgoing`, `exchange`, `hear`, `incoming`: one request, what is said before its response, and that.
//! - `line`: what that goes on. [`http1`], `http2`: how it is written and read there.

mod broken;
pub mod connect;
mod endpoint;
mod error;
mod exchange;
mod fitted;
mod health;
mod hear;
mod held;
pub mod http1;
mod http2;
mod idle;
mod incoming;
mod line;
mod living;
mod open;
mod outgoing;
mod places;
mod pool;
pub mod resolve;
mod roster;
mod settings;
mod tls;
mod url;

pub use error::OriginError;
pub use exchange::{Exchange, OriginRequest};
pub use hear::Hear;
pub use incoming::IncomingBody;
pub use living::Living;
pub use pool::{Pool, PoolError};
pub use settings::{EndpointSettings, HttpVersion, Settings, TlsSettings};
pub use tls::TlsError;
pub use url::{OriginUrl, OriginUrlError};
