//! The one account of what the node holds in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::share::OF_MEMORY;

/// The part of what bodies may take that may be set aside for some that are to come.
const OF_RESERVED: u64 = 4;

/// The part of the limit that encoders may take together.
const OF_CODERS: u64 = 16;

/// The part of what bodies may take that windows may take together.
const OF_WINDOWS: u64 = 4;

/// Counts bytes held against one limit. Whoever holds memory for clients or objects holds a [`Charge`] for it.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    limit: AtomicU64,
    /// Bytes of bodies that are to come.
    reserved: AtomicU64,
    busy_bodies: AtomicU64,
    /// Bytes of what has a part of its own.
    coders: AtomicU64,
    windows: AtomicU64,
}

/// What has a part of the budget to itself, so that it keeps out nothing but its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// What codes answers as they leave.
    Coders,
    /// Windows in which clients may send before anybody takes what they send.
    Windows,
}

impl Budget {
    /// A budget of `limit` bytes, none of them used.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            limit: AtomicU64::new(limit),
            reserved: AtomicU64::new(0),
            busy_bodies: AtomicU64::new(0),
            coders: AtomicU64::new(0),
            windows: AtomicU64::new(0),
        })
    }

    /// Bytes charged now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many busy bodies there are.
    pub fn busy_bodies(&self) -> u64 {
        self.busy_bodies.load(Ordering::Relaxed)
    }

    /// One busy body more.
    pub(super) fn body_begins(&self) {
        self.busy_bodies.fetch_add(1, Ordering::Relaxed);
    }

    /// One busy body less.
    pub(super) fn body_ends(&self) {
        self.busy_bodies.fetch_sub(1, Ordering::Relaxed);
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Another limit from now on. What is charged stays, also where it is more than that.
    pub fn set_limit(&self, limit: u64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Charges `bytes` if they fit under the limit.
    pub fn try_charge(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        self.try_charge_under(bytes, self.limit())
    }

    fn try_charge_under(self: &Arc<Self>, bytes: u64, limit: u64) -> Option<Charge> {
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|sum| *sum <= limit)
            })
            .ok()
            .map(|_| Charge { budget: Arc::clone(self), bytes })
    }

    /// Charges `bytes` of a body if they fit: bodies leave the last eighth to connections, so that stalled readers
    /// of large bodies never keep others from being let in.
    pub fn try_charge_body(self: &Arc<Self>, bytes: u64) -> Option<Charge> {
        self.try_charge_under(bytes, self.for_bodies())
    }

    /// The same for a body that holds `own` bytes, if it then has no more than its share of what is left for bodies: the
    /// largest is refused first, and there is room for one that comes.
    pub(super) fn try_charge_share(self: &Arc<Self>, own: u64, bytes: u64) -> Option<Charge> {
        let free = self.for_bodies().saturating_sub(self.used().saturating_add(bytes));
        OF_MEMORY.allows(own.saturating_add(bytes), free).then(|| self.try_charge_body(bytes)).flatten()
    }

    /// Charges `bytes` of something that codes an answer as it leaves. All such have a sixteenth of the limit: without one an
    /// answer leaves uncoded, so that nobody is kept out for their sake. One alone may take more, so that there is one at all.
    pub fn try_charge_coder(self: &Arc<Self>, bytes: u64) -> Option<PartCharge> {
        self.try_charge_part(Part::Coders, bytes, self.limit() / OF_CODERS)
    }

    /// Charges `bytes` of a window in which a client may send. All such have a quarter of what bodies may take, however many
    /// clients have begun to send.
    pub fn try_charge_window(self: &Arc<Self>, bytes: u64) -> Option<PartCharge> {
        self.try_charge_part(Part::Windows, bytes, self.for_bodies() / OF_WINDOWS)
    }

    fn try_charge_part(self: &Arc<Self>, part: Part, bytes: u64, share: u64) -> Option<PartCharge> {
        let put = |taken: u64| taken.checked_add(bytes).filter(|sum| taken == 0 || *sum <= share);
        let counter = self.part(part);
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put).ok()?;
        let charge = self.try_charge_body(bytes);
        if charge.is_none() {
            counter.fetch_sub(bytes, Ordering::Relaxed);
        }
        charge.map(|charge| PartCharge { part, charge })
    }

    fn part(&self, part: Part) -> &AtomicU64 {
        match part {
            Part::Coders => &self.coders,
            Part::Windows => &self.windows,
        }
    }

    fn for_bodies(&self) -> u64 {
        let limit = self.limit();
        limit - limit / 8
    }

    /// Bytes that bodies may still take, but for those that are set aside.
    pub fn free_for_bodies(&self) -> u64 {
        let taken = self.used().saturating_add(self.reserved.load(Ordering::Relaxed));
        self.for_bodies().saturating_sub(taken)
    }

    /// Sets `bytes` aside for a body that is to come, if they are free. What is charged for it as it comes is taken
    /// off with [`Reservation::shrink`]. It holds off other reservations, and no charges: so what is set aside may come over
    /// the limit of bodies, and is a quarter of it at most.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        self.reserved.fetch_add(bytes, Ordering::Relaxed);
        let reservation = Reservation { budget: Arc::clone(self), bytes };
        // With its own bytes in it: of two at once, both may be refused, but never one too many be let in.
        let reserved = self.reserved.load(Ordering::Relaxed);
        let fits = self.used().saturating_add(reserved) <= self.for_bodies();
        (fits && reserved <= self.for_bodies() / OF_RESERVED).then_some(reservation)
    }

    /// Charges `bytes` even over the limit: for small amounts that have a bound of their own.
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Charge { budget: Arc::clone(self), bytes }
    }
}

/// Bytes set aside in a budget until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Gives so many of its bytes back, or all.
    pub fn shrink(&mut self, by: u64) {
        let by = by.min(self.bytes);
        self.bytes -= by;
        self.budget.reserved.fetch_sub(by, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The same of what has a part of its own.
#[derive(Debug)]
pub struct PartCharge {
    part: Part,
    charge: Charge,
}

impl Drop for PartCharge {
    fn drop(&mut self) {
        self.charge.budget.part(self.part).fetch_sub(self.charge.bytes, Ordering::Relaxed);
    }
}

/// Bytes charged to a budget until this is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Changes it to `bytes`, even over the limit: for what grows and shrinks as one.
    pub fn set(&mut self, bytes: u64) {
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// Ties this charge to `content`: it is returned when the last clone of the result is dropped, whoever
    /// holds it by then.
    pub fn attach(self, content: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Charged { content, _charge: self })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Charged<T> {
    content: T,
    _charge: Charge,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Charged<T> {
    fn as_ref(&self) -> &[u8] {
        self.content.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_over_the_limit_is_refused_and_a_dropped_one_returned() {
        let budget = Budget::new(100);
        let first = budget.try_charge(60).expect("fits");
        assert!(budget.try_charge(41).is_none());
        drop(first);
        assert_eq!(budget.used(), 0);
        assert!(budget.try_charge(100).is_some());
    }

    #[test]
    fn a_charge_that_changes_is_returned_as_it_is_by_then() {
        let budget = Budget::new(100);
        let mut charge = budget.charge(60);
        charge.set(10);
        assert_eq!(budget.used(), 10);
        drop(charge);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_body_has_no_more_than_its_share_and_the_next_one_finds_room() {
        let budget = Budget::new(800);
        let large = budget.try_charge_share(0, 500).expect("700 are for bodies");
        assert!(budget.try_charge_share(500, 100).is_none(), "four times what it would leave");
        let small = budget.try_charge_share(0, 100).expect("it has nothing so far");
        drop(small);
        drop(large);
        assert!(budget.try_charge_share(0, 600).is_none());
    }

    #[test]
    fn a_lower_limit_takes_nothing_back_and_lets_nothing_in() {
        let budget = Budget::new(100);
        let charge = budget.charge(60);
        budget.set_limit(50);
        assert!(budget.try_charge(1).is_none() && budget.free_for_bodies() == 0);
        drop(charge);
        assert!(budget.try_charge(50).is_some() && budget.try_charge(51).is_none());
    }

    #[test]
    fn what_is_set_aside_is_not_set_aside_twice_and_comes_back() {
        let budget = Budget::new(800);
        let charge = budget.charge(500);
        let mut first = budget.try_reserve(100).expect("700 are for bodies");
        assert!(budget.try_reserve(101).is_none(), "no more than is free");
        assert_eq!(budget.free_for_bodies(), 100);
        first.shrink(80);
        first.shrink(80);
        assert_eq!(budget.free_for_bodies(), 200);
        drop((first, charge));
        assert_eq!(budget.free_for_bodies(), 700);
        assert!(budget.try_reserve(176).is_none(), "no more than a quarter");
    }

    #[test]
    fn encoders_have_a_share_and_one_of_them_is_always_let_in() {
        let budget = Budget::new(1600);
        let large = budget.try_charge_coder(700).expect("the only one");
        assert!(budget.try_charge_coder(1).is_none());
        drop(large);
        let some: Vec<_> = std::iter::from_fn(|| budget.try_charge_coder(40)).collect();
        assert_eq!((some.len(), budget.used()), (2, 80));
        drop(some);
        let _others = budget.try_charge_body(1400).expect("seven eighths");
        assert!(budget.try_charge_coder(10).is_none());
        assert_eq!((budget.used(), budget.coders.load(Ordering::Relaxed)), (1400, 0));
    }

    #[test]
    fn windows_keep_out_no_bodies_but_each_other() {
        let budget = Budget::new(1600);
        let windows: Vec<_> = std::iter::from_fn(|| budget.try_charge_window(100)).collect();
        assert_eq!((windows.len(), budget.used()), (3, 300), "a quarter of 1400");
        assert!(budget.try_charge_body(1100).is_some());
        drop(windows);
        assert_eq!(budget.used(), 0);
        assert!(budget.try_charge_window(350).is_some() && budget.try_charge_window(100).is_some());
    }

    #[test]
    fn attached_bytes_stay_charged_until_their_last_clone_goes() {
        let budget = Budget::new(100);
        let bytes = budget.charge(5).attach(b"hello".to_vec());
        let in_a_socket_queue = bytes.slice(1..3);
        drop(bytes);
        assert_eq!(budget.used(), 5);
        drop(in_a_socket_queue);
        assert_eq!(budget.used(), 0);
    }
}
