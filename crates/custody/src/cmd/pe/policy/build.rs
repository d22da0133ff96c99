//! `custody pe policy build`.

use std::path::{Path, PathBuf};

use authenticode::verify::Report;
use clap::Args;
use codeintegrity::{Builder, Guid, Policy, Version, deployable, write_xml};
use event::Fact;
use pkix::{Certificate, Digest};
use serde::Serialize;

use super::evidence::{self, Runs};
use crate::aside;
use crate::cmd::Context;
use crate::cmd::pe::bound::Bound;
use crate::cmd::pe::credential::read_certificates;
use crate::cmd::pe::trust::{Trust, TrustArgs};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
Images and scripts of the directory are allowed by their hashes. An image that was signed since counts when its
signature holds and binds this tree. A rule's identifier holds the first sixteen digits of
its seal entry's leaf hash; `--json` lists both. The policy is in audit mode until `--enforce`.

Examples:
  $ custody pe policy build dist --seal dist.seal.json --ca root.pem --name payments -o payments.xml
  $ custody pe policy build dist --seal dist.seal.json --ca root.pem --publishers --all -o audit.xml
  $ custody pe policy build dist --seal dist.seal.json --ca root.pem --windows --enforce --updated-by code.pem -o strict.xml";

#[derive(Args)]
pub(super) struct BuildArgs {
    /// The directory, as it is now
    directory: PathBuf,
    /// Its seal
    #[arg(long, value_name = "FILE")]
    seal: PathBuf,
    /// The policy, as XML
    #[arg(long, short, value_name = "XML")]
    output: PathBuf,
    /// What Windows shows as the policy's name [default: that of the seal]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The policy's identifier; a policy replaces the one with its own [default: made from the name]
    #[arg(long, value_name = "GUID")]
    id: Option<Guid>,
    /// Of the policy; a signed one is only replaced by one that is not lower
    #[arg(long = "policy-version", value_name = "N.N.N.N", default_value = "1.0.0.0")]
    version: Version,
    /// Widen this base policy, instead of standing alone
    #[arg(long, value_name = "GUID", conflicts_with_all = ["windows", "enforce"])]
    supplements: Option<Guid>,
    /// Allow what Windows itself consists of
    #[arg(long)]
    windows: bool,
    /// Block what is not allowed, instead of reporting it
    #[arg(long, requires = "windows")]
    enforce: bool,
    /// Hash every file, not only images and scripts
    #[arg(long)]
    all: bool,
    /// Allow as well what the signers of these images sign
    #[arg(long)]
    publishers: bool,
    /// Allow as well each of the files by its path, when the directory is installed here
    #[arg(long, value_name = "PATH")]
    installed_at: Option<String>,
    /// Certificate that may sign the next version, and so this one (repeatable); the policy is for signing
    #[arg(long, value_name = "CERT")]
    updated_by: Vec<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
}

/// One rule and where it comes from. The names are part of the interface.
#[derive(Serialize)]
struct Rule {
    id: String,
    kind: &'static str,
    entry: String,
    leaf: String,
}

#[derive(Serialize)]
struct Built {
    act: &'static str,
    output: String,
    name: String,
    policy_id: String,
    version: String,
    audit: bool,
    seal_root: String,
    sha256: String,
    rules: Vec<Rule>,
}

impl Recorded for Built {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("policy", self.policy_id.clone())
            .object("path", self.output.clone())
            .object("sha256", self.sha256.clone())
            .object("tree", self.seal_root.clone());
        Some(fact.context("version", self.version.clone()).context("rules", self.rules.len().to_string()))
    }
}

impl Built {
    fn lines(&self) -> String {
        format!(
            "policy `{}` in `{}`\n  id        {}\n  version   {}\n  mode      {}\n  rules     {}\n",
            self.name,
            self.output,
            self.policy_id,
            self.version,
            if self.audit { "audit" } else { "enforced" },
            self.rules.len()
        )
    }
}

pub(super) fn run(args: &BuildArgs, context: &Context) -> Outcome {
    let trust = args.trust.read()?;
    let bound = Bound::open(&args.seal, &args.directory, Some(&args.directory), context)?;
    let runs = evidence::gather(&bound, &trust, args.all, context)?;
    if runs.is_empty() {
        let what = format!("nothing in `{}` is an image or a script", args.directory.display());
        return Err(Failure::input(anyhow::anyhow!(what)).hint("hash every file with `--all`"));
    }
    let name = args.name.as_deref().unwrap_or(bound.seal.name());
    let (policy, rules) = assemble(args, name, &bound, &runs, &trust, context)?;
    super::weigh(&deployable(&policy), "Windows would not take this policy", context)?;
    let xml = write_xml(&policy).map_err(super::unwritable)?;
    let built = Built {
        act: "PE.POLICY.BUILT",
        output: args.output.display().to_string(),
        name: name.to_owned(),
        policy_id: policy.policy_id.to_string(),
        version: policy.version.to_string(),
        audit: policy.options.has("Enabled:Audit Mode"),
        seal_root: hex::encode(bound.seal.tree().roots().sha256),
        sha256: hex::encode(Digest::Sha256.of(xml.as_bytes())),
        rules,
    };
    write(&args.output, xml.as_bytes())?;
    context.conclude(&built, Built::lines)
}

/// Writes a file in one step.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    aside::write(path, bytes).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", path.display())))
    })
}

fn assemble(
    args: &BuildArgs,
    name: &str,
    bound: &Bound,
    runs: &[Runs],
    trust: &Trust,
    context: &Context,
) -> Result<(Policy, Vec<Rule>), Failure> {
    let id = args.id.unwrap_or_else(|| identifier(name));
    let mut builder = match args.supplements {
        Some(base) => Builder::supplement(name, id, base, args.version),
        None => Builder::base(name, id, args.version),
    };
    if args.windows {
        builder.windows();
    }
    if args.enforce {
        builder.enforce();
    }
    let mut rules = Vec::new();
    for run in runs {
        builder.member(&run.member).map_err(super::unwritable)?;
        for (what, _) in &run.member.hashes {
            let id = codeintegrity::hash_rule_id(&run.member.trace, what);
            rules.push(rule(run, id, "hash"));
        }
        if let Some(folder) = &args.installed_at {
            let path = format!("{}\\{}", folder.trim_end_matches('\\'), run.member.path.replace('/', "\\"));
            builder.path(&path, &run.member.trace).map_err(super::unwritable)?;
            rules.push(rule(run, format!("ID_ALLOW_{}_PATH", run.member.trace), "path"));
        }
    }
    if args.publishers {
        publishers(&mut builder, runs, trust, &mut rules, context)?;
    }
    for file in &args.updated_by {
        for certificate in read_certificates(file)? {
            let (hash, trace) = (super::tbs_hash(&certificate), super::trace_of(&certificate));
            builder.updated_by(certificate.subject.short(), &hash, &trace).map_err(super::unwritable)?;
        }
    }
    let roots = bound.seal.tree().roots();
    builder.about("Seal", "RootSha256", &hex::encode(roots.sha256));
    builder.about("Seal", "RootSm3", &hex::encode(roots.sm3));
    Ok((builder.finish(), rules))
}

fn rule(run: &Runs, id: String, kind: &'static str) -> Rule {
    Rule { id, kind, entry: run.member.path.clone(), leaf: run.leaf.to_lowercase() }
}

/// A policy of the same name has the same identifier, so that the next version replaces it: the first half of a
/// SHA-256, marked as a UUID of version 8 (RFC 9562 §5.8).
fn identifier(name: &str) -> Guid {
    let digest = Digest::Sha256.of(format!("custody code-integrity policy\n{name}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // The version stands in the third field, which is stored little-endian.
    bytes[7] = bytes[7] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Guid::from_bytes(bytes)
}

/// A signer rule for each publisher: the common name of the signer, under the authority that issued its certificate.
fn publishers(
    builder: &mut Builder,
    runs: &[Runs],
    trust: &Trust,
    rules: &mut Vec<Rule>,
    context: &Context,
) -> Outcome {
    let mut known: Vec<(Vec<u8>, String, String)> = Vec::new();
    for run in runs {
        for (signer, issuer) in run.report.iter().flat_map(|report| signers(report, trust)) {
            let Some(issuer) = issuer else {
                let what = format!("the issuer of {} is not at hand", signer.subject);
                return Err(Failure::input(anyhow::anyhow!(what))
                    .hint("name its certificate with `--ca` or `--intermediate`"));
            };
            if signer.key.rsa_bits().is_none() {
                context.output.remark(&format!(
                    "remark: the key of {} is not RSA, and Windows takes no other kind in a signer rule",
                    signer.subject
                ));
            }
            let (hash, publisher) = (super::tbs_hash(&issuer), signer.subject.short().to_owned());
            let same = known.iter().find(|(tbs, name, _)| *tbs == hash && *name == publisher);
            let id = match same {
                Some((.., id)) => id.clone(),
                None => {
                    let id = format!("{}_{}", run.member.trace, super::trace_of(&issuer));
                    builder
                        .publisher(issuer.subject.short(), &hash, &publisher, &id)
                        .map_err(super::unwritable)?;
                    known.push((hash, publisher, id.clone()));
                    id
                }
            };
            let id = format!("ID_SIGNER_{id}");
            if !rules.iter().any(|rule| rule.id == id && rule.entry == run.member.path) {
                rules.push(rule(run, id, "publisher"));
            }
        }
    }
    Ok(())
}

/// The signers of an image whose bytes are intact, each with the certificate that issued its own.
fn signers(report: &Report, trust: &Trust) -> Vec<(Certificate, Option<Certificate>)> {
    if !report.is_intact() {
        return Vec::new();
    }
    let signed = report.signatures.iter().filter_map(|signature| {
        let signer = signature.signer.clone()?;
        let path = signature.chain.as_ref().map_or(&signature.partial, |chain| &chain.certificates);
        let mut others = path.iter().chain(&trust.anchors).chain(&trust.others);
        let issuer = others.find(|c| c.subject == signer.issuer && c.certified(&signer).is_ok()).cloned();
        Some((signer, issuer))
    });
    signed.collect()
}
