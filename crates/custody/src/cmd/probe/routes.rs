//! What the live view of `custody probe http` counts: requests by side, method and route.

use std::collections::BTreeMap;

use probe::http::{Ending, Request, Side};

/// Routes that are kept apart; further ones are counted together, since paths may be without end.
const ROUTES: usize = 1000;
/// Durations by powers of two of nanoseconds.
const BUCKETS: usize = 48;

/// Requests of one route.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) requests: u64,
    /// With a status of 500 or more, or without a response.
    pub(super) failed: u64,
    pub(super) longest: u64,
    durations: [u64; BUCKETS],
}

/// All that was seen.
#[derive(Default)]
pub(super) struct Routes {
    by: BTreeMap<(bool, String, String), Route>,
    pub(super) requests: u64,
    pub(super) failed: u64,
}

impl Routes {
    pub(super) fn add(&mut self, request: &Request) {
        let served = request.side == Side::Server;
        let key = (served, request.method.clone(), route(request.path()));
        let known = self.by.contains_key(&key) || self.by.len() < ROUTES;
        let key = if known { key } else { (served, "*".to_owned(), "(others)".to_owned()) };
        let new = || Route { requests: 0, failed: 0, longest: 0, durations: [0; BUCKETS] };
        let route = self.by.entry(key).or_insert_with(new);
        let failed = request.status >= 500 || matches!(request.ending, Ending::Aborted | Ending::Failed);
        let bucket = (request.duration.max(1).ilog2() as usize).min(BUCKETS - 1);
        route.requests += 1;
        route.failed += u64::from(failed);
        route.longest = route.longest.max(request.duration);
        route.durations[bucket] += 1;
        self.requests += 1;
        self.failed += u64::from(failed);
    }

    /// The busiest first: (it is served, method, route), and what was counted.
    pub(super) fn busiest(&self, most: usize) -> Vec<(&(bool, String, String), &Route)> {
        let mut all: Vec<_> = self.by.iter().collect();
        all.sort_by_key(|(_, route)| std::cmp::Reverse(route.requests));
        all.truncate(most);
        all
    }
}

impl Route {
    /// A bound that the share of requests stayed below, exact to a factor of two.
    pub(super) fn quantile(&self, hundredths: u64) -> u64 {
        let wanted = (self.requests * hundredths).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.durations.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        (2u64 << bucket.unwrap_or(0)).min(self.longest)
    }
}

/// A path with its numbers and identifiers left out: `/orders/4711` and `/orders/4712` are one route.
fn route(path: &str) -> String {
    let part = |part: &str| {
        let hexadecimal = part.len() >= 16 && part.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let shown: String = part.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if number || hexadecimal { "{}".to_owned() } else { shown }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identifiers_are_left_out() {
        assert_eq!(route("/orders/4711/lines"), "/orders/{}/lines");
        assert_eq!(route("/users/0190c7a2-5b1e-7c3d-8e4f-5a6b7c8d9e0f"), "/users/{}");
        assert_eq!(route("/v2/beef"), "/v2/beef");
        assert_eq!(route("/a\u{1b}[2J"), "/a\u{fffd}[2J");
        assert_eq!(route("/"), "/");
    }

    fn request(path: &str, status: u16, duration: u64) -> Request {
        let header =
            probe::record::Header { kind: 2, function: 0, time: 0, goroutine: 1, process: 1, thread: 1 };
        Request {
            header,
            side: Side::Server,
            ending: Ending::Finished,
            method: "GET".to_owned(),
            uri: path.to_owned(),
            truncated: false,
            host: String::new(),
            remote: String::new(),
            status,
            bytes: None,
            request_bytes: None,
            duration,
            version: (1, 1),
            partial: false,
            tls: false,
            traceparent: None,
        }
    }

    #[test]
    fn routes_are_counted_and_bounded() {
        let mut routes = Routes::default();
        for number in 0..100 {
            routes.add(&request(&format!("/orders/{number}"), if number == 7 { 503 } else { 200 }, 1000));
        }
        routes.add(&request("/orders/x", 200, 1 << 30));
        let busiest = routes.busiest(1);
        assert_eq!(busiest[0].0.2, "/orders/{}");
        assert_eq!((busiest[0].1.requests, busiest[0].1.failed, busiest[0].1.quantile(99)), (100, 1, 1000));
        for number in 0..2 * ROUTES {
            routes.add(&request(&format!("/x{number}y"), 200, 1));
        }
        assert_eq!(routes.by.len(), ROUTES + 1);
        assert_eq!(routes.requests, 101 + 2 * ROUTES as u64);
    }
}
