//! What of the parts that were asked for there is, and which of it is sent.

use super::{Part, RangeSpecs, Spec};

/// What one part costs beside its bytes, roughly: its delimiter, its two fields and their ends. Parts that are less than
/// this apart are sent as one (RFC 9110 §15.3.7.2).
const FRAMING: u64 = 80;

/// What is to be sent for a `Range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The whole, as if no part had been asked for (RFC 9110 §14.2).
    Whole,
    /// These parts, one at least, in the order in which their first bytes were asked for. None touches or overlaps
    /// another.
    Parts(Vec<Part>),
    /// Nothing: no part that was asked for has any bytes (RFC 9110 §15.5.17).
    Unsatisfiable,
}

impl RangeSpecs {
    /// What is to be sent of a representation of `length` bytes.
    ///
    /// Never more than the representation and the framing of `most` parts: parts that overlap, touch, or are closer than
    /// their framing is long are sent as one. The whole is sent where more than `most` were asked for, or where the parts
    /// that are left would cost more than it.
    pub fn resolve(&self, length: u64, most: usize) -> Resolved {
        if self.specs().len() > most {
            return Resolved::Whole;
        }
        let within = self.specs().iter().filter_map(|spec| spec.within(length));
        let parts = coalesced(within.collect());
        if parts.is_empty() {
            // The last bytes of nothing are nothing, and all of it.
            let of_nothing = |spec: &Spec| matches!(spec, Spec::Suffix(1..));
            let whole = length == 0 && self.specs().iter().any(of_nothing);
            return if whole { Resolved::Whole } else { Resolved::Unsatisfiable };
        }
        let sent: u64 = parts.iter().map(|part| part.length()).sum();
        let framing = if parts.len() == 1 { 0 } else { FRAMING.saturating_mul(parts.len() as u64) };
        if sent.saturating_add(framing) > length { Resolved::Whole } else { Resolved::Parts(parts) }
    }
}

impl Spec {
    /// The bytes that it selects of `length`; `None` if there are none.
    fn within(self, length: u64) -> Option<Part> {
        let end = length.checked_sub(1)?;
        let part = match self {
            Self::From(first) => Part { first, last: end },
            Self::Between(first, last) => Part { first, last: last.min(end) },
            Self::Suffix(0) => return None,
            Self::Suffix(suffix) => Part { first: length.saturating_sub(suffix), last: end },
        };
        (part.first <= end).then_some(part)
    }
}

/// The same bytes, and those of small gaps, in parts that are worth it; each where the first of it was asked for.
fn coalesced(asked: Vec<Part>) -> Vec<Part> {
    let mut sorted: Vec<(usize, Part)> = asked.into_iter().enumerate().collect();
    sorted.sort_unstable_by_key(|(turn, part)| (part.first, *turn));
    let mut merged: Vec<(usize, Part)> = Vec::with_capacity(sorted.len());
    for (turn, part) in sorted {
        match merged.last_mut() {
            Some((earlier, last)) if part.first.saturating_sub(last.end()) < FRAMING => {
                last.last = last.last.max(part.last);
                *earlier = turn.min(*earlier);
            }
            _ => merged.push((turn, part)),
        }
    }
    merged.sort_unstable_by_key(|(turn, _)| *turn);
    merged.into_iter().map(|(_, part)| part).collect()
}
