//! What a run found.

use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies and troubles of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// From due to the last byte, of every request that was due: one that was never answered counts until the end.
    pub latencies: Vec<Duration>,
    /// From due to sent where a connection was free: what the client itself adds.
    pub lags: Vec<Duration>,
    /// Answers that came whole.
    pub answered: u64,
    /// What went wrong, and how often.
    pub troubles: BTreeMap<&'static str, u64>,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Report {
    /// Notes something that went wrong.
    pub fn trouble(&mut self, what: &'static str) {
        *self.troubles.entry(what).or_default() += 1;
    }

    /// One JSON object, its times in milliseconds.
    pub fn to_json(mut self) -> String {
        self.latencies.sort_unstable();
        self.lags.sort_unstable();
        let ms = |at: Option<&Duration>| at.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        let late = |per_mille| ms(percentile(&self.latencies, per_mille));
        let troubles: Vec<String> =
            self.troubles.iter().map(|(what, n)| format!("\"{n}× {what}\"")).collect();
        let seconds = self.took.as_secs_f64();
        format!(
            "{{\"requests\":{},\"rps\":{:.1},\"p50_ms\":{:.4},\"p90_ms\":{:.4},\"p99_ms\":{:.4},\"p999_ms\":{:.4},\
             \"max_ms\":{:.4},\"lag_p50_ms\":{:.4},\"lag_p99_ms\":{:.4},\"seconds\":{seconds:.4},\"trouble\":[{}]}}",
            self.answered,
            self.answered as f64 / seconds.max(1e-9),
            late(500),
            late(900),
            late(990),
            late(999),
            late(1000),
            ms(percentile(&self.lags, 500)),
            ms(percentile(&self.lags, 990)),
            troubles.join(",")
        )
    }
}

/// The least value that so many of a thousand do not exceed.
fn percentile(sorted: &[Duration], per_mille: usize) -> Option<&Duration> {
    let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
    sorted.get(rank - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let at = |per_mille| percentile(&times, per_mille).unwrap().as_millis();
        assert_eq!([at(500), at(990), at(1000), at(0)], [50, 99, 100, 1]);
        assert_eq!(percentile(&[], 500), None);
    }
}
