//! One record of the ledger as bytes (decisions 8 and 21). Dear to change: what was acknowledged by one version has to
//! hold for the next.
//!
//! ```text
//! version 1 | strength 1 | kind 1 | 0 5 | epoch 8 | number 8 | time 8 | id 16 | stream 8 | subject …
//! ```

use super::name::{Kind, Name};
use crate::base::clock::Timestamp;
use crate::base::ids::Sequence;
use crate::semantics::glob::Glob;

const VERSION: u8 = 2;

const HARD: u8 = 0;
const SOFT: u8 = 1;

const FLOOR: u8 = 0;
const URL: u8 = 1;
const TAG: u8 = 2;
const PREFIX: u8 = 3;
const GLOB: u8 = 4;
const HOST: u8 = 5;
const ALL: u8 = 6;

/// Bytes before the subject.
pub(super) const FIXED: usize = 56;

/// What a purge does to what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strength {
    /// It is dead: nobody uses it any more, for nothing.
    Hard,
    /// It is stale, and serves as such: to be confirmed, in its grace, while it is refreshed.
    Soft,
}

/// What was recorded, and where in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the order.
    pub sequence: Sequence,
    /// When it was recorded.
    pub time: Timestamp,
    /// The unique id of the purge; zero if it has none.
    pub id: u128,
    /// Its place in the fleet's stream, or of a floor up to which place all was applied; zero if it has none.
    pub stream: u64,
    /// What happened.
    pub says: Says,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Everything is dead that was born before the record's sequence. It begins a file, and tells how many bytes follow
    /// it that were written with it.
    Floor {
        /// Bytes of the frames that were written together with this one.
        follows: u64,
        /// The process that wrote it: a number of its own, by which it knows its disk again.
        writer: u128,
    },
    /// Something was purged.
    Purge(Purge),
}

/// A purge of what was born before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// What becomes of it.
    pub strength: Strength,
    /// Which it is.
    pub subject: Subject,
}

impl Purge {
    /// Whether it is of a single URL.
    pub const fn is_of_url(&self) -> bool {
        matches!(self.subject, Subject::Named(Name { kind: Kind::Url, .. }))
    }

    /// A hard one of what has this name.
    pub const fn of_name(name: Name) -> Self {
        Self { strength: Strength::Hard, subject: Subject::Named(name) }
    }
}

/// Which objects a purge matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Those of this name.
    Named(Name),
    /// Those whose URL is like this.
    Like(Glob),
    /// All.
    All,
}

impl Record {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let floor;
        let (strength, kind, subject): (u8, u8, &[u8]) = match &self.says {
            Says::Floor { follows, writer } => {
                floor = [&follows.to_le_bytes()[..], &writer.to_le_bytes()].concat();
                (HARD, FLOOR, &floor)
            }
            Says::Purge(Purge { strength, subject }) => {
                let (kind, subject) = subject.bytes();
                (if *strength == Strength::Hard { HARD } else { SOFT }, kind, subject)
            }
        };
        let mut bytes = Vec::with_capacity(FIXED + subject.len());
        bytes.extend_from_slice(&[VERSION, strength, kind, 0, 0, 0, 0, 0]);
        for number in [self.sequence.epoch, self.sequence.number, self.time.as_millis()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.extend_from_slice(&self.stream.to_le_bytes());
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
        let [VERSION, strength, kind, 0, 0, 0, 0, 0, ..] = *fixed else { return None };
        let says = match (strength, kind) {
            (HARD, FLOOR) => {
                let (follows, writer) = subject.split_first_chunk()?;
                let writer = u128::from_le_bytes(writer.try_into().ok()?);
                Says::Floor { follows: u64::from_le_bytes(*follows), writer }
            }
            (HARD, _) => {
                Says::Purge(Purge { strength: Strength::Hard, subject: Subject::read(kind, subject)? })
            }
            (SOFT, _) => {
                Says::Purge(Purge { strength: Strength::Soft, subject: Subject::read(kind, subject)? })
            }
            _ => return None,
        };
        let sequence = Sequence { epoch: number(8)?, number: number(16)? };
        let id = u128::from_le_bytes(*fixed.get(32..)?.first_chunk()?);
        Some(Self { sequence, time: Timestamp::from_millis(number(24)?), id, stream: number(48)?, says })
    }
}

impl Subject {
    /// Its kind and its bytes.
    fn bytes(&self) -> (u8, &[u8]) {
        match self {
            Self::Named(name) => (byte_of(name.kind), &name.hash),
            Self::Like(glob) => (GLOB, glob.text().as_bytes()),
            Self::All => (ALL, &[]),
        }
    }

    fn read(kind: u8, bytes: &[u8]) -> Option<Self> {
        let named = |kind| Some(Self::Named(Name { kind, hash: bytes.try_into().ok()? }));
        match kind {
            URL => named(Kind::Url),
            TAG => named(Kind::Tag),
            PREFIX => named(Kind::Prefix),
            HOST => named(Kind::Host),
            GLOB => Some(Self::Like(Glob::new(std::str::from_utf8(bytes).ok()?).ok()?)),
            ALL if bytes.is_empty() => Some(Self::All),
            _ => None,
        }
    }
}

const fn byte_of(kind: Kind) -> u8 {
    match kind {
        Kind::Url => URL,
        Kind::Tag => TAG,
        Kind::Prefix => PREFIX,
        Kind::Host => HOST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(bytes: &[u8]) -> Record {
        let sequence = Sequence { epoch: 3, number: 4 };
        let subject = Subject::Named(Name::of_url(bytes));
        let says = Says::Purge(Purge { strength: Strength::Hard, subject });
        Record { sequence, time: Timestamp::from_millis(0x0102), id: 0, stream: 0, says }
    }

    #[test]
    fn the_bytes_of_a_record_are_written_down() {
        let mut expected = vec![2, 0, 1, 0, 0, 0, 0, 0];
        expected.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[0; 24]);
        expected.extend_from_slice(&blake3::hash(b"/x").as_bytes()[..16]);
        assert_eq!(url(b"/x").encode(), expected);
        let subject = Subject::Like(Glob::new("a/*").expect("a glob"));
        let says = Says::Purge(Purge { strength: Strength::Soft, subject });
        let soft = Record { id: 5, stream: 6, says, ..url(b"") };
        expected[1..3].copy_from_slice(&[1, 4]);
        (expected[32], expected[48]) = (5, 6);
        expected.splice(56.., *b"a/*");
        assert_eq!(soft.encode(), expected);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let bytes = url(b"/x").encode();
        for (at, other) in [(0, 1), (1, 2), (2, 6), (2, 7), (3, 1)] {
            let mut unknown = bytes.clone();
            unknown[at] = other;
            assert_eq!(Record::decode(&unknown), None, "byte {at}");
        }
        for length in [FIXED - 1, FIXED, bytes.len() - 1] {
            assert_eq!(Record::decode(&bytes[..length]), None, "{length} bytes");
        }
        let mut soft_floor = Record { says: Says::Floor { follows: 0, writer: 0 }, ..url(b"") }.encode();
        assert!(Record::decode(&soft_floor).is_some());
        soft_floor[1] = SOFT;
        assert_eq!(Record::decode(&soft_floor), None);
    }

    fn subjects() -> impl Strategy<Value = Subject> {
        prop_oneof![
            (prop::sample::select(&Kind::ALL[..]), any::<[u8; 16]>())
                .prop_map(|(kind, hash)| Subject::Named(Name { kind, hash })),
            "[a-z*]{1,7}/[!-)+-~]{0,20}".prop_map(|text| Subject::Like(Glob::new(&text).expect("a glob"))),
            Just(Subject::All),
        ]
    }

    proptest! {
        #[test]
        fn every_record_reads_back(
            epoch: u64, number: u64, time: u64, id: u128, stream: u64,
            floor: Option<(u64, u128)>, soft: bool, subject in subjects(),
        ) {
            let strength = if soft { Strength::Soft } else { Strength::Hard };
            let says = match floor {
                Some((follows, writer)) => Says::Floor { follows, writer },
                None => Says::Purge(Purge { strength, subject }),
            };
            let (sequence, time) = (Sequence { epoch, number }, Timestamp::from_millis(time));
            let record = Record { sequence, time, id, stream, says };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }
    }
}
