//! `custody pe policy check`: two tracks that must agree on every file.
//!
//! One is a catalogue, whose signature must hold and which must know the file; the other the policy, of which a hash
//! rule that is in force must allow it and none may deny it. Both go by SHA-256, so that neither can be led astray by a
//! collision under SHA-1, and they are made by different people with different keys: whoever turns one needs both.

use std::path::PathBuf;

use authenticode::subject::Subject;
use authenticode::verify::{self, Kind};
use clap::Args;
use codeintegrity::{APPLICATIONS, DRIVERS, Policy, Verdict, by_hash};
use event::{Fact, Severity};
use pkix::Digest;
use serde::Serialize;

use super::file::{self, Form, Loaded, SIGNED_POLICY};
use crate::cmd::Context;
use crate::cmd::pe::catalog::{Track, Vouched};
use crate::cmd::pe::text::{self, Signed};
use crate::cmd::pe::trust::{Trust, TrustArgs};
use crate::cmd::pe::walk;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
Exit code 0: for every file the catalogue's signature and a hash rule of the policy agree; 1: they do not. A signed
policy must hold as well.

Examples:
  $ custody pe policy check payments.xml dist/app.exe --catalog dist.cat --ca root.pem";

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The policy, in any form
    policy: PathBuf,
    /// Files, and folders with all that is below them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The catalogue
    #[arg(long, value_name = "CAT")]
    catalog: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// One file on both tracks. The names are part of the interface.
#[derive(Serialize)]
struct Judged {
    file: String,
    agree: bool,
    catalog: Vouched,
    policy: Ruled,
}

#[derive(Serialize)]
struct Ruled {
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

#[derive(Serialize)]
struct Report {
    act: &'static str,
    policy: String,
    policy_id: String,
    policy_version: String,
    /// Whether what it does not allow is only reported.
    audit: bool,
    catalog: String,
    agree: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_signatures: Option<Vec<Signed>>,
    catalog_signatures: Vec<Signed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    files: Vec<Judged>,
}

impl Recorded for Report {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.agree { Severity::Info } else { Severity::Critical };
        let fact = Fact::new(self.act)
            .severity(severity)
            .subject("svc", "custody")
            .object("policy", self.policy_id.clone())
            .object("path", self.catalog.clone())
            .context("files", self.files.len().to_string());
        Some(match &self.fault {
            Some(fault) => fact.context("found", fault.clone()),
            None => fact,
        })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

pub(super) fn run(args: &CheckArgs, context: &Context) -> Outcome {
    let trust = args.trust.read()?;
    let loaded = file::read(&args.policy)?;
    let track = Track::open(&args.catalog, &trust)?;
    let signatures = signatures(&loaded, &trust, args)?;
    let own: Vec<_> =
        [&args.policy, &args.catalog].into_iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut files = Vec::new();
    for file in walk::files(&args.paths)? {
        if file.path.canonicalize().is_ok_and(|path| own.contains(&path)) {
            continue;
        }
        let mut source = walk::open(&file.path)?;
        let subject = Subject::read(&mut source).map_err(|e| super::super::failure(e, &file.path))?;
        let (catalog, policy) = (track.judge(&subject, false), ruled(&loaded.policy, &subject));
        let agree = catalog.holds && policy.holds;
        files.push(Judged { file: file.path.display().to_string(), agree, catalog, policy });
    }
    let (policy_signatures, unsigned) = match signatures {
        Some(Sealed { signatures, fault }) => (Some(signatures), fault),
        None => (None, None),
    };
    let fault = unsigned.or_else(|| track.fault.clone().map(|f| format!("the catalogue does not hold: {f}")));
    let fault = fault.or_else(|| files.iter().find(|file| !file.agree).map(Judged::fault));
    let report = Report {
        act: if fault.is_none() { "PE.POLICY.AGREED" } else { "PE.POLICY.DISAGREED" },
        policy: args.policy.display().to_string(),
        policy_id: loaded.policy.policy_id.to_string(),
        policy_version: loaded.policy.version.to_string(),
        audit: loaded.policy.options.has("Enabled:Audit Mode"),
        catalog: args.catalog.display().to_string(),
        agree: fault.is_none(),
        policy_signatures,
        catalog_signatures: track.signatures,
        fault,
        files,
    };
    context.conclude(&report, Report::lines)?;
    match &report.fault {
        None => Ok(()),
        Some(fault) => Err(Failure::finding(anyhow::anyhow!("catalogue and policy do not agree: {fault}"))),
    }
}

/// The signatures of a signed policy, and why it does not hold.
struct Sealed {
    signatures: Vec<Signed>,
    fault: Option<String>,
}

fn signatures(loaded: &Loaded, trust: &Trust, args: &CheckArgs) -> Result<Option<Sealed>, Failure> {
    if loaded.form != Form::Signed {
        return Ok(None);
    }
    let request = trust.request(false);
    let document = verify::document(&loaded.bytes, SIGNED_POLICY, &request)
        .map_err(|e| super::super::failure(e, &args.policy))?;
    let fault = (!document.holds()).then(|| {
        let mut findings = document.signatures.iter().flat_map(|signature| &signature.findings);
        let first = findings.find(|finding| finding.rule.kind() != Kind::Remark);
        let why = first.map_or_else(|| "nobody has signed it".to_owned(), ToString::to_string);
        format!("the policy does not hold: {why}")
    });
    Ok(Some(Sealed { signatures: document.signatures.iter().map(text::signed).collect(), fault }))
}

/// What the hash rules of the policy say of a file, in the scenario that it would run in.
fn ruled(policy: &Policy, subject: &Subject) -> Ruled {
    let none = |why: &str| Ruled { holds: false, rule: None, name: None, why_not: Some(why.to_owned()) };
    let Some(sha256) = subject.digest(Digest::Sha256) else {
        return none("its digest is of a kind of its own");
    };
    let driver = subject.image.as_ref().is_some_and(|image| image.subsystem == 1);
    let sha1 = subject.digest(Digest::Sha1).unwrap_or_default();
    let scenario = if driver { DRIVERS } else { APPLICATIONS };
    // Every name that a rule could deny it by; only the strong one allows.
    let pages = [Digest::Sha1, Digest::Sha256].map(|digest| subject.first_page(digest).unwrap_or_default());
    if let Verdict::Denied(rule) = by_hash(policy, scenario, &[sha256, sha1, pages[0], pages[1]]) {
        let why_not = Some(format!("rule {} denies it", rule.id));
        return Ruled {
            holds: false,
            rule: Some(rule.id.clone()),
            name: rule.friendly_name.clone(),
            why_not,
        };
    }
    match by_hash(policy, scenario, &[sha256]) {
        Verdict::Allowed(rule) => Ruled {
            holds: true,
            rule: Some(rule.id.clone()),
            name: rule.friendly_name.clone(),
            why_not: None,
        },
        _ => none("no hash rule in force names its SHA-256"),
    }
}

impl Judged {
    fn fault(&self) -> String {
        let sides = [("catalogue", &self.catalog.why_not), ("policy", &self.policy.why_not)];
        let said = sides.iter().filter_map(|(side, why)| Some(format!("{side}: {}", why.as_ref()?)));
        format!("`{}`: {}", self.file, said.collect::<Vec<_>>().join("; "))
    }
}

impl Report {
    fn lines(&self) -> String {
        let mut out = String::new();
        for file in &self.files {
            match file.agree {
                true => {
                    out += &format!(
                        "agreed   {}  {}\n",
                        file.file,
                        file.policy.rule.as_deref().unwrap_or_default()
                    );
                }
                false => out += &format!("REFUSED  {}\n", file.fault()),
            }
        }
        if self.agree {
            let mode = if self.audit { "audit mode" } else { "enforced" };
            out += &format!(
                "`{}` and policy {} {} ({mode}) agree on {} files\n",
                self.catalog,
                self.policy_id,
                self.policy_version,
                self.files.len()
            );
        }
        out
    }
}
