//! The bytes of records and segments: what was written is read back, and nothing else is ever taken for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay::base::clock::Timestamp;
use forebay::base::ids::{Generation, KeyRules, Sequence, SiteId};
use forebay::body::content::{BLOCK, INLINE_MAX};
use forebay::cache::codings::Codings;
use forebay::cache::disk::record::{BlockRef, Outline, Record, Unreadable, encode};
use forebay::cache::disk::segment::{
    Found, Frame, HEADER, Kind, Line, Put, Spot, frame, guard, overhead, survey,
};
use forebay::cache::disk::volume::{Address, Opener, SegmentFile, Volume};
use forebay::cache::key::{Key, KeyParts};
use forebay::cache::ledger::Checked;
use forebay::cache::object::{Heat, Object, Place, Representation, StoredHead};
use forebay::semantics::freshness::Freshness;
use forebay::semantics::reuse::{Reuse, Stale, Terms};
use forebay::semantics::tags::{Tag, Tags};
use forebay::semantics::vary::VarySet;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

use crate::disk_model;
use crate::support::disk::{Disk, Make};

/// A key of any site and target.
fn any_key() -> impl Strategy<Value = Key> {
    (any::<u32>(), any::<u32>(), "[a-z.]{1,12}", "/[a-z0-9/]{0,40}").prop_map(
        |(site, rules, host, target)| {
            Key::new(&KeyParts {
                site: SiteId(site),
                rules: KeyRules(rules),
                scheme: &Scheme::HTTPS,
                host: &host,
                target: &target.parse().unwrap(),
                arm: "",
            })
        },
    )
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    // Values may be of any bytes but controls.
    let value = prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..60);
    let field = ("[a-z][a-z-]{0,15}", value);
    prop::collection::vec(field, 0..12).prop_map(|fields| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(&value).unwrap());
        }
        headers
    })
}

fn any_vary() -> impl Strategy<Value = VarySet> {
    prop::collection::btree_set("[a-z][a-z-]{0,10}", 0..4).prop_map(|names| {
        let line = names.into_iter().collect::<Vec<_>>().join(", ");
        let mut headers = HeaderMap::new();
        headers.insert("vary", line.try_into().unwrap());
        VarySet::of(&headers).unwrap()
    })
}

/// A content behind the record, or blocks of which all but the last are whole.
fn any_place() -> impl Strategy<Value = (Representation, Vec<BlockRef>)> {
    let within = (0..=INLINE_MAX as u64).prop_map(|length| {
        // Its bytes are not the record's.
        (Representation { length, place: Place::Inline(Bytes::new()) }, Vec::new())
    });
    let block = (any::<[u8; 32]>(), any::<u128>());
    let blocks = (prop::collection::vec(block, 1..20), 1..=BLOCK).prop_map(|(blocks, last)| {
        let count = blocks.len();
        let length = |at: usize| u32::try_from(if at + 1 == count { last } else { BLOCK }).unwrap();
        let of = |(at, (address, check))| BlockRef { address: Address(address), check, length: length(at) };
        let blocks: Vec<_> = blocks.into_iter().enumerate().map(of).collect();
        let place = Place::Blocks { count: u32::try_from(count).unwrap(), divided: false };
        let length = blocks.iter().map(|block| u64::from(block.length)).sum();
        (Representation { length, place }, blocks)
    });
    prop_oneof![within, blocks]
}

fn any_stale() -> impl Strategy<Value = (Stale, bool)> {
    let window = || prop::option::of(any::<u32>().prop_map(|secs| Duration::from_secs(u64::from(secs))));
    let allowed = (window(), window())
        .prop_map(|(while_revalidate, if_error)| Stale::Allowed { while_revalidate, if_error });
    (prop_oneof![Just(Stale::Forbidden), allowed], any::<bool>())
}

fn any_object() -> impl Strategy<Value = (Object, Vec<BlockRef>)> {
    let numbers = (any::<u64>(), any::<(u64, u64)>(), 100..1000_u16, any::<u64>(), any::<(u32, u32)>());
    let words = (any::<bool>(), any_stale(), any_vary(), prop::collection::vec(any::<u8>(), 0..200));
    (numbers, words, any_headers(), any_place()).prop_map(
        |(numbers, words, headers, (representation, blocks))| {
            let (generation, (epoch, number), status, response_time, (initial_age, lifetime)) = numbers;
            let (validate, (stale, immutable), vary, vary_values) = words;
            let object = Object {
                generation: Generation(generation),
                born: Sequence { epoch, number },
                head: StoredHead::hiding(StatusCode::from_u16(status).unwrap(), &headers, |name| {
                    hidden(name.as_str())
                }),
                tags: Tags::new(vec![Tag(response_time), Tag(generation)]),
                given: Terms {
                    freshness: Freshness {
                        response_time: Timestamp::from_millis(response_time),
                        initial_age: Duration::from_millis(u64::from(initial_age)),
                        lifetime: Duration::from_secs(u64::from(lifetime)),
                    },
                    reuse: if validate { Reuse::Validate } else { Reuse::Shared },
                    stale,
                    immutable,
                },
                heat: Heat::default(),
                codings: Codings::default(),
                vary,
                vary_values: vary_values.into(),
                representation,
                checked: Checked::default(),
                charge: None,
            };
            (object, blocks)
        },
    )
}

/// Some of them, by their names.
fn hidden(name: &str) -> bool {
    name.len().is_multiple_of(3)
}

/// Everything of an object that can be compared.
fn told(object: &Object) -> String {
    format!("{object:?}")
}

/// What goes into a record.
type Parts = (Key, Vec<VarySet>, Option<(Object, Vec<BlockRef>)>);

fn any_record() -> impl Strategy<Value = Parts> {
    (any_key(), prop::collection::vec(any_vary(), 0..4), prop::option::of(any_object()))
}

fn bytes_of(key: &Key, vary_sets: &[VarySet], object: Option<&(Object, Vec<BlockRef>)>) -> Vec<u8> {
    encode(key, vary_sets, object.map(|(object, blocks)| (object, &blocks[..])))
}

/// Bytes of content that belong behind the record of an object.
fn within(object: Option<&(Object, Vec<BlockRef>)>) -> u32 {
    let within = object.filter(|(_, blocks)| blocks.is_empty());
    within.map_or(0, |(object, _)| u32::try_from(object.representation.length).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_record_reads_back((key, vary_sets, object) in any_record(), other in any_key()) {
        let bytes = bytes_of(&key, &vary_sets, object.as_ref());
        let record = Record::decode(&bytes, &key).unwrap();
        prop_assert_eq!(&record.vary_sets, &vary_sets);
        match (&record.object, &object) {
            (Some(read), Some((written, blocks))) => {
                prop_assert_eq!(told(&read.object), told(written));
                prop_assert_eq!(&read.blocks[..], &blocks[..]);
                prop_assert_eq!(read.lies_within(), blocks.is_empty());
            }
            (None, None) => {}
            other => prop_assert!(false, "{:?}", other),
        }
        let outline = Outline::of(&bytes).unwrap();
        prop_assert_eq!(outline.site, key.site().0);
        prop_assert_eq!(outline.generation, object.as_ref().map(|(object, _)| object.generation));
        prop_assert_eq!(outline.varies, !vary_sets.is_empty());
        prop_assert_eq!(outline.within, within(object.as_ref()));
        prop_assert_eq!(outline.blocks, object.map_or(Vec::new(), |(_, blocks)| blocks));
        if other != key {
            prop_assert_eq!(Record::decode(&bytes, &other).err(), Some(Unreadable::OtherKey));
        }
    }

    #[test]
    fn a_record_that_was_cut_is_none((key, vary_sets, object) in any_record(), part in 0.0..1.0_f64) {
        let bytes = bytes_of(&key, &vary_sets, object.as_ref());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let length = (bytes.len() as f64 * part) as usize;
        prop_assert!(length < bytes.len());
        prop_assert!(Record::decode(&bytes[..length], &key).is_err());
    }

    #[test]
    fn random_bytes_are_no_record(bytes in prop::collection::vec(any::<u8>(), 0..400), key in any_key()) {
        prop_assert!(Record::decode(&bytes, &key).is_err());
        let _ = Outline::of(&bytes);
    }

    /// Whether bits are right is the frame's business; whatever comes through is at least of this key.
    #[test]
    fn flipped_bits_make_no_record_of_another_key(
        (key, vary_sets, object) in any_record(),
        other in any_key(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..6),
    ) {
        let mut bytes = bytes_of(&key, &vary_sets, object.as_ref());
        for (at, bit) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let _ = (Record::decode(&bytes, &key), Outline::of(&bytes));
        prop_assert!(other == key || Record::decode(&bytes, &other).is_err());
    }

    #[test]
    fn a_frame_verifies_where_it_was_written_and_nowhere_else(
        slot in any::<u64>(),
        payload in prop::collection::vec(any::<u8>(), 0..300),
        content in prop::collection::vec(any::<u8>(), 0..300),
        spot in any::<(u32, u32)>(),
        elsewhere in any::<(u32, u32)>(),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let at = |(segment, offset)| Spot { segment, offset };
        for kind in [Kind::Put, Kind::Gone, Kind::Summary, Kind::Trailer] {
            let mut bytes = frame(kind, slot, &payload, &content, at(spot));
            let whole = bytes.len() + guard(content.len()).len();
            prop_assert_eq!(whole, payload.len() + overhead(content.len()) as usize);
            let read = Frame::verify(&bytes, at(spot)).unwrap();
            prop_assert_eq!((read.kind, read.slot, read.payload), (kind, slot, &payload[..]));
            prop_assert_eq!(read.within as usize, content.len());
            prop_assert!(elsewhere == spot || Frame::verify(&bytes, at(elsewhere)).is_none());
            prop_assert!(Frame::verify(&bytes, at((spot.0 ^ 1, spot.1))).is_none());
            prop_assert!(Frame::verify(&bytes, at((spot.0, spot.1 ^ 1))).is_none());
            prop_assert!(Frame::verify(&bytes[..cut.index(bytes.len())], at(spot)).is_none());
            bytes.push(0);
            prop_assert!(Frame::verify(&bytes, at(spot)).is_none());
            bytes.pop();
            let flip = flip.index(bytes.len());
            bytes[flip] ^= 1 << bit;
            prop_assert!(Frame::verify(&bytes, at(spot)).is_none());
        }
    }

    #[test]
    fn a_frame_knows_its_content_and_no_other(
        content in prop::collection::vec(any::<u8>(), 1..300),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let at = Spot { segment: 1, offset: 2 };
        let bytes = frame(Kind::Put, 3, b"payload", &content, at);
        let read = Frame::verify(&bytes, at).unwrap();
        prop_assert!(read.verify_content(&content));
        prop_assert!(!read.verify_content(&content[1..]));
        prop_assert!(!read.verify_content(&[&content[..], &[0]].concat()));
        prop_assert!(!read.verify_content(&[]));
        let mut damaged = content.clone();
        damaged[flip.index(content.len())] ^= 1 << bit;
        prop_assert!(!read.verify_content(&damaged));
        let without = frame(Kind::Put, 3, b"payload", &[], at);
        let without = Frame::verify(&without, at).unwrap();
        prop_assert!(without.verify_content(&[]) && !without.verify_content(&content));
    }
}

const NUMBER: u32 = 7;

/// A segment of random frames, as the keeper writes it.
#[derive(Clone, Debug)]
struct Written {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

/// Writes frames one behind the other, and at the end the summary and its trailer if it is full.
fn written(frames: &[(u64, Option<Vec<u8>>)], full: bool) -> Written {
    let (mut bytes, mut lines) = (Vec::new(), Vec::new());
    let spot = |bytes: &Vec<u8>| Spot { segment: NUMBER, offset: u32::try_from(bytes.len()).unwrap() };
    for (slot, payload) in frames {
        let spot = spot(&bytes);
        let kind = if payload.is_some() { Kind::Put } else { Kind::Gone };
        let put = payload.as_ref().map(|payload| Put::from(&Outline::of(payload).unwrap()));
        let mut content = vec![7; put.as_ref().map_or(0, |put| put.within as usize)];
        let made = frame(kind, *slot, payload.as_deref().unwrap_or_default(), &content, spot);
        content.extend_from_slice(guard(content.len()));
        let length = u32::try_from(made.len() + content.len()).unwrap();
        lines.push(Line { slot: *slot, offset: spot.offset, length, put });
        bytes.extend(made);
        bytes.extend(content);
    }
    if full {
        let start = bytes.len() as u64;
        let summary = postcard::to_allocvec(&lines).unwrap();
        let made = frame(Kind::Summary, 0, &summary, &[], spot(&bytes));
        bytes.extend(made);
        let made = frame(Kind::Trailer, start, &[], &[], spot(&bytes));
        bytes.extend(made);
    }
    Written { bytes, lines }
}

fn any_frames() -> impl Strategy<Value = Vec<(u64, Option<Vec<u8>>)>> {
    let payload = any_record().prop_map(|(key, sets, object)| bytes_of(&key, &sets, object.as_ref()));
    prop::collection::vec((any::<u64>(), prop::option::weighted(0.8, payload)), 0..12)
}

/// Surveys a segment with these bytes.
fn surveyed(number: u32, bytes: &[u8]) -> Found {
    let disk = Disk::new(1, Make { capacity: 1 << 30, ordered: true, cached: false });
    let volume: Arc<dyn Volume> = disk.process().open().unwrap();
    let file: Arc<dyn SegmentFile> = volume.create_segment(number).unwrap();
    if !bytes.is_empty() {
        file.write_at(bytes, 0).unwrap();
    }
    survey(&*file, number).unwrap()
}

/// Whether what was found is the beginning of what was written, and goes on from its end.
fn is_beginning(found: &Found, written: &Written) -> bool {
    let end = found.lines.last().map_or(0, |line| line.offset + line.length);
    written.lines.starts_with(&found.lines) && found.end == end
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_survey_finds_all_frames_with_a_summary_and_without(frames in any_frames(), full in any::<bool>()) {
        let written = written(&frames, full);
        let found = surveyed(NUMBER, &written.bytes);
        prop_assert_eq!(&found.lines, &written.lines);
        prop_assert!(is_beginning(&found, &written));
        prop_assert_eq!(found.lost, 0);
        let moved = surveyed(NUMBER + 1, &written.bytes);
        prop_assert!(moved.lines.is_empty(), "in another segment nothing verifies");
        prop_assert_eq!(moved.lost, written.bytes.len() as u64);
    }

    #[test]
    fn of_a_torn_segment_all_whole_frames_are_found(
        frames in any_frames(),
        full in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        zeros in 0..2_000_usize,
    ) {
        let written = written(&frames, full);
        let length = cut.index(written.bytes.len() + 1);
        let mut bytes = written.bytes.clone();
        bytes.truncate(length);
        bytes.resize(length + zeros, 0);
        let found = surveyed(NUMBER, &bytes);
        prop_assert!(is_beginning(&found, &written));
        let whole = written.lines.iter().filter(|line| (line.offset + line.length) as usize <= length).count();
        // Zeros may stand in the place of zeros.
        prop_assert!(found.lines.len() >= whole, "{} of {whole}", found.lines.len());
        prop_assert!(found.lost <= bytes.len() as u64 - u64::from(found.end));
    }

    #[test]
    fn of_a_damaged_segment_nothing_is_found_that_was_not_written(
        frames in any_frames(),
        full in any::<bool>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..6_u8), 1..5),
    ) {
        let written = written(&frames, full);
        let mut bytes = written.bytes.clone();
        for (from, to, byte, kind) in damage {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (first, last) = (from.min(to), from.max(to));
            match kind {
                0 | 1 => bytes[from] ^= byte | 1,
                2 => bytes[first..last].fill(byte),
                3 => bytes.copy_within(first..last, 0),
                4 => drop(bytes.drain(first..last)),
                _ => bytes.extend(vec![byte; last - first]),
            }
        }
        let found = surveyed(NUMBER, &bytes);
        prop_assert!(is_beginning(&found, &written), "{:?} of {:?}", found.lines, written.lines);
    }

    /// A segment that was gone on with after a tear: the summary of the old life is never taken for the new one's.
    #[test]
    fn an_old_summary_behind_new_frames_is_not_believed(
        old in any_frames(),
        new in any_frames(),
        keep in any::<prop::sample::Index>(),
    ) {
        let before = written(&old, true);
        let kept = keep.index(old.len() + 1);
        let both: Vec<_> = old[..kept].iter().chain(&new).cloned().collect();
        let after = written(&both, false);
        let mut bytes = after.bytes.clone();
        bytes.extend(before.bytes.get(bytes.len()..).unwrap_or_default());
        let found = surveyed(NUMBER, &bytes);
        // Where the new life has written nothing over, the old frames are what was written.
        let either = found.lines.starts_with(&after.lines) || is_beginning(&found, &before);
        prop_assert!(either, "{:?}", found.lines);
    }
}

/// A record of an object of 69 bytes.
fn written_by_an_origin() -> (Key, (Object, Vec<BlockRef>)) {
    let (mut model, slot) = (disk_model::Model::default(), disk_model::Slot { key: 1, language: None });
    model.add(slot, Generation(1), disk_model::Stamp { seed: 1, length: 69 });
    let object = disk_model::object(&model.versions[0], Sequence { epoch: 1, number: 1 });
    (disk_model::key(1), (object, Vec::new()))
}

/// An origin may send whatever it likes, and the process may be killed right behind it.
#[test]
fn a_content_that_ends_like_a_segment_does_not_end_it() {
    let spot = |offset| Spot { segment: NUMBER, offset };
    let (key, object) = written_by_an_origin();
    let payload = bytes_of(&key, &[], Some(&object));
    let start = u32::try_from(payload.len()).unwrap() + overhead(1) - 1;
    // What it would have the segment say: that a slot of somebody else is empty.
    let lines: &[Line] = &[Line { slot: 9, offset: 0, length: 32, put: None }];
    let lines = postcard::to_allocvec(lines).unwrap();
    let mut content = frame(Kind::Summary, 0, &lines, &[], spot(start));
    let trailer = start + u32::try_from(content.len()).unwrap();
    content.extend(frame(Kind::Trailer, u64::from(start), &[], &[], spot(trailer)));
    assert_eq!(content.len() as u64, object.0.representation.length);
    let mut bytes = frame(Kind::Put, 1, &payload, &content, spot(0));
    bytes.extend_from_slice(&content);
    assert_eq!(surveyed(NUMBER, &bytes).lines[0].slot, 9, "without a guard it does");
    bytes.extend_from_slice(guard(content.len()));
    let found = surveyed(NUMBER, &bytes);
    assert_eq!((found.lines.len(), found.lines[0].slot, found.lost), (1, 1, 0));
}

#[test]
fn random_bytes_are_an_empty_segment() {
    let mut random = fastrand::Rng::with_seed(5);
    for length in (0..3_000).step_by(7) {
        let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
        let found = surveyed(NUMBER, &bytes);
        assert!(found.lines.is_empty() && found.end == 0, "{found:?}");
    }
    assert!(HEADER as usize >= 32);
}
