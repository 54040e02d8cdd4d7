//! Work that waits, in turns of sites: one with much to do does not hold up the others.

use std::collections::VecDeque;

use crate::base::ids::SiteId;

/// The most pieces of work of one site.
const MOST_OF_SITE: usize = 256;

/// The most pieces of work of all sites.
const MOST: usize = 4096;

/// Work by sites. The first site is the next one to have a piece done.
#[derive(Debug)]
pub(super) struct Queue<T> {
    sites: VecDeque<(SiteId, VecDeque<T>)>,
    length: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { sites: VecDeque::new(), length: 0 }
    }
}

impl<T> Queue<T> {
    /// Takes a piece of work in; gives it back if there is too much.
    pub(super) fn put(&mut self, site: SiteId, work: T) -> Result<(), T> {
        if self.length >= MOST {
            return Err(work);
        }
        match self.sites.iter_mut().find(|(of, _)| *of == site) {
            Some((_, waiting)) if waiting.len() >= MOST_OF_SITE => return Err(work),
            Some((_, waiting)) => waiting.push_back(work),
            None => self.sites.push_back((site, [work].into())),
        }
        self.length += 1;
        Ok(())
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<T> {
        let (site, mut waiting) = self.sites.pop_front()?;
        let work = waiting.pop_front();
        if !waiting.is_empty() {
            self.sites.push_back((site, waiting));
        }
        self.length -= usize::from(work.is_some());
        work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_have_turns() {
        let mut queue = Queue::default();
        for work in 0..3 {
            queue.put(SiteId(1), (1, work)).expect("room");
        }
        queue.put(SiteId(2), (2, 0)).expect("room");
        let order: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, [(1, 0), (2, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn neither_one_site_nor_all_have_more_than_their_share() {
        let mut queue = Queue::default();
        let put = |queue: &mut Queue<usize>, site, many: usize| {
            (0..many).filter(|work| queue.put(SiteId(site), *work).is_ok()).count()
        };
        assert_eq!(put(&mut queue, 0, 1000), MOST_OF_SITE);
        assert_eq!((1..100).map(|site| put(&mut queue, site, 100)).sum::<usize>(), MOST - MOST_OF_SITE);
        assert!(queue.next().is_some());
        assert_eq!(put(&mut queue, 99, 2), 1);
        assert_eq!(std::iter::from_fn(|| queue.next()).count(), MOST);
    }
}
