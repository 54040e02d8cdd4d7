//! What the kernel knows of this process.

use std::time::Duration;

/// User and system time used so far.
pub(super) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Memory that is no file's (`RssAnon`), in bytes; `None` where the kernel does not say.
pub(super) fn anonymous_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_takes_time_and_memory() {
        assert!(!super::cpu().is_zero());
        assert!(super::anonymous_memory().is_some_and(|bytes| bytes > 4096));
    }
}
