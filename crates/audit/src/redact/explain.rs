//! What a policy does to an event, without recording anything and without the vault.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use event::{Catalogue, Event, InvalidComplianceEvent};
use serde::Serialize;

use super::apply::{self, Unprotected};
use super::guard;
use super::pass::{self, Pass, What};
use super::policy::Policy;
use crate::AuditError;
use crate::vault::{Fresh, Live, Need, Random, Sealer, Subject};

/// What a policy does to an event.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The operator's number of the policy.
    pub policy: u64,
    /// SHA-256 of its file.
    pub sha256: String,
    /// What was found, in the order of the fields.
    pub fields: Vec<ExplainedField>,
    /// The event as it would be stored, but that sealed values are under keys that nobody keeps.
    pub event: serde_json::Value,
}

/// What one rule does to one field.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedField {
    /// The field, `ctx.phone`.
    pub path: String,
    /// The rule.
    pub rule: String,
    /// By what it found the value: `fields`, `pattern`, or the kind of value.
    pub found_by: String,
    /// The bytes of the value that it found.
    pub bytes: [usize; 2],
    /// What it does.
    pub action: &'static str,
    /// Whose value it is, where that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The field afterwards.
    pub becomes: String,
}

/// Keys by nobody, for nobody.
struct Throwaway(Mutex<Random>);

impl Sealer for Throwaway {
    fn live(&self, _: &Subject, _: Need) -> Result<Arc<Live>, AuditError> {
        Live::throwaway(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).map(Arc::new)
    }

    fn fresh(&self) -> Result<Fresh, AuditError> {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Fresh { nonce: random.array()?, salt: random.array()? })
    }
}

/// Reads the policy of a home.
///
/// # Errors
/// [`AuditError::Policy`] when the file is none. Nothing when there is no file.
pub fn load(home: &Path) -> Result<Option<Policy>, AuditError> {
    Ok(guard::load(home)?.map(|(policy, _)| policy))
}

/// Says what `policy` does to an offered event.
///
/// # Errors
/// [`AuditError::Invalid`] when it is no event of the catalogue.
pub fn explain(policy: Policy, catalogue: &Catalogue, offered: &[u8]) -> Result<Explained, AuditError> {
    let pass = Pass::new(policy);
    let before = event::admit(offered, catalogue)?;
    let mut after = before.clone();
    apply::protect(&pass, &Throwaway(Mutex::default()), &mut after).map_err(|why| match why {
        Unprotected::Refused(refusal) => AuditError::Invalid(refusal),
        Unprotected::Failed(error) => error,
    })?;
    let fields =
        pass.findings(&before).iter().flat_map(|found| rows(&pass, &before, &after, found)).collect();
    let event = serde_json::from_slice(&after.canonical())
        .map_err(|e| AuditError::Invalid(InvalidComplianceEvent::whole(event::Rule::Json, e.to_string())))?;
    let (policy, sha256) = (pass.policy.version(), hex::encode(pass.policy.sha256()));
    Ok(Explained { policy, sha256, fields, event })
}

fn rows(pass: &Pass, before: &Event<'_>, after: &Event<'_>, found: &pass::Finding) -> Vec<ExplainedField> {
    let (section, name) = (found.section, found.name.as_str());
    let value = section.of(before).get(name).unwrap_or_default();
    let suffixes = ["", super::SEALED_NAME, super::TOKEN_NAME];
    let stands = suffixes.iter().find_map(|suffix| section.of(after).get(&format!("{name}{suffix}")));
    let row = |rule: usize, found_by: &str, range: std::ops::Range<usize>| {
        let rule = &pass.policy.rules[rule];
        let action = rule.action(before.severity);
        let subject = || pass::subject(rule, before, &value[range.clone()]).to_string();
        ExplainedField {
            path: format!("{}.{name}", section.as_str()),
            rule: rule.name.clone(),
            found_by: found_by.to_owned(),
            bytes: [range.start, range.end],
            action: action.as_str(),
            subject: action.needs_vault().then(subject),
            becomes: stands.unwrap_or_default().to_owned(),
        }
    };
    match &found.what {
        What::Whole { rule, .. } => {
            let by_path = pass.policy.rules[*rule].fields.iter().any(|field| field.matches(section, name));
            let kind = pass.policy.rules[*rule].kind();
            let found_by = if by_path { "fields" } else { kind.map_or("pattern", super::Kind::as_str) };
            vec![row(*rule, found_by, 0..value.len())]
        }
        What::Pieces(pieces) => pieces
            .iter()
            .map(|piece| {
                row(piece.rule, piece.kind.map_or("pattern", super::Kind::as_str), piece.start..piece.end)
            })
            .collect(),
    }
}
