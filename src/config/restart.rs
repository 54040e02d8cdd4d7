//! What of a configuration a running node cannot change.

use super::Configuration;

impl Configuration {
    /// Puts what can be had only by a restart back to what is `running`, and names what would have changed.
    pub fn hold(&mut self, running: &Self) -> Vec<&'static str> {
        let mut held = Vec::new();
        keep("node.workers", &mut self.node.workers, &running.node.workers, &mut held);
        keep("disk.directory", &mut self.disk.directory, &running.disk.directory, &mut held);
        keep("disk.limit", &mut self.disk.limit, &running.disk.limit, &mut held);
        keep("disk.admission", &mut self.disk.admission, &running.disk.admission, &mut held);
        keep("spill.directory", &mut self.spill.directory, &running.spill.directory, &mut held);
        keep("spill.limit", &mut self.spill.limit, &running.spill.limit, &mut held);
        keep("cache.marker_life", &mut self.cache.marker_life, &running.cache.marker_life, &mut held);
        keep("admin", &mut self.admin, &running.admin, &mut held);
        held
    }
}

fn keep<T: Clone + PartialEq>(name: &'static str, now: &mut T, running: &T, held: &mut Vec<&'static str>) {
    if now != running {
        now.clone_from(running);
        held.push(name);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::units::ByteSize;

    #[test]
    fn what_needs_a_restart_is_put_back_and_named_and_all_else_is_taken() {
        let running = Configuration::default();
        let mut written = running.clone();
        written.node.workers = Some(3);
        written.node.drain = Duration::from_secs(1);
        written.spill.limit = ByteSize::mib(100);
        assert_eq!(written.hold(&running), ["node.workers", "spill.limit"]);
        assert_eq!((written.node.workers, written.spill.limit), (None, running.spill.limit));
        assert_eq!(written.node.drain, Duration::from_secs(1));
        assert!(written.hold(&running).is_empty());
    }
}
