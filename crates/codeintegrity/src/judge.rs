//! What a policy says of a file's hash, by the rules that are in force where the file would run.
//!
//! Only hash rules are judged: a signer needs the signature, a path needs the machine. A rule that no scenario refers
//! to is not in force, and a rule that denies goes before every rule that allows.

use std::collections::HashSet;

use crate::model::{FileRule, Policy, RuleKind, Scenario};

/// The scenario of applications.
pub const APPLICATIONS: u8 = 12;
/// The scenario of drivers.
pub const DRIVERS: u8 = 131;

/// What the policy says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict<'a> {
    /// This rule allows one of the hashes, and none denies one.
    Allowed(&'a FileRule),
    /// This rule denies one of the hashes.
    Denied(&'a FileRule),
    /// No rule in force names any of them.
    Unnamed,
}

/// Holds the hashes of one file against the rules of a scenario ([`APPLICATIONS`] or [`DRIVERS`]).
#[must_use]
pub fn by_hash<'a>(policy: &'a Policy, scenario: u8, hashes: &[&[u8]]) -> Verdict<'a> {
    let rules = in_force(policy, scenario);
    let named = |kind: RuleKind| {
        policy.file_rules.iter().find(|rule| {
            rule.kind == kind
                && !rule.hash.is_empty()
                && hashes.contains(&rule.hash.as_slice())
                && rules.contains(rule.id.as_str())
        })
    };
    match (named(RuleKind::Deny), named(RuleKind::Allow)) {
        (Some(rule), _) => Verdict::Denied(rule),
        (None, Some(rule)) => Verdict::Allowed(rule),
        (None, None) => Verdict::Unnamed,
    }
}

/// The identifiers of the rules of a scenario, of production signing, with those that it inherits.
fn in_force(policy: &Policy, value: u8) -> HashSet<&str> {
    let mut waiting: Vec<&Scenario> = policy.scenarios.iter().filter(|s| s.value == value).collect();
    let mut seen: HashSet<&str> = waiting.iter().map(|scenario| scenario.id.as_str()).collect();
    let mut rules = HashSet::new();
    while let Some(scenario) = waiting.pop() {
        rules.extend(scenario.product.iter().flat_map(|group| &group.file_rules).map(String::as_str));
        for id in &scenario.inherited {
            if seen.insert(id) {
                waiting.extend(policy.scenarios.iter().filter(|other| other.id == *id));
            }
        }
    }
    rules
}
