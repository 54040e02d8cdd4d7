//! File descriptors: as many as the limits ask for, or limits that fit those that there are.

use crate::config::Settings;

/// Takes the descriptors that the limits ask for, or lowers the limits to those that there are.
pub fn fit(settings: &mut Settings) {
    let needed = settings.descriptors();
    let available = rlimit::increase_nofile_limit(needed).unwrap_or(0);
    if available < needed {
        settings.fit_to_descriptors(available);
        tracing::warn!(
            available,
            needed,
            connections = settings.request.max_connections,
            fetches = settings.fetch.max_fetches,
            "few file descriptors: limits are lowered (raise them with ulimit -n)"
        );
    }
}
