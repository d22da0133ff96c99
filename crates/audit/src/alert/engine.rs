//! The rules at work: streams by key, windows of counts, and the alerts that come of them.

use std::collections::HashMap;

use super::fuse::{Fuse, Turn};
use super::rules::{Rules, Source};
use crate::tap::Note;

/// Keys of one rule; whoever can choose a key must not fill the memory.
const MAX_KEYS: usize = 10_000;

/// Whether an alert begins or ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It begins.
    Raised,
    /// It ends because nothing changed for a while.
    Quiet,
    /// It ends because its time is over.
    Over,
}

/// An alert that begins or ends.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert {
    /// The rule's place in the file.
    pub rule: usize,
    /// The stream's key; empty where there is one for all.
    pub key: String,
    /// Begins or ends.
    pub state: State,
    /// The stream's last value.
    pub value: f64,
    /// The last difference, when it begins.
    pub delta: Option<f64>,
    /// When, in milliseconds of the caller's clock.
    pub at_ms: u64,
}

#[derive(Default)]
struct Stream {
    fuse: Fuse,
    /// Counted in the window that runs.
    count: f64,
}

#[derive(Default)]
struct Streams {
    keys: HashMap<Box<str>, Stream>,
    /// When the window that runs ends.
    window_end_ms: u64,
    /// Notes without a place, because there were too many keys.
    crowded: u64,
}

/// Rules with their state.
pub struct Engine {
    rules: Rules,
    streams: Vec<Streams>,
    alerts: Vec<Alert>,
    now_ms: u64,
}

impl Engine {
    /// An engine that starts at a time.
    #[must_use]
    pub fn new(rules: Rules, now_ms: u64) -> Self {
        let begin =
            |every_ms: u64| Streams { window_end_ms: next_end(now_ms, every_ms), ..Streams::default() };
        let streams = rules.rules.iter().map(|rule| begin(rule.every_ms)).collect();
        Self { rules, streams, alerts: Vec::new(), now_ms }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes what was noted of an event at a time. Time that runs backwards stands still.
    pub fn note(&mut self, note: &Note, now_ms: u64) {
        let now_ms = self.now_ms.max(now_ms);
        let (Some(rule), Some(streams)) =
            (self.rules.rules.get(note.stream), self.streams.get_mut(note.stream))
        else {
            return;
        };
        if !streams.keys.contains_key(&note.key) {
            if streams.keys.len() >= MAX_KEYS {
                streams.crowded += 1;
                return;
            }
            // A count stood at 0 before; of a value nothing is known before the first.
            let counts = !matches!(rule.source, Source::Value(..));
            let fuse = if counts { Fuse::from(0.0) } else { Fuse::default() };
            streams.keys.insert(note.key.clone(), Stream { fuse, count: 0.0 });
        }
        let Some(stream) = streams.keys.get_mut(&note.key) else { return };
        match rule.source {
            Source::Value(..) => {
                let turns = [
                    stream.fuse.tick(&rule.limits, now_ms.saturating_sub(1)),
                    stream.fuse.sample(&rule.limits, note.value, now_ms),
                ];
                let alert = |turn| alert(note.stream, &note.key, &stream.fuse, turn);
                self.alerts.extend(turns.into_iter().flatten().map(alert));
            }
            Source::Count | Source::Refusals => stream.count += note.value,
        }
    }

    /// Lets time pass, and gives the alerts since the last call, in the order of their times.
    pub fn advance(&mut self, now_ms: u64) -> Vec<Alert> {
        self.now_ms = self.now_ms.max(now_ms);
        for rule in 0..self.streams.len() {
            self.advance_rule(rule);
        }
        let mut alerts = std::mem::take(&mut self.alerts);
        alerts.sort_by_key(|alert| alert.at_ms);
        alerts
    }

    fn advance_rule(&mut self, at: usize) {
        let (rule, streams) = (&self.rules.rules[at], &mut self.streams[at]);
        let limits = &rule.limits;
        if !matches!(rule.source, Source::Value(..)) {
            while streams.window_end_ms <= self.now_ms {
                let end = streams.window_end_ms;
                for (key, stream) in &mut streams.keys {
                    let count = std::mem::take(&mut stream.count);
                    let turns = [
                        stream.fuse.tick(limits, end.saturating_sub(1)),
                        stream.fuse.sample(limits, count, end),
                    ];
                    let fuse = &stream.fuse;
                    self.alerts.extend(turns.into_iter().flatten().map(|turn| alert(at, key, fuse, turn)));
                }
                streams.keys.retain(|_, s| s.fuse.last() != Some(0.0) || !s.fuse.is_calm());
                // Nothing is counted: whatever lies between is windows of nothing.
                let next = end.saturating_add(rule.every_ms);
                let empty = streams.keys.is_empty();
                streams.window_end_ms =
                    if empty { next.max(next_end(self.now_ms, rule.every_ms)) } else { next };
            }
        }
        for (key, stream) in &mut streams.keys {
            if let Some(turn) = stream.fuse.tick(limits, self.now_ms) {
                self.alerts.push(alert(at, key, &stream.fuse, turn));
            }
        }
    }

    /// Alerts that are raised: rule and key.
    #[must_use]
    pub fn raised(&self) -> Vec<(usize, String)> {
        let of = |(rule, streams): (usize, &Streams)| {
            let raised = streams.keys.iter().filter(|(_, stream)| stream.fuse.is_raised());
            raised.map(|(key, _)| (rule, key.to_string())).collect::<Vec<_>>()
        };
        self.streams.iter().enumerate().flat_map(of).collect()
    }

    /// Notes that found no place, because a rule had too many keys.
    #[must_use]
    pub fn crowded(&self) -> u64 {
        self.streams.iter().map(|streams| streams.crowded).sum()
    }
}

/// Windows begin at multiples of their length, so that a replay has the same ones.
fn next_end(now_ms: u64, every_ms: u64) -> u64 {
    (now_ms / every_ms + 1).saturating_mul(every_ms)
}

fn alert(rule: usize, key: &str, fuse: &Fuse, turn: Turn) -> Alert {
    let (state, delta, at_ms) = match turn {
        Turn::Raised { delta, at_ms } => (State::Raised, Some(delta), at_ms),
        Turn::Cleared { quiet: true, at_ms } => (State::Quiet, None, at_ms),
        Turn::Cleared { quiet: false, at_ms } => (State::Over, None, at_ms),
    };
    Alert { rule, key: key.to_owned(), state, value: fuse.last().unwrap_or(0.0), delta, at_ms }
}
