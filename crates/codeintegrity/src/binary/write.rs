use std::cmp::Ordering;
use std::collections::HashMap;

use super::{DEFAULT_HASH, VERSION, tag};
use crate::error::PolicyError;
use crate::model::{
    CertRoot, FileRule, Policy, PolicyType, RuleKind, Scenario, Setting, Signer, SignerGroup, Value,
};
use crate::options::{ALWAYS, SUPPLEMENTAL};
use crate::{Options, Version};

/// The compiled form. File rules and settings are sorted, as the compiler of Windows sorts them.
///
/// # Errors
/// [`PolicyError::Dangling`] for a reference to what is not there, [`PolicyError::Unsupported`] for two elements
/// of one identifier.
pub fn write(policy: &Policy) -> Result<Vec<u8>, PolicyError> {
    let mut rules: Vec<&FileRule> = policy.file_rules.iter().collect();
    rules.sort_by(|a, b| by_place(a, b));
    let index = Index::of(policy, &rules)?;
    let mut out = Body(Vec::with_capacity(4096));
    header(&mut out, policy, rules.len());
    for eku in &policy.ekus {
        out.bytes(&eku.value);
    }
    for rule in &rules {
        out.number(rule.kind as u32);
        out.text(rule.file_name.as_deref());
        out.version(minimum(rule));
        out.bytes(&rule.hash);
    }
    for signer in &policy.signers {
        write_signer(&mut out, signer, &index)?;
    }
    out.references("UpdatePolicySigners", &policy.update_policy_signers, &index.signers)?;
    out.references("CiSigners", &policy.ci_signers, &index.signers)?;
    for scenario in &policy.scenarios {
        write_scenario(&mut out, scenario, &index)?;
    }
    out.number(policy.hvci_options);
    write_settings(&mut out, &policy.settings);
    later_blocks(&mut out, policy, &rules, &index)?;
    Ok(out.0)
}

fn header(out: &mut Body, policy: &Policy, rules: usize) {
    let supplemental = if policy.policy_type == PolicyType::Supplemental { SUPPLEMENTAL } else { 0 };
    out.number(VERSION);
    out.0.extend(policy.base_policy_id.to_bytes());
    out.0.extend(policy.platform.to_bytes());
    out.number(Options::bits(&policy.options) | ALWAYS | supplemental);
    out.count(policy.ekus.len());
    out.count(rules);
    out.count(policy.signers.len());
    out.count(policy.scenarios.len());
    out.version(policy.version);
    // The length of the header so far: where this number itself stands.
    out.count(out.0.len());
}

fn write_signer(out: &mut Body, signer: &Signer, index: &Index<'_>) -> Result<(), PolicyError> {
    match &signer.root {
        CertRoot::Tbs(hash) => {
            out.number(tag::ROOT_TBS);
            out.bytes(hash);
        }
        CertRoot::WellKnown(root) => {
            out.number(tag::ROOT_WELL_KNOWN);
            out.number(u32::from(*root));
        }
    }
    out.references(&signer.id, &signer.ekus, &index.ekus)?;
    out.text(signer.issuer.as_deref());
    out.text(signer.publisher.as_deref());
    out.text(signer.oem_id.as_deref());
    let attributes: Vec<u32> = index.rules_of(&signer.id, &signer.file_attributes, RuleKind::Attribute)?;
    out.numbers(&attributes);
    Ok(())
}

fn write_scenario(out: &mut Body, scenario: &Scenario, index: &Index<'_>) -> Result<(), PolicyError> {
    out.number(u32::from(scenario.value));
    out.references(&scenario.id, &scenario.inherited, &index.scenarios)?;
    let hash = u32::from(scenario.minimum_hash_algorithm);
    out.number(if hash == 0 { DEFAULT_HASH } else { hash });
    for group in [&scenario.product, &scenario.test, &scenario.test_signing] {
        write_group(out, &scenario.id, group.as_ref().unwrap_or(&SignerGroup::default()), index)?;
    }
    Ok(())
}

fn write_group(
    out: &mut Body,
    scenario: &str,
    group: &SignerGroup,
    index: &Index<'_>,
) -> Result<(), PolicyError> {
    out.count(group.allowed.len());
    for allowed in &group.allowed {
        out.number(index.signers.of(scenario, &allowed.signer)?);
        out.numbers(&index.rules_of(&allowed.signer, &allowed.except, RuleKind::Deny)?);
    }
    out.count(group.denied.len());
    for denied in &group.denied {
        out.number(index.signers.of(scenario, &denied.signer)?);
        out.numbers(&index.rules_of(&denied.signer, &denied.except, RuleKind::Allow)?);
    }
    let rules = group.file_rules.iter().map(|id| index.rules.of(scenario, id));
    let mut rules = rules.collect::<Result<Vec<u32>, _>>()?;
    rules.sort_unstable();
    out.numbers(&rules);
    Ok(())
}

fn write_settings(out: &mut Body, settings: &[Setting]) {
    let mut sorted: Vec<&Setting> = settings.iter().collect();
    sorted.sort_by(|a, b| {
        let by = |get: fn(&Setting) -> &str| ignoring_case(Some(get(a)), Some(get(b)));
        by(|s| &s.provider).then_with(|| by(|s| &s.key)).then_with(|| by(|s| &s.value_name))
    });
    out.count(sorted.len());
    for setting in sorted {
        out.text(Some(&setting.provider));
        out.text(Some(&setting.key));
        out.text(Some(&setting.value_name));
        match &setting.value {
            Value::Boolean(value) => {
                out.number(tag::BOOLEAN);
                out.number(u32::from(*value));
            }
            Value::Number(value) => {
                out.number(tag::NUMBER);
                out.number(*value);
            }
            Value::Bytes(value) => {
                out.number(tag::BYTES);
                out.bytes(value);
            }
            Value::Text(value) => {
                out.number(tag::TEXT);
                out.text(Some(value));
            }
        }
    }
}

/// What releases after the first added, each block behind its number; the number after the last ends the policy.
fn later_blocks(
    out: &mut Body,
    policy: &Policy,
    rules: &[&FileRule],
    index: &Index<'_>,
) -> Result<(), PolicyError> {
    out.number(3);
    for rule in rules {
        out.version(rule.maximum_version.unwrap_or(Version::ZERO));
        out.count(rule.app_ids.len());
        rule.app_ids.iter().for_each(|id| out.text(Some(id)));
    }
    for signer in &policy.signers {
        out.0.extend(signer.sign_time_after.to_le_bytes());
    }
    out.number(4);
    for rule in rules {
        out.text(rule.internal_name.as_deref());
        out.text(rule.file_description.as_deref());
        out.text(rule.product_name.as_deref());
    }
    out.number(5);
    for rule in rules {
        out.text(rule.package_family_name.as_deref());
        out.version(rule.package_version.unwrap_or(Version::ZERO));
    }
    out.number(6);
    out.0.extend(policy.policy_id.to_bytes());
    out.0.extend(policy.base_policy_id.to_bytes());
    out.references("SupplementalPolicySigners", &policy.supplemental_policy_signers, &index.signers)?;
    out.number(7);
    for rule in rules {
        out.text(rule.file_path.as_deref());
    }
    out.number(VERSION + 1);
    Ok(())
}

/// A deny rule without any version denies every version there can be.
fn minimum(rule: &FileRule) -> Version {
    let unbounded = rule.kind == RuleKind::Deny && rule.maximum_version.is_none();
    rule.minimum_version.unwrap_or(if unbounded { Version::MAX } else { Version::ZERO })
}

/// The order of file rules: kind, then the texts without regard to case, then the hash.
fn by_place(a: &FileRule, b: &FileRule) -> Ordering {
    let text = |get: fn(&FileRule) -> Option<&String>| {
        ignoring_case(get(a).map(String::as_str), get(b).map(String::as_str))
    };
    a.kind
        .cmp(&b.kind)
        .then_with(|| text(|r| r.file_name.as_ref()))
        .then_with(|| text(|r| r.internal_name.as_ref()))
        .then_with(|| text(|r| r.file_description.as_ref()))
        .then_with(|| text(|r| r.product_name.as_ref()))
        .then_with(|| text(|r| r.package_family_name.as_ref()))
        .then_with(|| text(|r| r.file_path.as_ref()))
        .then_with(|| a.hash.cmp(&b.hash))
}

/// As .NET's `OrdinalIgnoreCase`: upper-case letter by letter, by UTF-16 unit; what is missing comes first.
fn ignoring_case(a: Option<&str>, b: Option<&str>) -> Ordering {
    /// Letters whose upper case is several letters (ß) are kept.
    fn folded(text: &str) -> impl Iterator<Item = u16> + '_ {
        text.chars().flat_map(|letter| {
            let mut upper = letter.to_uppercase();
            let folded = if upper.len() == 1 { upper.next().unwrap_or(letter) } else { letter };
            let mut units = [0; 2];
            let count = folded.encode_utf16(&mut units).len();
            units.into_iter().take(count)
        })
    }
    match (a, b) {
        (Some(a), Some(b)) => folded(a).cmp(folded(b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// Identifier to place, of one kind of element.
struct Places<'a> {
    kind: &'static str,
    by_id: HashMap<&'a str, u32>,
}

impl<'a> Places<'a> {
    fn of_ids(kind: &'static str, ids: impl Iterator<Item = &'a str>) -> Result<Self, PolicyError> {
        let mut by_id = HashMap::new();
        for (place, id) in (0u32..).zip(ids) {
            if by_id.insert(id, place).is_some() {
                return Err(PolicyError::unsupported(format!("{kind} {id}"), "its identifier stands twice"));
            }
        }
        Ok(Self { kind, by_id })
    }

    fn of(&self, from: &str, id: &str) -> Result<u32, PolicyError> {
        let dangling = || PolicyError::Dangling { from: from.to_owned(), kind: self.kind, id: id.to_owned() };
        self.by_id.get(id).copied().ok_or_else(dangling)
    }
}

struct Index<'a> {
    ekus: Places<'a>,
    rules: Places<'a>,
    signers: Places<'a>,
    scenarios: Places<'a>,
    sorted: &'a [&'a FileRule],
}

impl<'a> Index<'a> {
    fn of(policy: &'a Policy, rules: &'a [&'a FileRule]) -> Result<Self, PolicyError> {
        Ok(Self {
            ekus: Places::of_ids("EKU", policy.ekus.iter().map(|e| e.id.as_str()))?,
            rules: Places::of_ids("file rule", rules.iter().map(|r| r.id.as_str()))?,
            signers: Places::of_ids("signer", policy.signers.iter().map(|s| s.id.as_str()))?,
            scenarios: Places::of_ids("scenario", policy.scenarios.iter().map(|s| s.id.as_str()))?,
            sorted: rules,
        })
    }

    /// Places of rules that must be of one kind.
    fn rules_of(&self, from: &str, ids: &[String], kind: RuleKind) -> Result<Vec<u32>, PolicyError> {
        let place = |id: &String| {
            let place = self.rules.of(from, id)?;
            let found = self.sorted.get(place as usize).map(|rule| rule.kind);
            if found == Some(kind) {
                return Ok(place);
            }
            let why = format!("it refers to {id}, which is no {} rule", format!("{kind:?}").to_lowercase());
            Err(PolicyError::unsupported(from, why))
        };
        ids.iter().map(place).collect()
    }
}

/// Bytes in units of four.
struct Body(Vec<u8>);

impl Body {
    fn number(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    /// A policy is a vector in memory whose elements are larger than a byte: no count reaches 2³².
    fn count(&mut self, value: usize) {
        self.number(u32::try_from(value).unwrap_or(u32::MAX));
    }

    fn numbers(&mut self, values: &[u32]) {
        self.count(values.len());
        values.iter().for_each(|value| self.number(*value));
    }

    fn references(&mut self, from: &str, ids: &[String], places: &Places<'_>) -> Result<(), PolicyError> {
        let found = ids.iter().map(|id| places.of(from, id)).collect::<Result<Vec<u32>, _>>()?;
        self.numbers(&found);
        Ok(())
    }

    fn version(&mut self, version: Version) {
        self.0.extend(version.0.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// A text, or nothing, and a zero after either. A text of spaces is nothing, as it is to Windows' compiler.
    fn text(&mut self, text: Option<&str>) {
        let text = text.filter(|text| !text.trim().is_empty()).unwrap_or_default();
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.bytes(&units);
        self.number(0);
    }
}
