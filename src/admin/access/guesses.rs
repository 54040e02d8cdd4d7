//! How many wrong tokens somebody may show: some at once, and then one now and then.
//!
//! Each address has a purse of its own, so that who guesses locks out nobody but whoever comes from the same place. Nobody is
//! asked for the token of a request whose purse is empty: otherwise the answer would tell whether it was right.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Wrong tokens at once.
const AT_ONCE: u32 = 10;

/// One more after so long.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// The most addresses that are remembered. Beyond, the one that has waited longest is forgotten, which gives it ten more.
const MOST: usize = 4096;

/// Wrong tokens by address.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, Instant>>);

impl Guesses {
    /// Whether one who comes from there may show a token.
    pub(super) fn may(&self, from: IpAddr) -> bool {
        let latest = Instant::now() + PAUSE * (AT_ONCE - 1);
        self.0.lock().get(&network(from)).is_none_or(|until| *until <= latest)
    }

    /// What was shown from there was wrong.
    pub(super) fn wrong(&self, from: IpAddr) {
        let (from, now) = (network(from), Instant::now());
        let mut purses = self.0.lock();
        // Each is the time at which all of it will be forgotten: so a purse is one number.
        let until = purses.get(&from).map_or(now, |until| (*until).max(now)) + PAUSE;
        if purses.len() >= MOST && !purses.contains_key(&from) {
            purses.retain(|_, until| *until > now);
            let oldest = purses.iter().min_by_key(|(_, until)| **until).map(|(from, _)| *from);
            if let Some(oldest) = oldest.filter(|_| purses.len() >= MOST) {
                purses.remove(&oldest);
            }
        }
        purses.insert(from, until);
    }
}

/// Who has one address of IPv6 has 2^64 of them.
pub(in crate::admin) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_allowed_at_once_and_then_one_now_and_then() {
        let guesses = Guesses::default();
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..AT_ONCE {
            assert!(guesses.may(one));
            guesses.wrong(one);
        }
        assert!(!guesses.may(one) && guesses.may(other), "who guesses locks out nobody else");
        tokio::time::advance(PAUSE + Duration::from_millis(1)).await;
        assert!(guesses.may(one));
        guesses.wrong(one);
        assert!(!guesses.may(one));
        tokio::time::advance(PAUSE * AT_ONCE).await;
        for _ in 0..AT_ONCE {
            assert!(guesses.may(one));
            guesses.wrong(one);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_and_their_number_is_bounded() {
        let guesses = Guesses::default();
        for host in 0..AT_ONCE {
            guesses.wrong(address(&format!("2001:db8::{host:x}")));
        }
        assert!(!guesses.may(address("2001:db8::ffff")) && guesses.may(address("2001:db8:0:1::1")));
        for number in 0..20_000_u32 {
            guesses.wrong(IpAddr::V4(number.into()));
        }
        assert_eq!(guesses.0.lock().len(), MOST);
    }
}
