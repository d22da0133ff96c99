//! What libFuzzer said of one run, in one line.

use std::fmt;

/// Figures of a run, as far as it came.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    executions: u64,
    /// Edges reached by the seeds, and at the end.
    edges: (u64, u64),
    new_inputs: u64,
    peak_mib: u64,
    slowest_seconds: u64,
    /// The first lines that say what went wrong.
    pub(crate) reason: String,
    /// The file that holds the input of a finding.
    pub(crate) input: Option<String>,
}

impl Outcome {
    /// Reads libFuzzer's log: `#2 INITED cov: 1 ft: 2 …`, later lines of that form, `stat::NAME: N` at the end.
    pub(crate) fn read(log: &str) -> Self {
        let stat = |name: &str| -> u64 {
            let values = log.lines().filter_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
            values
                .filter_map(|value| value.trim_start_matches(':').trim().parse().ok())
                .next_back()
                .unwrap_or(0)
        };
        let edges = |line: &str| -> Option<u64> {
            line.split_once(" cov: ")?.1.split_whitespace().next()?.parse().ok()
        };
        let mut steps =
            log.lines().filter(|line| line.starts_with('#')).filter(|line| !line.contains("pulse"));
        let seeded = log.lines().find(|line| line.contains("INITED")).and_then(edges).unwrap_or(0);
        let told = |line: &&str| {
            ["panicked at", "ERROR:", "SUMMARY:", "assertion"].iter().any(|word| line.contains(word))
        };
        let reason: Vec<&str> = log.lines().filter(told).take(6).collect();
        let input =
            log.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, file)| file);
        Self {
            executions: stat("number_of_executed_units"),
            edges: (seeded, steps.rfind(|line| edges(line).is_some()).and_then(edges).unwrap_or(seeded)),
            new_inputs: stat("new_units_added"),
            peak_mib: stat("peak_rss_mb"),
            slowest_seconds: stat("slowest_unit_time_sec"),
            reason: reason.join("\n"),
            input: input.map(str::to_owned),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, edges: (before, after), new_inputs, peak_mib, slowest_seconds, .. } = self;
        write!(
            f,
            "{executions:>10} executions, edges {before:>5} -> {after:>5}, {new_inputs:>5} new inputs, \
             {peak_mib:>4} MiB, slowest {slowest_seconds} s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let log = "#3\tINITED cov: 812 ft: 1000 corp: 2/1Kb exec/s: 0 rss: 60Mb\n\
            #9\tNEW    cov: 900 ft: 1200 corp: 3/1Kb lim: 4096 exec/s: 0 rss: 60Mb L: 1/2 MS: 1 CopyPart-\n\
            #99\tDONE   cov: 901 ft: 1300 corp: 4/1Kb lim: 4096 exec/s: 49 rss: 61Mb\n\
            stat::number_of_executed_units: 99\nstat::average_exec_per_sec:     49\n\
            stat::new_units_added:          7\nstat::slowest_unit_time_sec:    0\nstat::peak_rss_mb:              61\n";
        let outcome = Outcome::read(log);
        assert_eq!((outcome.executions, outcome.edges, outcome.new_inputs), (99, (812, 901), 7));
        assert_eq!((outcome.peak_mib, outcome.slowest_seconds, outcome.input), (61, 0, None));
    }

    #[test]
    fn a_finding_names_its_input() {
        let log = "thread '<unnamed>' panicked at crates/pkix/src/der.rs:9:1:\n==7== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='a/'; Test unit written to a/crash-01\n";
        let outcome = Outcome::read(log);
        assert_eq!(outcome.input.as_deref(), Some("a/crash-01"));
        assert!(outcome.reason.starts_with("thread '<unnamed>' panicked"), "{}", outcome.reason);
    }
}
