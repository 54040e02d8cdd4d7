//! Contents in the layout of cacache: `content-v2/sha256/aa/bb/rest`, written in `tmp` and published by rename.
//!
//! They are written here and not by cacache itself, which goes by paths: it would follow links, make anew a directory that
//! was just removed, take a directory in a content's place for the content, and leave directories open to others
//! (decision 5). What it reads and verifies is the same.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{AtFlags, OFlags};
use sha2::{Digest, Sha256};

use super::below::{Root, is_misplaced, read_some};
use super::{Address, How, Shelf};

/// Where contents lie.
const SHELVES: &str = "content/content-v2/sha256";

/// Where the one content is that is being written.
const TMP: &str = "content/tmp";
const FRESH: &str = "content/tmp/fresh";

/// The directories that are always there.
pub(super) const DIRECTORIES: [&str; 4] = ["content", TMP, "content/content-v2", SHELVES];

/// Keeps `bytes`. Only one call at a time.
pub(super) fn write(root: &Root, bytes: &[u8]) -> io::Result<Address> {
    let address = Address(Sha256::digest(bytes).into());
    let written = write_fresh(root, bytes).and_then(|()| publish(root, &address));
    if written.is_err() {
        // Room may be scarce.
        let _ = root.remove(FRESH);
    }
    written.map(|()| address)
}

fn write_fresh(root: &Root, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let mut file = match root.open(FRESH, flags) {
        Err(error) if is_misplaced(&error) => {
            root.remove(FRESH)?;
            root.open(FRESH, flags)?
        }
        opened => opened?,
    };
    file.write_all(bytes)
}

fn publish(root: &Root, address: &Address) -> io::Result<()> {
    let shelf = match root.directory(&shelf_path(address.shelf())) {
        Ok(shelf) => shelf,
        Err(error) if error.kind() == io::ErrorKind::NotFound || is_misplaced(&error) => {
            make_shelf(root, address.shelf())?
        }
        Err(error) => return Err(error),
    };
    let path = content_path(address);
    let (_, name) = path.rsplit_once('/').unwrap_or_default();
    match root.rename_into(FRESH, &shelf, name) {
        // A directory stands in the content's place.
        Err(error) if is_misplaced(&error) => {
            root.remove(&path)?;
            root.rename_into(FRESH, &shelf, name)
        }
        published => published,
    }
}

fn make_shelf(root: &Root, number: Shelf) -> io::Result<File> {
    clear_way(root, number)?;
    let lower = shelf_path(number);
    let (upper, _) = lower.rsplit_once('/').unwrap_or_default();
    root.make_directory(upper)?;
    root.make_directory(&lower)?;
    root.directory(&lower)
}

/// Removes what stands in place of a shelf, or of the directory above it, and is no directory.
fn clear_way(root: &Root, number: Shelf) -> io::Result<()> {
    let lower = shelf_path(number);
    let (upper, _) = lower.rsplit_once('/').unwrap_or_default();
    for inner in [upper, &lower] {
        if root.is_misplaced(inner) {
            root.remove(inner)?;
        }
    }
    Ok(())
}

/// Fills `buffer` with a content of its length.
pub(super) fn read(root: &Root, address: &Address, buffer: &mut [u8], how: How) -> io::Result<()> {
    let path = content_path(address);
    let file = match how {
        How::AtOnce => root.open_cached(&path)?,
        How::Patiently => root.open(&path, OFlags::RDONLY)?,
    };
    // One byte more, to see a file that has grown.
    let (mut filled, mut beyond) = (0, [0]);
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_some(&file, [rest, &mut beyond], filled as u64, how)? {
            0 => break,
            more => filled += more,
        }
    }
    if filled != buffer.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the content has not its length"));
    }
    Ok(())
}

/// The shelves that there are. What has no name of ours among them is removed.
pub(super) fn all(root: &Root) -> io::Result<Vec<Shelf>> {
    let mut found = Vec::new();
    for upper in root.list(SHELVES)? {
        let path = format!("{SHELVES}/{upper}");
        let Some(first) = byte(&upper).filter(|_| !root.is_misplaced(&path)) else {
            root.remove(&path)?;
            continue;
        };
        for lower in root.list(&path)? {
            let path = format!("{path}/{lower}");
            match byte(&lower).filter(|_| !root.is_misplaced(&path)) {
                Some(second) => found.push(Shelf::from_be_bytes([first, second])),
                None => root.remove(&path)?,
            }
        }
    }
    Ok(found)
}

/// Two digits.
fn byte(name: &str) -> Option<u8> {
    (name.len() == 2).then(|| u8::from_str_radix(name, 16).ok()).flatten()
}

/// Removes a content, and its shelf if it was the last: an empty one takes a block of the disk.
pub(super) fn remove(root: &Root, address: &Address) -> io::Result<()> {
    root.remove(&content_path(address))?;
    let _ = rustix::fs::unlinkat(&root.fd, shelf_path(address.shelf()), AtFlags::REMOVEDIR);
    Ok(())
}

/// Addresses and lengths of the contents on a shelf. What has no name of ours is removed.
pub(super) fn list(root: &Root, number: Shelf) -> io::Result<Vec<(Address, u64)>> {
    let shelf = shelf_path(number);
    let names = match root.list(&shelf) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if is_misplaced(&error) => {
            clear_way(root, number)?;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names {
        let path = format!("{shelf}/{name}");
        match address_of(&format!("{number:04x}{name}")) {
            Some(address) => {
                let stat = rustix::fs::statat(&root.fd, path.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
                found.push((address, u64::try_from(stat.st_size).unwrap_or(0)));
            }
            None => root.remove(&path)?,
        }
    }
    Ok(found)
}

/// Removes what an unfinished write has left.
pub(super) fn clear_unfinished(root: &Root) -> io::Result<()> {
    for name in root.list(TMP)? {
        root.remove(&format!("{TMP}/{name}"))?;
    }
    Ok(())
}

fn shelf_path(shelf: Shelf) -> String {
    let [first, second] = shelf.to_be_bytes();
    format!("{SHELVES}/{first:02x}/{second:02x}")
}

fn content_path(address: &Address) -> String {
    use std::fmt::Write as _;
    let mut path = shelf_path(address.shelf());
    path.push('/');
    for byte in address.0.iter().skip(2) {
        let _ = write!(path, "{byte:02x}");
    }
    path
}

fn address_of(hex: &str) -> Option<Address> {
    let mut address = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, digits) in address.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(Address(address))
}

#[cfg(test)]
mod tests {
    use cacache::{Algorithm, Integrity};

    use crate::cache::disk::volume::{Directory, Volume};

    #[test]
    fn cacache_reads_what_is_written_here() {
        let directory = tempfile::tempdir().expect("a directory");
        let volume = Directory::open(directory.path(), None).expect("a cache directory");
        for length in [0, 1, 100_000] {
            let bytes = vec![7; length];
            let address = volume.write_content(&bytes).expect("written");
            let hex = address.0.map(|byte| format!("{byte:02x}")).concat();
            let name = Integrity::from_hex(hex, Algorithm::Sha256).expect("a name");
            let read = cacache::read_hash_sync(directory.path().join("content"), &name);
            assert_eq!(read.expect("cacache finds and verifies it"), bytes);
            assert_eq!(volume.shelf(address.shelf()).expect("a shelf"), [(address, length as u64)]);
        }
    }
}
