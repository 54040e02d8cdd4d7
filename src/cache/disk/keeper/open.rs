//! Opening a disk: its version, its ledger of purges, and the ledger's epoch, which is raised before the first fetch can
//! be born in it. Nothing that is stored can be found before all of that is read.

use std::io;
use std::sync::Arc;

use crate::cache::disk::Means;
use crate::cache::disk::record::VERSION;
use crate::cache::disk::volume::{Note, OpenError, Volume};
use crate::cache::ledger::{self, Ledger, Replayed};

/// A disk that was opened.
#[derive(Debug)]
pub(in crate::cache::disk) struct Opened {
    pub(super) volume: Arc<dyn Volume>,
    /// The epoch of this opening, which is durable.
    pub(super) epoch: u64,
    /// The last process has not ended in good order: contents may lie around that no head names.
    pub(super) crashed: bool,
}

/// Blocking: opens the disk, sets aside what this version cannot read or trust, and goes on with the ledger in a new
/// epoch.
pub(in crate::cache::disk) fn open(means: &Means) -> Result<Opened, OpenError> {
    let volume = means.opener.open()?;
    let prepared = prepare(&volume, &means.ledger);
    let (epoch, crashed) =
        prepared.map_err(|error| OpenError::Io { path: "the cache directory".into(), error })?;
    means.generations.raise_to_epoch(epoch);
    Ok(Opened { volume, epoch, crashed })
}

/// Blocking: notes that the process of this epoch has ended in good order.
pub(super) fn note_end(volume: &dyn Volume, epoch: u64) -> io::Result<()> {
    volume.write_note(Note::Ended, &epoch_note(epoch))
}

/// The epoch of this opening, and whether the last one has ended in a crash.
fn prepare(volume: &Arc<dyn Volume>, ledger: &Ledger) -> io::Result<(u64, bool)> {
    let format = format!("forebay cache {VERSION}\n");
    let found = volume.read_note(Note::Format)?;
    let holds_segments = !volume.segments()?.is_empty();
    let epoch = volume.read_note(Note::Epoch)?.map(|text| parse_epoch(&text));
    let replayed = ledger::replay(&**volume)?;
    let complaint = match (&found, &epoch, &replayed) {
        (Some(found), ..) if *found != format.as_bytes() => Some("was made by another version of forebay"),
        (None, ..) if holds_segments => Some("does not say which version made it"),
        (_, Some(None), _) => Some("has a ledger's epoch that cannot be read"),
        (_, None, _) if holds_segments => Some("has lost its ledger's epoch"),
        // Or a first start was cut short between the two; then nothing was stored.
        (_, Some(Some(_)), Err(unreadable)) => Some(unreadable.complaint()),
        _ => None,
    };
    let (last, replayed) = match complaint {
        Some(complaint) => {
            tracing::warn!("disk tier: the cache directory {complaint}: it is set aside and will be removed");
            volume.set_aside()?;
            (0, Replayed::default())
        }
        None => (epoch.flatten().unwrap_or(0), replayed.unwrap_or_default()),
    };
    let last = last.max(replayed.epoch);
    if complaint.is_some() || found.is_none() {
        volume.write_note(Note::Format, format.as_bytes())?;
    }
    let ended = volume.read_note(Note::Ended)?.and_then(|text| parse_epoch(&text));
    // A disk that was set aside while this process had it must not begin anew below what this process has handed out.
    let epoch = last.max(ledger.now().epoch).saturating_add(1);
    volume.write_note(Note::Epoch, &epoch_note(epoch))?;
    ledger.attach(volume, replayed, (last, epoch))?;
    volume.clear_unfinished()?;
    let crashed = complaint.is_some() || (last > 0 && ended != Some(last));
    Ok((epoch, crashed))
}

/// The epoch with a check, so that one that was damaged is never taken for another.
fn epoch_note(epoch: u64) -> Vec<u8> {
    format!("{epoch} {:016x}\n", xxhash_rust::xxh3::xxh3_64(&epoch.to_le_bytes())).into_bytes()
}

fn parse_epoch(text: &[u8]) -> Option<u64> {
    let (number, _) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let epoch = number.parse().ok()?;
    (epoch_note(epoch) == text).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_back_and_a_damaged_one_does_not() {
        let note = epoch_note(41);
        assert_eq!(parse_epoch(&note), Some(41));
        for at in 0..note.len() {
            let mut damaged = note.clone();
            damaged[at] ^= 1;
            assert_eq!(parse_epoch(&damaged), None, "byte {at}");
        }
        assert_eq!(parse_epoch(b""), None);
    }
}
