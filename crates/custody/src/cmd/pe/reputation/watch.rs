//! `custody pe reputation watch`: one look, for a timer to call. What was told once is kept in a file, so that each
//! threshold of a certificate and each change at the portal is told once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use authenticode::portal::Standing;
use clap::Args;
use event::{Fact, Severity};
use pkix::{Certificate, Digest, Time};
use serde::{Deserialize, Serialize};

use super::check::{self, SubjectArgs};
use super::manifest;
use super::package::{self, LinkArgs};
use super::portal::Portal;
use super::state::{Submission, write_json};
use crate::cmd::Context;
use crate::cmd::pe::credential::{read_certificates, read_up_to};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
Exit code 0: nothing is due; 1: a certificate ends soon, the manifest named another file, or the portal says that
something failed; what could be done about it was done. Call it from a timer.

Examples:
  $ custody pe reputation watch ready.exe --state watch.json --ca root.pem";

const MAX_STATE: u64 = 16 << 20;
const DAY: i64 = 86_400;

#[derive(Args)]
pub(super) struct WatchArgs {
    /// The program, as it is offered
    file: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    #[command(flatten)]
    links: LinkArgs,
    /// What was told already
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Certificate to watch besides that of the signature (repeatable)
    #[arg(long, value_name = "CERT")]
    cert: Vec<PathBuf>,
    /// Days before its end at which a certificate is told of
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_values_t = [30, 14, 7])]
    days: Vec<u16>,
    /// Release manifest (JSON) that names the program's SHA-256
    #[arg(long, value_name = "JSON")]
    manifest: Option<PathBuf>,
    /// Where it stands in the manifest (RFC 6901)
    #[arg(long, value_name = "POINTER", default_value = "/Identity/Hash", requires = "manifest")]
    pointer: String,
    /// Folder for the next submission, made when the manifest had to change
    #[arg(long, value_name = "DIR", requires = "manifest")]
    submissions: Option<PathBuf>,
    /// Partner portal to ask, as https://manage.devcenter.microsoft.com/v2.0/my
    #[arg(long, value_name = "URL", requires = "product")]
    portal: Option<String>,
    /// File with the portal's bearer token
    #[arg(long, value_name = "FILE", requires = "portal")]
    token_file: Option<PathBuf>,
    /// The portal's number of the product
    #[arg(long, value_name = "ID")]
    product: Option<String>,
    /// Folders of submissions to ask the portal about (repeatable)
    #[arg(long, value_name = "DIR", requires = "portal")]
    submission: Vec<PathBuf>,
    /// Say what is due, and change and record nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was told. The names are part of the format.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    version: u32,
    /// For each certificate, by its SHA-1: the threshold in days that was told last.
    #[serde(default)]
    certificates: BTreeMap<String, i64>,
    /// For each submission, by its number: how it stood.
    #[serde(default)]
    submissions: BTreeMap<String, Standing>,
}

/// Something that is due or has happened. The names are part of the interface.
#[derive(Serialize)]
#[serde(tag = "due", rename_all = "kebab-case")]
enum Due {
    Certificate { subject: String, sha1: String, not_after: String, days_left: i64, threshold: i64 },
    Manifest { manifest: String, old: String, new: String },
    Submission { folder: String, sha256: String },
    NotReady { file: String, why: String },
    Portal { submission: String, step: String, state: String, failed: bool },
}

#[derive(Serialize)]
struct Watched {
    file: String,
    sha256: String,
    dry_run: bool,
    due: Vec<Due>,
}

/// One of them, as it is recorded.
#[derive(Serialize)]
struct One<'d>(&'d Due);

impl Recorded for One<'_> {
    fn fact(&self) -> Option<Fact> {
        let fact = |act: &'static str, severity| Fact::new(act).severity(severity).subject("svc", "custody");
        match self.0 {
            Due::Certificate { sha1, not_after, days_left, threshold, .. } => {
                let severity = if *threshold <= 7 { Severity::Error } else { Severity::Warn };
                let fact = fact("PE.CERT.EXPIRING", severity).object("cert", sha1.clone());
                Some(fact.context("not_after", not_after.clone()).context("days_left", days_left.to_string()))
            }
            Due::Manifest { manifest, old, new } => Some(
                fact("PE.MANIFEST.ROTATED", Severity::Info)
                    .object("path", manifest.clone())
                    .object("sha256", new.clone())
                    .context("before", old.clone()),
            ),
            Due::Portal { submission, step, state, failed } => {
                let severity = if *failed { Severity::Error } else { Severity::Info };
                let fact = fact("PE.SUBMISSION.STATUS", severity).object("submission", submission.clone());
                Some(fact.context("step", step.clone()).context("state", state.clone()))
            }
            // Recorded where the folder is written, and by nobody when it is not.
            Due::Submission { .. } | Due::NotReady { .. } => None,
        }
    }
}

impl Due {
    fn line(&self) -> String {
        match self {
            Self::Certificate { subject, not_after, days_left, .. } if *days_left < 0 => {
                format!("certificate of {subject} ended {not_after}")
            }
            Self::Certificate { subject, not_after, days_left, .. } => {
                format!("certificate of {subject} ends {not_after}, in {days_left} days: renew it")
            }
            Self::Manifest { manifest, old, new } => {
                format!("`{manifest}` named {old}, and the file is {new}")
            }
            Self::Submission { folder, .. } => format!("next submission in `{folder}`: hand it in"),
            Self::NotReady { file, why } => format!("`{file}` cannot be submitted yet: {why}"),
            Self::Portal { submission, step, state, .. } => {
                format!("submission {submission}: {step} {state}")
            }
        }
    }

    /// Whether somebody must act.
    fn is_pressing(&self) -> bool {
        !matches!(self, Self::Portal { failed: false, .. })
    }
}

pub(super) fn run(args: &WatchArgs, context: &Context) -> Outcome {
    let mut told = read(args)?;
    let looked = check::look(&args.file, &args.subject)?;
    let now = args.subject.trust.read()?.now;
    if !args.dry_run && context.home.existing().is_ok() {
        context.session()?;
    }
    let mut due = Vec::new();
    certificates(args, &looked, now, &mut told, &mut due)?;
    let sha256 = looked.checked.anchors.file.sha256.clone();
    rotate(args, &looked, &sha256, context, &mut due)?;
    portal(args, &mut told, &mut due)?;
    let watched = Watched { file: args.file.display().to_string(), sha256, dry_run: args.dry_run, due };
    if !args.dry_run {
        for one in &watched.due {
            context.note(&One(one))?;
        }
        // Only now: what could not be recorded is told again.
        told.version = 1;
        write_json(&args.state, &told)?;
    }
    context.output.show(&watched, |w| {
        let lines: String = w.due.iter().map(|due| format!("{}\n", due.line())).collect();
        if lines.is_empty() { "nothing is due\n".to_owned() } else { lines }
    })?;
    match watched.due.iter().find(|due| due.is_pressing()) {
        Some(first) => Err(Failure::finding(anyhow::anyhow!("{}", first.line()))),
        None => Ok(()),
    }
}

fn read(args: &WatchArgs) -> Result<Told, Failure> {
    if !args.state.exists() {
        return Ok(Told::default());
    }
    let bytes = read_up_to(&args.state, MAX_STATE)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", args.state.display())))
            .hint("move it away: what was told is then told once more")
    })
}

/// Each certificate at each threshold once; the nearest one that it has passed.
fn certificates(
    args: &WatchArgs,
    looked: &check::Looked,
    now: Time,
    told: &mut Told,
    due: &mut Vec<Due>,
) -> Outcome {
    let mut all: Vec<Certificate> =
        looked.report.signatures.iter().filter_map(|signature| signature.signer.clone()).collect();
    for file in &args.cert {
        all.extend(read_certificates(file)?);
    }
    let mut thresholds: Vec<i64> = args.days.iter().map(|days| i64::from(*days)).chain([0]).collect();
    thresholds.sort_unstable();
    let mut seen = Vec::new();
    for certificate in all {
        let sha1 = certificate.thumbprint(Digest::Sha1).to_uppercase();
        if seen.contains(&sha1) {
            continue;
        }
        seen.push(sha1.clone());
        let left = certificate.not_after.0 - now.0;
        let days_left = left.div_euclid(DAY);
        let passed = thresholds.iter().find(|days| left <= **days * DAY).copied();
        let before = told.certificates.get(&sha1).copied();
        match passed {
            Some(threshold) if before.is_none_or(|before| threshold < before) => {
                due.push(Due::Certificate {
                    subject: certificate.subject.to_string(),
                    sha1: sha1.clone(),
                    not_after: certificate.not_after.to_string(),
                    days_left,
                    threshold,
                });
                told.certificates.insert(sha1, threshold);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The manifest follows the file, and a file that is new to it is submitted.
fn rotate(
    args: &WatchArgs,
    looked: &check::Looked,
    sha256: &str,
    context: &Context,
    due: &mut Vec<Due>,
) -> Outcome {
    let Some(path) = &args.manifest else { return Ok(()) };
    let Some(stale) = manifest::compare(path, &args.pointer, sha256)? else { return Ok(()) };
    due.push(Due::Manifest {
        manifest: path.display().to_string(),
        old: stale.old.clone(),
        new: stale.new.clone(),
    });
    if let Some(folder) = &args.submissions {
        let output = folder.join(package::folder_name(sha256));
        match looked.checked.fault() {
            Some(why) => due.push(Due::NotReady { file: args.file.display().to_string(), why }),
            None if output.exists() => {}
            None => {
                if !args.dry_run {
                    std::fs::create_dir_all(folder).map_err(|e| {
                        let what = format!("cannot make `{}`", folder.display());
                        Failure::environment(anyhow::Error::from(e).context(what))
                    })?;
                    let packaged = package::package(&args.file, looked, &args.links, &output, context)?;
                    context.note(&packaged)?;
                }
                due.push(Due::Submission { folder: output.display().to_string(), sha256: sha256.to_owned() });
            }
        }
    }
    // Last: were it first, a submission that could not be written would never be tried again.
    if args.dry_run { Ok(()) } else { stale.rotate() }
}

/// Every submission that was handed in and is not decided.
fn portal(args: &WatchArgs, told: &mut Told, due: &mut Vec<Due>) -> Outcome {
    let (Some(base), Some(product)) = (&args.portal, &args.product) else { return Ok(()) };
    let portal = Portal::new(base, args.token_file.as_deref())?;
    for folder in &args.submission {
        let submission = Submission::read(folder)?;
        let Some(id) = submission.id.filter(|_| !submission.status.is_final()) else { continue };
        let standing = portal.standing(product, &id)?;
        if told.submissions.get(&id) != Some(&standing) {
            due.push(Due::Portal {
                submission: id.clone(),
                step: standing.step.clone(),
                state: standing.state.clone(),
                failed: standing.is_failed(),
            });
            told.submissions.insert(id, standing);
        }
    }
    Ok(())
}
