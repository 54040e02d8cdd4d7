//! Work that waits, by turns of sites: one with much to do, or with large things, does not hold up the others.

use std::collections::VecDeque;

use crate::base::ids::SiteId;

/// The most pieces of work of one site.
const MOST_OF_SITE: usize = 256;

/// The most pieces of work of all sites.
const MOST: usize = 4096;

/// Work by sites. Next is that of the site on which least was spent.
#[derive(Debug)]
pub(super) struct Queue<T> {
    sites: Vec<Waiting<T>>,
    length: usize,
    /// What was spent on the site that had a piece done last: who comes anew begins there, without credit for having had
    /// nothing to do.
    spent: u64,
}

/// What waits of one site.
#[derive(Debug)]
struct Waiting<T> {
    site: SiteId,
    spent: u64,
    work: VecDeque<(u64, T)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { sites: Vec::new(), length: 0, spent: 0 }
    }
}

impl<T> Queue<T> {
    /// Takes a piece of work in that costs so much; gives it back if there is too much.
    pub(super) fn put(&mut self, site: SiteId, cost: u64, work: T) -> Result<(), T> {
        if self.length >= MOST {
            return Err(work);
        }
        match self.sites.iter_mut().find(|waiting| waiting.site == site) {
            Some(waiting) if waiting.work.len() >= MOST_OF_SITE => return Err(work),
            Some(waiting) => waiting.work.push_back((cost, work)),
            None => self.sites.push(Waiting { site, spent: self.spent, work: [(cost, work)].into() }),
        }
        self.length += 1;
        Ok(())
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<T> {
        let (at, waiting) = self.sites.iter_mut().enumerate().min_by_key(|(_, waiting)| waiting.spent)?;
        let (cost, work) = waiting.work.pop_front()?;
        self.spent = waiting.spent;
        // Also what is as good as nothing is a piece.
        waiting.spent += cost.max(1);
        if waiting.work.is_empty() {
            self.sites.remove(at);
        }
        self.length -= 1;
        Some(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T>(queue: &mut Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.next()).collect()
    }

    #[test]
    fn sites_have_turns() {
        let mut queue = Queue::default();
        for work in 0..3 {
            queue.put(SiteId(1), 10, (1, work)).expect("room");
        }
        queue.put(SiteId(2), 10, (2, 0)).expect("room");
        assert_eq!(all(&mut queue), [(1, 0), (2, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn what_is_large_is_paid_for() {
        let mut queue = Queue::default();
        for work in 0..3 {
            queue.put(SiteId(1), 100, (1, work)).expect("room");
            queue.put(SiteId(2), 30, (2, work)).expect("room");
        }
        assert_eq!(all(&mut queue), [(1, 0), (2, 0), (2, 1), (2, 2), (1, 1), (1, 2)]);
        queue.put(SiteId(1), 1000, (1, 0)).expect("room");
        queue.put(SiteId(1), 1000, (1, 1)).expect("room");
        queue.next();
        // Who had nothing to do for long has no credit, and no debts either.
        queue.put(SiteId(3), 900, (3, 0)).expect("room");
        queue.put(SiteId(3), 900, (3, 1)).expect("room");
        assert_eq!(all(&mut queue), [(3, 0), (3, 1), (1, 1)]);
    }

    #[test]
    fn neither_one_site_nor_all_have_more_than_their_share() {
        let mut queue = Queue::default();
        let put = |queue: &mut Queue<usize>, site, many: usize| {
            (0..many).filter(|work| queue.put(SiteId(site), 1, *work).is_ok()).count()
        };
        assert_eq!(put(&mut queue, 0, 1000), MOST_OF_SITE);
        assert_eq!((1..100).map(|site| put(&mut queue, site, 100)).sum::<usize>(), MOST - MOST_OF_SITE);
        assert!(queue.next().is_some());
        assert_eq!(put(&mut queue, 99, 2), 1);
        assert_eq!(all(&mut queue).len(), MOST);
    }
}
