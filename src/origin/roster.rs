//! Which endpoint the next request goes to: pure, without locks or waiting.
//!
//! Smooth weighted round robin: at each turn every endpoint that can be used gains its weight, the one with the most
//! is chosen, and it pays what all gained together. With weights 3 and 1 that is a-a-b-a, not a-a-a-b.

use tokio::time::Instant;

use super::health::{Begun, Health, Rules, Use};

/// The endpoints of a pool with their turns, their connections in use and their health.
#[derive(Debug)]
pub(super) struct Roster {
    members: Vec<Member>,
    max_connections: usize,
    rules: Rules,
}

#[derive(Debug)]
struct Member {
    weight: i64,
    gained: i64,
    active: usize,
    health: Health,
    /// The operator wants no request sent there, whatever its health is.
    drained: bool,
}

/// What the roster says to a request.
#[derive(Debug)]
pub(super) enum Pick {
    /// Go to this endpoint; a connection of it is counted as in use.
    Go(usize, Begun),
    /// Those that can be used have as many connections in use as they may.
    Full,
    /// There is nobody that it has not tried and that is not drained.
    Nobody,
}

impl Roster {
    pub(super) fn new(weights: impl Iterator<Item = u16>, max_connections: usize, rules: Rules) -> Self {
        let member = |weight: u16| Member {
            weight: weight.max(1).into(),
            gained: 0,
            active: 0,
            health: Health::default(),
            drained: false,
        };
        Self { members: weights.map(member).collect(), max_connections, rules }
    }

    /// The endpoint for a request that was on those in `tried` before.
    ///
    /// If all are down, a request that was nowhere yet goes to one of them all the same: an answer may come, and
    /// without it there is none for sure. It is the one where the fewest wait, so that one that says nothing does not
    /// gather them all while another is back, and of several the one whose pause ends first. If that fails its pause begins anew, so that the next request asks
    /// another. A request that has failed somewhere does not go on, so that in a total outage each is one attempt. One that
    /// is drained is not asked even then.
    pub(super) fn pick(&mut self, tried: &[usize]) -> Pick {
        let mut now = None;
        let mut clock = || *now.get_or_insert_with(Instant::now);
        let (mut best, mut total, mut full): (Option<(usize, i64, bool)>, i64, bool) = (None, 0, false);
        let mut resting: Option<(usize, Instant, usize)> = None;
        let mut resting_full = false;
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.drained || tried.contains(&index) {
                continue;
            }
            let trial = match member.health.state(&mut clock) {
                Use::Up => false,
                Use::Trial => true,
                Use::Rest(until) => {
                    if member.active >= self.max_connections {
                        resting_full = true;
                    } else if resting.is_none_or(|best| (member.active, until, index) < best) {
                        resting = Some((member.active, until, index));
                    }
                    continue;
                }
            };
            if member.active >= self.max_connections {
                full = true;
                continue;
            }
            member.gained += member.weight;
            total += member.weight;
            if best.is_none_or(|(_, most, _)| member.gained > most) {
                best = Some((index, member.gained, trial));
            }
        }
        if let Some((index, _, trial)) = best {
            return self.go(index, total, trial);
        }
        match resting {
            _ if full => Pick::Full,
            Some((.., index)) if tried.is_empty() => self.go(index, 0, false),
            None if tried.is_empty() && resting_full => Pick::Full,
            _ => Pick::Nobody,
        }
    }

    fn go(&mut self, index: usize, pays: i64, trial: bool) -> Pick {
        let Some(member) = self.members.get_mut(index) else { return Pick::Nobody };
        member.gained -= pays;
        member.active += 1;
        Pick::Go(index, member.health.begin(trial, &self.rules))
    }

    /// A connection is in use no longer. `begun`: if the request has said nothing about the endpoint.
    pub(super) fn release(&mut self, index: usize, begun: Option<Begun>) {
        if let Some(member) = self.members.get_mut(index) {
            member.active = member.active.saturating_sub(1);
            if let Some(begun) = begun {
                member.health.left(begun);
            }
        }
    }

    /// A head came from there. True if that brought it back.
    pub(super) fn answered(&mut self, index: usize) -> bool {
        self.members.get_mut(index).is_some_and(|member| member.health.answered())
    }

    /// A request failed there before its head; the pause that this began.
    pub(super) fn failed(&mut self, index: usize, begun: Begun) -> Option<std::time::Duration> {
        let member = self.members.get_mut(index)?;
        member.health.failed(begun, Instant::now(), &self.rules)
    }

    /// Sends no more requests there, or does so again; its health is what it was.
    pub(super) fn drain(&mut self, index: usize, drained: bool) {
        if let Some(member) = self.members.get_mut(index) {
            member.drained = drained;
        }
    }

    /// Whether it is up, and how many of its connections are in use.
    pub(super) fn state(&self, index: usize) -> (bool, usize) {
        self.members.get(index).map_or((false, 0), |member| (member.health.is_up(), member.active))
    }
}

#[cfg(test)]
mod tests;
