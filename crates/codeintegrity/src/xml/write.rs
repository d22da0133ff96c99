use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::NAMESPACE;
use crate::error::PolicyError;
use crate::filetime;
use crate::model::{
    CertRoot, FileRule, Policy, PolicyType, RuleKind, Scenario, Setting, Signer, SignerGroup, Value,
};

/// Prints a policy as XML, in the order and layout of Microsoft's own tools.
///
/// # Errors
/// [`PolicyError::Unsupported`] for option bits that no phrase stands for.
pub fn write(policy: &Policy) -> Result<String, PolicyError> {
    if policy.options.unnamed() != 0 {
        let bits = format!("the options 0x{:x}", policy.options.unnamed());
        return Err(PolicyError::unsupported(bits, "XML has no words for them"));
    }
    let macros = macros(policy);
    let mut out = Out { text: String::from("\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>"), depth: 0 };
    let kind = match policy.policy_type {
        PolicyType::Base => "Base Policy",
        PolicyType::Supplemental => "Supplemental Policy",
    };
    let friendly = policy.friendly_name.as_deref();
    let attributes = [("xmlns", Some(NAMESPACE)), ("PolicyType", Some(kind)), ("FriendlyName", friendly)];
    out.block("SiPolicy", &attributes, |out| {
        out.leaf("VersionEx", &policy.version.to_string());
        out.leaf("PlatformID", &policy.platform.to_string());
        let mut options = policy.options.iter();
        out.list("Rules", &mut options, |out, option| {
            out.block("Rule", &[], |out| out.leaf("Option", option))
        });
        if !macros.is_empty() {
            out.list("Macros", &mut macros.iter(), |out, (value, id)| {
                out.empty("Macro", &[("Id", Some(id)), ("Value", Some(value))]);
            });
        }
        rules(out, policy, &macros);
        out.comment("Signers");
        out.list("Signers", &mut policy.signers.iter(), signer);
        out.comment("Driver Signing Scenarios");
        out.list("SigningScenarios", &mut policy.scenarios.iter(), scenario);
        out.references(
            "UpdatePolicySigners",
            "UpdatePolicySigner",
            "SignerId",
            &policy.update_policy_signers,
        );
        out.references("CiSigners", "CiSigner", "SignerId", &policy.ci_signers);
        if !policy.supplemental_policy_signers.is_empty() {
            let ids = &policy.supplemental_policy_signers;
            out.references("SupplementalPolicySigners", "SupplementalPolicySigner", "SignerId", ids);
        }
        out.leaf("HvciOptions", &policy.hvci_options.to_string());
        out.leaf("BasePolicyID", &policy.base_policy_id.to_string());
        out.leaf("PolicyID", &policy.policy_id.to_string());
        if !policy.settings.is_empty() {
            out.list("Settings", &mut policy.settings.iter(), setting);
        }
    });
    Ok(out.text)
}

/// A rule for several applications names them by macros: value to identifier.
fn macros(policy: &Policy) -> BTreeMap<&str, String> {
    let several = policy.file_rules.iter().filter(|rule| rule.app_ids.len() > 1);
    let values: std::collections::BTreeSet<&str> =
        several.flat_map(|rule| rule.app_ids.iter().map(String::as_str)).collect();
    values.into_iter().zip(1u32..).map(|(value, number)| (value, format!("APP_{number}"))).collect()
}

fn rules(out: &mut Out, policy: &Policy, macros: &BTreeMap<&str, String>) {
    out.comment("EKUS");
    out.list("EKUs", &mut policy.ekus.iter(), |out, eku| {
        let value = hex::encode_upper(&eku.value);
        let friendly = eku.friendly_name.as_deref();
        out.empty("EKU", &[("ID", Some(&eku.id)), ("Value", Some(&value)), ("FriendlyName", friendly)]);
    });
    out.comment("File Rules");
    out.list("FileRules", &mut policy.file_rules.iter(), |out, rule| file_rule(out, rule, macros));
}

fn file_rule(out: &mut Out, rule: &FileRule, macros: &BTreeMap<&str, String>) {
    let name = match rule.kind {
        RuleKind::Deny => "Deny",
        RuleKind::Allow => "Allow",
        RuleKind::Attribute => "FileAttrib",
    };
    let version = |version: Option<crate::Version>| version.map(|version| version.to_string());
    let [package, minimum, maximum] =
        [rule.package_version, rule.minimum_version, rule.maximum_version].map(version);
    let hash = Some(hex::encode_upper(&rule.hash)).filter(|hash| !hash.is_empty());
    let app_ids = match rule.app_ids.as_slice() {
        [] => None,
        [one] if !one.starts_with('$') => Some(one.clone()),
        several => Some(several.iter().fold(String::new(), |mut text, value| {
            let _ = write!(text, "$({})", macros.get(value.as_str()).map_or("", String::as_str));
            text
        })),
    };
    out.empty(
        name,
        &[
            ("ID", Some(&rule.id)),
            ("FriendlyName", rule.friendly_name.as_deref()),
            ("FileName", rule.file_name.as_deref()),
            ("InternalName", rule.internal_name.as_deref()),
            ("FileDescription", rule.file_description.as_deref()),
            ("ProductName", rule.product_name.as_deref()),
            ("PackageFamilyName", rule.package_family_name.as_deref()),
            ("PackageVersion", package.as_deref()),
            ("MinimumFileVersion", minimum.as_deref()),
            ("MaximumFileVersion", maximum.as_deref()),
            ("Hash", hash.as_deref()),
            ("AppIDs", app_ids.as_deref()),
            ("FilePath", rule.file_path.as_deref()),
        ],
    );
}

fn signer(out: &mut Out, signer: &Signer) {
    let after = filetime::print(signer.sign_time_after);
    let attributes =
        [("ID", Some(signer.id.as_str())), ("Name", Some(&signer.name)), ("SignTimeAfter", after.as_deref())];
    out.block("Signer", &attributes, |out| {
        let (kind, value) = match &signer.root {
            CertRoot::Tbs(hash) => ("TBS", hex::encode_upper(hash)),
            CertRoot::WellKnown(root) => ("Wellknown", format!("{root:02X}")),
        };
        out.empty("CertRoot", &[("Type", Some(kind)), ("Value", Some(&value))]);
        for id in &signer.ekus {
            out.empty("CertEKU", &[("ID", Some(id))]);
        }
        let values = [
            ("CertIssuer", &signer.issuer),
            ("CertPublisher", &signer.publisher),
            ("CertOemID", &signer.oem_id),
        ];
        for (name, value) in values {
            if value.is_some() {
                out.empty(name, &[("Value", value.as_deref())]);
            }
        }
        for id in &signer.file_attributes {
            out.empty("FileAttribRef", &[("RuleID", Some(id))]);
        }
    });
}

fn scenario(out: &mut Out, scenario: &Scenario) {
    let value = scenario.value.to_string();
    let inherited = Some(scenario.inherited.join(",")).filter(|ids| !ids.is_empty());
    let hash = scenario.minimum_hash_algorithm;
    let hash = (hash != 0).then(|| hash.to_string());
    let attributes = [
        ("Value", Some(value.as_str())),
        ("ID", Some(&scenario.id)),
        ("FriendlyName", scenario.friendly_name.as_deref()),
        ("InheritedScenarios", inherited.as_deref()),
        ("MinimumHashAlgorithm", hash.as_deref()),
    ];
    out.block("SigningScenario", &attributes, |out| {
        // The schema asks for this one, even when it is empty.
        let product = scenario.product.clone().unwrap_or_default();
        group(out, "ProductSigners", &product);
        for (name, signers) in
            [("TestSigners", &scenario.test), ("TestSigningSigners", &scenario.test_signing)]
        {
            if let Some(signers) = signers {
                group(out, name, signers);
            }
        }
    });
}

fn group(out: &mut Out, name: &str, group: &SignerGroup) {
    if *group == SignerGroup::default() {
        return out.empty(name, &[]);
    }
    out.block(name, &[], |out| {
        if !group.allowed.is_empty() {
            out.list("AllowedSigners", &mut group.allowed.iter(), |out, allowed| {
                out.with_references(
                    "AllowedSigner",
                    &allowed.signer,
                    "ExceptDenyRule",
                    "DenyRuleID",
                    &allowed.except,
                );
            });
        }
        if !group.denied.is_empty() {
            out.list("DeniedSigners", &mut group.denied.iter(), |out, denied| {
                out.with_references(
                    "DeniedSigner",
                    &denied.signer,
                    "ExceptAllowRule",
                    "AllowRuleID",
                    &denied.except,
                );
            });
        }
        if !group.file_rules.is_empty() {
            out.references("FileRulesRef", "FileRuleRef", "RuleID", &group.file_rules);
        }
    });
}

fn setting(out: &mut Out, setting: &Setting) {
    let attributes = [
        ("Provider", Some(setting.provider.as_str())),
        ("Key", Some(&setting.key)),
        ("ValueName", Some(&setting.value_name)),
    ];
    out.block("Setting", &attributes, |out| {
        out.block("Value", &[], |out| match &setting.value {
            Value::Boolean(value) => out.leaf("Boolean", &value.to_string()),
            Value::Number(value) => out.leaf("DWord", &value.to_string()),
            Value::Bytes(value) => out.leaf("Binary", &hex::encode_upper(value)),
            Value::Text(value) => out.leaf("String", value),
        });
    });
}

type Attributes<'a> = [(&'a str, Option<&'a str>)];

/// Indented text.
struct Out {
    text: String,
    depth: usize,
}

impl Out {
    fn begin(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.line();
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            if let Some(value) = value {
                let _ = write!(self.text, " {key}=\"{}\"", escaped(value)); // writing to a String cannot fail
            }
        }
    }

    fn line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }

    fn empty(&mut self, name: &str, attributes: &Attributes<'_>) {
        self.begin(name, attributes);
        self.text.push_str(" />");
    }

    fn leaf(&mut self, name: &str, text: &str) {
        self.begin(name, &[]);
        let _ = write!(self.text, ">{}</{name}>", escaped(text));
    }

    fn comment(&mut self, text: &str) {
        self.line();
        let _ = write!(self.text, "<!--{text}-->");
    }

    fn block(&mut self, name: &str, attributes: &Attributes<'_>, inner: impl FnOnce(&mut Self)) {
        self.begin(name, attributes);
        self.text.push('>');
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.line();
        let _ = write!(self.text, "</{name}>");
    }

    fn list<T>(&mut self, name: &str, items: &mut dyn Iterator<Item = T>, print: impl Fn(&mut Self, T)) {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return self.empty(name, &[]);
        }
        self.block(name, &[], |out| items.for_each(|item| print(out, item)));
    }

    fn references(&mut self, list: &str, name: &str, attribute: &str, ids: &[String]) {
        self.list(list, &mut ids.iter(), |out, id| out.empty(name, &[(attribute, Some(id))]));
    }

    fn with_references(&mut self, name: &str, signer: &str, inner: &str, attribute: &str, ids: &[String]) {
        let own = [("SignerId", Some(signer))];
        if ids.is_empty() {
            return self.empty(name, &own);
        }
        self.block(name, &own, |out| {
            ids.iter().for_each(|id| out.empty(inner, &[(attribute, Some(id))]));
        });
    }
}

/// Text with what XML would take for markup replaced; control characters, which XML 1.0 cannot hold at all, become
/// U+FFFD. Line ends and tabs are written as references, so that reading does not turn them into spaces.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(safe, "&#{};", u32::from(letter));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}
