//! `custody seal create`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use event::Fact;
use evidence::{Form, Images, Options};
use seal::{Exclude, Seal, SealError, SignedSeal, Subject};
use serde::Serialize;
use signing::Signer;

use crate::recorder::Recorded;

use super::signers::{self, SignerArgs};
use super::{AS_FILE, Context, LimitArgs, collect, concluded, malformed, programs};
use crate::aside::Aside;
use crate::failure::{Failure, Outcome};

/// How many names that differ only in case are remarked on.
const COLLISIONS: usize = 10;

#[derive(Args)]
pub(super) struct CreateArgs {
    /// Directory, archive or file
    path: PathBuf,
    /// Where to write the seal; `-` is standard output
    #[arg(long, short, value_name = "FILE", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    #[command(flatten)]
    signers: SignerArgs,
    /// Leave out what matches, and say so in the seal (directories only; repeatable)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Take the file as it is, even if it is an archive
    #[arg(long)]
    as_file: bool,
    /// Seal what an archive holds and not its own bytes, as if it were unpacked; several times as fast
    #[arg(long, conflicts_with = "as_file")]
    entries_only: bool,
    /// Look into archives inside, one level: `app.jar!/META-INF/MANIFEST.MF` becomes an entry too
    #[arg(long, conflicts_with = "as_file")]
    nested: bool,
    /// Note what Authenticode signs of each Windows program too, so that the seal still holds when they are signed
    #[arg(long)]
    authenticode: bool,
    /// Read and report, and write nothing; needs no key
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// What was sealed, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Created {
    /// The action code of the event.
    act: &'static str,
    path: String,
    name: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<seal::Format>,
    entries: usize,
    bytes: u64,
    /// Windows programs of which the Authenticode digests are in the seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sm3: Option<String>,
    tree: Roots,
    /// The first key that signed; absent only in a dry run.
    key_id: Option<String>,
    /// All keys that signed.
    key_ids: Vec<String>,
    output: Option<String>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Roots {
    sha256: String,
    sm3: String,
}

impl Recorded for Created {
    fn fact(&self) -> Option<Fact> {
        let fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("name", self.name.clone())
            .object("path", self.path.clone())
            .object("tree", self.tree.sha256.clone())
            .object("tree_sm3", self.tree.sm3.clone())
            .context("entries", self.entries.to_string())
            .context("bytes", self.bytes.to_string())
            .context("key", self.key_ids.join(","));
        (!self.dry_run).then_some(fact)
    }
}

pub(super) fn run(args: &CreateArgs, context: &Context) -> Outcome {
    // Whatever can be wrong without reading a gigabyte is found before.
    let keys = if args.dry_run { Vec::new() } else { args.signers.open(context)? };
    let exclude = Exclude::new(args.exclude.clone()).map_err(Failure::input)?;
    check_exclude(args, &exclude)?;
    if let Some(output) = file_output(args) {
        check_output(output, &args.path, &exclude)?;
    }
    let form = if args.as_file { Form::File } else { Form::Detect };
    let options = Options {
        limits: args.limits.limits(),
        exclude,
        form,
        entries_only: args.entries_only,
        nested: args.nested,
        images: if args.authenticode { Images::Digests } else { Images::Ignored },
        ..Options::default()
    };
    let mut found = collect(&args.path, &options, context)?;
    warn_of_closed(&found, context);
    let programs = programs(std::mem::take(&mut found.images));
    let sealed = found.into_seal().and_then(|seal| seal.with_programs(programs));
    let seal = sealed.map_err(|e| unsealable(e, &args.path))?;
    warn_of_case(&seal, context);
    let created = Created::of(args, &seal, &keys);
    if args.dry_run {
        return concluded(context, &created, |c| c.lines("would seal"));
    }
    let signed = seal.signed(&signers::all(&keys)).map_err(|e| malformed(e, &args.path))?;
    if context.home.existing().is_ok() {
        // A ledger that cannot be written to must show before there is a seal that it does not know of.
        context.session()?;
    }
    let Some(output) = file_output(args) else {
        context.note(&created)?;
        context.output.remark(created.lines("sealed").trim_end());
        let mut envelope = Vec::new();
        signed.write_to(&mut envelope).map_err(Failure::environment)?;
        return context.output.text(&String::from_utf8_lossy(&envelope));
    };
    // A seal that could not be recorded never gets its name, and one that could not be written is not recorded.
    let aside = written(&signed, output).map_err(|e| unwritable(e, output))?;
    context.note(&created)?;
    aside.place().map_err(|e| unwritable(e, output))?;
    context.output.show(&created, |c| c.lines("sealed"))
}

/// The seal beside its place, on the disk.
fn written(signed: &SignedSeal, output: &Path) -> std::io::Result<Aside> {
    let (aside, file) = Aside::open(output)?;
    let mut buffered = std::io::BufWriter::new(file);
    signed.write_to(&mut buffered)?;
    buffered.into_inner()?.sync_all()?;
    Ok(aside)
}

/// Of a file, the entries can be wrong only if it was read as an archive.
fn unsealable(error: SealError, path: &Path) -> Failure {
    let failure = malformed(error, path);
    if path.is_dir() { failure } else { failure.hint(AS_FILE) }
}

/// The file to write; `None` for standard output.
fn file_output(args: &CreateArgs) -> Option<&Path> {
    args.output.as_deref().filter(|path| *path != Path::new("-"))
}

fn check_exclude(args: &CreateArgs, exclude: &Exclude) -> Outcome {
    if exclude.is_empty() || args.path.is_dir() {
        return Ok(());
    }
    Err(Failure::input(anyhow::anyhow!(
        "`--exclude` is for directories, and `{}` is none",
        args.path.display()
    )))
}

/// A seal inside the directory that it seals would make its own verification fail.
fn check_output(output: &Path, sealed: &Path, exclude: &Exclude) -> Outcome {
    if output.is_dir() {
        return Err(unwritable(ErrorKind::IsADirectory.into(), output));
    }
    let parent = match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let parent = parent.canonicalize().map_err(|e| unwritable(e, output))?;
    let Ok(sealed) = sealed.canonicalize() else { return Ok(()) };
    let Ok(folder) = parent.strip_prefix(&sealed) else { return Ok(()) };
    let inside = folder.join(output.file_name().unwrap_or_default());
    if !sealed.is_dir() || exclude.matches(&inside.to_string_lossy()) {
        return Ok(());
    }
    let what = format!("`{}` lies inside what is sealed; the seal would not hold", output.display());
    Err(Failure::input(anyhow::anyhow!(what))
        .hint(format!("write it elsewhere, or leave it out with `--exclude '{}'`", inside.display())))
}

fn unwritable(error: std::io::Error, output: &Path) -> Failure {
    let misnamed = matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidInput
    );
    let error = anyhow::Error::from(error).context(format!("cannot write `{}`", output.display()));
    let failure = if misnamed { Failure::input(error) } else { Failure::environment(error) };
    failure.hint("nothing was written; name another place with `-o FILE`, or standard output with `-o -`")
}

/// Archives inside whose content is not listed.
fn warn_of_closed(evidence: &evidence::Evidence, context: &Context) {
    for closed in evidence.closed.iter().take(COLLISIONS) {
        context.output.remark(&format!("remark: not looked into: {}: {}", closed.path, closed.reason));
    }
    if evidence.closed.len() > COLLISIONS {
        context.output.remark(&format!("remark: and {} more such files", evidence.closed.len() - COLLISIONS));
    }
}

fn warn_of_case(seal: &Seal, context: &Context) {
    let groups = seal.tree().case_collisions();
    for group in groups.iter().take(COLLISIONS) {
        let names: Vec<_> = group.iter().map(|p| seal::escape(p.as_bytes())).collect();
        context.output.remark(&format!("remark: one file on Windows and macOS: {}", names.join(", ")));
    }
    if groups.len() > COLLISIONS {
        context.output.remark(&format!("remark: and {} more such names", groups.len() - COLLISIONS));
    }
}

impl Created {
    fn of(args: &CreateArgs, seal: &Seal, keys: &[Box<dyn Signer>]) -> Self {
        let (kind, format) = match seal.subject() {
            Subject::Directory => ("directory", None),
            Subject::File => ("file", None),
            Subject::Archive { container, .. } => ("archive", Some(container.format)),
        };
        let (digest, roots) = (seal.digest(), seal.tree().roots());
        let key_ids: Vec<_> = keys.iter().map(|key| key.key_id().to_string()).collect();
        Self {
            act: "SEAL.CREATED",
            path: args.path.display().to_string(),
            name: seal.name().to_owned(),
            kind,
            format,
            entries: seal.tree().entries().len(),
            bytes: seal.tree().entries().iter().map(|e| e.size).sum(),
            programs: args.authenticode.then(|| seal.programs().len()),
            sha256: digest.map(|d| hex::encode(d.sha256)),
            sm3: digest.map(|d| hex::encode(d.sm3)),
            tree: Roots { sha256: hex::encode(roots.sha256), sm3: hex::encode(roots.sm3) },
            key_id: key_ids.first().cloned(),
            key_ids,
            output: file_output(args).filter(|_| !args.dry_run).map(|p| p.display().to_string()),
            dry_run: args.dry_run,
        }
    }

    fn lines(&self, verb: &str) -> String {
        let kind = self.format.map_or_else(|| self.kind.to_owned(), |f| f.to_string());
        let mut text =
            format!("{verb} `{}`: {kind}, {} entries, {} bytes\n", self.path, self.entries, self.bytes);
        let programs = self.programs.map(|count| count.to_string());
        let facts = [
            ("programs", programs.as_deref()),
            ("sha256", self.sha256.as_deref()),
            ("sm3", self.sm3.as_deref()),
            ("tree", Some(self.tree.sha256.as_str())),
            ("tree sm3", Some(self.tree.sm3.as_str())),
        ];
        let keys = self.key_ids.iter().map(|id| ("key", Some(id.as_str())));
        let facts = facts.into_iter().chain(keys).chain([("seal", self.output.as_deref())]);
        for (name, value) in facts.filter_map(|(name, value)| Some((name, value?))) {
            text += &format!("  {name:8}  {value}\n");
        }
        text
    }
}
