//! The regimes that are known by name.

use super::Period;

/// Who asks for what to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Regime {
    /// Its name in the file and in what is printed.
    pub name: String,
    /// Where it stands.
    pub source: String,
    /// Actions that it concerns: a code, or with `.` at the end everything that begins so. None means all.
    pub actions: Vec<String>,
    /// Subject kinds that it concerns. None means all.
    pub subjects: Vec<String>,
    /// At least so long.
    pub minimum: Option<Period>,
    /// The newest part of it without delay.
    pub at_hand: Option<Period>,
    /// At most so long.
    pub maximum: Option<Period>,
    /// How soon a person's request must be acted on.
    pub answer: Option<Answer>,
}

/// A deadline for requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// From the receipt of the request.
    pub within: Period,
    /// By how much more it may be put off, with reasons given in the first period.
    pub extension: Period,
}

impl Regime {
    /// Whether an event of this action, whose subject has these kinds, falls under it.
    #[must_use]
    pub fn concerns(&self, action: &str, kinds: &[&str]) -> bool {
        let such = |code: &String| action == code || code.ends_with('.') && action.starts_with(code.as_str());
        (self.actions.is_empty() || self.actions.iter().any(such))
            && (self.subjects.is_empty() || self.subjects.iter().any(|kind| kinds.contains(&kind.as_str())))
    }
}

/// Those that are in force where the file does not say otherwise.
pub(super) fn known() -> Vec<Regime> {
    let regime = |name: &str, source: &str| Regime {
        name: name.into(),
        source: source.into(),
        actions: Vec::new(),
        subjects: Vec::new(),
        minimum: None,
        at_hand: None,
        maximum: None,
        answer: None,
    };
    vec![
        // Network logs for not less than six months. The law's article was the 21st before 2026.
        Regime {
            minimum: Some(Period::Months(6)),
            ..regime("gb-t-22239", "Cybersecurity Law of the PRC, Art. 23; GB/T 22239-2019")
        },
        // "at least 12 months, with at least the most recent three months immediately available for analysis"
        Regime {
            minimum: Some(Period::Months(12)),
            at_hand: Some(Period::Months(3)),
            ..regime("pci-dss-10.5.1", "PCI DSS v4.0.1, requirement 10.5.1")
        },
        // "within one month of receipt of the request", "extended by two further months where necessary"
        Regime {
            answer: Some(Answer { within: Period::Months(1), extension: Period::Months(2) }),
            ..regime("gdpr-12.3", "Regulation (EU) 2016/679, Art. 12(3)")
        },
    ]
}
