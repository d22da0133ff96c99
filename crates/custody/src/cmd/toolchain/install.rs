//! `custody toolchain install`: unpacked aside, compared with what was read, sealed, and moved into place in one
//! step. Until then nothing stands where the toolchain will be.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use event::Fact;
use evidence::{Evidence, Options};
use keystore::DEFAULT_KEY;
use seal::{Entry, EntryKind, Seal};
use serde::Serialize;
use signing::Signer;

use super::layout::{self, Toolchain};
use super::{Context, concluded, refuse_shared, user_gopath};
use crate::aside;
use crate::cmd::{key, seal as seal_cmd};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

#[derive(Args)]
pub(super) struct InstallArgs {
    /// ZIP, tar, tar.gz, tar.xz or tar.zst that holds bin/go at any depth
    archive: PathBuf,
    /// Where the toolchain will be; must not exist yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Seal with this key of the home
    #[arg(long, value_name = "NAME", default_value = DEFAULT_KEY)]
    key: String,
    /// Read the archive and report, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    limits: seal_cmd::LimitArgs,
}

/// What was installed, as it is recorded and printed. The names are part of the interface.
#[derive(Serialize)]
struct Installed {
    /// The action code of the event.
    act: &'static str,
    archive: String,
    archive_sha256: Option<String>,
    archive_sm3: Option<String>,
    dir: String,
    /// Known once it is unpacked.
    version: Option<String>,
    platform: Option<String>,
    entries: usize,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tree_sha256: Option<String>,
    seal: Option<String>,
    key_id: Option<String>,
    dry_run: bool,
}

impl Recorded for Installed {
    fn fact(&self) -> Option<Fact> {
        let known = |value: &Option<String>| value.clone().unwrap_or_default();
        let fact = Fact::new(self.act)
            .subject("svc", "custody")
            .object("path", self.dir.clone())
            .object("archive", self.archive.clone())
            .object("sha256", known(&self.archive_sha256))
            .object("sm3", known(&self.archive_sm3))
            .object("tree", known(&self.tree_sha256))
            .context("version", known(&self.version))
            .context("platform", known(&self.platform))
            .context("entries", self.entries.to_string())
            .context("bytes", self.bytes.to_string())
            .context("key", known(&self.key_id));
        (!self.dry_run).then_some(fact)
    }
}

pub(super) fn run(args: &InstallArgs, context: &Context) -> Outcome {
    let dir = std::path::absolute(&args.to).map_err(Failure::input)?;
    refuse_existing(&dir)?;
    if let Some(gopath) = user_gopath() {
        refuse_shared(&dir, &gopath)?;
    }
    if args.dry_run {
        return rehearse(args, &dir, context);
    }
    // What can fail without reading 70 MB fails first.
    let signer = signer(args, context)?;
    if signer.is_some() {
        context.session()?;
    }
    let parent = dir.parent().unwrap_or(Path::new("/"));
    let staging = staging(parent)?;
    let unpacked = staging.path().join("unpacked");
    std::fs::create_dir(&unpacked).map_err(|e| unwritable(e, &unpacked))?;
    let found = unpack(args, &unpacked, context)?;
    let inside = root_of(&found, &args.archive)?;
    let root = unpacked.join(&inside);
    make_executable(&root, &found, &inside)?;
    let seal = seal_of(&root, &dir, &found, &inside, context)?;
    let toolchain = Toolchain::at(&root)?;
    let mut installed = Installed::of(args, &dir, &found, &inside);
    installed.version = toolchain.version;
    installed.platform = toolchain.platform;
    installed.tree_sha256 = Some(hex::encode(seal.tree().roots().sha256));
    move_into_place(&root, &dir)?;
    if let Some(signer) = signer {
        write_seal(&seal, signer.as_ref(), &dir)?;
        installed.seal = Some(seal_file(&dir).display().to_string());
        installed.key_id = Some(signer.key_id().to_string());
    }
    concluded(context, &installed, |i| i.lines("installed"))?;
    follow_up(&installed, context);
    Ok(())
}

fn rehearse(args: &InstallArgs, dir: &Path, context: &Context) -> Outcome {
    let found = seal_cmd::collect(&args.archive, &options(args), context)?;
    let inside = root_of(&found, &args.archive)?;
    let planned = Installed { dry_run: true, ..Installed::of(args, dir, &found, &inside) };
    concluded(context, &planned, |i| i.lines("would install"))
}

fn options(args: &InstallArgs) -> Options {
    Options { limits: args.limits.limits(), ..Options::default() }
}

fn unpack(args: &InstallArgs, to: &Path, context: &Context) -> Result<Evidence, Failure> {
    let bar = context.output.bytes_bar(None, "unpacking");
    let result = evidence::unpack(&args.archive, to, &options(args), &|done, total| {
        if let Some(total) = total.filter(|t| bar.length() != Some(*t)) {
            bar.set_length(total);
        }
        bar.set_position(done);
    });
    bar.finish_and_clear();
    result.map_err(|error| seal_cmd::unreadable(error, &args.archive))
}

/// The folder in the archive that is the toolchain.
fn root_of(found: &Evidence, archive: &Path) -> Result<String, Failure> {
    let files =
        found.observation.entries.iter().filter(|e| e.kind == EntryKind::File).map(|e| e.path.as_str());
    let root = layout::root_in(files).map(str::to_owned);
    root.ok_or_else(|| {
        Failure::input(anyhow::anyhow!("{} holds no Go toolchain: no bin/go and no bin/go.exe", archive.display()))
            .hint("a portable release is what go.dev calls an archive: go1.N.linux-amd64.tar.gz or go1.N.windows-amd64.zip")
    })
}

/// An entry's path below the toolchain's folder.
fn below<'a>(entry: &'a Entry, inside: &str) -> Option<&'a str> {
    let path = entry.path.as_str();
    if inside.is_empty() { Some(path) } else { path.strip_prefix(inside)?.strip_prefix('/') }
}

/// Some archives keep no modes. When their go command could not be run, the programs of a release get theirs.
#[cfg(unix)]
fn make_executable(root: &Path, found: &Evidence, inside: &str) -> Outcome {
    use std::os::unix::fs::PermissionsExt as _;
    let files = found.observation.entries.iter().filter(|e| e.kind == EntryKind::File);
    let programs: Vec<_> =
        files.filter_map(|e| Some((below(e, inside).filter(|p| layout::is_program(p))?, e.mode))).collect();
    if programs.iter().any(|(path, mode)| path.starts_with("bin/go") && mode & 0o100 != 0) {
        return Ok(());
    }
    for (path, _) in programs {
        let place = root.join(path);
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755))
            .map_err(|e| unwritable(e, &place))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_executable(_: &Path, _: &Evidence, _: &str) -> Outcome {
    Ok(())
}

/// The seal of what lies on disk, which must be what was read from the archive.
fn seal_of(
    root: &Path,
    dir: &Path,
    found: &Evidence,
    inside: &str,
    context: &Context,
) -> Result<Seal, Failure> {
    let mut lies = seal_cmd::collect(root, &Options::default(), context)?;
    lies.name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let seal = lies.into_seal().map_err(|e| seal_cmd::malformed(e, dir))?;
    for entry in &found.observation.entries {
        let Some(path) = below(entry, inside) else { continue };
        if seal.tree().entry(path).is_none_or(|lies| lies.digest != entry.digest || lies.kind != entry.kind) {
            return Err(Failure::environment(anyhow::anyhow!(
                "`{path}` does not lie on disk as it was written"
            ))
            .hint("something else changed it, or the disk is failing"));
        }
    }
    Ok(seal)
}

/// The home's key; without a home there is nobody to sign.
fn signer(args: &InstallArgs, context: &Context) -> Result<Option<Box<dyn Signer>>, Failure> {
    let Some(ring) = seal_cmd::keyring(context) else { return Ok(None) };
    ring.signer(&args.key).map(Some).map_err(key::failure)
}

fn refuse_existing(dir: &Path) -> Outcome {
    for taken in [dir.to_owned(), seal_file(dir)] {
        if taken.symlink_metadata().is_ok() {
            return Err(Failure::input(anyhow::anyhow!("{} exists already", taken.display())).hint(
                "a toolchain is never written over another; name a new folder, with its version in it",
            ));
        }
    }
    Ok(())
}

/// A folder beside the target, ours alone, gone at the end whatever happens: a rename does not cross file systems.
fn staging(parent: &Path) -> Result<tempfile::TempDir, Failure> {
    std::fs::create_dir_all(parent).map_err(|e| unwritable(e, parent))?;
    tempfile::Builder::new().prefix(".custody-").tempdir_in(parent).map_err(|e| unwritable(e, parent))
}

fn move_into_place(root: &Path, dir: &Path) -> Outcome {
    std::fs::rename(root, dir).and_then(|()| sync_folder(dir.parent())).map_err(|e| unwritable(e, dir))
}

#[cfg(unix)]
fn sync_folder(folder: Option<&Path>) -> io::Result<()> {
    std::fs::File::open(folder.unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: Option<&Path>) -> io::Result<()> {
    Ok(())
}

fn write_seal(seal: &Seal, signer: &dyn Signer, dir: &Path) -> Outcome {
    let envelope = seal.sign(&[signer]).map_err(|e| seal_cmd::malformed(e, dir))?;
    let file = seal_file(dir);
    aside::write(&file, &envelope).map_err(|e| {
        unwritable(e, &file).hint(format!(
            "the toolchain is in place; seal it with `custody seal create {} -o FILE`",
            dir.display()
        ))
    })
}

/// `sdk/go.seal.json` of `sdk/go`: beside it, because a seal inside would change what it seals.
fn seal_file(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".seal.json");
    dir.with_file_name(name)
}

fn unwritable(error: io::Error, path: &Path) -> Failure {
    Failure::environment(anyhow::Error::from(error).context(format!("cannot write {}", path.display())))
}

fn follow_up(installed: &Installed, context: &Context) {
    if installed.seal.is_none() {
        context
            .output
            .remark("remark: not sealed, because there is no home to sign with; `custody init` makes one");
    }
    context.output.remark(&format!("next: custody toolchain check {}", installed.dir));
}

impl Installed {
    fn of(args: &InstallArgs, dir: &Path, found: &Evidence, inside: &str) -> Self {
        let entries: Vec<_> =
            found.observation.entries.iter().filter(|e| below(e, inside).is_some()).collect();
        let digest = found.digest();
        Self {
            act: "TOOLCHAIN.INSTALLED",
            archive: args.archive.display().to_string(),
            archive_sha256: digest.map(|d| hex::encode(d.sha256)),
            archive_sm3: digest.map(|d| hex::encode(d.sm3)),
            dir: dir.display().to_string(),
            version: None,
            platform: None,
            entries: entries.len(),
            bytes: entries.iter().map(|e| e.size).sum(),
            tree_sha256: None,
            seal: None,
            key_id: None,
            dry_run: args.dry_run,
        }
    }

    fn lines(&self, verb: &str) -> String {
        let what = match (&self.version, &self.platform) {
            (Some(version), Some(platform)) => format!("{version} for {platform}"),
            (Some(version), None) => version.clone(),
            _ => "a Go toolchain".to_owned(),
        };
        let mut text =
            format!("{verb} {what} into {}: {} files, {} bytes\n", self.dir, self.entries, self.bytes);
        let facts = [
            ("archive", &self.archive_sha256),
            ("tree", &self.tree_sha256),
            ("key", &self.key_id),
            ("seal", &self.seal),
        ];
        for (name, value) in facts.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
            text += &format!("  {name:7}  {value}\n");
        }
        text
    }
}
