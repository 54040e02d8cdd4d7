//! One record of the ledger as bytes (decision 8). Dear to change: what was acknowledged by one version has to hold
//! for the next.
//!
//! ```text
//! version 1 | strength 1 | kind 1 | 0 5 | epoch 8 | number 8 | time 8 | id 16 | stream 8 | subject …
//! ```

use std::sync::Arc;

use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;

const VERSION: u8 = 1;

/// The only strength so far.
const HARD: u8 = 0;

const FLOOR: u8 = 0;
const URL: u8 = 1;
const END: u8 = 255;

/// Bytes before the subject.
pub(super) const FIXED: usize = 56;

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
    },
    /// What is stored under this URL and was born before is dead: see [`crate::cache::key::url`].
    Url(Arc<[u8]>),
    /// The process has ended in good order: nothing follows.
    End,
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let floor;
        let (kind, subject): (u8, &[u8]) = match &self.subject {
            Subject::Floor { follows } => {
                floor = follows.to_le_bytes();
                (FLOOR, &floor)
            }
            Subject::Url(url) => (URL, url),
            Subject::End => (END, &[]),
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
            FLOOR => Subject::Floor { follows: u64::from_le_bytes(subject.try_into().ok()?) },
            URL => Subject::Url(subject.into()),
            END if subject.is_empty() => Subject::End,
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
        Record { sequence, time: Timestamp::from_millis(0x0102), subject: Subject::Url(bytes.into()) }
    }

    #[test]
    fn the_bytes_of_a_record_are_written_down() {
        let mut expected = vec![1, 0, 1, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[0; 24]);
        expected.extend_from_slice(b"/x");
        assert_eq!(url(b"/x").encode(), expected);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let bytes = url(b"/x").encode();
        for (at, other) in [(0, 2), (1, 1), (2, 2), (3, 1)] {
            let mut unknown = bytes.clone();
            unknown[at] = other;
            assert_eq!(Record::decode(&unknown), None, "byte {at}");
        }
        assert_eq!(Record::decode(&bytes[..FIXED - 1]), None);
    }

    proptest! {
        #[test]
        fn every_record_reads_back(
            epoch: u64, number: u64, time: u64, kind in 0..3, bytes: Vec<u8>, follows: u64,
        ) {
            let subject = match kind {
                0 => Subject::Floor { follows },
                1 => Subject::Url(bytes.into()),
                _ => Subject::End,
            };
            let time = Timestamp::from_millis(time);
            let record = Record { sequence: Sequence { epoch, number }, time, subject };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }
}
