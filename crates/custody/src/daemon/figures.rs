//! What the daemon counts, and `/metrics`: the text format of Prometheus, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use audit::{Metrics, WAIT_BOUNDS_US};

/// Counters of the HTTP side. The ledger's own are [`Metrics`].
#[derive(Default)]
pub(crate) struct Figures {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    ways: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    pub(crate) connections: AtomicI64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) handshakes_failed: AtomicU64,
    pub(crate) body_bytes: AtomicU64,
}

impl Figures {
    /// A request to a route was answered.
    pub(crate) fn answered(&self, route: &'static str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
    }

    /// Events that came in by one way had one outcome.
    pub(crate) fn events(&self, way: &'static str, outcome: &'static str, count: u64) {
        if count > 0 {
            *self.ways.lock().unwrap_or_else(PoisonError::into_inner).entry((way, outcome)).or_default() +=
                count;
        }
    }

    /// The page.
    pub(crate) fn page(&self, ledger: &Metrics, in_flight: usize, alarm: (u64, [u64; 3])) -> String {
        let mut page = Page::default();
        self.http(&mut page, in_flight);
        ours(ledger, &mut page);
        page.one("custody_alerts_raised", "gauge", "Alerts that are raised.", alarm.0);
        page.head("custody_webhook_messages_total", "counter", "Alerts sent to webhooks, by outcome.");
        for (outcome, count) in ["sent", "failed", "dropped"].into_iter().zip(alarm.1) {
            page.line("custody_webhook_messages_total", &[("outcome", outcome)], count);
        }
        page.0
    }

    fn http(&self, page: &mut Page, in_flight: usize) {
        page.head("custody_http_requests_total", "counter", "Requests answered.");
        for ((route, status), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let status = status.to_string();
            page.line("custody_http_requests_total", &[("route", route), ("code", &status)], *count);
        }
        page.head("custody_intake_events_total", "counter", "Events offered over HTTP, by way and outcome.");
        for ((way, outcome), count) in self.ways.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            page.line("custody_intake_events_total", &[("way", way), ("outcome", outcome)], *count);
        }
        let connections = self.connections.load(Ordering::Relaxed).max(0).unsigned_abs();
        page.one("custody_http_connections", "gauge", "Connections that are open.", connections);
        page.one("custody_http_in_flight", "gauge", "Requests that are worked on.", in_flight as u64);
        for (name, counter, help) in [
            (
                "custody_http_turned_away_total",
                &self.turned_away,
                "Connections turned away for want of room.",
            ),
            ("custody_tls_handshakes_failed_total", &self.handshakes_failed, "TLS handshakes that failed."),
            ("custody_http_body_bytes_total", &self.body_bytes, "Bytes of bodies read, as sent."),
        ] {
            page.one(name, "counter", help, counter.load(Ordering::Relaxed));
        }
    }
}

fn ours(ledger: &Metrics, page: &mut Page) {
    for (name, kind, help, value) in [
        ("custody_ledger_accepted_total", "counter", "Events given an index.", ledger.accepted),
        (
            "custody_ledger_accepted_bytes_total",
            "counter",
            "Bytes of their stored form.",
            ledger.accepted_bytes,
        ),
        (
            "custody_ledger_repeated_total",
            "counter",
            "Events acknowledged under an earlier index.",
            ledger.repeated,
        ),
        ("custody_ledger_failed_batches_total", "counter", "Batches not stored.", ledger.failed_batches),
        ("custody_ring_lost_events_total", "counter", "Events that producers of rings lost.", ledger.lost),
        ("custody_ledger_durable_events", "gauge", "Events in the ledger.", ledger.durable),
        ("custody_ledger_published_events", "gauge", "Events under the newest checkpoint.", ledger.published),
        (
            "custody_ledger_queue_events",
            "gauge",
            "Events with an index that are not durable yet.",
            ledger.size.saturating_sub(ledger.durable),
        ),
    ] {
        page.one(name, kind, help, value);
    }
    page.head("custody_ledger_refused_total", "counter", "Events refused, by the first rule they broke.");
    for (rule, count) in &ledger.refused_by_rule {
        page.line("custody_ledger_refused_total", &[("rule", rule)], *count);
    }
    waits(ledger, page);
}

/// The histogram of waiting times: cumulative classes, a sum, a count.
fn waits(ledger: &Metrics, page: &mut Page) {
    const NAME: &str = "custody_ledger_acknowledgement_seconds";
    page.head(NAME, "histogram", "Time from a batch's admission to its durability.");
    let bucket = format!("{NAME}_bucket");
    let ends = WAIT_BOUNDS_US.iter().map(|us| seconds(*us)).chain(["+Inf".to_owned()]);
    let mut sum = 0;
    for (end, count) in ends.zip(&ledger.waits) {
        sum += count;
        page.line(&bucket, &[("le", &end)], sum);
    }
    let _ = writeln!(page.0, "{NAME}_sum {}", seconds(ledger.waited_us)); // a String takes everything
    page.line(&format!("{NAME}_count"), &[], sum);
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}"); // a String takes everything
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.0.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.0.push_str(if position == 0 { "{" } else { "," });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text)); // as above
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" }); // as above
    }
}

/// A label's value: backslash, quote and line feed are escaped, nothing else.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_text_format() {
        let figures = Figures::default();
        figures.answered("/v1/events", 200);
        figures.answered("/v1/events", 200);
        figures.events("http", "accepted", 7);
        let mut ledger =
            Metrics { accepted: 3, waits: vec![0; WAIT_BOUNDS_US.len() + 1], ..Metrics::default() };
        ledger.waits[1] = 2;
        ledger.waits[14] = 1;
        ledger.waited_us = 1_250_000;
        ledger.lost = 4;
        ledger.refused_by_rule.insert("ring \"a\\b\"\nc".into(), 4);
        let page = figures.page(&ledger, 1, (2, [5, 0, 1]));
        for line in [
            "custody_http_requests_total{route=\"/v1/events\",code=\"200\"} 2",
            "custody_intake_events_total{way=\"http\",outcome=\"accepted\"} 7",
            "custody_ledger_accepted_total 3",
            "custody_ledger_acknowledgement_seconds_bucket{le=\"0.0001\"} 0",
            "custody_ledger_acknowledgement_seconds_bucket{le=\"0.00025\"} 2",
            "custody_ledger_acknowledgement_seconds_bucket{le=\"2.5\"} 2",
            "custody_ledger_acknowledgement_seconds_bucket{le=\"+Inf\"} 3",
            "custody_ledger_acknowledgement_seconds_sum 1.25",
            "custody_ledger_acknowledgement_seconds_count 3",
            "custody_alerts_raised 2",
            "custody_webhook_messages_total{outcome=\"dropped\"} 1",
            "custody_ring_lost_events_total 4",
            "custody_ledger_refused_total{rule=\"ring \\\"a\\\\b\\\"\\nc\"} 4",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }
}
