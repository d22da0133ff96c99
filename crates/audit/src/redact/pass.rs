//! One pass over an event: what the policy finds, and what is done with it.
//!
//! Rules are tried in order. The first whose `fields` name a field decides about the whole of its value. Where none
//! does, the value is searched: if something is found that must be sealed, the whole value is sealed; otherwise each
//! piece that was found is replaced. Fields that Custody or a trace names (`ctx.peer.*`, `ctx.trace_id`, …) are left alone.

use event::{Event, Severity};

use super::detect::{self, Hit, Kind, Kinds};
use super::mask;
use super::pattern::Section;
use super::policy::{Action, Detector, Policy, Rule};
use super::tokens::Tokening;
use crate::vault::Subject;

/// Which field, and what is found in it.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) section: Section,
    pub(crate) name: String,
    pub(crate) what: What,
}

/// What is done.
#[derive(Debug)]
pub(crate) enum What {
    /// A rule decides about the whole value.
    Whole { rule: usize, action: Action },
    /// Pieces of it are replaced.
    Pieces(Vec<Piece>),
}

/// A piece of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub(crate) rule: usize,
    pub(crate) kind: Option<Kind>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A policy made quick: which rules can match a name by its length, and which kinds are wanted at all.
pub(crate) struct Pass {
    pub(crate) policy: Policy,
    /// By section and length of the name: the rules that may name such a field.
    by_length: Box<[[u64; 128]; 3]>,
    kinds: Kinds,
    by_kind: [Option<usize>; 5],
    patterns: Vec<usize>,
    /// Whether any rule seals or makes tokens.
    pub(crate) needs_vault: bool,
}

impl Pass {
    pub(crate) fn new(policy: Policy) -> Self {
        let mut by_length = Box::new([[0u64; 128]; 3]);
        let (mut kinds, mut by_kind, mut patterns) = (Kinds::default(), [None; 5], Vec::new());
        for (at, rule) in policy.rules.iter().enumerate() {
            for pattern in &rule.fields {
                let lengths = pattern.lengths();
                for section in pattern.sections() {
                    for (length, rules) in by_length[section as usize].iter_mut().enumerate() {
                        if lengths & (1 << length) != 0 {
                            *rules |= 1 << at;
                        }
                    }
                }
            }
            match &rule.detect {
                Some(Detector::Kind(kind)) => {
                    kinds = kinds.with(*kind);
                    by_kind[*kind as usize].get_or_insert(at);
                }
                Some(Detector::Pattern(_)) => patterns.push(at),
                None => {}
            }
        }
        let needs_vault = policy.needs_vault();
        Self { policy, by_length, kinds, by_kind, patterns, needs_vault }
    }

    /// Everything that the policy finds in an event.
    pub(crate) fn findings(&self, event: &Event<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut hits = Vec::new();
        for section in Section::ALL {
            for (name, value) in section.of(event).iter() {
                if !is_ours(section, name)
                    && let Some(what) = self.look(section, name, value, event.severity, &mut hits)
                {
                    findings.push(Finding { section, name: name.to_owned(), what });
                }
            }
        }
        findings
    }

    /// Whether the policy does anything to such a value at any severity.
    pub(crate) fn touches(&self, section: Section, name: &str, value: &str) -> bool {
        let mut hits = Vec::new();
        Severity::ALL.iter().any(|severity| self.look(section, name, value, *severity, &mut hits).is_some())
    }

    /// How the rule that names this field makes tokens, if it does.
    pub(crate) fn tokening(&self, section: Section, name: &str) -> Option<Tokening> {
        Tokening::of(&self.policy.rules[self.named(section, name)?])
    }

    fn look(
        &self,
        section: Section,
        name: &str,
        value: &str,
        severity: Severity,
        hits: &mut Vec<Hit>,
    ) -> Option<What> {
        if let Some(rule) = self.named(section, name) {
            let action = self.policy.rules[rule].action(severity);
            return (action != Action::Keep).then_some(What::Whole { rule, action });
        }
        hits.clear();
        detect::find(value, self.kinds, hits);
        if hits.is_empty() && self.patterns.is_empty() {
            return None;
        }
        let mut pieces: Vec<Piece> = hits
            .iter()
            .filter_map(|hit| {
                let rule = self.by_kind[hit.kind as usize]?;
                Some(Piece { rule, kind: Some(hit.kind), start: hit.start, end: hit.end })
            })
            .collect();
        self.patterns_in(value, &mut pieces);
        let action = |piece: &Piece| self.policy.rules[piece.rule].action(severity);
        pieces.retain(|piece| action(piece) != Action::Keep);
        let sealing = pieces.iter().filter(|piece| matches!(action(piece), Action::Seal { .. }));
        if let Some(piece) = sealing.min_by_key(|piece| piece.rule) {
            return Some(What::Whole { rule: piece.rule, action: action(piece) });
        }
        (!pieces.is_empty()).then_some(What::Pieces(pieces))
    }

    /// The first rule whose `fields` name this field.
    fn named(&self, section: Section, name: &str) -> Option<usize> {
        let mut candidates = self.by_length[section as usize][name.len().min(127)];
        while candidates != 0 {
            let rule = candidates.trailing_zeros() as usize;
            if self.policy.rules[rule].fields.iter().any(|pattern| pattern.matches(section, name)) {
                return Some(rule);
            }
            candidates &= candidates - 1;
        }
        None
    }

    /// Adds what the operator's patterns find beside the pieces that are there, whole characters only.
    fn patterns_in(&self, value: &str, pieces: &mut Vec<Piece>) {
        for &rule in &self.patterns {
            let Some(Detector::Pattern(regex)) = &self.policy.rules[rule].detect else { continue };
            for found in regex.find_iter(value.as_bytes()).filter(|found| !found.is_empty()) {
                let start = (0..=found.start()).rev().find(|at| value.is_char_boundary(*at)).unwrap_or(0);
                let end =
                    (found.end()..=value.len()).find(|at| value.is_char_boundary(*at)).unwrap_or(value.len());
                if pieces.iter().all(|piece| piece.end <= start || piece.start >= end) {
                    pieces.push(Piece { rule, kind: None, start, end });
                }
            }
        }
        pieces.sort_by_key(|piece| piece.start);
    }
}

/// Fields that are Custody's own, or that tie an event to its trace: random by their standard (W3C Trace Context).
fn is_ours(section: Section, name: &str) -> bool {
    section == Section::Ctx
        && (name.starts_with("peer.") || matches!(name, "trace_id" | "span_id" | super::STAMP))
}

/// Whose value it is: the first of the rule's sources that the event has; else the value names its own subject, so
/// that whoever knows it can have it erased.
pub(crate) fn subject(rule: &Rule, event: &Event<'_>, value: &str) -> Subject {
    use super::policy::Source;
    let own = |kind: &str| Subject { kind: kind.to_owned(), id: mask::normal(rule.kind(), value) };
    for source in &rule.subject {
        match source {
            Source::Value { kind } => return own(kind),
            Source::Field { kind, section, name } => {
                if let Some(id) = section.of(event).get(name).filter(|id| !id.is_empty()) {
                    return Subject { kind: kind.clone(), id: id.to_owned() };
                }
            }
        }
    }
    own(&rule.label)
}

/// A value that is not sealed, as the rule shows it. `kind` is what it was found as; a rule that found it by its path
/// uses the shape of what it would detect.
pub(crate) fn shown(
    rule: &Rule,
    action: Action,
    kind: Option<Kind>,
    value: &str,
    is_address: bool,
) -> String {
    match (action, kind.or(rule.kind())) {
        (Action::Mask | Action::Truncate, _) if is_address => mask::address(value),
        (Action::Mask | Action::Truncate, Some(Kind::Ip)) => mask::address(value),
        (Action::Truncate, _) => mask::truncated(value, rule.length),
        (_, Some(kind)) => mask::of_kind(kind, value),
        (_, None) => mask::generic(value, rule.keep),
    }
}
