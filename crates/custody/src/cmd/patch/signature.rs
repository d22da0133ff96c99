//! `custody patch sign` and `custody patch verify`: may this patch be applied, by whose word and which rule?
//!
//! A detached DSSE envelope over [`livepatch::Statement`]. Stricter than a seal in one point: keys that were rotated away
//! do not count, because who copied one before could still sign today.

use std::path::{Path, PathBuf};

use clap::Args;
use event::{Fact, Severity};
use jiff::Timestamp;
use keystore::{Keyring, Status};
use livepatch::{Build, PAYLOAD_TYPE, Sealed, Statement};
use seal::EntryKind;
use serde::Serialize;
use signing::SigningError;
use signing::dsse::Envelope;

use super::{Context, Opened, failure, read, signature_of};
use crate::aside::Aside;
use crate::cmd::key;
use crate::cmd::seal::{self as seals, Count, Signer, SignerArgs, Source, Trust};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

const MAX_SIGNATURE: u64 = 1 << 20;
/// A policy of the home that every patch must meet, if it is there.
const HOME_POLICY: &str = "patches.toml";

pub(super) const SIGN_HELP: &str = "The signature says which builds the patch leads from and to. With seals it says which files those are: a process is then\n\
    only patched if it runs the very file that was sealed.\n\n\
    Examples:\n  $ custody patch sign fix.cpatch\n  \
    $ custody patch sign fix.cpatch --key release-2026 --expires 2099-12-31\n  \
    $ custody patch sign fix.cpatch --old-seal live.seal.json --new-seal live.seal.json --dry-run";
pub(super) const VERIFY_HELP: &str = "Exit code 1: nobody who is trusted signed it, a rule is not met, it was revoked, or it has expired. Besides `--trust`, the policy\n\
    `trust/patches.toml` of the home is asked, if it is there.\n\n\
    Examples:\n  $ custody patch verify fix.cpatch\n  $ custody patch verify fix.cpatch --json";

#[derive(Args)]
pub(super) struct SignArgs {
    /// The patch
    file: PathBuf,
    #[command(flatten)]
    signers: SignerArgs,
    /// A seal in which the file of the old build stands
    #[arg(long, value_name = "FILE")]
    old_seal: Option<PathBuf>,
    /// A seal in which the file of the new build stands
    #[arg(long, value_name = "FILE")]
    new_seal: Option<PathBuf>,
    /// From when on the patch must not be applied any more, as `2026-12-31` or `2026-12-31T18:00:00Z`
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Trust this public key too, for this once (PEM): for the seals; repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Check, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The patch
    file: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Whose signatures count.
#[derive(Args)]
pub(super) struct TrustArgs {
    /// Trust this public key too, for this once (PEM), or ask for what this policy says (`*.toml`); repeatable
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
}

/// What was signed or verified, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
pub(super) struct Vouched {
    act: &'static str,
    patch: String,
    sha256: String,
    old_build: String,
    new_build: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_seal: Option<Sealed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_seal: Option<Sealed>,
    signed: Timestamp,
    expires: Option<Timestamp>,
    /// Whose signature holds, or who signed.
    pub(super) signed_by: Vec<Signer>,
    /// The rules that were met.
    rules: Vec<MetRule>,
    dry_run: bool,
}

/// A rule that was met.
#[derive(Serialize)]
struct MetRule {
    policy: String,
    rule: String,
    found: usize,
    wanted: usize,
}

/// A patch that was not let through.
#[derive(Serialize)]
struct Turned<'a> {
    patch: &'a str,
    sha256: &'a str,
    why: String,
}

impl Recorded for Vouched {
    fn fact(&self) -> Option<Fact> {
        let rules: Vec<_> = self.rules.iter().map(|r| format!("{} ({})", r.rule, r.policy)).collect();
        let fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("patch", self.sha256.clone())
            .object("file", self.patch.clone())
            .object("old_build", self.old_build.clone())
            .object("new_build", self.new_build.clone())
            .context("keys", self.key_ids())
            .context("rules", rules.join("; "))
            .context("signed", self.signed.to_string());
        let fact = self.expires.iter().fold(fact, |fact, at| fact.context("expires", at.to_string()));
        (!self.dry_run).then_some(fact)
    }

    fn must_be_recorded(&self) -> bool {
        self.act == "PATCH.SIGNED"
    }
}

impl Recorded for Turned<'_> {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new("PATCH.REFUSED").subject("svc", "custody").severity(Severity::Critical);
        let fact = fact.object("patch", self.sha256.to_owned()).object("file", self.patch.to_owned());
        Some(fact.context("why", self.why.clone()))
    }

    fn must_be_recorded(&self) -> bool {
        false
    }
}

impl Vouched {
    fn of(act: &'static str, file: &Path, statement: Statement, signed_by: Vec<Signer>) -> Self {
        Self {
            act,
            patch: file.display().to_string(),
            sha256: statement.sha256,
            old_build: statement.old.id,
            new_build: statement.new.id,
            old_seal: statement.old.seal,
            new_seal: statement.new.seal,
            signed: statement.signed,
            expires: statement.expires,
            signed_by,
            rules: Vec::new(),
            dry_run: false,
        }
    }

    /// Ids of the keys, as they are recorded.
    pub(super) fn key_ids(&self) -> String {
        let ids: Vec<_> = self.signed_by.iter().map(|signer| signer.key_id.as_str()).collect();
        ids.join(",")
    }

    /// Is the running build bound to one file?
    pub(super) fn binds_file(&self) -> bool {
        self.old_seal.is_some()
    }

    fn lines(&self, verb: &str) -> String {
        let mut text = format!("{verb} `{}`\n  sha256    {}\n", self.patch, self.sha256);
        text += &format!("  from      build {}\n  to        build {}\n", self.old_build, self.new_build);
        for (which, seal) in [("old", &self.old_seal), ("new", &self.new_seal)] {
            if let Some(seal) = seal {
                text += &format!("  {which} seal  tree {}\n", seal.tree);
            }
        }
        text += &format!("  signed    {}\n", self.signed);
        if let Some(expires) = self.expires {
            text += &format!("  expires   {expires}\n");
        }
        for signer in &self.signed_by {
            text += &format!("  by        {} ({})\n", signer.name, signer.key_id);
        }
        for rule in &self.rules {
            text +=
                &format!("  rule      {}: {} of {}, {}\n", rule.rule, rule.found, rule.wanted, rule.policy);
        }
        text
    }
}

pub(super) fn sign(args: &SignArgs, context: &Context) -> Outcome {
    let keys = args.signers.open(context)?;
    let opened = Opened::read(&args.file)?;
    let head = &opened.patch.head;
    let now = Timestamp::now();
    let statement = Statement {
        sha256: opened.sha256(),
        sm3: hex::encode(opened.digest.sm3),
        old: Build {
            id: head.old_build.clone(),
            seal: sealed(args.old_seal.as_deref(), &head.old_file, args, context)?,
        },
        new: Build {
            id: head.new_build.clone(),
            seal: sealed(args.new_seal.as_deref(), &head.new_file, args, context)?,
        },
        signed: now,
        expires: args.expires.as_deref().map(|text| moment(text, now)).transpose()?,
    };
    let what = format!("cannot sign `{}`", args.file.display());
    let payload = statement.encode().map_err(|e| failure(e, &what))?;
    let envelope = Envelope::sign(PAYLOAD_TYPE, &payload, &seals::signing_keys(&keys))
        .map_err(|e| Failure::input(anyhow::Error::from(e).context(what)))?;
    let signers =
        keys.iter().map(|key| Signer { name: key.algorithm().to_string(), key_id: key.key_id().to_string() });
    let signed = Vouched::of("PATCH.SIGNED", &args.file, statement, signers.collect());
    let signed = Vouched { dry_run: args.dry_run, ..signed };
    if args.dry_run {
        return context.conclude(&signed, |s| s.lines("would sign"));
    }
    let output = signature_of(&args.file);
    let unwritable = |e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot write `{}`", output.display())))
    };
    let json = serde_json::to_vec_pretty(&envelope).map_err(Failure::input)?;
    // A signature that could not be recorded never gets its name.
    let aside = Aside::new(&output, &json).map_err(unwritable)?;
    context.note(&signed)?;
    aside.place().map_err(unwritable)?;
    context.output.show(&signed, |s| s.lines("signed"))
}

/// The seal of a build's file: somebody who is trusted signed it, and it lists a file of these bytes.
fn sealed(
    seal: Option<&Path>,
    file: &str,
    args: &SignArgs,
    context: &Context,
) -> Result<Option<Sealed>, Failure> {
    let Some(path) = seal else { return Ok(None) };
    let source = Source { file: path, trust: &args.trust };
    let (opened, _) = seals::open(&seals::read(path)?, source, seals::keyring(context).as_ref())?;
    let files = opened.tree().entries().iter().filter(|entry| entry.kind == EntryKind::File);
    let mut digests = files.map(|entry| entry.digest).chain(opened.digest());
    let known = digests.any(|digest| hex::encode(digest.sha256) == file);
    if !known {
        let what = format!(
            "`{}` lists no file with the SHA-256 {file}, which the patch was made from",
            path.display()
        );
        return Err(Failure::finding(anyhow::anyhow!(what))
            .hint("seal the file that `custody patch build` was given"));
    }
    let tree = hex::encode(opened.tree().roots().sha256);
    Ok(Some(Sealed { sha256: file.to_owned(), tree }))
}

/// A moment that is still to come: a time with its offset, or the end of a day (UTC).
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let end = |day: jiff::civil::Date| {
        let next = day.tomorrow().ok()?;
        next.at(0, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    let found = text.parse().ok().or_else(|| text.parse().ok().and_then(end));
    let refused = |what: String| Failure::input(anyhow::anyhow!(what));
    match found {
        None => Err(refused(format!("`{text}` is no time"))
            .hint("write `2026-12-31` (to its end, UTC) or `2026-12-31T18:00:00Z`")),
        Some(at) if at <= now => Err(refused(format!("`{text}` is over"))),
        Some(at) => Ok(at),
    }
}

pub(super) fn verify(args: &VerifyArgs, context: &Context) -> Outcome {
    let opened = Opened::read(&args.file)?;
    let vouched = vouched(&args.file, &opened, &args.trust, context)?;
    context.conclude(&vouched, |v| v.lines("verified"))
}

/// Who vouches for a patch now, and by which rules. Without, it is refused, and the refusal recorded.
pub(super) fn vouched(
    file: &Path,
    opened: &Opened,
    trust: &TrustArgs,
    context: &Context,
) -> Result<Vouched, Failure> {
    judge(file, opened, trust, context).inspect_err(|failure| {
        let (patch, sha256) = (file.display().to_string(), opened.sha256());
        let turned = Turned { patch: &patch, sha256: &sha256, why: failure.to_string() };
        let _ = context.note(&turned); // it says so itself when it cannot
    })
}

fn judge(file: &Path, opened: &Opened, trust: &TrustArgs, context: &Context) -> Result<Vouched, Failure> {
    let refused =
        |error: anyhow::Error| Failure::finding(error.context(format!("`{}` is refused", file.display())));
    let beside = signature_of(file);
    if !beside.exists() {
        let what = format!("it is not signed: there is no `{}`", beside.display());
        return Err(refused(anyhow::anyhow!(what))
            .hint(format!("whoever answers for it signs it with `custody patch sign {}`", file.display())));
    }
    let ring = seals::keyring(context);
    let policies = named(trust, context);
    let trusted = Trust::counting(Count::Active, Source { file, trust: &policies }, ring.as_ref())?;
    let sha256 = opened.sha256();
    if let Some((policy, why)) = trusted.revoked(&sha256) {
        return Err(refused(anyhow::anyhow!("it was revoked: {why} (`{}`)", policy.display())));
    }
    let envelope = Envelope::parse(&read(&beside, MAX_SIGNATURE)?).map_err(|e| refused(e.into()))?;
    let (payload, good) = envelope
        .open(PAYLOAD_TYPE, &trusted.verifiers())
        .map_err(|e| unsigned(e, &envelope, ring.as_ref(), refused))?;
    let statement = Statement::decode(&payload).map_err(|e| refused(e.into()))?;
    let sm3 = hex::encode(opened.digest.sm3);
    if let Some(what) = statement.contradiction(&opened.patch.head, &sha256, &sm3) {
        return Err(refused(anyhow::anyhow!("its signature does not fit: {what}")));
    }
    if let Some(expired) = statement.expires.filter(|_| statement.has_expired(Timestamp::now())) {
        return Err(refused(anyhow::anyhow!("it expired at {expired}")));
    }
    let rules = met(&trusted, &good).map_err(|what| refused(anyhow::anyhow!(what)))?;
    let vouched = Vouched::of("PATCH.VERIFIED", file, statement, trusted.signers(&good));
    Ok(Vouched { rules, ..vouched })
}

/// The keys and policies that were named, and the home's policy for patches.
fn named(trust: &TrustArgs, context: &Context) -> Vec<PathBuf> {
    let mut named = trust.trust.clone();
    let own = context.home.existing().ok().map(|home| home.trust().join(HOME_POLICY));
    named.extend(own.filter(|policy| policy.exists() && !trust.trust.contains(policy)));
    named
}

/// Every rule, if all are met.
fn met(trust: &Trust, good: &[usize]) -> Result<Vec<MetRule>, String> {
    let judged = trust.judged(good);
    if let Some((policy, rule)) = judged.iter().find(|(_, rule)| rule.found < rule.wanted) {
        return Err(format!("{}: {} of {} (`{}`)", rule.rule, rule.found, rule.wanted, policy.display()));
    }
    let rules = judged.into_iter().map(|(policy, rule)| MetRule {
        policy: format!("`{}`", policy.display()),
        rule: rule.rule,
        found: rule.found,
        wanted: rule.wanted,
    });
    let mut rules: Vec<_> = rules.collect();
    if rules.is_empty() {
        let rule = "signatures by any trusted key".to_owned();
        rules.push(MetRule { policy: "without a policy".to_owned(), rule, found: good.len(), wanted: 1 });
    }
    Ok(rules)
}

/// Nobody who counts signed: says why, if the home knows the key.
fn unsigned(
    error: SigningError,
    envelope: &Envelope,
    ring: Option<&Keyring>,
    refused: impl Fn(anyhow::Error) -> Failure,
) -> Failure {
    if !matches!(error, SigningError::NoTrustedSignature { .. }) {
        return refused(error.into());
    }
    let keys = match ring.map(Keyring::keys).transpose() {
        Ok(keys) => keys.unwrap_or_default(),
        Err(error) => return key::failure(error),
    };
    let signed = |id: &str| envelope.signatures.iter().any(|signature| signature.keyid == id);
    for key in keys.iter().filter(|key| signed(key.key_id.as_str())) {
        let why = match &key.status {
            Status::Revoked(revocation) => format!("was revoked: {}", revocation.reason),
            Status::Retired { .. } => "was rotated away".to_owned(),
            _ => continue,
        };
        let what = format!("it is signed by key `{}` ({}), which {why}", key.name, key.key_id);
        return refused(anyhow::anyhow!(what)).hint("have it signed by a key that its holder still has");
    }
    refused(error.into()).hint(
        "if you know whose key that is: `custody key trust FILE.pub.pem --name NAME`, or `--trust FILE.pub.pem`",
    )
}
