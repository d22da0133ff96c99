//! `custody anchor verify`.

use std::path::PathBuf;

use anchor::sigstore::{Log, MAX_ROOT, TrustedRoot};
use anchor::verify::{Finding, Trust, Verdict};
use clap::Args;
use event::{Fact, Severity};
use pkix::Certificate;
use serde::Serialize;

use super::bundle::{self, Wanted};
use super::{failure, read, read_proof, subject};
use crate::cmd::{Context, key};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const HELP: &str = "\
Nobody is asked: the proof, the file and the keys named here decide. A chain's word is shown as `claimed`,
for nothing in a proof can show it without asking its platform.

Exit code 0: one anchor at least holds, and none is broken; 1: not so; 2: the proof cannot be read.

Examples:
  $ custody anchor verify bin.seal.json --proof bin.anchor.json --ca root.pem
  $ custody anchor verify payments --bundle b.json --public-key build.pub.pem --unlogged";

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The file that was anchored
    file: PathBuf,
    /// The proof [default: FILE.anchor.json]
    #[arg(long, value_name = "PROOF")]
    proof: Option<PathBuf>,
    /// A Sigstore bundle instead of the proof
    #[arg(long, value_name = "BUNDLE", conflicts_with = "proof")]
    bundle: Option<PathBuf>,
    /// The bundle must be signed by this key (PEM)
    #[arg(long, value_name = "PEM", requires = "bundle", conflicts_with_all = ["identity", "issuer"])]
    public_key: Option<PathBuf>,
    /// The bundle must be signed by whoever has this name
    #[arg(long, value_name = "NAME", requires_all = ["bundle", "issuer"])]
    identity: Option<String>,
    /// The name must be vouched for by this issuer
    #[arg(long, value_name = "URL", requires = "identity")]
    issuer: Option<String>,
    /// Take a bundle that is in no transparency log
    #[arg(long, requires = "bundle")]
    unlogged: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Args)]
pub(super) struct TrustArgs {
    /// Trust these timestamp authorities (PEM or DER; repeatable)
    #[arg(long, value_name = "PEM", help_heading = "Trust")]
    ca: Vec<PathBuf>,
    /// Certificates that may stand between (PEM or DER; repeatable)
    #[arg(long, value_name = "PEM", help_heading = "Trust")]
    intermediate: Vec<PathBuf>,
    /// Trust the log with this public key (PEM; repeatable)
    #[arg(long, value_name = "PEM", help_heading = "Trust")]
    log_key: Vec<PathBuf>,
    /// Trust the ledger with this public key (`keys/log.vkey` of its home; repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    ledger_key: Vec<PathBuf>,
    /// Trust the witness with this public key, as `name+hash+key` in a file (repeatable)
    #[arg(long, value_name = "FILE", help_heading = "Trust")]
    witness_key: Vec<PathBuf>,
    /// Trust whom this file of Sigstore names (`trusted_root.json`)
    #[arg(long, value_name = "JSON", help_heading = "Trust")]
    trusted_root: Option<PathBuf>,
}

impl TrustArgs {
    /// What the arguments name, read.
    pub(super) fn read(&self) -> Result<Trust, Failure> {
        let certificates = |files: &[PathBuf]| -> Result<Vec<Certificate>, Failure> {
            let mut all = Vec::new();
            for file in files {
                let found = Certificate::from_pem_or_der(&read(file, 1 << 20)?).map_err(|e| {
                    Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", file.display())))
                })?;
                all.extend(found);
            }
            Ok(all)
        };
        let mut sigstore = match &self.trusted_root {
            Some(file) => TrustedRoot::parse(&read(file, MAX_ROOT)?).map_err(failure)?,
            None => TrustedRoot::default(),
        };
        for file in &self.log_key {
            sigstore.logs.push(Log::of_key(key::read_public(file)?));
        }
        let authorities = certificates(&self.ca)?;
        sigstore.timestampers.extend(authorities.iter().map(|root| anchor::sigstore::Chain {
            certificates: vec![root.clone()],
            valid: anchor::sigstore::Range::ALWAYS,
        }));
        let witnesses = self.witness_key.iter().map(|file| super::witness::read_key(file));
        let ledgers = self.ledger_key.iter().map(|file| super::witness::read_ledger_key(file));
        Ok(Trust {
            authorities,
            intermediates: certificates(&self.intermediate)?,
            sigstore,
            ledgers: ledgers.collect::<Result<_, _>>()?,
            witnesses: witnesses.collect::<Result<_, _>>()?,
        })
    }
}

/// The judgement. The names are part of the interface.
#[derive(Serialize)]
struct Judged {
    act: &'static str,
    holds: bool,
    file: String,
    sha256: String,
    sm3: Option<String>,
    anchors: Vec<Finding>,
}

impl Recorded for Judged {
    fn fact(&self) -> Option<Fact> {
        let kinds: Vec<_> = self.anchors.iter().map(|a| format!("{}:{}", a.kind, a.verdict.word())).collect();
        let severity = if self.holds { Severity::Info } else { Severity::Warn };
        Some(
            Fact::new(self.act)
                .severity(severity)
                .subject("svc", "custody")
                .object("path", self.file.clone())
                .object("sha256", self.sha256.clone())
                .context("anchors", kinds.join(",")),
        )
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

impl Judged {
    fn lines(&self) -> String {
        let mut text = format!("`{}` sha256:{}\n", self.file, self.sha256);
        for anchor in &self.anchors {
            let time = anchor.time.as_ref().map(|time| format!(" {time}")).unwrap_or_default();
            let (verdict, kind) = (anchor.verdict.word(), &anchor.kind);
            text += &format!("  {verdict:9} {kind} {}{time}: {}\n", anchor.authority, anchor.detail);
        }
        text
    }
}

pub(super) fn run(args: &VerifyArgs, context: &Context) -> Outcome {
    let trust = args.trust.read()?;
    if let Some(bundle) = &args.bundle {
        let wanted = match (&args.public_key, &args.identity, &args.issuer) {
            (Some(key), ..) => Wanted::Key(key),
            (None, Some(name), Some(issuer)) => Wanted::Identity { name, issuer },
            _ => {
                return Err(Failure::input(anyhow::anyhow!("nobody was named whose signature it must be"))
                    .hint("`--public-key PEM`, or `--identity NAME --issuer URL`"));
            }
        };
        return bundle::run(&args.file, bundle, &wanted, &trust.sigstore, !args.unlogged, context);
    }
    let proof = args.proof.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".anchor.json");
        name.into()
    });
    let file = read_proof(&proof)?;
    let found = subject(&args.file)?;
    let findings = anchor::verify::verify(&file, &found, &trust);
    let holds = anchor::verify::proves(&findings);
    let judged = Judged {
        act: if holds { "ANCHOR.VERIFIED" } else { "ANCHOR.MISMATCH" },
        holds,
        file: args.file.display().to_string(),
        sha256: found.sha256(),
        sm3: found.sm3(),
        anchors: findings,
    };
    context.conclude(&judged, Judged::lines)?;
    if holds {
        return Ok(());
    }
    let untrusted = judged.anchors.iter().any(|a| a.verdict == Verdict::Untrusted);
    let what = format!("`{}` is not proved by `{}`", args.file.display(), proof.display());
    let failure = Failure::finding(anyhow::anyhow!(what));
    Err(match untrusted {
        true => failure.hint("name whom you trust: `--ca PEM`, `--log-key PEM`, `--trusted-root JSON`, `--ledger-key` with `--witness-key`"),
        false => failure,
    })
}
