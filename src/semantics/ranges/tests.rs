//! Tests of ranges: the grammar, a plain model of what is sent, and the dates that are strong enough.

use proptest::prelude::*;

use super::*;
use crate::semantics::testing::fields;

fn specs(line: &str) -> Option<Vec<Spec>> {
    RangeSpecs::parse(line.as_bytes()).map(|asked| asked.0)
}

fn resolved(line: &str, length: u64) -> Resolved {
    RangeSpecs::parse(line.as_bytes()).expect("a range").resolve(length, 16)
}

fn parts(parts: &[(u64, u64)]) -> Resolved {
    Resolved::Parts(parts.iter().map(|&(first, last)| Part { first, last }).collect())
}

#[test]
fn the_grammar_is_read_to_the_letter() {
    use Spec::{Between, From, Suffix};
    assert_eq!(specs("bytes=0-"), Some(vec![From(0)]));
    assert_eq!(specs("Bytes=5-5"), Some(vec![Between(5, 5)]));
    assert_eq!(specs("bytes=-0"), Some(vec![Suffix(0)]));
    assert_eq!(specs("bytes= ,1-2\t, ,, -3,"), Some(vec![Between(1, 2), Suffix(3)]));
    assert_eq!(specs("bytes=18446744073709551615-"), Some(vec![From(u64::MAX)]));
    assert_eq!(specs("bytes=00000000000000000000000000001-"), Some(vec![From(1)]));
    for wrong in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes =0-1",
        "bytes:0-1",
        "byte=0-1",
        "bytes=2-1",
        "bytes=1",
        "bytes=-",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=1-2-3",
        "bytes=1--2",
        "bytes=--1",
        "bytes=1-2;3-4",
        "bytes=1-2 3-4",
        "bytes=0-1,x",
        "bytes=18446744073709551616-",
        "bytes=0-18446744073709551616",
        "items=0-1",
        "bytes=0x1-2",
        "bytes=1-2\u{a0}",
        "bytes=\"0-1\"",
    ] {
        assert_eq!(specs(wrong), None, "{wrong:?}");
    }
}

#[test]
fn the_field_stands_once() {
    assert!(asked(&fields(&[("range", "bytes=0-1")])).is_some());
    assert_eq!(asked(&fields(&[("range", "bytes=0-1"), ("range", "bytes=2-3")])), None);
    assert_eq!(asked(&fields(&[])), None);
}

#[test]
fn parts_are_cut_to_what_there_is() {
    assert_eq!(resolved("bytes=0-9", 1000), parts(&[(0, 9)]));
    assert_eq!(resolved("bytes=990-", 1000), parts(&[(990, 999)]));
    assert_eq!(resolved("bytes=990-5000", 1000), parts(&[(990, 999)]));
    assert_eq!(resolved("bytes=-10", 1000), parts(&[(990, 999)]));
    assert_eq!(resolved("bytes=-5000", 1000), parts(&[(0, 999)]));
    assert_eq!(resolved("bytes=0-18446744073709551615", 1000), parts(&[(0, 999)]));
    assert_eq!(resolved("bytes=500-509,0-9", 1000), parts(&[(500, 509), (0, 9)]));
    assert_eq!(resolved("bytes=500-509,7000-8000,-0", 1000), parts(&[(500, 509)]));
}

#[test]
fn nothing_to_send_is_told() {
    assert_eq!(resolved("bytes=1000-", 1000), Resolved::Unsatisfiable);
    assert_eq!(resolved("bytes=-0,2000-3000", 1000), Resolved::Unsatisfiable);
    assert_eq!(resolved("bytes=0-", 0), Resolved::Unsatisfiable);
    assert_eq!(resolved("bytes=-0", 0), Resolved::Unsatisfiable);
    assert_eq!(resolved("bytes=-5", 0), Resolved::Whole);
}

#[test]
fn parts_close_to_each_other_are_one() {
    assert_eq!(resolved("bytes=200-299,0-120", 1000), parts(&[(0, 299)]));
    assert_eq!(resolved("bytes=0-99,180-299", 1000), parts(&[(0, 99), (180, 299)]));
    assert_eq!(resolved("bytes=0-99,179-299", 1000), parts(&[(0, 299)]));
    assert_eq!(resolved("bytes=0-9,5-14,10-19", 1000), parts(&[(0, 19)]));
    assert_eq!(resolved("bytes=900-,0-9,0-9,-100", 1000), parts(&[(900, 999), (0, 9)]));
}

#[test]
fn hostile_sets_get_the_whole() {
    let many: Vec<String> = (0..17).map(|at| format!("{}-{}", at * 1000, at * 1000)).collect();
    assert_eq!(resolved(&format!("bytes={}", many.join(",")), 1_000_000), Resolved::Whole);
    assert!(matches!(resolved(&format!("bytes={}", many[1..].join(",")), 1_000_000), Resolved::Parts(_)));
    // Both ends of what is hardly longer than the framing.
    assert_eq!(resolved("bytes=0-0,-1", 120), Resolved::Whole);
    assert_eq!(RangeSpecs::parse(b"bytes=0-0").expect("a range").resolve(10, 0), Resolved::Whole);
}

#[test]
fn content_range_is_strict() {
    let part = |first, last, complete| Some(ContentRange::Part(Part { first, last }, complete));
    let parse = |line: &str| ContentRange::parse(line.as_bytes());
    assert_eq!(parse("bytes 0-0/1"), part(0, 0, Some(1)));
    assert_eq!(parse("BYTES 5-9/*"), part(5, 9, None));
    assert_eq!(parse("bytes */10"), Some(ContentRange::Unsatisfied(10)));
    for wrong in [
        "",
        "bytes",
        "bytes ",
        "bytes 5-4/10",
        "bytes 0-10/10",
        "bytes 0-9",
        "bytes */*",
        "bytes 0-9/",
        "bytes  0-9/10",
        "bytes 0-9/10 ",
        "bytes=0-9/10",
        "bytes -9/10",
        "bytes 0-/10",
        "items 0-9/10",
        "bytes 0-9/+10",
        "bytes 0 -9/10",
        "bytes 0-18446744073709551615/*",
        "bytes 0-9/18446744073709551616",
    ] {
        assert_eq!(parse(wrong), None, "{wrong:?}");
    }
    let twice = fields(&[("content-range", "bytes 0-0/1"), ("content-range", "bytes 0-0/1")]);
    assert_eq!(ContentRange::of(&twice), None);
}

#[test]
fn if_range_compares_tags_strongly() {
    let holds =
        |line: &str, tag: &str| if_range_holds(&fields(&[("if-range", line)]), &fields(&[("etag", tag)]));
    assert!(holds("\"a\"", "\"a\""));
    assert!(!holds("\"a\"", "\"b\""));
    assert!(!holds("W/\"a\"", "W/\"a\""));
    assert!(!holds("\"a\"", "W/\"a\""));
    assert!(!holds("a", "a"));
    assert!(!holds("*", "\"a\""));
    assert!(if_range_holds(&fields(&[]), &fields(&[])));
    let twice = fields(&[("if-range", "\"a\""), ("if-range", "\"a\"")]);
    assert!(!if_range_holds(&twice, &fields(&[("etag", "\"a\"")])));
}

#[test]
fn if_range_takes_a_date_that_is_strong_enough() {
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let holds = |asked: &str, date: &str| {
        let response = fields(&[("last-modified", MODIFIED), ("date", date)]);
        if_range_holds(&fields(&[("if-range", asked)]), &response)
    };
    assert!(holds(MODIFIED, "Sun, 06 Nov 1994 08:50:37 GMT"));
    assert!(holds("Sunday, 06-Nov-94 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT"));
    assert!(!holds(MODIFIED, "Sun, 06 Nov 1994 08:50:36 GMT"));
    assert!(!holds(MODIFIED, MODIFIED));
    assert!(!holds("Sun, 06 Nov 1994 08:49:38 GMT", "Mon, 07 Nov 1994 08:49:37 GMT"));
    assert!(!if_range_holds(&fields(&[("if-range", MODIFIED)]), &fields(&[("last-modified", MODIFIED)])));
}

fn spec() -> impl Strategy<Value = Spec> {
    let number = || prop_oneof![0..40_u64, 0..1500_u64, any::<u64>()];
    prop_oneof![
        number().prop_map(Spec::From),
        (number(), number()).prop_map(|(a, b)| Spec::Between(a.min(b), a.max(b))),
        number().prop_map(Spec::Suffix),
    ]
}

/// Whether `spec` asks for the byte at `at`, said as plainly as it can be.
fn wants(spec: Spec, at: u64, length: u64) -> bool {
    match spec {
        Spec::From(first) => at >= first,
        Spec::Between(first, last) => at >= first && at <= last,
        Spec::Suffix(suffix) => length - at <= suffix,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(specs in prop::collection::vec(spec(), 1..20)) {
        let asked = RangeSpecs(specs);
        prop_assert_eq!(RangeSpecs::parse(asked.to_string().as_bytes()), Some(asked));
    }

    #[test]
    fn any_bytes_are_borne_and_read_the_same_when_written(
        line in prop_oneof![any::<Vec<u8>>(), "bytes=[0-9, \t-]{0,30}".prop_map(String::into_bytes)],
    ) {
        if let Some(asked) = RangeSpecs::parse(&line) {
            prop_assert_eq!(RangeSpecs::parse(asked.to_string().as_bytes()), Some(asked));
        }
    }

    #[test]
    fn content_ranges_are_borne_and_read_the_same_when_written(
        line in prop_oneof![any::<Vec<u8>>(), "bytes [0-9*/-]{0,12}".prop_map(String::into_bytes)],
    ) {
        if let Some(said) = ContentRange::parse(&line) {
            prop_assert_eq!(ContentRange::parse(said.field().as_bytes()), Some(said));
        }
    }

    #[test]
    fn what_is_sent_is_what_was_asked(
        specs in prop::collection::vec(spec(), 1..6),
        length in prop_oneof![0..3_u64, 0..1500_u64],
        most in 0..8_usize,
    ) {
        let wanted: Vec<bool> = (0..length).map(|at| specs.iter().any(|spec| wants(*spec, at, length))).collect();
        let asked = RangeSpecs(specs.clone());
        match asked.resolve(length, most) {
            Resolved::Whole => {
                let (sent, count) = runs(&wanted);
                let costly = sent + 80 * count > length;
                let empty = length == 0 && specs.iter().any(|spec| matches!(spec, Spec::Suffix(1..)));
                prop_assert!(specs.len() > most || costly || empty);
            }
            Resolved::Unsatisfiable => prop_assert!(!wanted.contains(&true) && specs.len() <= most),
            Resolved::Parts(parts) => {
                let mut sent = vec![false; wanted.len()];
                for part in &parts {
                    for at in part.first..part.end() {
                        let byte = &mut sent[usize::try_from(at).unwrap()];
                        prop_assert!(!*byte, "sent twice");
                        *byte = true;
                    }
                    let ends = [part.first, part.last].map(|at| wanted[usize::try_from(at).unwrap()]);
                    prop_assert_eq!(ends, [true, true], "begins and ends with what was asked for");
                }
                prop_assert!(parts.len() <= specs.len() && specs.len() <= most);
                prop_assert!(wanted.iter().zip(&sent).all(|(wanted, sent)| !wanted || *sent));
                let total = sent.iter().filter(|sent| **sent).count();
                let needless = total - wanted.iter().filter(|wanted| **wanted).count();
                prop_assert!(needless < 80 * specs.len());
            }
        }
    }
}

/// How many bytes the runs of wanted bytes have, with gaps of less than 80 filled, and how many runs these are.
fn runs(wanted: &[bool]) -> (u64, u64) {
    let (mut sent, mut count, mut last) = (0, 0, None::<usize>);
    for at in wanted.iter().enumerate().filter_map(|(at, wanted)| wanted.then_some(at)) {
        match last {
            Some(before) if at - before - 1 < 80 => sent += (at - before) as u64,
            _ => (sent, count) = (sent + 1, count + 1),
        }
        last = Some(at);
    }
    (sent, if count == 1 { 0 } else { count })
}
