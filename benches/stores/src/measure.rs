//! Clocks, sizes and percentiles.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

fn rusage(who: libc::c_int) -> Duration {
    // SAFETY: `rusage` is plain numbers, and getrusage only writes to the one it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(who, &mut usage), 0);
        usage
    };
    let part = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    part(usage.ru_utime) + part(usage.ru_stime)
}

/// CPU time of all threads, those included that the store runs behind our back.
pub fn process_cpu() -> Duration {
    rusage(libc::RUSAGE_SELF)
}

pub fn thread_cpu() -> Duration {
    rusage(libc::RUSAGE_THREAD)
}

/// CPU and wall time since it was made.
pub struct Clock(Duration, Instant);

impl Clock {
    pub fn start() -> Self {
        Self(process_cpu(), Instant::now())
    }

    pub fn cpu(&self) -> Duration {
        process_cpu() - self.0
    }

    pub fn wall(&self) -> Duration {
        self.1.elapsed()
    }
}

pub fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

/// Waits until the store's own threads have nothing left to do, for up to two minutes.
pub fn settle() {
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        let before = process_cpu();
        std::thread::sleep(Duration::from_millis(400));
        if process_cpu() - before < Duration::from_millis(8) {
            break;
        }
    }
}

/// Bytes that a folder takes on disk, and the sum of its files' lengths. Files may vanish meanwhile.
pub fn disk(dir: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if let Ok(meta) = entry.metadata() {
            let more = if meta.is_dir() { disk(&entry.path()) } else { (meta.blocks() * 512, meta.len()) };
            sum = (sum.0 + more.0, sum.1 + more.1);
        }
    }
    sum
}

pub fn rss_anon() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Whether the kernel's page cache was dropped, for which one must be root.
pub fn drop_caches() -> bool {
    // SAFETY: sync has neither arguments nor a result.
    unsafe { libc::sync() };
    fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

pub fn percentiles(mut times: Vec<u32>) -> String {
    times.sort_unstable();
    let at = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]) / 1000.0;
    let (p50, p99, p999, max) = (at(0.5), at(0.99), at(0.999), at(1.0) / 1000.0);
    format!("p50 {p50:.1} us, p99 {p99:.1} us, p99.9 {p999:.1} us, max {max:.1} ms of {} gets", times.len())
}
