//! Up to which purge of the fleet a node knows that what it asks for must be younger: a field between the nodes of one
//! operator, believed of configured peers alone.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A place in the fleet's stream of purges. Whoever answers is to have applied all up to it, or to ask further.
pub const FOREBAY_APPLIED: HeaderName = HeaderName::from_static("forebay-applied");

/// The place that a request carries; zero, where it carries none. One that is no number asks for more than anybody has.
pub fn applied(request: &HeaderMap) -> u64 {
    let mut lines = request.get_all(&FOREBAY_APPLIED).iter();
    let Some(first) = lines.next() else { return 0 };
    let digits = |line: &HeaderValue| line.to_str().ok()?.parse().ok();
    lines.next().map_or_else(|| digits(first), |_| None).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_asks_for_more_than_anybody_has() {
        let of = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (FOREBAY_APPLIED, HeaderValue::from_static(line)));
            let mut fields = HeaderMap::new();
            for (name, line) in lines {
                fields.append(name, line);
            }
            applied(&fields)
        };
        assert_eq!([of(&[]), of(&["0"]), of(&["17"])], [0, 0, 17]);
        assert_eq!([of(&[""]), of(&["-1"]), of(&["1, 2"]), of(&["1", "1"])], [u64::MAX; 4]);
    }
}
