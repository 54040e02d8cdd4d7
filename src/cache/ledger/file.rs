//! The bytes of one file of the ledger: frames behind one another (decision 8).
//!
//! ```text
//! frame   check 16 | length 4 | after 4 | record | 0 … to a multiple of 8
//! ```

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::record::{FIXED, Record, Says};

/// Bytes of a frame before its record.
const HEADER: usize = 24;

const CHECK: usize = 16;

/// Frames begin at multiples of this.
const STEP: usize = 8;

/// The longest record: far more than any that this version knows.
const LONGEST: usize = 1 << 20;

/// Bytes of the frame of a record whose subject is so long.
pub(super) const fn frame_of(subject: usize) -> u64 {
    (HEADER + FIXED + subject).next_multiple_of(STEP) as u64
}

/// Appends the frame of `record` to `group`, which will be written at `offset` of a file. `after` is the length of that file
/// that is durable by then.
pub(super) fn push(group: &mut Vec<u8>, record: &Record, file: u32, (offset, after): (u32, u32)) {
    let begin = group.len();
    let record = record.encode();
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    group.extend_from_slice(&[0; CHECK]);
    group.extend_from_slice(&length.to_le_bytes());
    group.extend_from_slice(&after.to_le_bytes());
    group.extend_from_slice(&record);
    group.resize(group.len().next_multiple_of(STEP), 0);
    let place = u64::from(offset) + begin as u64;
    if let Some((check, checked)) = group.get_mut(begin..).and_then(<[u8]>::split_first_chunk_mut::<CHECK>) {
        *check = xxh3_128_with_seed(checked, seed(file, place)).to_le_bytes();
    }
}

/// A frame that was moved, or is in another file, is none.
fn seed(file: u32, offset: u64) -> u64 {
    (u64::from(file) << 32) ^ offset
}

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its records in order, but the floor.
    pub(super) records: Vec<Record>,
    /// The floor that it begins with.
    pub(super) floor: Option<Record>,
    /// Whether all is there with which it was begun.
    pub(super) whole: bool,
}

/// Why a file cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cache) enum Bad {
    /// Something that had been durable is not what it was.
    #[error("is damaged")]
    Damaged,
    /// A record is of a kind that this version does not know.
    #[error("has records of another version of forebay")]
    Unknown,
}

struct Frame<'a> {
    record: &'a [u8],
    after: u32,
    length: usize,
}

/// Reads the bytes of file number `file`. What is torn at its end is left out.
pub(super) fn survey(bytes: &[u8], file: u32) -> Result<Found, Bad> {
    let mut found = Found::default();
    let (mut at, mut torn) = (0, None);
    // How far what it was begun with goes.
    let mut begun = None;
    while at < bytes.len() {
        let Some(frame) = frame_at(bytes, at, file) else {
            torn = torn.or(Some(at));
            at += STEP;
            continue;
        };
        if torn.is_some_and(|torn| frame.after as usize > torn) {
            return Err(Bad::Damaged);
        }
        let record = Record::decode(frame.record).ok_or(Bad::Unknown)?;
        at += frame.length;
        match record.says {
            Says::Floor { follows, .. } if found.floor.is_none() && at == frame.length => {
                begun = Some(at as u64 + follows);
                found.floor = Some(record);
            }
            Says::Floor { .. } => return Err(Bad::Damaged),
            Says::Purge(_) => found.records.push(record),
        }
    }
    let read = torn.unwrap_or(bytes.len()) as u64;
    found.whole = begun.is_some_and(|begun| begun <= read);
    Ok(found)
}

fn frame_at(bytes: &[u8], at: usize, file: u32) -> Option<Frame<'_>> {
    let (check, rest) = bytes.get(at..)?.split_first_chunk::<CHECK>()?;
    let length = u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize;
    let after = u32::from_le_bytes(*rest.get(4..)?.first_chunk::<4>()?);
    if !(FIXED..=LONGEST).contains(&length) {
        return None;
    }
    let whole = (HEADER + length).next_multiple_of(STEP);
    let checked = rest.get(..whole - CHECK)?;
    if xxh3_128_with_seed(checked, seed(file, at as u64)) != u128::from_le_bytes(*check) {
        return None;
    }
    Some(Frame { record: checked.get(8..8 + length)?, after, length: whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::ids::Sequence;
    use crate::cache::ledger::name::Name;
    use crate::cache::ledger::record::{Purge, Strength, Subject};
    use crate::semantics::glob::Glob;
    use proptest::prelude::*;

    fn record(number: u64, says: Says) -> Record {
        Record { sequence: Sequence { epoch: 1, number }, time: Timestamp::default(), id: 0, stream: 0, says }
    }

    /// Purges of every length that there is.
    fn purge(number: u64) -> Record {
        let subject = match number % 3 {
            0 => Subject::All,
            1 => Subject::Named(Name::of_url(&number.to_le_bytes())),
            _ => Subject::Like(
                Glob::new(&format!("a/{}*", "x".repeat(usize::try_from(number % 13).expect("small"))))
                    .expect("a glob"),
            ),
        };
        let strength = if number.is_multiple_of(2) { Strength::Hard } else { Strength::Soft };
        record(number, Says::Purge(Purge { strength, subject }))
    }

    /// A file of a floor with two records, and groups of the given sizes; and where each group begins.
    fn file(groups: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (first, second) = (purge(1), purge(2));
        let mut begun = Vec::new();
        push(&mut begun, &first, 7, (0, 0));
        push(&mut begun, &second, 7, (0, 0));
        assert_eq!(begun.len() as u64, frame_of(16) + frame_of(5));
        let floor = record(0, Says::Floor { follows: begun.len() as u64, writer: 5 });
        let mut bytes = Vec::new();
        push(&mut bytes, &floor, 7, (0, 0));
        push(&mut bytes, &first, 7, (0, 0));
        push(&mut bytes, &second, 7, (0, 0));
        let (mut number, mut starts) = (3, Vec::new());
        for group in groups {
            let after = u32::try_from(bytes.len()).unwrap();
            starts.push(bytes.len());
            for _ in 0..*group {
                push(&mut bytes, &purge(number), 7, (0, after));
                number += 1;
            }
        }
        (bytes, starts)
    }

    fn numbers(found: &Found) -> Vec<u64> {
        found.records.iter().map(|record| record.sequence.number).collect()
    }

    #[test]
    fn a_file_reads_back_in_order() {
        let (bytes, _) = file(&[2, 1]);
        let found = survey(&bytes, 7).expect("a file");
        assert_eq!((numbers(&found), found.whole), (vec![1, 2, 3, 4, 5], true));
        assert!(!survey(&bytes, 8).expect("nothing in it").whole, "frames of another file");
    }

    proptest! {
        #[test]
        fn what_is_torn_is_the_last_group_only(sizes in prop::collection::vec(1..4_usize, 1..4), cut: prop::sample::Index) {
            let (bytes, starts) = file(&sizes);
            let last = *starts.last().expect("a group");
            let at = last + cut.index(bytes.len() - last);
            let found = survey(&bytes[..at], 7).expect("only torn");
            let before: usize = 2 + sizes[..sizes.len() - 1].iter().sum::<usize>();
            prop_assert!(found.whole && numbers(&found).len() >= before);
            prop_assert!(numbers(&found).iter().copied().eq(1..=numbers(&found).len() as u64));
        }

        #[test]
        fn a_bit_that_flips_is_never_taken_for_a_record(
            sizes in prop::collection::vec(1..4_usize, 1..4), at: prop::sample::Index, bit in 0..8_u8,
        ) {
            let (mut bytes, starts) = file(&sizes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let last = *starts.last().expect("a group");
            match survey(&bytes, 7) {
                Err(bad) => prop_assert!(at < last && bad == Bad::Damaged),
                Ok(found) => {
                    prop_assert!(at >= last, "a loss among what had been durable was not seen: byte {at}");
                    let all = 2 + sizes.iter().sum::<usize>();
                    prop_assert_eq!(numbers(&found).len(), all - 1);
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, file: u32) {
            let _ = survey(&bytes, file);
        }
    }
}
