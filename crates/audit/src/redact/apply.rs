//! Carrying out what a pass found.

use event::{Event, Fault, InvalidComplianceEvent, Rule as FaultRule};

use super::pass::{self, Finding, Pass, Piece, What};
use super::pattern::Section;
use super::policy::Action;
use super::{SEALED_NAME, STAMP, TOKEN_NAME};
use crate::AuditError;
use crate::vault::{Need, Place, SEALED, Sealer, Subject, TOKEN};

/// Why an event is not protected, and so not recorded.
#[derive(Debug)]
pub(crate) enum Unprotected {
    /// The caller's doing.
    Refused(InvalidComplianceEvent),
    /// The machine's.
    Failed(AuditError),
}

impl From<AuditError> for Unprotected {
    fn from(error: AuditError) -> Self {
        Self::Failed(error)
    }
}

/// A field's new name and value.
struct Change {
    section: Section,
    name: String,
    renamed: Option<String>,
    value: String,
}

/// Replaces what is personal, and names the policy.
pub(crate) fn protect<'a>(
    pass: &'a Pass,
    sealer: &dyn Sealer,
    event: &mut Event<'a>,
) -> Result<(), Unprotected> {
    refuse_forged(event)?;
    let findings = pass.findings(event);
    if !findings.is_empty() {
        let changes: Vec<Change> = findings
            .iter()
            .map(|finding| change(pass, sealer, event, finding))
            .collect::<Result<_, Unprotected>>()?;
        for change in changes {
            make(event, change)?;
        }
    }
    event.ctx.set(STAMP, pass.policy.stamp());
    Ok(())
}

/// Whether `name` stands in the place of an address by the schema's rule.
pub(super) fn is_address(name: &str) -> bool {
    let stem = name.strip_suffix("_address").unwrap_or(name);
    stem.strip_suffix("ip").is_some_and(|front| front.is_empty() || front.ends_with(['.', '_', '-']))
}

/// A caller's own sealed form would be a lie about the policy.
fn refuse_forged(event: &Event<'_>) -> Result<(), Unprotected> {
    for section in Section::ALL {
        for (name, value) in section.of(event).iter() {
            if value.starts_with(SEALED) || value.starts_with(TOKEN) {
                let message = "has the form of a sealed value, which only Custody writes";
                return Err(fault(section, name, FaultRule::Reserved, message));
            }
        }
    }
    Ok(())
}

pub(super) fn fault(section: Section, name: &str, rule: FaultRule, message: &str) -> Unprotected {
    let path = format!("$.{}['{name}']", section.as_str());
    let fault = Fault { path, rule, message: message.to_owned() };
    Unprotected::Refused(InvalidComplianceEvent { faults: vec![fault] })
}

fn change(
    pass: &Pass,
    sealer: &dyn Sealer,
    event: &Event<'_>,
    finding: &Finding,
) -> Result<Change, Unprotected> {
    let (section, name) = (finding.section, finding.name.as_str());
    let value = section.of(event).get(name).unwrap_or_default();
    let (renamed, value) = match &finding.what {
        What::Whole { rule, action } => whole(pass, sealer, event, finding, (*rule, *action), value)?,
        What::Pieces(found) => (None, pieces(pass, sealer, event, found, value)?),
    };
    // Where the schema asks for an address, anything else stands under another name.
    let kept = renamed.filter(|_| is_address(name)).map(|suffix| format!("{name}{suffix}"));
    if kept.as_ref().is_some_and(|name| name.len() > 64) {
        return Err(fault(
            section,
            name,
            FaultRule::Name,
            "is too long a name for an address that is sealed",
        ));
    }
    Ok(Change { section, name: name.to_owned(), renamed: kept, value })
}

fn whole(
    pass: &Pass,
    sealer: &dyn Sealer,
    event: &Event<'_>,
    finding: &Finding,
    (rule, action): (usize, Action),
    value: &str,
) -> Result<(Option<&'static str>, String), Unprotected> {
    let rule = &pass.policy.rules[rule];
    match action {
        Action::Hash => {
            let subject = pass::subject(rule, event, value);
            let live = sealer.live(&subject, Need { cipher: None, token: true })?;
            Ok((Some(TOKEN_NAME), live.token(&rule.label, &super::mask::normal(rule.kind(), value))))
        }
        Action::Seal { cipher, token } => {
            let subject = pass::subject(rule, event, value);
            let live = sealer.live(&subject, Need { cipher: Some(cipher), token })?;
            let path = format!("{}.{}", finding.section.as_str(), finding.name);
            let place = Place { event: event.id.as_bytes(), path: &path };
            let label = token.then_some(rule.label.as_str());
            Ok((Some(SEALED_NAME), live.seal(cipher, &sealer.fresh()?, place, value, label)?))
        }
        action => {
            let shown = pass::shown(rule, action, None, value, is_address(&finding.name));
            Ok((None, shown))
        }
    }
}

/// Every piece replaced by what its own rule makes of it.
fn pieces(
    pass: &Pass,
    sealer: &dyn Sealer,
    event: &Event<'_>,
    found: &[Piece],
    value: &str,
) -> Result<String, Unprotected> {
    let mut out = String::with_capacity(value.len() + 16);
    let mut at = 0;
    for piece in found {
        let rule = &pass.policy.rules[piece.rule];
        let (action, text) = (rule.action(event.severity), &value[piece.start..piece.end]);
        out.push_str(&value[at..piece.start]);
        at = piece.end;
        match action {
            Action::Hash => {
                let subject: Subject = pass::subject(rule, event, text);
                let live = sealer.live(&subject, Need { cipher: None, token: true })?;
                out.push_str(&live.token(&rule.label, &super::mask::normal(piece.kind, text)));
            }
            action => out.push_str(&pass::shown(rule, action, piece.kind, text, false)),
        }
    }
    out.push_str(&value[at..]);
    Ok(out)
}

fn make(event: &mut Event<'_>, change: Change) -> Result<(), Unprotected> {
    let Change { section, name, renamed, value } = change;
    let fields = section.of_mut(event);
    let Some(renamed) = renamed else {
        // A mask that shows nothing of an address is no address.
        if is_address(&name) && value.parse::<std::net::IpAddr>().is_err() {
            return Err(fault(section, &name, FaultRule::Form, "cannot be masked as an address"));
        }
        fields.set(name, value);
        return Ok(());
    };
    if fields.get(&renamed).is_some() {
        return Err(fault(
            section,
            &renamed,
            FaultRule::Reserved,
            "is the name under which Custody seals a field",
        ));
    }
    fields.retain(|key| key != name);
    fields.set(renamed, value);
    Ok(())
}
