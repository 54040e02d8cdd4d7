//! HTTP dates (RFC 9110 §5.6.7).
//!
//! The three forms are read by place, and strictly but for what RFC 9110 asks recipients to be robust about and what
//! is of no consequence: names may be in any case of letters, and a weekday need not be that of the date.

use http::HeaderValue;

use crate::base::clock::Timestamp;

/// The last second that an HTTP date, with its four digits of year, can name.
const LAST: Timestamp = Timestamp::from_secs(253_402_300_799);

const WEEKDAYS: [&[u8]; 7] =
    [b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday", b"sunday"];

/// Of a year of two digits (RFC 850) those below this one are of the 21st century.
const PIVOT: u32 = 70;

/// Reads a date in any of the three forms; `None` for anything else. Dates before 1970 are read as its beginning.
pub fn parse_date(value: &HeaderValue) -> Option<Timestamp> {
    parse(value.as_bytes())
}

/// A time as an HTTP date in the preferred form, cut to the second; beyond the year 9999, the end of that year.
pub fn format_date(time: Timestamp) -> HeaderValue {
    // httpdate panics beyond the year 9999.
    let text = httpdate::fmt_http_date(time.min(LAST).to_system_time());
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// The same of the bytes of a value.
pub fn parse(text: &[u8]) -> Option<Timestamp> {
    match text.iter().position(|byte| *byte == b',') {
        Some(3) => imf_fixdate(text),
        Some(comma) => rfc850_date(text.get(..comma)?, text.get(comma..)?),
        None => asctime_date(text),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ ..] = text
    else {
        return None;
    };
    is_short_weekday([*w1, *w2, *w3])?;
    let time = time.strip_suffix_ignoring_case(b" gmt")?;
    let date = Date {
        year: number(&[*y1, *y2, *y3, *y4])?,
        month: month([*m1, *m2, *m3])?,
        day: number(&[*d1, *d2])?,
    };
    date.at(time)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(weekday: &[u8], rest: &[u8]) -> Option<Timestamp> {
    let [b',', b' ', d1, d2, b'-', m1, m2, m3, b'-', y1, y2, b' ', time @ ..] = rest else { return None };
    WEEKDAYS.iter().find(|name| name.eq_ignore_ascii_case(weekday))?;
    let time = time.strip_suffix_ignoring_case(b" gmt")?;
    let year = number(&[*y1, *y2])?;
    let century = if year < PIVOT { 2000 } else { 1900 };
    Date { year: century + year, month: month([*m1, *m2, *m3])?, day: number(&[*d1, *d2])? }.at(time)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b' ', m1, m2, m3, b' ', d1, d2, b' ', time @ .., b' ', y1, y2, y3, y4] = text else {
        return None;
    };
    is_short_weekday([*w1, *w2, *w3])?;
    let day = if *d1 == b' ' { number(&[*d2])? } else { number(&[*d1, *d2])? };
    Date { year: number(&[*y1, *y2, *y3, *y4])?, month: month([*m1, *m2, *m3])?, day }.at(time)
}

/// A day of the calendar.
struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// This day at `08:49:37`; none if there is no such day or time.
    fn at(&self, time: &[u8]) -> Option<Timestamp> {
        let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
        let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
        // A leap second is as long as the second before it.
        if hour > 23 || minute > 59 || second > 60 || self.day == 0 || self.day > self.days_of_month() {
            return None;
        }
        let seconds = i64::from(hour * 3600 + minute * 60 + second.min(59));
        let total = self.days_since_1970() * 86_400 + seconds;
        Some(Timestamp::from_secs(u64::try_from(total).unwrap_or(0)))
    }

    fn days_of_month(&self) -> u32 {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Counted in years that begin with March, so that the leap day is the last of its year.
    fn days_since_1970(&self) -> i64 {
        const TO_1970: i64 = 719_468;
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let month = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        365 * year + leap_days + day_of_year - TO_1970
    }
}

fn is_short_weekday(name: [u8; 3]) -> Option<()> {
    let name = name.map(|letter| letter.to_ascii_lowercase());
    matches!(&name, b"mon" | b"tue" | b"wed" | b"thu" | b"fri" | b"sat" | b"sun").then_some(())
}

/// The month of this name, from 1.
fn month(name: [u8; 3]) -> Option<u32> {
    Some(match &name.map(|letter| letter.to_ascii_lowercase()) {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    })
}

/// A number of digits and nothing else.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

trait StripIgnoringCase {
    /// What stands before `end`, in any case of letters.
    fn strip_suffix_ignoring_case(&self, end: &[u8]) -> Option<&Self>;
}

impl StripIgnoringCase for [u8] {
    fn strip_suffix_ignoring_case(&self, end: &[u8]) -> Option<&Self> {
        let (rest, suffix) = self.split_at_checked(self.len().checked_sub(end.len())?)?;
        suffix.eq_ignore_ascii_case(end).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(text: &str) -> Option<u64> {
        parse(text.as_bytes()).map(Timestamp::as_secs)
    }

    #[test]
    fn the_three_forms_mean_the_same_in_any_case() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 NOV 1994 08:49:37 gmt",
            "sunday, 06-nov-94 08:49:37 Gmt",
            // Not the right weekday.
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(secs(text), Some(784_111_777), "{text}");
        }
        assert_eq!(secs("Thursday, 18-Aug-50 02:01:18 GMT"), secs("Thu, 18 Aug 2050 02:01:18 GMT"));
        assert_eq!(secs("Sat, 31 Dec 2016 23:59:60 GMT"), secs("Sat, 31 Dec 2016 23:59:59 GMT"));
        assert_eq!(secs("Fri, 01 Jan 1960 00:00:00 GMT"), Some(0));
        assert_eq!(secs("Fri, 31 Dec 9999 23:59:59 GMT"), Some(LAST.as_secs()));
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 32 Aug 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Mon, 29 Feb 2100 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thursd, 18-Aug-50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ",
            "Thu, 18 Aug 2050 02:01:18 GMT, x",
            "Thu Aug 18 02:01:18 2050 GMT",
        ] {
            assert_eq!(secs(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(secs in 0_u64..=253_402_300_799) {
            let time = Timestamp::from_secs(secs);
            prop_assert_eq!(parse_date(&format_date(time)), Some(time));
        }

        #[test]
        fn every_time_can_be_written(millis: u64) {
            prop_assert!(parse_date(&format_date(Timestamp::from_millis(millis))).is_some());
        }

        #[test]
        fn what_the_library_reads_is_read_alike(
            day in 1..=31, month in 0..12_usize, year in 1970..=9999, time in "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]", form in 0..3,
        ) {
            let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
            let short = year % 100;
            let text = match form {
                0 => format!("Sun, {day:02} {name} {year} {time} GMT"),
                1 => format!("Sunday, {day:02}-{name}-{short:02} {time} GMT"),
                _ => format!("Sun {name} {day:>2} {time} {year}"),
            };
            let theirs = httpdate::parse_http_date(&text).map(Timestamp::from_system_time);
            if let Ok(theirs) = theirs {
                prop_assert_eq!(parse(text.as_bytes()), Some(theirs), "{}", text);
            }
        }

        #[test]
        fn no_bytes_panic(text: Vec<u8>) {
            let _ = parse(&text);
        }
    }
}
