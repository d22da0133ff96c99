//! Under which labels tokens were ever made in a home: what is needed to say again which token a value has.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::detect::Kind;
use super::guard::KEPT;
use super::mask;
use super::policy::{Action, MAX_FILE, Policy, Rule, Source};
use crate::AuditError;
use crate::vault::{Subject, Vault, token};

/// Policies beyond this many are not looked at: an operator who changes it every day needs decades for so many.
const MAX_POLICIES: usize = 10_000;

/// How a rule makes tokens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Tokening {
    label: String,
    kind: Option<Kind>,
    /// Kinds of subject under whose keys it makes them.
    subjects: BTreeSet<String>,
}

impl Tokening {
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let makes = |action: &Action| matches!(action, Action::Hash | Action::Seal { token: true, .. });
        rule.actions.iter().any(makes).then(|| Self {
            label: rule.label.clone(),
            kind: rule.kind(),
            subjects: rule
                .subject
                .iter()
                .map(|source| match source {
                    Source::Field { kind, .. } | Source::Value { kind } => kind.clone(),
                })
                .chain([rule.label.clone()])
                .collect(),
        })
    }

    /// The value as the rule takes it.
    fn normal(&self, value: &str) -> String {
        mask::normal(self.kind, value)
    }
}

/// Of the policy in force and of every one that was.
pub(crate) fn tokenings(home: &Path, current: Option<&Policy>) -> Result<BTreeSet<Tokening>, AuditError> {
    let of = |policy: &Policy| policy.rules.iter().filter_map(Tokening::of).collect::<Vec<_>>();
    let mut all: BTreeSet<Tokening> = current.into_iter().flat_map(of).collect();
    let folder = home.join(KEPT);
    let names = match std::fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(all),
        names => names.map_err(|e| AuditError::io("list", &folder, e))?,
    };
    for name in names.take(MAX_POLICIES) {
        let path = name.map_err(|e| AuditError::io("list", &folder, e))?.path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let fits = std::fs::metadata(&path).is_ok_and(|data| data.len() <= MAX_FILE as u64);
        // One that is none was not written by Custody.
        let kept = fits.then(|| std::fs::read_to_string(&path)).and_then(Result::ok);
        all.extend(kept.and_then(|text| Policy::parse(&text).ok()).iter().flat_map(of));
    }
    Ok(all)
}

/// The tokens that a value may stand as, wherever it names one of its subjects; none of those that were erased.
pub(crate) fn tokens_of(vault: &Vault, tokenings: &BTreeSet<Tokening>, value: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for tokening in tokenings {
        let normal = tokening.normal(value);
        for kind in &tokening.subjects {
            for id in BTreeSet::from([value, normal.as_str()]) {
                let subject = Subject { kind: kind.clone(), id: id.to_owned() };
                if let Some(row) = vault.state.row(&vault.state.place(&subject)) {
                    found.insert(token(&row.token_key, &tokening.label, &normal));
                }
            }
        }
    }
    found
}
