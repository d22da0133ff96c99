//! Requests of persons (GDPR Art. 15 to 22) and by when they must be acted on (Art. 12(3)).
//!
//! A request is an event `PRIVACY.REQUESTED` whose `obj.request` names it; `PRIVACY.EXTENDED` puts it off once, if that
//! is recorded within the first period; `PRIVACY.ANSWERED` ends it.

use std::collections::BTreeMap;

use event::Event;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::regimes::Answer;
use super::{Clock, day};

/// The actions of requests begin so.
pub(crate) const FAMILY: &str = "PRIVACY.";

/// A request that was not answered yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// What names it.
    pub request: String,
    /// Index of the event that says it came.
    pub index: u64,
    /// The last day on which it can be acted on in time.
    pub due: String,
    /// Whether it was put off.
    pub extended: bool,
    /// Whether that day is over.
    pub overdue: bool,
}

/// What is known of a request: index, receipt, whether put off.
struct Request {
    index: u64,
    received: Date,
    extended: bool,
}

/// The requests that are open after these events, in order of their index.
pub(crate) fn open_requests(
    events: &[(u64, Event<'_>)],
    answer: Answer,
    clock: &Clock,
    today: Date,
) -> Vec<Open> {
    let mut requests: BTreeMap<String, Request> = BTreeMap::new();
    for (index, event) in events {
        let Some(name) = event.obj.get("request") else { continue };
        let recorded = clock.recorded(*index).map_or(today, day);
        match &*event.act {
            "PRIVACY.REQUESTED" => {
                // What came before it was recorded counts from when it came.
                let received = day(event.ts).min(recorded);
                let request = Request { index: *index, received, extended: false };
                requests.entry(name.to_owned()).or_insert(request);
            }
            "PRIVACY.EXTENDED" => {
                if let Some(request) = requests.get_mut(name) {
                    request.extended |= recorded <= answer.within.end(request.received);
                }
            }
            "PRIVACY.ANSWERED" => drop(requests.remove(name)),
            _ => {}
        }
    }
    let mut open: Vec<Open> =
        requests.into_iter().map(|(name, request)| show(name, &request, answer, today)).collect();
    open.sort_by_key(|open| open.index);
    open
}

fn show(name: String, request: &Request, answer: Answer, today: Date) -> Open {
    let first = answer.within.end(request.received);
    let due = if request.extended { answer.extension.end(first) } else { first };
    Open {
        request: name,
        index: request.index,
        due: due.to_string(),
        extended: request.extended,
        overdue: today > due,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Period;
    use super::*;
    use event::{EventId, Fact, Timestamp};

    #[test]
    fn a_request_is_due_a_calendar_month_after_it_came() {
        let at = |text: &str| Timestamp::parse(&format!("{text}T12:00:00Z")).unwrap();
        let event = |index: u64, act: &'static str, request: &'static str, ts: &str| {
            let fact = Fact::new(act).subject("customer", "7").object("request", request);
            (index, fact.at(EventId::v7(index, [0; 10]), at(ts)))
        };
        let events = [
            event(1, "PRIVACY.REQUESTED", "a", "2027-01-31"),
            event(2, "PRIVACY.REQUESTED", "b", "2027-01-31"),
            event(3, "PRIVACY.REQUESTED", "c", "2027-01-31"),
            event(4, "PRIVACY.EXTENDED", "b", "2027-02-28"),
            event(5, "PRIVACY.ANSWERED", "c", "2027-02-28"),
            event(6, "PRIVACY.EXTENDED", "a", "2027-03-01"),
        ];
        let marks = events.iter().map(|(index, event)| (*index, event.ts, false));
        let clock = Clock::of(marks, at("2027-03-01"), Period::Days(60));
        let answer = Answer { within: Period::Months(1), extension: Period::Months(2) };
        let open = open_requests(&events, answer, &clock, "2027-03-01".parse().unwrap());
        let short: Vec<_> =
            open.iter().map(|o| (o.request.as_str(), o.due.as_str(), o.extended, o.overdue)).collect();
        assert_eq!(short, [("a", "2027-02-28", false, true), ("b", "2027-04-28", true, false)]);
    }
}
