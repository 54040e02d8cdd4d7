//! Unix sockets to listen on: what is left of an old one is replaced, what somebody uses is not.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::fchmod;
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::Mode;
use super::bind::BACKLOG;
use crate::base::unix::UnixSocket;

/// How often, and how long apart, the lock on a directory is tried for.
const LOCK_TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// The file of a socket that is listened on. Dropped, it is removed, unless somebody has put another in its place. It holds the
/// socket too, so drop it when that is to end.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Its permissions, as it was made with.
    mode: u32,
    /// As long as it is there, no other file is given its inode.
    _socket: UnixListener,
}

impl SocketFile {
    /// That of a socket that was just bound there.
    fn of(path: &Path, socket: &UnixListener) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        if !found.file_type().is_socket() {
            return Err(io::Error::other("somebody has put something else in the place of the socket"));
        }
        let (device, inode, mode, socket) = (found.dev(), found.ino(), found.mode(), socket.try_clone()?);
        Ok(Self { path: path.to_owned(), device, inode, mode, _socket: socket })
    }
}

impl SocketFile {
    /// Gives it other permissions. Blocking.
    pub fn set_mode(&self, mode: Mode) -> io::Result<()> {
        fs::set_permissions(&self.path, Permissions::from_mode(mode.bits()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |found: fs::Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds a Unix socket once for `workers`, who accept from it by turns: there is no `SO_REUSEPORT` for these. The file is there
/// as long as what comes with them. Blocking.
///
/// # Errors
/// As the kernel says; `AddrInUse` if somebody listens there, or something else than a socket is there.
pub fn bind(at: &UnixSocket, mode: Mode, workers: usize) -> io::Result<(Vec<UnixListener>, SocketFile)> {
    let path = at.path();
    // Of two that begin at once, both could find that nobody listens yet.
    let directory = File::open(path.parent().unwrap_or(path))?;
    lock(&directory)?;
    make_way(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The file begins with these, less what umask takes: never with more.
    fchmod(socket.as_fd(), mode.bits().into())?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = UnixListener::from(socket);
    let file = SocketFile::of(path, &socket)?;
    if file.mode & 0o777 != mode.bits() {
        fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
    }
    let sockets = (1..workers).map(|_| socket.try_clone()).collect::<io::Result<Vec<_>>>()?;
    Ok((sockets.into_iter().chain([socket]).collect(), file))
}

/// Waits until nobody else begins to listen in a directory, but not for ever: others may hold that lock for reasons of their
/// own. Where there is no such lock, none is taken.
fn lock(directory: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "another program holds a lock (flock) on the directory of the socket",
    ))
}

/// Removes a socket that nobody listens on any more.
fn make_way(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "something else than a socket is there"))
        }
        Ok(_) if is_listened_on(path)? => Err(io::Error::from(io::ErrorKind::AddrInUse)),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether somebody would take a connection, now or later.
fn is_listened_on(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // With many waiting already, it would wait as well.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    fn socket(directory: &tempfile::TempDir) -> UnixSocket {
        format!("unix:{}/s", directory.path().display()).parse().expect("a socket")
    }

    fn refused(at: &UnixSocket) -> io::ErrorKind {
        bind(at, Mode::default(), 1).map(drop).expect_err("refused").kind()
    }

    #[test]
    fn its_file_has_the_permissions_and_goes_with_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = socket(&directory);
        for mode in ["0600", "0666"] {
            let bound = bind(&at, mode.parse().expect("a mode"), 3).expect("binds");
            assert_eq!(bound.0.len(), 3);
            let found = fs::metadata(at.path()).expect("a file").permissions().mode() & 0o777;
            assert_eq!(format!("{found:04o}"), mode);
            drop(bound);
            assert!(!at.path().exists());
        }
    }

    #[test]
    fn what_is_left_of_an_old_one_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = socket(&directory);
        // As a process leaves it that was killed.
        drop(UnixListener::bind(at.path()).expect("binds"));
        assert!(at.path().exists());
        let (sockets, _file) = bind(&at, Mode::default(), 1).expect("binds");
        let _client = UnixStream::connect(at.path()).expect("connects");
        assert!(sockets[0].accept().is_ok());
    }

    #[test]
    fn what_somebody_uses_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = socket(&directory);
        let (sockets, file) = bind(&at, Mode::default(), 1).expect("binds");
        assert_eq!(refused(&at), io::ErrorKind::AddrInUse);
        assert!(UnixStream::connect(at.path()).is_ok(), "it is still there");
        drop((sockets, file));
        let datagrams = UnixDatagram::bind(at.path()).expect("binds");
        assert_eq!(refused(&at), io::ErrorKind::AddrInUse);
        drop(datagrams);
        fs::remove_file(at.path()).expect("removed");
        let elsewhere = directory.path().join("elsewhere");
        drop(UnixListener::bind(&elsewhere).expect("binds"));
        for make in [
            (|path, _| fs::write(path, "text").expect("written")) as fn(&Path, &Path),
            |path, _| fs::create_dir(path).expect("made"),
            |path, elsewhere| std::os::unix::fs::symlink(elsewhere, path).expect("a link"),
        ] {
            make(at.path(), &elsewhere);
            assert_eq!(refused(&at), io::ErrorKind::AddrInUse);
            assert!(fs::symlink_metadata(at.path()).is_ok() && elsewhere.exists(), "it was left alone");
            let _ = fs::remove_dir(at.path()).or_else(|_| fs::remove_file(at.path()));
        }
    }

    #[test]
    fn a_file_that_another_has_put_there_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = socket(&directory);
        let old = bind(&at, Mode::default(), 1).expect("binds");
        fs::remove_file(at.path()).expect("removed");
        let _new = bind(&at, Mode::default(), 1).expect("nothing is there");
        drop(old);
        assert!(UnixStream::connect(at.path()).is_ok());
    }
}
