use super::{NEWEST, tag};
use crate::error::PolicyError;
use crate::model::{
    AllowedSigner, CertRoot, DeniedSigner, Eku, FileRule, Policy, PolicyType, RuleKind, Scenario, Setting,
    Signer, SignerGroup, Value,
};
use crate::options::SUPPLEMENTAL;
use crate::{Guid, MAX_POLICY, Options, Version};

/// Counts are believed only as far as the bytes reach: no element is shorter than this.
const SMALLEST_ELEMENT: usize = 4;

/// Reads a compiled policy. Identifiers, which compiling drops, are made from the place of each element.
///
/// # Errors
/// [`PolicyError::Binary`] with the offset.
pub fn read(bytes: &[u8]) -> Result<Policy, PolicyError> {
    let mut input = Input { bytes, at: 0 };
    if bytes.len() > MAX_POLICY {
        return Err(input.wrong(format!("it has more than {MAX_POLICY} bytes")));
    }
    let version = input.number()?;
    if !(1..=NEWEST).contains(&version) {
        return Err(input.wrong(format!("it has version {version}, and 1 to {NEWEST} are known")));
    }
    let type_id = input.guid()?;
    let platform = input.guid()?;
    let bits = input.number()?;
    let counts = [input.count()?, input.count()?, input.count()?, input.count()?];
    let mut policy = Policy {
        policy_type: if bits & SUPPLEMENTAL == 0 { PolicyType::Base } else { PolicyType::Supplemental },
        version: input.version()?,
        platform,
        policy_id: type_id,
        base_policy_id: type_id,
        options: Options::from_bits(bits),
        ..Policy::default()
    };
    let header = u32::try_from(input.at).unwrap_or(u32::MAX);
    input.expect(header, "the header's length")?;
    body(&mut input, &mut policy, counts)?;
    later_blocks(&mut input, &mut policy, version)?;
    if input.at != bytes.len() {
        return Err(input.wrong("there are bytes behind the policy's end"));
    }
    Ok(policy)
}

fn body(input: &mut Input<'_>, policy: &mut Policy, counts: [usize; 4]) -> Result<(), PolicyError> {
    let [ekus, rules, signers, scenarios] = counts;
    for place in 0..ekus {
        policy.ekus.push(Eku { id: eku_id(place), friendly_name: None, value: input.bytes()?.to_vec() });
    }
    for place in 0..rules {
        policy.file_rules.push(input.file_rule(place)?);
    }
    let kinds: Vec<RuleKind> = policy.file_rules.iter().map(|rule| rule.kind).collect();
    let known = Known { ekus, signers, scenarios, rules: &kinds };
    for place in 0..signers {
        policy.signers.push(input.signer(place, &known)?);
    }
    policy.update_policy_signers = input.references(signers, signer_id)?;
    policy.ci_signers = input.references(signers, signer_id)?;
    for place in 0..scenarios {
        policy.scenarios.push(input.scenario(place, &known)?);
    }
    policy.hvci_options = input.number()?;
    for _ in 0..input.count()? {
        policy.settings.push(input.setting()?);
    }
    Ok(())
}

fn later_blocks(input: &mut Input<'_>, policy: &mut Policy, version: u32) -> Result<(), PolicyError> {
    for block in 3..=version {
        input.expect(block, "the number of a block")?;
        match block {
            3 => {
                for rule in &mut policy.file_rules {
                    rule.maximum_version = input.optional_version()?;
                    for _ in 0..input.count()? {
                        rule.app_ids.push(input.text()?.unwrap_or_default());
                    }
                }
                for signer in &mut policy.signers {
                    signer.sign_time_after = i64::from_le_bytes(input.take()?);
                }
                policy.file_rules.iter_mut().for_each(settle_minimum);
            }
            4 => {
                for rule in &mut policy.file_rules {
                    rule.internal_name = input.text()?;
                    rule.file_description = input.text()?;
                    rule.product_name = input.text()?;
                }
            }
            5 => {
                for rule in &mut policy.file_rules {
                    rule.package_family_name = input.text()?;
                    rule.package_version = input.optional_version()?;
                }
            }
            6 => {
                policy.policy_id = input.guid()?;
                policy.base_policy_id = input.guid()?;
                policy.supplemental_policy_signers = input.references(policy.signers.len(), signer_id)?;
            }
            7 => {
                for rule in &mut policy.file_rules {
                    rule.file_path = input.text()?;
                }
            }
            _ => input.expect(0, "application settings, which are not supported; their number")?,
        }
    }
    if version >= 3 {
        input.expect(version + 1, "the number that ends the policy")?;
    }
    Ok(())
}

/// What stands for "no version" is zero, and in a deny rule without a maximum, everything.
fn settle_minimum(rule: &mut FileRule) {
    let absent = if rule.kind == RuleKind::Deny && rule.maximum_version.is_none() {
        Version::MAX
    } else {
        Version::ZERO
    };
    rule.minimum_version = rule.minimum_version.filter(|version| *version != absent);
}

/// How many there are of what references point to.
struct Known<'a> {
    ekus: usize,
    signers: usize,
    scenarios: usize,
    rules: &'a [RuleKind],
}

impl Known<'_> {
    fn rule_id(&self, place: usize) -> String {
        self.rules.get(place).map_or_else(String::new, |kind| rule_id(*kind, place))
    }
}

fn eku_id(place: usize) -> String {
    format!("ID_EKU_E_{place:X}")
}

fn signer_id(place: usize) -> String {
    format!("ID_SIGNER_S_{place:X}")
}

fn scenario_id(place: usize) -> String {
    format!("ID_SIGNINGSCENARIO_S_{place:X}")
}

fn rule_id(kind: RuleKind, place: usize) -> String {
    let (word, letter) = match kind {
        RuleKind::Deny => ("DENY", 'D'),
        RuleKind::Allow => ("ALLOW", 'A'),
        RuleKind::Attribute => ("FILEATTRIB", 'F'),
    };
    format!("ID_{word}_{letter}_{place:X}")
}

/// The bytes, and how far they are read.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn wrong(&self, why: impl Into<String>) -> PolicyError {
        PolicyError::Binary { at: self.at, why: why.into() }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], PolicyError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.wrong(format!("{length} more bytes were promised"))) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], PolicyError> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<u32, PolicyError> {
        self.take().map(u32::from_le_bytes)
    }

    fn expect(&mut self, value: u32, what: &str) -> Result<(), PolicyError> {
        let found = self.number()?;
        if found == value {
            return Ok(());
        }
        self.at -= 4;
        Err(self.wrong(format!("{what} should be {value} and is {found}")))
    }

    fn count(&mut self) -> Result<usize, PolicyError> {
        let count = self.number()? as usize;
        if count > (self.bytes.len() - self.at) / SMALLEST_ELEMENT {
            return Err(self.wrong(format!("it cannot hold {count} elements")));
        }
        Ok(count)
    }

    fn guid(&mut self) -> Result<Guid, PolicyError> {
        self.take().map(Guid::from_bytes)
    }

    fn version(&mut self) -> Result<Version, PolicyError> {
        self.take().map(|bytes| Version(u64::from_le_bytes(bytes)))
    }

    fn optional_version(&mut self) -> Result<Option<Version>, PolicyError> {
        self.version().map(|version| Some(version).filter(|version| *version != Version::ZERO))
    }

    fn bytes(&mut self) -> Result<&'a [u8], PolicyError> {
        let length = self.number()? as usize;
        let bytes = self.slice(length)?;
        let padding = self.slice(length.next_multiple_of(4) - length)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.wrong("the padding is not zero"));
        }
        Ok(bytes)
    }

    fn text(&mut self) -> Result<Option<String>, PolicyError> {
        let bytes = self.bytes()?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
        let Some(text) = text else { return Err(self.wrong("a text is not UTF-16")) };
        self.expect(0, "what ends a text")?;
        if text.trim().is_empty() != text.is_empty() {
            return Err(self.wrong("a text of spaces only"));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn references(
        &mut self,
        known: usize,
        name: impl Fn(usize) -> String,
    ) -> Result<Vec<String>, PolicyError> {
        let count = self.count()?;
        (0..count).map(|_| self.reference(known).map(&name)).collect()
    }

    fn reference(&mut self, known: usize) -> Result<usize, PolicyError> {
        let place = self.number()? as usize;
        if place < known { Ok(place) } else { Err(self.wrong(format!("there is no element {place}"))) }
    }

    /// References to rules of one kind.
    fn rules(&mut self, known: &Known<'_>, kind: RuleKind) -> Result<Vec<String>, PolicyError> {
        let count = self.count()?;
        (0..count)
            .map(|_| {
                let place = self.reference(known.rules.len())?;
                match known.rules.get(place) {
                    Some(found) if *found == kind => Ok(known.rule_id(place)),
                    _ => Err(self.wrong(format!("file rule {place} is of another kind than its reference"))),
                }
            })
            .collect()
    }

    fn file_rule(&mut self, place: usize) -> Result<FileRule, PolicyError> {
        let kind = match self.number()? {
            0 => RuleKind::Deny,
            1 => RuleKind::Allow,
            2 => RuleKind::Attribute,
            other => return Err(self.wrong(format!("there is no file rule of kind {other}"))),
        };
        Ok(FileRule {
            file_name: self.text()?,
            minimum_version: Some(self.version()?),
            hash: self.bytes()?.to_vec(),
            ..FileRule::new(rule_id(kind, place), kind)
        })
    }

    fn signer(&mut self, place: usize, known: &Known<'_>) -> Result<Signer, PolicyError> {
        let root = match self.number()? {
            tag::ROOT_TBS => CertRoot::Tbs(self.bytes()?.to_vec()),
            tag::ROOT_WELL_KNOWN => match u8::try_from(self.number()?) {
                Ok(root) => CertRoot::WellKnown(root),
                Err(_) => return Err(self.wrong("a known root has a number up to 255")),
            },
            other => return Err(self.wrong(format!("there is no certificate root of kind {other}"))),
        };
        Ok(Signer {
            id: signer_id(place),
            name: format!("Signer {}", place + 1),
            root,
            ekus: self.references(known.ekus, eku_id)?,
            issuer: self.text()?,
            publisher: self.text()?,
            oem_id: self.text()?,
            file_attributes: self.rules(known, RuleKind::Attribute)?,
            sign_time_after: 0,
        })
    }

    fn scenario(&mut self, place: usize, known: &Known<'_>) -> Result<Scenario, PolicyError> {
        let Ok(value) = u8::try_from(self.number()?) else {
            return Err(self.wrong("a scenario has a number up to 255"));
        };
        let inherited = self.references(known.scenarios, scenario_id)?;
        let Ok(minimum_hash_algorithm) = u16::try_from(self.number()?) else {
            return Err(self.wrong("a hash algorithm has a number up to 65535"));
        };
        Ok(Scenario {
            id: scenario_id(place),
            friendly_name: None,
            value,
            inherited,
            minimum_hash_algorithm,
            product: self.group(known)?,
            test: self.group(known)?,
            test_signing: self.group(known)?,
        })
    }

    fn group(&mut self, known: &Known<'_>) -> Result<Option<SignerGroup>, PolicyError> {
        let mut group = SignerGroup::default();
        for _ in 0..self.count()? {
            let signer = signer_id(self.reference(known.signers)?);
            group.allowed.push(AllowedSigner { signer, except: self.rules(known, RuleKind::Deny)? });
        }
        for _ in 0..self.count()? {
            let signer = signer_id(self.reference(known.signers)?);
            group.denied.push(DeniedSigner { signer, except: self.rules(known, RuleKind::Allow)? });
        }
        group.file_rules = self.references(known.rules.len(), |place| known.rule_id(place))?;
        Ok(Some(group).filter(|group| *group != SignerGroup::default()))
    }

    fn setting(&mut self) -> Result<Setting, PolicyError> {
        let mut name = || self.text().map(Option::unwrap_or_default);
        let (provider, key, value_name) = (name()?, name()?, name()?);
        let value = match self.number()? {
            tag::BOOLEAN => match self.number()? {
                0 => Value::Boolean(false),
                1 => Value::Boolean(true),
                other => return Err(self.wrong(format!("{other} is neither true nor false"))),
            },
            tag::NUMBER => Value::Number(self.number()?),
            tag::BYTES => Value::Bytes(self.bytes()?.to_vec()),
            tag::TEXT => Value::Text(self.text()?.unwrap_or_default()),
            other => return Err(self.wrong(format!("there is no setting of type {other}"))),
        };
        Ok(Setting { provider, key, value_name, value })
    }
}
