//! HTTP dates by their grammar (RFC 9110 §5.6.7), counted day by day.

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Seconds since 1970, never less than none. Weekdays need not be right, and letters may be in any case.
pub fn seconds(text: &str) -> Option<i128> {
    let text = text.to_ascii_lowercase();
    let parts: Vec<&str> = text.split(' ').collect();
    match parts[..] {
        [weekday, day, month, year, time, "gmt"] if short(weekday.strip_suffix(',')?) => {
            count(number(year, 4)?, month, number(day, 2)?, time)
        }
        [weekday, date, time, "gmt"] if DAYS.contains(&weekday.strip_suffix(',')?) => {
            let date: Vec<&str> = date.split('-').collect();
            let [day, month, year] = date[..] else { return None };
            // A window that stands still: from 1970 to 2069 (see docs/conformance-differences.md).
            let year = number(year, 2)?;
            let year = if year < 70 { 2000 + year } else { 1900 + year };
            count(year, month, number(day, 2)?, time)
        }
        [weekday, month, day, time, year] if short(weekday) => {
            count(number(year, 4)?, month, number(day, 2)?, time)
        }
        [weekday, month, "", day, time, year] if short(weekday) => {
            count(number(year, 4)?, month, number(day, 1)?, time)
        }
        _ => None,
    }
}

fn short(text: &str) -> bool {
    DAYS.iter().any(|day| &day[..3] == text)
}

fn number(text: &str, digits: usize) -> Option<i128> {
    let right = text.len() == digits && text.chars().all(|c| c.is_ascii_digit());
    if right { text.parse().ok() } else { None }
}

fn count(year: i128, month: &str, day: i128, time: &str) -> Option<i128> {
    let month = MONTHS.iter().position(|name| *name == month)?;
    let time: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = time[..] else { return None };
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    // A leap second is taken for the one before it.
    if hour > 23 || minute > 59 || second > 60 || day < 1 || day > length(year, month) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    let years: i128 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months: i128 = (0..month).map(|month| length(year, month)).sum();
    let days = years + months + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second.min(59))
}

fn is_leap(year: i128) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn length(year: i128, month: usize) -> i128 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}
