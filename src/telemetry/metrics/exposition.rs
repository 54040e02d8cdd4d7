//! The text that Prometheus reads, in its own format (0.0.4) or as `OpenMetrics` (1.0.0).

use std::fmt::Write;

use super::histogram::{BOUNDS, Distribution};

/// A metric's name with what there is to say of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The whole name: base unit last, then `_total` of a counter.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels, in the order of the values.
    pub labels: &'static [&'static str],
    /// For people.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only goes up.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations by length, in seconds.
    Histogram,
}

impl Kind {
    /// The name in `TYPE` lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// How the text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    #[default]
    Text,
    /// `OpenMetrics`, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client wants that sent this `Accept`: `OpenMetrics` if that is named at all.
    pub fn accepted(accept: &str) -> Self {
        let names = accept.split(',').filter_map(|member| member.split(';').next());
        let mut names = names.map(|name| name.trim().to_ascii_lowercase());
        if names.any(|name| name == "application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of the text.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The text as it grows, one family after the other.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    format: Format,
    families: Vec<&'static Family>,
}

// Writing to a String cannot fail.
impl Exposition {
    /// Nothing said yet.
    pub fn new(format: Format) -> Self {
        Self { text: String::with_capacity(16 << 10), format, families: Vec::new() }
    }

    /// Begins a family: its samples are to follow. Each family once.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let name = match (self.format, family.kind) {
            (Format::OpenMetrics, Kind::Counter) => family.name.trim_end_matches("_total"),
            _ => family.name,
        };
        let _ = writeln!(self.text, "# HELP {name} {}", family.help);
        let _ = writeln!(self.text, "# TYPE {name} {}", family.kind.name());
        self.families.push(family);
        Samples { text: &mut self.text, family }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, family: &'static Family, value: u64) {
        self.family(family).sample(&[], value);
    }

    /// The families so far.
    pub fn families(&self) -> &[&'static Family] {
        &self.families
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    text: &'a mut String,
    family: &'static Family,
}

impl Samples<'_> {
    /// One number, with the values of the family's labels.
    pub fn sample(&mut self, labels: &[&str], value: u64) {
        self.begin("", labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// One number with a part after the point.
    pub fn decimal(&mut self, labels: &[&str], value: f64) {
        self.begin("", labels, None);
        let _ = writeln!(self.text, " {value}");
    }

    /// One distribution of durations.
    pub fn distribution(&mut self, labels: &[&str], of: &Distribution) {
        let mut sum = 0_u64;
        let bounds = BOUNDS.iter().map(|micros| seconds(*micros)).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(of.buckets) {
            sum = sum.saturating_add(count);
            self.begin("_bucket", labels, Some(&bound));
            let _ = writeln!(self.text, " {sum}");
        }
        self.begin("_sum", labels, None);
        let _ = writeln!(self.text, " {}.{:09}", of.nanos / 1_000_000_000, of.nanos % 1_000_000_000);
        self.begin("_count", labels, None);
        let _ = writeln!(self.text, " {sum}");
    }

    fn begin(&mut self, suffix: &str, labels: &[&str], bound: Option<&str>) {
        self.text.push_str(self.family.name);
        self.text.push_str(suffix);
        let named = self.family.labels.iter().copied().zip(labels.iter().copied());
        let mut before = '{';
        for (name, value) in named.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.text, "{before}{name}=\"");
            push_escaped(self.text, value);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
    }
}

fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

/// Microseconds as seconds, with a point and without needless zeros.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: Family =
        Family { name: "a_requests_total", kind: Kind::Counter, labels: &["site"], help: "Requests." };

    #[test]
    fn a_counter_is_named_as_each_format_wants_it() {
        let written = |format| {
            let mut exposition = Exposition::new(format);
            exposition.family(&REQUESTS).sample(&["a\"b\\c\nd"], 3);
            exposition.finish()
        };
        let sample = "a_requests_total{site=\"a\\\"b\\\\c\\nd\"} 3\n";
        let text = format!("# HELP a_requests_total Requests.\n# TYPE a_requests_total counter\n{sample}");
        assert_eq!(written(Format::Text), text);
        let open = format!("# HELP a_requests Requests.\n# TYPE a_requests counter\n{sample}# EOF\n");
        assert_eq!(written(Format::OpenMetrics), open);
    }

    #[test]
    fn buckets_are_sums_in_seconds() {
        const FAMILY: Family =
            Family { name: "a_seconds", kind: Kind::Histogram, labels: &[], help: "Time." };
        let mut of = Distribution::default();
        of.buckets[0] = 2;
        of.buckets[13] = 1;
        of.nanos = 1_000_000_005;
        let mut exposition = Exposition::new(Format::Text);
        exposition.family(&FAMILY).distribution(&[], &of);
        let text = exposition.finish();
        for line in ["bucket{le=\"0.00005\"} 2", "bucket{le=\"1.0\"} 3", "bucket{le=\"+Inf\"} 3", "count 3"] {
            assert!(text.contains(&format!("a_seconds_{line}\n")), "{line} in {text}");
        }
        assert!(text.contains("a_seconds_sum 1.000000005\n"), "{text}");
    }

    #[test]
    fn open_metrics_is_for_those_who_name_it() {
        assert_eq!(Format::accepted("*/*"), Format::Text);
        assert_eq!(Format::accepted("text/plain;version=0.0.4, */*;q=0.1"), Format::Text);
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
    }
}
