//! The tree that a signature binds: a seal's entries, every PE image among them by its Authenticode digests.
//!
//! So a root inside a signed image does not contain itself, and stays the same whichever of the tree's programs are
//! signed, in whatever order (`docs/formats/authenticode.md`, "The tree").

use std::path::{Path, PathBuf};

use authenticode::SealRoots;
use evidence::{Images, Limits, Options};
use seal::{Change, ChangeReason, Comparison, EntryKind, Program, Seal, Subject};

use crate::cmd::Context;
use crate::cmd::seal as seals;
use crate::failure::Failure;

/// A seal of a directory, opened and trusted.
pub(in crate::cmd) struct Bound {
    pub(in crate::cmd) seal: Seal,
    pub(in crate::cmd) signed_by: Vec<seals::Signer>,
    file: PathBuf,
}

/// A directory as it is, held against its seal: every file was read once.
pub(in crate::cmd) struct Observed {
    comparison: Comparison,
    /// The programs that are there now, sorted by path.
    pub(in crate::cmd) programs: Vec<Program>,
}

impl Bound {
    /// Opens the seal `file`, which a known key must have signed, or one of `trust`.
    pub(in crate::cmd) fn open(file: &Path, trust: &[PathBuf], context: &Context) -> Result<Self, Failure> {
        let ring = seals::keyring(context);
        let source = seals::Source { file, trust };
        let (seal, signed_by) = seals::open(&seals::read(file)?, source, ring.as_ref())?;
        if !matches!(seal.subject(), Subject::Directory) {
            let what = format!(
                "`{}` seals no directory, and a program is bound to the one it stands in",
                file.display()
            );
            return Err(
                Failure::input(anyhow::anyhow!(what)).hint("seal the folder: `custody seal create DIR -o F`")
            );
        }
        Ok(Self { seal, signed_by, file: file.to_owned() })
    }

    /// The directory that it seals, found as the folder above `program` in which the seal has it.
    pub(in crate::cmd) fn directory_of(&self, program: &Path) -> Result<PathBuf, Failure> {
        containing(&self.seal, program).ok_or_else(|| {
            let what = format!("`{}` is not among what `{}` seals", program.display(), self.name());
            Failure::input(anyhow::anyhow!(what))
                .hint("name the folder, or seal it anew with this file in it")
        })
    }

    /// Reads the directory and holds it against the seal.
    pub(in crate::cmd) fn observe(&self, directory: &Path, context: &Context) -> Result<Observed, Failure> {
        let mut options = Options::for_comparison(&self.seal, Limits::default());
        options.images = Images::Digests;
        let found = seals::collect(directory, &options, context)?;
        if found.observation.broken.is_some() || !directory.is_dir() {
            return Err(Failure::input(anyhow::anyhow!("`{}` is no directory", directory.display())));
        }
        let comparison = Comparison::of(&self.seal, &found.observation);
        Ok(Observed { comparison, programs: seals::programs(found.images) })
    }

    /// The seal's file, for messages.
    pub(in crate::cmd) fn name(&self) -> String {
        self.file.display().to_string()
    }
}

impl Observed {
    /// Entries that are not as they were sealed, and no programs that a signature alone may have changed.
    pub(in crate::cmd) fn others(&self) -> Vec<String> {
        let changed = self.comparison.changed.iter().filter(|change| !self.is_program(change));
        let mut out: Vec<String> = changed.map(|change| change.path.to_string()).collect();
        out.extend(self.comparison.added.iter().cloned());
        out.extend(self.comparison.removed.iter().map(ToString::to_string));
        out
    }

    /// Programs with other bytes than they were sealed with: signing changes them, and the roots vouch for them.
    pub(in crate::cmd) fn changed_programs(&self) -> Vec<String> {
        let changed = self.comparison.changed.iter().filter(|change| self.is_program(change));
        changed.map(|change| change.path.to_string()).collect()
    }

    /// The roots of the tree as it is. They say something only when [`Observed::others`] is empty.
    pub(in crate::cmd) fn roots(&self, bound: &Bound) -> Result<SealRoots, Failure> {
        let tree = seal::bound_tree(bound.seal.tree(), &self.programs).map_err(Failure::input)?;
        let roots = tree.roots();
        Ok(SealRoots { sha256: roots.sha256, sm3: roots.sm3 })
    }

    /// Signing writes to a file's content and to nothing else of it.
    fn is_program(&self, change: &Change) -> bool {
        let ChangeReason::Found(now) = &change.reason else { return false };
        now.kind == EntryKind::File
            && change.sealed.kind == EntryKind::File
            && now.mode == change.sealed.mode
            && self.programs.iter().any(|program| program.path == change.path)
    }
}

/// The folder above `program` in which the seal has it.
fn containing(seal: &Seal, program: &Path) -> Option<PathBuf> {
    let full = program.canonicalize().ok()?;
    full.ancestors()
        .skip(1)
        .find(|folder| {
            let within = full.strip_prefix(folder).ok().and_then(Path::to_str);
            within.is_some_and(|within| seal.tree().entry(within).is_some())
        })
        .map(Path::to_owned)
}
