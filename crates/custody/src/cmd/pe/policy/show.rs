//! `custody pe policy show`.

use std::path::PathBuf;

use clap::Args;
use codeintegrity::{CertRoot, FileRule, Policy, PolicyType, RuleKind, Signer, deployable, write_xml};
use serde::Serialize;

use super::file;
use crate::cmd::Context;
use crate::failure::Outcome;

pub(super) const EXAMPLES: &str = "\
XML, `.cip` and `.p7b` are told apart by their bytes. A compiled policy has no names: its rules get new ones here.

Examples:
  $ custody pe policy show payments.cip
  $ custody pe policy show strict.xml --json";

#[derive(Args)]
pub(super) struct ShowArgs {
    /// The policy, in any form
    policy: PathBuf,
}

/// The names are part of the interface.
#[derive(Serialize)]
struct Shown<'a> {
    form: &'static str,
    kind: &'static str,
    policy_id: String,
    base_policy_id: String,
    version: String,
    options: Vec<&'static str>,
    file_rules: Vec<Rule<'a>>,
    signers: Vec<Named<'a>>,
    update_policy_signers: &'a [String],
    findings: Vec<Doubt>,
}

#[derive(Serialize)]
struct Rule<'a> {
    id: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<&'a str>,
}

#[derive(Serialize)]
struct Named<'a> {
    id: &'a str,
    name: &'a str,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<&'a str>,
}

#[derive(Serialize)]
struct Doubt {
    fatal: bool,
    what: String,
    mend: &'static str,
}

pub(super) fn run(args: &ShowArgs, context: &Context) -> Outcome {
    let loaded = file::read(&args.policy)?;
    if context.output.json {
        return context.output.json_line(&shown(&loaded.policy, loaded.form));
    }
    let xml = write_xml(&loaded.policy).map_err(super::unwritable)?;
    context.output.text(&format!("{}\n", xml.trim_end()))
}

fn shown(policy: &Policy, form: file::Form) -> Shown<'_> {
    Shown {
        form: form.word(),
        kind: match policy.policy_type {
            PolicyType::Base => "base",
            PolicyType::Supplemental => "supplemental",
        },
        policy_id: policy.policy_id.to_string(),
        base_policy_id: policy.base_policy_id.to_string(),
        version: policy.version.to_string(),
        options: policy.options.iter().collect(),
        file_rules: policy.file_rules.iter().map(rule).collect(),
        signers: policy.signers.iter().map(signer).collect(),
        update_policy_signers: &policy.update_policy_signers,
        findings: deployable(policy)
            .into_iter()
            .map(|finding| Doubt { fatal: finding.fatal, what: finding.what, mend: finding.mend })
            .collect(),
    }
}

fn rule(rule: &FileRule) -> Rule<'_> {
    Rule {
        id: &rule.id,
        kind: match rule.kind {
            RuleKind::Deny => "deny",
            RuleKind::Allow => "allow",
            RuleKind::Attribute => "attribute",
        },
        name: rule.friendly_name.as_deref(),
        hash: (!rule.hash.is_empty()).then(|| hex::encode(&rule.hash)),
        path: rule.file_path.as_deref(),
        file_name: rule.file_name.as_deref(),
    }
}

fn signer(signer: &Signer) -> Named<'_> {
    Named {
        id: &signer.id,
        name: &signer.name,
        root: match &signer.root {
            CertRoot::Tbs(hash) => hex::encode(hash),
            CertRoot::WellKnown(number) => format!("well-known {number}"),
        },
        publisher: signer.publisher.as_deref(),
    }
}
