//! The limits of the client side, which a reload may change.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::Settings;

/// Limits as they were when somebody last looked. Clones see the same changes, each when it looks.
#[derive(Clone, Debug)]
pub struct Limits {
    now: Arc<Numbered>,
    source: Arc<Source>,
}

/// The limits that came after so many others.
#[derive(Debug)]
struct Numbered {
    settings: Settings,
    number: usize,
}

#[derive(Debug)]
struct Source {
    latest: Mutex<Arc<Numbered>>,
    /// The number of those.
    number: AtomicUsize,
}

impl Limits {
    /// Changes them for all that are clones of this, from when they look next.
    pub fn put(&self, settings: Settings) {
        let mut latest = self.source.latest.lock();
        let number = latest.number.wrapping_add(1);
        *latest = Arc::new(Numbered { settings, number });
        self.source.number.store(number, Ordering::Release);
    }

    /// Looks: one load of a number, unless they have changed.
    pub fn renew(&mut self) {
        if self.source.number.load(Ordering::Acquire) != self.now.number {
            self.now = Arc::clone(&self.source.latest.lock());
        }
    }

    /// Those that hold now.
    #[must_use]
    pub fn latest(&self) -> Self {
        let mut latest = self.clone();
        latest.renew();
        latest
    }
}

impl From<Settings> for Limits {
    fn from(settings: Settings) -> Self {
        let now = Arc::new(Numbered { settings, number: 0 });
        let source = Source { latest: Mutex::new(Arc::clone(&now)), number: AtomicUsize::new(0) };
        Self { now, source: Arc::new(source) }
    }
}

impl Deref for Limits {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.now.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_sees_the_latest_and_who_does_not_keeps_what_he_saw() {
        let limits = Limits::from(Settings::default());
        let (mut looks, sees) = (limits.clone(), limits.clone());
        limits.put(Settings { max_fields: 7, ..Settings::default() });
        looks.renew();
        assert_eq!((looks.max_fields, sees.max_fields, sees.latest().max_fields), (7, 128, 7));
    }
}
