//! `custody pe reputation check`.

use std::path::{Path, PathBuf};

use authenticode::verify::{self, Report};
use clap::Args;
use event::{Fact, Severity};
use gobinary::GoInfo;
use pkix::Digest;
use serde::Serialize;

use super::anchors::{Anchors, CertificateAnchor, DomainAnchor, FileAnchor};
use super::examine::{self, Found, Measured, Weight};
use crate::cmd::Context;
use crate::cmd::pe::trust::{Trust, TrustArgs};
use crate::cmd::pe::walk;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
Exit code 0: nothing that a submission is refused for, and every anchor is there; 1: something is. Nothing is sent
anywhere.

Examples:
  $ custody pe reputation check ready.exe --ca root.pem --domain download.example.com
  $ custody pe reputation check ready.exe --ca root.pem --domain example.com --json";

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The program, as it will be offered
    file: PathBuf,
    #[command(flatten)]
    pub(super) subject: SubjectArgs,
}

/// What a program is held against.
#[derive(Args)]
pub(super) struct SubjectArgs {
    /// Domain that it is offered at
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    pub(super) domain: Option<String>,
    /// TXT records of `_custody.DOMAIN` as they are now, as `dig +short TXT` prints them (repeatable)
    #[arg(long, value_name = "TEXT", requires = "domain")]
    pub(super) txt: Vec<String>,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
}

/// Letters, digits and hyphens between dots (RFC 1123 §2.1): it becomes part of a record.
fn domain(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 240 && text.contains('.') && text.split('.').all(label) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("write it as download.example.com".to_owned()),
    }
}

/// The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Checked {
    act: &'static str,
    file: String,
    pub(super) ready: bool,
    pub(super) anchors: Anchors,
    /// The answer that a submission without all anchors was described to get.
    missing_anchors: Vec<&'static str>,
    pub(super) findings: Vec<Found>,
    sections: Vec<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) go: Option<GoInfo>,
}

impl Recorded for Checked {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.ready { Severity::Info } else { Severity::Warn };
        let fact = Fact::new(self.act)
            .severity(severity)
            .subject("svc", "custody")
            .object("path", self.file.clone())
            .object("sha256", self.anchors.file.sha256.clone());
        let words: Vec<_> = self.findings.iter().map(|found| found.word).collect();
        Some(if words.is_empty() { fact } else { fact.context("found", words.join(",")) })
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

/// A program that was looked at, with all that a submission needs.
pub(super) struct Looked {
    pub(super) checked: Checked,
    pub(super) report: Report,
}

pub(super) fn look(file: &Path, args: &SubjectArgs) -> Result<Looked, Failure> {
    let trust: Trust = args.trust.read()?;
    let failed = |e| super::super::failure(e, file);
    let mut source = walk::open(file)?;
    let request = trust.request(false);
    let report = verify::verify(&mut source, &request).map_err(failed)?;
    let (mut findings, sections) = examine::examine(&mut source, &report, trust.now.0).map_err(failed)?;
    let go = examine::go(&mut source, &mut findings)?;
    let anchors = anchors(file, &mut source, &report, args)?;
    let mut missing = Vec::new();
    if anchors.certificate.is_none() {
        missing.push("certificate");
    }
    if anchors.domain.as_ref().is_none_or(|domain| domain.published == Some(false)) {
        missing.push("domain");
    }
    let ready = missing.is_empty() && findings.iter().all(|found| found.weight != Weight::Refused);
    let checked = Checked {
        act: if ready { "PE.REPUTATION.READY" } else { "PE.REPUTATION.HELD_UP" },
        file: file.display().to_string(),
        ready,
        anchors,
        missing_anchors: missing,
        findings,
        sections,
        go,
    };
    Ok(Looked { checked, report })
}

fn anchors(
    file: &Path,
    source: &mut std::fs::File,
    report: &Report,
    args: &SubjectArgs,
) -> Result<Anchors, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = FileAnchor { name, sha256: digest(source, file)? };
    let signer = report.signatures.iter().find(|s| s.holds()).or(report.signatures.first());
    let certificate = signer.and_then(|signature| signature.signer.as_ref()).map(CertificateAnchor::of);
    let domain =
        args.domain.as_ref().map(|domain| DomainAnchor::of(domain, &file, certificate.as_ref(), &args.txt));
    Ok(Anchors { file, certificate, domain })
}

pub(super) fn digest(source: &mut std::fs::File, path: &Path) -> Result<String, Failure> {
    use std::io::{Read as _, Seek as _};
    let mut hasher = Digest::Sha256.hasher();
    let mut run = || {
        source.rewind()?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(()),
                count => hasher.update(&buffer[..count]),
            }
        }
    };
    run().map_err(|e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot read `{}`", path.display())))
    })?;
    Ok(hex::encode(hasher.finish()))
}

impl Checked {
    pub(super) fn lines(&self) -> String {
        let mut out = format!("`{}`\n  sha256       {}\n", self.file, self.anchors.file.sha256);
        match &self.anchors.certificate {
            Some(cert) => out += &format!("  certificate  {} ({})\n", cert.sha1, cert.subject),
            None => out += "  certificate  missing: nobody has signed it\n",
        }
        match &self.anchors.domain {
            Some(domain) => {
                let state = match domain.published {
                    Some(true) => "published",
                    Some(false) => "MISSING: publish it",
                    None => "not looked up: hand in what `dig` says with `--txt`",
                };
                out += &format!(
                    "  domain       {} \"{}\"\n               {state}\n",
                    domain.record, domain.text
                );
            }
            None => out += "  domain       missing: name it with `--domain`\n",
        }
        for found in &self.findings {
            let weight = match found.weight {
                Weight::Refused => "REFUSED",
                Weight::Suspicious => "suspicious",
                Weight::Remark => "remark",
            };
            let code = found.code.map(|code| format!(" [{code}]")).unwrap_or_default();
            out += &format!(
                "{weight:10}  {} ({}){code}\n            mend: {}\n",
                found.what, found.word, found.mend
            );
        }
        out += if self.ready { "ready to be submitted\n" } else { "not ready\n" };
        out
    }

    /// Why it is not ready.
    pub(super) fn fault(&self) -> Option<String> {
        if self.ready {
            return None;
        }
        let refused = self.findings.iter().find(|found| found.weight == Weight::Refused);
        Some(match refused {
            Some(found) => found.what.clone(),
            None => format!("MissingAttestationAnchor: {}", self.missing_anchors.join(", ")),
        })
    }
}

pub(super) fn run(args: &CheckArgs, context: &Context) -> Outcome {
    let looked = look(&args.file, &args.subject)?;
    context.conclude(&looked.checked, Checked::lines)?;
    match looked.checked.fault() {
        None => Ok(()),
        Some(fault) => {
            Err(Failure::finding(anyhow::anyhow!("`{}` is not ready: {fault}", args.file.display())))
        }
    }
}
