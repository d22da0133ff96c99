//! `custody audit export` and `custody audit restore`: copies of the ledger, for a bad day and for other tools.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use audit::backup::{NoVault, Restored, Target};
use audit::retention::Retention;
use audit::{Files, Recorder as _};
use clap::{ArgGroup, Args};
use event::Fact;
use signing::note::NoteVerifier;

use super::super::Context;
use super::prove::{open_checkpoint, read_text};
use super::query::cannot_write;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
A backup holds the entries, the signed checkpoint over them, the operator's files and the trusted keys. It holds neither\n\
private keys nor the vault: keep `keys/` by other means. It is consistent while others record. With `--since` it holds\n\
only what came after that checkpoint, and is put back behind the backups before it.\n\n\
Rolled files are plain NDJSON, begun anew by day and size as `[rolling]` in retention.toml says; each call goes on where\n\
the last one ended.\n\n\
Examples:\n  $ custody audit export --backup full.backup\n  \
$ custody audit export --backup later.backup --since january.checkpoint\n  \
$ custody audit export --rolling ndjson";

pub(crate) const RESTORE_HELP: &str = "\
Backups are given in their order: the full one first. Both trees are built again from the entries and compared with the\n\
signed checkpoint of each backup before the home can be used. Without `--log-key` the log gets another key and another\n\
name, and its first own event names the last checkpoint of the old one (docs/operations.md). Exit code 1 when a backup\n\
does not hold.\n\n\
Examples:\n  $ custody audit restore full.backup --dry-run\n  $ custody audit restore full.backup --to restored";

/// Arguments of `custody audit export`.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct ExportArgs {
    /// Write a backup: a file, or a folder in which it gets a name
    #[arg(long, value_name = "FILE|DIR", group = "what")]
    backup: Option<PathBuf>,
    /// Bring a folder of rolled NDJSON files up to date
    #[arg(long, value_name = "DIR", group = "what")]
    rolling: Option<PathBuf>,
    /// With --backup: only what came after this checkpoint
    #[arg(long, value_name = "CHECKPOINT", requires = "backup")]
    since: Option<PathBuf>,
}

/// Arguments of `custody audit restore`.
#[derive(Args)]
#[command(group = ArgGroup::new("where").required(true))]
pub(crate) struct RestoreArgs {
    /// The backups, the full one first
    #[arg(required = true, value_name = "BACKUP")]
    backups: Vec<PathBuf>,
    /// The new home
    #[arg(long, value_name = "DIR", group = "where")]
    to: Option<PathBuf>,
    /// Check the backups and write nothing
    #[arg(long, group = "where")]
    dry_run: bool,
    /// The log's private key (keys/log.pem of the old home)
    #[arg(long, value_name = "FILE", requires = "to")]
    log_key: Option<PathBuf>,
    /// The log's public key as you know it; the backup's own word when absent
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Exports.
pub(crate) fn run(args: &ExportArgs, context: &Context) -> Outcome {
    match (&args.backup, &args.rolling) {
        (Some(path), _) => backup(path, args.since.as_deref(), context),
        (None, Some(folder)) => rolling(folder, context),
        (None, None) => Ok(()), // clap insists on one
    }
}

fn backup(path: &Path, since: Option<&Path>, context: &Context) -> Outcome {
    let home = context.home.existing()?.path();
    let key = audit::LogKeys::of(home).verifier().map_err(failure)?;
    let from = match since {
        None => 0,
        Some(file) => open_checkpoint(&read_text(file)?, &key, file)?.size,
    };
    let writable = publish(context)?;
    let (folder, named) = if path.is_dir() { (path, None) } else { (parent(path), Some(path.to_owned())) };
    let unwritable = |e: std::io::Error| {
        let error = anyhow::Error::from(e).context(format!("cannot write {}", path.display()));
        Failure::environment(error).hint("name a place with room for it; nothing was left there")
    };
    let mut aside = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    let bar = context.output.count_bar(None, "saving");
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let saved = audit::backup::save(home, from, aside.as_file_mut(), &mut progress).map_err(failure)?;
    bar.finish_and_clear();
    aside.as_file().sync_all().map_err(unwritable)?;
    let place = named.unwrap_or_else(|| folder.join(format!("custody-{}-{}.backup", saved.from, saved.size)));
    let fact = Fact::new("BACKUP.CREATED")
        .subject("svc", "custody")
        .object("from", saved.from.to_string())
        .object("size", saved.size.to_string())
        .context("sha256_root", saved.sha256_root.clone());
    // Whoever has the copy has read the ledger: first the event, then the file.
    if writable {
        context.record(fact)?;
    }
    aside.persist(&place).map_err(|e| unwritable(e.error))?;
    let sync = File::open(parent(&place)).and_then(|folder| folder.sync_all());
    sync.map_err(unwritable)?;
    let document = serde_json::json!({ "backup": place, "from": saved.from, "size": saved.size,
        "sha256_root": saved.sha256_root, "files": saved.files });
    context.output.show(&document, |_| {
        format!(
            "saved  events {} to {} in {}\n  sha256  {}\n",
            saved.from,
            saved.size,
            place.display(),
            saved.sha256_root
        )
    })
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

/// Puts everything under a checkpoint, and says whether the home can be written at all.
fn publish(context: &Context) -> Result<bool, Failure> {
    match audit::open(context.home.path()).and_then(|session| session.checkpoint()) {
        Ok(_) => Ok(true),
        Err(error) if cannot_write(&error) => {
            context.output.remark("remark: the home cannot be written: what is under its checkpoint is copied, and this is not recorded");
            Ok(false)
        }
        Err(error) => Err(failure(error)),
    }
}

fn rolling(folder: &Path, context: &Context) -> Outcome {
    let home = context.home.existing()?.path();
    let table = Retention::of(home).map_err(failure)?;
    let origin = audit::LogKeys::of(home).verifier().map_err(failure)?.name().to_owned();
    let from = audit::retention::reached(folder, &origin).map_err(failure)?;
    let fact = Fact::new("AUDIT.EXPORTED").subject("svc", "custody");
    let fact = fact.object("form", "ndjson").object("from", from.to_string());
    if publish(context)? {
        context.record(fact)?;
        context.session()?.checkpoint().map_err(failure)?; // so that the export holds its own event
    }
    let files = Files::open(home).map_err(failure)?;
    let rolled = files.roll(folder, &table.rolling).map_err(failure)?;
    context.output.show(&rolled, |rolled| {
        let mut text = format!("written  events {} to {}\n", rolled.from, rolled.to);
        for (word, names) in [("closed ", &rolled.closed), ("removed", &rolled.removed)] {
            text.extend(names.iter().map(|name| format!("{word}  {name}\n")));
        }
        text
    })
}

/// Puts backups back.
pub(crate) fn restore(args: &RestoreArgs, context: &Context) -> Outcome {
    let key = match &args.key {
        None => None,
        Some(file) => Some(NoteVerifier::parse(&read_text(file)?).map_err(Failure::input)?),
    };
    let open = |path: &PathBuf| {
        let file = crate::given::open(path).map_err(|e| {
            Failure::input(anyhow::Error::from(e).context(format!("cannot read {}", path.display())))
        })?;
        Ok(BufReader::with_capacity(1 << 20, file))
    };
    let inputs = args.backups.iter().map(open).collect::<Result<Vec<_>, Failure>>()?;
    let Some(home) = &args.to else {
        let found = audit::backup::check(inputs, key.as_ref()).map_err(failure)?;
        return context.output.show(&found, |found| text(found, "holds"));
    };
    let private = args.log_key.as_deref().map(read_text).transpose()?.map(zeroize::Zeroizing::new);
    let host = crate::cmd::init::host_name();
    let target = Target { home, key: private.as_ref().map(|key| key.as_str()), host: &host };
    let mut vault = NoVault::default();
    let restored = audit::backup::restore(inputs, key.as_ref(), &target, &mut vault).map_err(failure)?;
    let session = audit::open(home).map_err(failure)?;
    let fact = Fact::new("BACKUP.RESTORED")
        .subject("svc", "custody")
        .object("origin", restored.origin.clone())
        .object("size", restored.size.to_string())
        .context("sha256_root", restored.sha256_root.clone());
    session.record(fact).map_err(failure)?;
    context.output.show(&restored, |restored| text(restored, "restored"))
}

fn text(restored: &Restored, word: &str) -> String {
    format!("{word}  {} events of {}\n  sha256  {}\n", restored.size, restored.origin, restored.sha256_root)
}
