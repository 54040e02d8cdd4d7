//! One record of the ledger as bytes (decision 8). Dear to change: what was acknowledged by one version has to hold
//! for the next.
//!
//! ```text
//! version 1 | strength 1 | kind 1 | 0 5 | epoch 8 | number 8 | time 8 | id 16 | stream 8 | subject …
//! ```

use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;

const VERSION: u8 = 2;

/// The only strength so far.
const HARD: u8 = 0;

const FLOOR: u8 = 0;
const URL: u8 = 1;

/// Bytes before the subject.
pub(super) const FIXED: usize = 56;

/// What a record has of a URL: the first half of the BLAKE3 hash of its canonical form, so that it costs the same however
/// long the URL is. Two URLs that share it, which nobody can make happen, would be purged together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UrlHash([u8; UrlHash::LENGTH]);

impl UrlHash {
    /// Bytes of it.
    pub(super) const LENGTH: usize = 16;

    /// Of a canonical URL, as [`crate::cache::key::url`] makes it.
    pub fn of(url: &[u8]) -> Self {
        let hash = blake3::hash(url);
        Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// What was recorded, and where in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the order.
    pub sequence: Sequence,
    /// When it was recorded.
    pub time: Timestamp,
    /// What it speaks of.
    pub subject: Subject,
}

/// What a record speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Everything that was born before the record's sequence is dead. It begins a file, and tells how many bytes follow
    /// it that were written with it.
    Floor {
        /// Bytes of the frames that were written together with this one.
        follows: u64,
        /// The process that wrote it: a number of its own, by which it knows its disk again.
        writer: u128,
    },
    /// What is stored under this URL and was born before is dead.
    Url(UrlHash),
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let floor;
        let (kind, subject): (u8, &[u8]) = match &self.subject {
            Subject::Floor { follows, writer } => {
                floor = [&follows.to_le_bytes()[..], &writer.to_le_bytes()].concat();
                (FLOOR, &floor)
            }
            Subject::Url(UrlHash(url)) => (URL, url),
        };
        let mut bytes = Vec::with_capacity(FIXED + subject.len());
        bytes.extend_from_slice(&[VERSION, HARD, kind, 0, 0, 0, 0, 0]);
        for number in [self.sequence.epoch, self.sequence.number, self.time.as_millis()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        // No id and no place in a stream: it is this node's own.
        bytes.extend_from_slice(&[0; 24]);
        bytes.extend_from_slice(subject);
        bytes
    }

    /// The record in `bytes`; `None` if this version does not know what they mean.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, subject) = bytes.split_first_chunk::<FIXED>()?;
        let number = |at: usize| {
            let eight = fixed.get(at..)?.first_chunk::<8>()?;
            Some(u64::from_le_bytes(*eight))
        };
        let [VERSION, HARD, kind, 0, 0, 0, 0, 0, ..] = *fixed else { return None };
        let subject = match kind {
            FLOOR => {
                let (follows, writer) = subject.split_first_chunk()?;
                let writer = u128::from_le_bytes(writer.try_into().ok()?);
                Subject::Floor { follows: u64::from_le_bytes(*follows), writer }
            }
            URL => Subject::Url(UrlHash(subject.try_into().ok()?)),
            _ => return None,
        };
        let sequence = Sequence { epoch: number(8)?, number: number(16)? };
        Some(Self { sequence, time: Timestamp::from_millis(number(24)?), subject })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(bytes: &[u8]) -> Record {
        let sequence = Sequence { epoch: 3, number: 4 };
        Record { sequence, time: Timestamp::from_millis(0x0102), subject: Subject::Url(UrlHash::of(bytes)) }
    }

    #[test]
    fn the_bytes_of_a_record_are_written_down() {
        let mut expected = vec![2, 0, 1, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[0; 24]);
        expected.extend_from_slice(&blake3::hash(b"/x").as_bytes()[..16]);
        assert_eq!(url(b"/x").encode(), expected);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let bytes = url(b"/x").encode();
        for (at, other) in [(0, 1), (1, 1), (2, 2), (3, 1)] {
            let mut unknown = bytes.clone();
            unknown[at] = other;
            assert_eq!(Record::decode(&unknown), None, "byte {at}");
        }
        for length in [FIXED - 1, FIXED, bytes.len() - 1] {
            assert_eq!(Record::decode(&bytes[..length]), None, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn every_record_reads_back(
            epoch: u64, number: u64, time: u64, floor: bool, bytes: Vec<u8>, follows: u64, writer: u128,
        ) {
            let url = Subject::Url(UrlHash::of(&bytes));
            let subject = if floor { Subject::Floor { follows, writer } } else { url };
            let time = Timestamp::from_millis(time);
            let record = Record { sequence: Sequence { epoch, number }, time, subject };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }
}
