//! What was measured.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Three digits of each latency are kept.
const DIGITS: u8 = 3;

/// Counts while the run goes on.
pub struct Tally {
    latencies: Histogram<u64>,
    bytes: u64,
    elapsed: Duration,
    cpu_time: Duration,
    failures: Vec<String>,
}

impl Tally {
    pub fn new() -> Self {
        let latencies = Histogram::new(DIGITS).expect("a number of digits that the histogram takes");
        Self { latencies, bytes: 0, elapsed: Duration::ZERO, cpu_time: Duration::ZERO, failures: Vec::new() }
    }

    pub fn answered(&mut self, latency: Duration) {
        self.latencies += u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
    }

    pub fn received(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    pub fn failed(&mut self, why: String) {
        self.failures.push(why);
    }

    pub fn took(&mut self, elapsed: Duration, cpu_time: Duration) {
        (self.elapsed, self.cpu_time) = (elapsed, cpu_time);
    }

    pub fn report(self, connections: usize, cpu: Option<usize>) -> Report {
        let at = |quantile| self.latencies.value_at_quantile(quantile);
        Report {
            requests: self.latencies.len(),
            bytes: self.bytes,
            connections,
            cpu,
            elapsed: self.elapsed,
            cpu_time: self.cpu_time,
            latency_ns: [
                ("p50", at(0.5)),
                ("p90", at(0.9)),
                ("p99", at(0.99)),
                ("p99.9", at(0.999)),
                ("max", self.latencies.max()),
            ],
            failures: self.failures,
        }
    }
}

/// A run that is over.
pub struct Report {
    requests: u64,
    bytes: u64,
    connections: usize,
    cpu: Option<usize>,
    elapsed: Duration,
    cpu_time: Duration,
    latency_ns: [(&'static str, u64); 5],
    /// Each names a connection, and what ended it.
    pub failures: Vec<String>,
}

impl Report {
    /// One JSON object, on one line.
    pub fn json(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let latencies: Vec<_> =
            self.latency_ns.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let fields = [
            ("requests", self.requests.to_string()),
            ("bytes", self.bytes.to_string()),
            ("connections", self.connections.to_string()),
            ("errors", self.failures.len().to_string()),
            ("cpu", self.cpu.map_or("null".into(), |cpu| cpu.to_string())),
            ("elapsed_ns", self.elapsed.as_nanos().to_string()),
            ("cpu_ns", self.cpu_time.as_nanos().to_string()),
            ("requests_per_s", format!("{:.1}", rate(self.requests))),
            ("bytes_per_s", format!("{:.1}", rate(self.bytes))),
            ("latency_ns", format!("{{{}}}", latencies.join(", "))),
        ];
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let mut tally = Tally::new();
        for microseconds in 1..=1000 {
            tally.answered(Duration::from_micros(microseconds));
            tally.received(10);
        }
        tally.took(Duration::from_secs(2), Duration::from_millis(700));
        let report = tally.report(8, Some(1));
        for ((name, found), expected) in report.latency_ns.iter().zip([500, 900, 990, 999, 1000]) {
            let off = found.abs_diff(expected * 1000) as f64 / (expected * 1000) as f64;
            assert!(off < 0.001, "{name} is {found}");
        }
        let json = report.json();
        for part in [
            r#""requests": 1000, "bytes": 10000, "connections": 8, "errors": 0, "cpu": 1"#,
            r#""elapsed_ns": 2000000000, "cpu_ns": 700000000"#,
            r#""requests_per_s": 500.0, "bytes_per_s": 5000.0, "latency_ns": {"p50": "#,
        ] {
            assert!(json.contains(part), "{part} is not in {json}");
        }
    }

    #[test]
    fn nothing_answered_makes_no_division_by_zero() {
        let mut tally = Tally::new();
        tally.failed("connection 0: gone".into());
        let json = tally.report(1, None).json();
        assert!(json.contains(r#""errors": 1, "cpu": null"#), "{json}");
        assert!(json.contains(r#""requests_per_s": 0.0"#), "{json}");
    }
}
