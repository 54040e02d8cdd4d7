//! How urgent an answer is to its client (RFC 9218).

use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// What a client says of one answer. Smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority {
    /// 0 is the most urgent, 7 what may wait (RFC 9218 §4.1).
    urgency: u8,
    /// Whether answers of this urgency share the connection, because each is of use before it is whole (§4.2).
    shares: bool,
}

const DEFAULT_URGENCY: u8 = 3;

impl Priority {
    /// Of a client that says nothing: its answers share the connection, for it may well ask for several parties.
    pub const UNSAID: Self = Self { urgency: DEFAULT_URGENCY, shares: true };

    /// By the value of a field, or of a `PRIORITY_UPDATE`. What cannot be understood says nothing.
    pub fn of(value: &[u8]) -> Self {
        let Ok(said) = Parser::new(value).parse::<Dictionary>() else { return Self::UNSAID };
        let item = |key: &str| match said.get(key) {
            Some(ListEntry::Item(item)) => Some(&item.bare_item),
            _ => None,
        };
        let urgency = match item("u") {
            Some(BareItem::Integer(urgency)) => {
                u8::try_from(i64::from(*urgency)).ok().filter(|urgency| *urgency <= 7)
            }
            _ => None,
        };
        let shares = matches!(item("i"), Some(BareItem::Boolean(true)));
        Self { urgency: urgency.unwrap_or(DEFAULT_URGENCY), shares }
    }

    /// See [`Priority`].
    pub fn shares(self) -> bool {
        self.shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        let of = |value: &str| Priority::of(value.as_bytes());
        let known = |urgency, shares| Priority { urgency, shares };
        for (value, priority) in [
            ("u=0", known(0, false)),
            ("u=7, i", known(7, true)),
            ("i", known(3, true)),
            ("u=5, i=?0, new=1", known(5, false)),
            ("", known(3, false)),
            ("u=8", known(3, false)),
            ("u=-1", known(3, false)),
            ("u=1.5", known(3, false)),
            ("u=(1)", known(3, false)),
            ("i=1", known(3, false)),
            ("u=1, u=2", known(2, false)),
            ("U=1", Priority::UNSAID),
            ("\u{e9}", Priority::UNSAID),
        ] {
            assert_eq!(of(value), priority, "{value}");
        }
        assert!(of("u=1, i") < of("u=2") && of("u=2") < of("u=2, i"));
    }
}
