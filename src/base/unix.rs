//! Unix sockets, as operators name them: `unix:/run/app.sock`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// What a name begins with.
const PREFIX: &str = "unix:";

/// The most bytes of a path: what an address of the system has room for, with the zero at its end (unix(7)).
const LONGEST: usize = 107;

/// A Unix socket by the path of its file. It is written as `unix:` and that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UnixSocket(String);

/// Why a text names no Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnixSocketError {
    /// Its path does not begin at the root, or begins as a host would in a URL.
    #[error("the path of a Unix socket begins with one slash, such as unix:/run/app.sock")]
    NotFromRoot,
    /// Its path ends like that of a directory, or cannot be one at all.
    #[error("this is no path of a Unix socket: write one such as unix:/run/app.sock")]
    NoFile,
    /// The system has no room for it.
    #[error("the path of a Unix socket is at most {LONGEST} bytes long")]
    Long,
}

impl UnixSocket {
    /// Whether a text is meant as one.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The path of its file, from the root.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl FromStr for UnixSocket {
    type Err = UnixSocketError;

    fn from_str(text: &str) -> Result<Self, UnixSocketError> {
        let path = text.strip_prefix(PREFIX).unwrap_or(text);
        if !path.starts_with('/') || path.starts_with("//") {
            return Err(UnixSocketError::NotFromRoot);
        }
        if path.ends_with('/') || path.contains(|c: char| c.is_control()) {
            return Err(UnixSocketError::NoFile);
        }
        if path.len() > LONGEST {
            return Err(UnixSocketError::Long);
        }
        Ok(Self(path.to_owned()))
    }
}

impl fmt::Display for UnixSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_path_from_the_root() {
        let socket: UnixSocket = "unix:/run/a b.sock".parse().expect("a socket");
        assert_eq!(
            (socket.path(), socket.to_string().as_str()),
            (Path::new("/run/a b.sock"), "unix:/run/a b.sock")
        );
        let error = |text: &str| text.parse::<UnixSocket>().expect_err(text);
        for relative in ["unix:", "unix:app.sock", "unix:///run/app.sock", "unix:@abstract"] {
            assert_eq!(error(relative), UnixSocketError::NotFromRoot, "{relative}");
        }
        for none in ["unix:/", "unix:/run/", "unix:/run/a\0b", "unix:/run/a\nb"] {
            assert_eq!(error(none), UnixSocketError::NoFile, "{none:?}");
        }
        let long = |length: usize| format!("unix:/{}", "a".repeat(length - 1));
        assert!(long(LONGEST).parse::<UnixSocket>().is_ok());
        assert_eq!(error(&long(LONGEST + 1)), UnixSocketError::Long);
    }
}
