//! When a service that ended is started again. Pure: the caller brings the ending and the time.
//!
//! | how it ended | what follows |
//! |---|---|
//! | exit 0 | it stays down |
//! | exit 1–127 | an error of the application: again after [`Policy::delay`], at most [`Policy::limit`] times in [`Policy::window`] |
//! | exit 128 and above, or a signal | a crash: its facts are kept, a pause of [`Policy::crash_pause`], then again |

use std::collections::VecDeque;
use std::time::Duration;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum End {
    /// It called `exit`.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: i32,
        /// The kernel wrote a core file.
        core: bool,
    },
}

/// What an ending means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Exit 0.
    Clean,
    /// Exit 1 to 127.
    Failure,
    /// A signal, or exit 128 and above, which is how a shell reports one.
    Crash,
}

impl End {
    /// The class of this ending.
    #[must_use]
    pub fn class(self) -> Class {
        match self {
            Self::Code(0) => Class::Clean,
            Self::Code(1..=127) => Class::Failure,
            Self::Code(_) | Self::Signal { .. } => Class::Crash,
        }
    }
}

/// The figures of the rule; the default is the rule as the documents state it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// `false`: whatever happens, it is not started again.
    pub restart: bool,
    /// How long after a failure it is started again.
    pub delay: Duration,
    /// How many restarts after failures one window holds.
    pub limit: u32,
    /// The length of that (sliding) window.
    pub window: Duration,
    /// How long after a crash it is started again.
    pub crash_pause: Duration,
    /// How long a stop waits between asking (SIGTERM) and killing (SIGKILL).
    pub stop_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: true,
            delay: Duration::from_secs(5),
            limit: 3,
            window: Duration::from_secs(60 * 60),
            crash_pause: Duration::from_secs(5 * 60),
            stop_timeout: Duration::from_secs(10),
        }
    }
}

/// What follows an ending.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// It ended as it should.
    StayDown,
    /// It is started again.
    Restart {
        /// After this long.
        after: Duration,
        /// Restarts after failures in the window, this one included; 0 after a crash.
        count: u32,
    },
    /// It is not started again although it did not end well.
    GiveUp {
        /// Restarts that the window already holds; `None` when restarts are switched off.
        restarts: Option<u32>,
    },
}

/// The restarts of one service. In memory only: a new supervisor starts with an empty window.
#[derive(Clone, Debug)]
pub struct Restarts {
    policy: Policy,
    recent: VecDeque<Duration>,
}

impl Restarts {
    /// Nothing restarted yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, recent: VecDeque::new() }
    }

    /// The figures in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides what follows `end`, at `now` on any clock that only goes forward.
    pub fn after(&mut self, end: End, now: Duration) -> Next {
        match end.class() {
            Class::Clean => Next::StayDown,
            _ if !self.policy.restart => Next::GiveUp { restarts: None },
            Class::Crash => Next::Restart { after: self.policy.crash_pause, count: 0 },
            Class::Failure => self.after_failure(now),
        }
    }

    fn after_failure(&mut self, now: Duration) -> Next {
        // A restart exactly one window old has left it: "at most 3 an hour" holds for every half-open hour.
        while self.recent.front().is_some_and(|at| now.saturating_sub(*at) >= self.policy.window) {
            self.recent.pop_front();
        }
        let held = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if held >= self.policy.limit {
            return Next::GiveUp { restarts: Some(held) };
        }
        // What counts is when the restart happens, not when it is decided.
        self.recent.push_back(now + self.policy.delay);
        Next::Restart { after: self.policy.delay, count: held + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn classes_meet_at_the_documented_edges() {
        let class = |code| End::Code(code).class();
        assert_eq!(
            [0, 1, 127, 128, 139, 255].map(class),
            [Class::Clean, Class::Failure, Class::Failure, Class::Crash, Class::Crash, Class::Crash]
        );
        assert_eq!(End::Signal { number: 11, core: true }.class(), Class::Crash);
    }

    #[test]
    fn exit_0_stays_down() {
        assert_eq!(Restarts::new(Policy::default()).after(End::Code(0), secs(1)), Next::StayDown);
    }

    #[test]
    fn the_fourth_failure_in_an_hour_gives_up() {
        let mut restarts = Restarts::new(Policy::default());
        for n in 1..=3 {
            let next = restarts.after(End::Code(1), secs(u64::from(n) * 10));
            assert_eq!(next, Next::Restart { after: secs(5), count: n });
        }
        assert_eq!(restarts.after(End::Code(1), secs(3614)), Next::GiveUp { restarts: Some(3) });
    }

    #[test]
    fn the_window_slides() {
        let mut restarts = Restarts::new(Policy::default());
        for at in [0, 10, 20] {
            assert!(matches!(restarts.after(End::Code(1), secs(at)), Next::Restart { .. }));
        }
        // The first restart happened at 5 s and leaves the window at 3605 s.
        let mut early = restarts.clone();
        assert_eq!(early.after(End::Code(1), secs(3604)), Next::GiveUp { restarts: Some(3) });
        assert_eq!(restarts.after(End::Code(1), secs(3605)), Next::Restart { after: secs(5), count: 3 });
    }

    #[test]
    fn a_crash_pauses_and_takes_nothing_from_the_window() {
        let mut restarts = Restarts::new(Policy::default());
        for at in 0..20 {
            let next = restarts.after(End::Signal { number: 11, core: false }, secs(at));
            assert_eq!(next, Next::Restart { after: secs(300), count: 0 });
        }
        assert_eq!(restarts.after(End::Code(2), secs(20)), Next::Restart { after: secs(5), count: 1 });
    }

    #[test]
    fn without_restarts_every_bad_ending_is_final() {
        let mut restarts = Restarts::new(Policy { restart: false, ..Policy::default() });
        assert_eq!(restarts.after(End::Code(0), secs(0)), Next::StayDown);
        assert_eq!(restarts.after(End::Code(1), secs(0)), Next::GiveUp { restarts: None });
        assert_eq!(restarts.after(End::Code(137), secs(0)), Next::GiveUp { restarts: None });
    }

    #[test]
    fn a_limit_of_0_gives_up_at_once() {
        let mut restarts = Restarts::new(Policy { limit: 0, ..Policy::default() });
        assert_eq!(restarts.after(End::Code(1), secs(0)), Next::GiveUp { restarts: Some(0) });
    }
}
