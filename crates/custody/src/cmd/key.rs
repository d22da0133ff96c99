//! `custody key`: signing keys, and whom to trust.
//!
//! Each command that changes something ends in [`changed`], the one place where the change leaves as a fact.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use event::Fact;
use keystore::{DEFAULT_KEY, Keyring, KeystoreError, LOG_KEY, RingKey, Status};
use serde::Serialize;
use signing::{Algorithm, KeyId, PublicKey, Sm2Verifier, Verifier as _};

use super::Context;
use crate::crypto;
use crate::failure::{Failure, Outcome};
use crate::given;
use crate::recorder::Recorded;

/// Longest reason of a revocation, in bytes: it goes into an event, which has a limit of its own.
const MAX_REASON: usize = 1000;

/// Arguments of `custody key`.
#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a signing key
    #[command(
        after_help = "Examples:\n  $ custody key new release-2026\n  $ custody key new laptop --json\n  \
                      $ custody key new national --algorithm sm2"
    )]
    New {
        /// Its name; the key named `default` signs when none is named
        #[arg(default_value = DEFAULT_KEY)]
        name: String,
        /// What it signs with
        #[arg(long, value_enum, default_value_t)]
        algorithm: Choice,
        /// Check, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List own, retired, trusted and revoked keys
    #[command(after_help = "Examples:\n  $ custody key list\n  $ custody key list --json")]
    List,
    /// Show one key; its public half goes to those who must verify
    #[command(
        after_help = "Examples:\n  $ custody key show default\n  $ custody key show default --pem > default.pub.pem"
    )]
    Show {
        /// Name or key id; `sdf:INDEX` is a key of a GM/T 0018 device
        key: String,
        /// Print the public key as PEM and nothing else
        #[arg(long)]
        pem: bool,
    },
    /// Trust somebody else's public key
    #[command(after_help = "Examples:\n  $ custody key trust build.pub.pem --name build@ci.example")]
    Trust {
        /// Public key, PEM
        file: PathBuf,
        /// What to call it
        #[arg(long)]
        name: String,
        /// Check, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Stop believing a key, own or trusted: nothing it ever signed counts any more
    #[command(after_help = "Examples:\n  $ custody key revoke laptop --reason 'laptop stolen'")]
    Revoke {
        /// Name, or the id of any key
        key: String,
        /// Why; it stands in the record
        #[arg(long)]
        reason: String,
        /// Check, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Replace a key by a new one of the same name; what the old one signed still verifies
    #[command(
        after_help = "The private half of the old key is destroyed. If somebody may have copied it, revoke it as well:\n\
                      rotation alone leaves its signatures good, whatever date they carry.\n\n\
                      Examples:\n  $ custody key rotate default"
    )]
    Rotate {
        /// Its name
        #[arg(default_value = DEFAULT_KEY)]
        name: String,
        /// Check, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// The algorithms whose keys are made here.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Choice {
    /// Ed25519 (RFC 8032)
    #[default]
    Ed25519,
    /// ECDSA on P-256 with SHA-256 (FIPS 186-5)
    EcdsaP256,
    /// SM2 with SM3 (GB/T 32918.2)
    Sm2,
}

impl Choice {
    const fn algorithm(self) -> Algorithm {
        match self {
            Self::Ed25519 => Algorithm::Ed25519,
            Self::EcdsaP256 => Algorithm::EcdsaP256,
            Self::Sm2 => Algorithm::Sm2,
        }
    }
}

/// What changed, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Change {
    /// The action code of the event.
    act: &'static str,
    name: Option<String>,
    /// Absent only for a key that a dry run did not make.
    key_id: Option<String>,
    /// The key that this one replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_file: Option<String>,
    dry_run: bool,
}

/// A key as `list` and `show` print it. The names are part of the interface.
#[derive(Serialize)]
struct Row {
    name: String,
    key_id: String,
    algorithm: String,
    /// `own` or `trusted`.
    origin: keystore::Origin,
    /// `active`, `retired` or `revoked`.
    status: &'static str,
    /// When it was made (own) or trusted.
    since: Option<String>,
    retired: Option<String>,
    revoked: Option<String>,
    reason: Option<String>,
}

/// Runs `custody key`.
pub(crate) fn run(args: KeyArgs, context: &Context) -> Outcome {
    let home = context.home.existing()?;
    let ring = Keyring::open(home.keys(), home.trust());
    match args.verb {
        Verb::New { name, algorithm, dry_run } => new(&ring, &name, algorithm.algorithm(), dry_run, context),
        Verb::List => list(&ring, context),
        Verb::Show { key, pem } => show(&ring, &key, pem, context),
        Verb::Trust { file, name, dry_run } => trust(&ring, &file, &name, dry_run, context),
        Verb::Revoke { key, reason, dry_run } => revoke(&ring, &key, &reason, dry_run, context),
        Verb::Rotate { name, dry_run } => rotate(&ring, &name, dry_run, context),
    }
}

fn new(ring: &Keyring, name: &str, algorithm: Algorithm, dry_run: bool, context: &Context) -> Outcome {
    refuse_log_key(name)?;
    if dry_run {
        ring.check_new(name).map_err(failure)?;
        return planned(
            context,
            Change::of("KEY.CREATED", Some(name), None),
            &format!("would make key `{name}`"),
        );
    }
    recordable(context)?;
    let key = ring.create(name, algorithm).map_err(failure)?;
    let change = Change {
        public_key_file: Some(ring.own().public_file(&key.name).display().to_string()),
        ..Change::of("KEY.CREATED", Some(name), Some(&key.key_id))
    };
    changed(context, &change, |c| format!("made key `{name}`\n{}", c.lines()))
}

fn list(ring: &Keyring, context: &Context) -> Outcome {
    let rows: Vec<Row> = ring.keys().map_err(failure)?.iter().map(Row::of).collect();
    if context.output.json {
        return context.output.json_line(&serde_json::json!({ "keys": rows }));
    }
    let width = rows.iter().map(|r| r.name.len()).max().unwrap_or(0).max("NAME".len());
    let mut text = format!("{:width$}  {:7}  {:7}  {:16}  SINCE\n", "NAME", "ORIGIN", "STATUS", "KEY ID");
    for row in &rows {
        let origin = if row.origin == keystore::Origin::Own { "own" } else { "trusted" };
        let since = row.since.as_deref().unwrap_or("unknown");
        let id = row.key_id.get(..16).unwrap_or(&row.key_id);
        text += &format!("{:width$}  {origin:7}  {:7}  {id:16}  {since}\n", row.name, row.status);
    }
    context.output.text(&text)
}

fn show(ring: &Keyring, key: &str, pem: bool, context: &Context) -> Outcome {
    if let Some(signer) = crypto::sdf_signer(context, key)? {
        return show_device(key, &signer.verifier(), pem, context);
    }
    let (id, _) = ring.resolve(key).map_err(failure)?;
    let keys = ring.keys().map_err(failure)?;
    let found = keys.into_iter().find(|k| k.key_id == id);
    let found = found.ok_or_else(|| failure(KeystoreError::NotFound { key: id.to_string() }))?;
    let public = found.verifier.to_spki_pem().map_err(Failure::input)?;
    if pem && !context.output.json {
        return context.output.text(&public);
    }
    let row = Row::of(&found);
    if context.output.json {
        let mut document = serde_json::to_value(&row).map_err(Failure::input)?;
        document["public_key"] = public.into();
        return context.output.json_line(&document);
    }
    context.output.text(&row.lines())
}

/// A key of a device has no record here: its public half is all that is known.
fn show_device(name: &str, public: &Sm2Verifier, pem: bool, context: &Context) -> Outcome {
    let spki = public.to_spki_pem().map_err(Failure::input)?;
    if context.output.json {
        return context.output.json_line(&serde_json::json!({
            "name": name, "key_id": public.key_id().to_string(), "algorithm": "sm2", "public_key": spki,
        }));
    }
    context.output.text(&if pem { spki } else { format!("{name}  sm2  {}\n", public.key_id()) })
}

fn trust(ring: &Keyring, file: &Path, name: &str, dry_run: bool, context: &Context) -> Outcome {
    refuse_log_key(name)?;
    let verifier = read_public(file)?;
    let change = Change::of("KEY.TRUSTED", Some(name), Some(&verifier.key_id()));
    if dry_run {
        ring.check_trust(name, &verifier).map_err(failure)?;
        return planned(context, change, &format!("would trust {} as `{name}`", file.display()));
    }
    recordable(context)?;
    ring.trust(name, &verifier).map_err(failure)?;
    changed(context, &change, |c| format!("trusts key `{name}`\n{}", c.lines()))
}

/// Reads a public key that the caller named.
pub(crate) fn read_public(file: &Path) -> Result<PublicKey, Failure> {
    given::open(file).map_err(|e| {
        let misnamed = given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read public key `{}`", file.display()));
        match misnamed {
            true => Failure::input(error).hint("name the `.pub.pem` file that the key's owner published"),
            false => Failure::environment(error),
        }
    })?;
    keystore::read_public_key(file).map_err(failure)
}

fn revoke(ring: &Keyring, key: &str, reason: &str, dry_run: bool, context: &Context) -> Outcome {
    if reason.trim().is_empty() || reason.len() > MAX_REASON {
        return Err(Failure::input(anyhow::anyhow!("the reason must hold 1 to {MAX_REASON} bytes of text")));
    }
    let (id, name) = ring.resolve(key).map_err(failure)?;
    let name = name.as_ref().map(keystore::KeyName::as_str);
    name.map_or(Ok(()), refuse_log_key)?;
    let change = Change { reason: Some(reason.to_owned()), ..Change::of("KEY.REVOKED", name, Some(&id)) };
    if dry_run {
        ring.check_revoke(&id).map_err(failure)?;
        return planned(context, change, &format!("would revoke key {key}"));
    }
    recordable(context)?;
    ring.revoke(id.as_str(), reason).map_err(failure)?;
    changed(context, &change, |c| format!("revoked key {key}\n{}", c.lines()))
}

fn rotate(ring: &Keyring, name: &str, dry_run: bool, context: &Context) -> Outcome {
    refuse_log_key(name)?;
    if dry_run {
        let old = ring.own().signer(name).map_err(failure)?.key_id().to_string();
        let change = Change { replaced: Some(old), ..Change::of("KEY.ROTATED", Some(name), None) };
        return planned(context, change, &format!("would replace key `{name}`"));
    }
    recordable(context)?;
    let rotation = ring.rotate(name).map_err(failure)?;
    let change = Change {
        replaced: Some(rotation.old.to_string()),
        public_key_file: Some(ring.own().public_file(&rotation.name).display().to_string()),
        ..Change::of("KEY.ROTATED", Some(name), Some(&rotation.new))
    };
    changed(context, &change, |c| {
        format!("replaced key `{name}`; the old one verifies, and cannot sign\n{}", c.lines())
    })
}

/// A change that could not be recorded is not made: the ledger is opened before anything is touched.
fn recordable(context: &Context) -> Outcome {
    context.session().map(|_| ())
}

/// The one place where a change of keys leaves this command.
fn changed(context: &Context, change: &Change, text: impl FnOnce(&Change) -> String) -> Outcome {
    context.conclude(change, text)
}

impl Recorded for Change {
    fn fact(&self) -> Option<Fact> {
        let named = [("key", &self.key_id), ("name", &self.name)];
        let more = [("replaced", &self.replaced), ("reason", &self.reason)];
        let fact = Fact::new(self.act).subject("svc", "custody");
        let fact = named.into_iter().fold(fact, |fact, (key, value)| match value {
            Some(value) => fact.object(key, value.clone()),
            None => fact,
        });
        let fact = more.into_iter().fold(fact, |fact, (key, value)| match value {
            Some(value) => fact.context(key, value.clone()),
            None => fact,
        });
        (!self.dry_run).then_some(fact)
    }
}

/// What `--dry-run` says instead.
fn planned(context: &Context, change: Change, text: &str) -> Outcome {
    context.output.show(&Change { dry_run: true, ..change }, |c| format!("{text}\n{}", c.lines()))
}

/// Verifiers of the ledger hold its public key: another one would be another ledger.
fn refuse_log_key(name: &str) -> Outcome {
    if name != LOG_KEY {
        return Ok(());
    }
    Err(Failure::input(anyhow::anyhow!(
        "`{LOG_KEY}` is the ledger's own key; it is made with the ledger and stays"
    ))
    .hint("choose another name"))
}

/// The exit code and the mend of a keystore's error.
pub(crate) fn failure(error: KeystoreError) -> Failure {
    let hint = error.hint();
    let failure = match error {
        KeystoreError::Revoked { .. } | KeystoreError::HalvesDiffer { .. } => Failure::finding(error),
        KeystoreError::Io { .. } | KeystoreError::ReadableByOthers { .. } => Failure::environment(error),
        _ => Failure::input(error),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

impl Change {
    fn of(act: &'static str, name: Option<&str>, key_id: Option<&KeyId>) -> Self {
        Self {
            act,
            name: name.map(str::to_owned),
            key_id: key_id.map(ToString::to_string),
            replaced: None,
            reason: None,
            public_key_file: None,
            dry_run: false,
        }
    }

    fn lines(&self) -> String {
        lines(&[
            ("id", self.key_id.as_deref()),
            ("replaced", self.replaced.as_deref()),
            ("reason", self.reason.as_deref()),
            ("public", self.public_key_file.as_deref()),
        ])
    }
}

/// The facts that are there, one a line, indented.
fn lines(facts: &[(&str, Option<&str>)]) -> String {
    facts.iter().filter_map(|(name, value)| value.map(|value| format!("  {name:9}  {value}\n"))).collect()
}

impl Row {
    fn of(key: &RingKey) -> Self {
        let (status, retired, revocation) = match &key.status {
            Status::Retired { at } => ("retired", *at, None),
            Status::Revoked(r) => ("revoked", None, Some(r)),
            _ => ("active", None, None),
        };
        Self {
            name: key.name.to_string(),
            key_id: key.key_id.to_string(),
            algorithm: key.verifier.algorithm().to_string(),
            origin: key.origin,
            status,
            since: key.since.map(|t| t.to_string()),
            retired: retired.map(|t| t.to_string()),
            revoked: revocation.map(|r| r.revoked.to_string()),
            reason: revocation.map(|r| r.reason.clone()),
        }
    }

    fn lines(&self) -> String {
        let origin = if self.origin == keystore::Origin::Own { "own" } else { "trusted" };
        let facts = lines(&[
            ("id", Some(&self.key_id)),
            ("algorithm", Some(&self.algorithm)),
            ("origin", Some(origin)),
            ("status", Some(self.status)),
            ("since", self.since.as_deref()),
            ("retired", self.retired.as_deref()),
            ("revoked", self.revoked.as_deref()),
            ("reason", self.reason.as_deref()),
        ]);
        format!("key `{}`\n{facts}", self.name)
    }
}
