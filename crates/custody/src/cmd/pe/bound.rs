//! The tree that a signature binds: a seal's entries, every PE image among them by its Authenticode digests.
//!
//! So a root inside a signed image does not contain itself, and stays the same whichever of the tree's programs are
//! signed, in whatever order (`docs/formats/authenticode.md`, "The tree").

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use authenticode::SealRoots;
use authenticode::image::Image;
use authenticode::pass::{self, Wanted};
use evidence::{Limits, Options};
use gm::DualDigest;
use pkix::Digest;
use seal::{Comparison, Entry, EntryKind, Seal, Subject, Tree};

use crate::cmd::Context;
use crate::cmd::seal as seals;
use crate::failure::Failure;

/// A seal of a directory, opened and trusted.
pub(super) struct Bound {
    seal: Seal,
    file: PathBuf,
}

/// What differs between a directory and its seal.
pub(super) struct Differences {
    /// Entries that are PE images: signing changes them, and the roots vouch for them.
    pub(super) images: Vec<String>,
    /// All others.
    pub(super) others: Vec<String>,
}

impl Bound {
    /// Opens the seal `file`.
    pub(super) fn open(file: &Path, context: &Context) -> Result<Self, Failure> {
        let ring = seals::keyring(context);
        let source = seals::Source { file, trust: &[] };
        let (seal, _) = seals::open(&seals::read(file)?, source, ring.as_ref())?;
        if !matches!(seal.subject(), Subject::Directory) {
            let what = format!(
                "`{}` seals no directory, and a program is bound to the one it stands in",
                file.display()
            );
            return Err(
                Failure::input(anyhow::anyhow!(what)).hint("seal the folder: `custody seal create DIR -o F`")
            );
        }
        Ok(Self { seal, file: file.to_owned() })
    }

    /// The directory that it seals, found as the folder above `program` in which the seal has it.
    pub(super) fn directory_of(&self, program: &Path) -> Result<PathBuf, Failure> {
        containing(&self.seal, program).ok_or_else(|| {
            let what = format!("`{}` is not among what `{}` seals", program.display(), self.name());
            Failure::input(anyhow::anyhow!(what))
                .hint("name the folder, or seal it anew with this file in it")
        })
    }

    /// Holds the directory against the seal.
    pub(super) fn compare(&self, directory: &Path, context: &Context) -> Result<Differences, Failure> {
        let options = Options::for_comparison(&self.seal, Limits::default());
        let found = seals::collect(directory, &options, context)?;
        if found.observation.broken.is_some() || !directory.is_dir() {
            return Err(Failure::input(anyhow::anyhow!("`{}` is no directory", directory.display())));
        }
        let comparison = Comparison::of(&self.seal, &found.observation);
        let mut out = Differences { images: Vec::new(), others: Vec::new() };
        for change in &comparison.changed {
            let path = change.path.to_string();
            let image = is_image(&directory.join(&path));
            if image { out.images.push(path) } else { out.others.push(path) }
        }
        out.others.extend(comparison.added.iter().cloned());
        out.others.extend(comparison.removed.iter().map(ToString::to_string));
        Ok(out)
    }

    /// The roots, computed from the files as they are.
    pub(super) fn roots(&self, directory: &Path) -> Result<SealRoots, Failure> {
        let entries = self.seal.tree().entries().iter().map(|entry| bound_entry(directory, entry));
        let tree = Tree::new(entries.collect::<Result<_, _>>()?).map_err(Failure::input)?;
        let roots = tree.roots();
        Ok(SealRoots { sha256: roots.sha256, sm3: roots.sm3 })
    }

    /// The seal's file, for messages.
    pub(super) fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// The entry as the roots have it.
fn bound_entry(directory: &Path, entry: &Entry) -> Result<Entry, Failure> {
    let path = directory.join(entry.path.as_str());
    if entry.kind != EntryKind::File || !is_image(&path) {
        return Ok(entry.clone());
    }
    let failed = |e| super::failure(e, &path);
    let mut file = File::open(&path).map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot read `{}`", path.display())))
    })?;
    let image = Image::read(&mut file).map_err(failed)?;
    let wanted = Wanted { digests: vec![Digest::Sha256, Digest::Sm3], pages: Vec::new() };
    let found = pass::digest(&mut file, &image, &wanted).map_err(failed)?;
    let digest = |digest| found.digest(digest).and_then(|value| value.try_into().ok()).unwrap_or([0; 32]);
    let digest = DualDigest { sha256: digest(Digest::Sha256), sm3: digest(Digest::Sm3) };
    Ok(Entry::file(entry.path.clone(), entry.mode, image.content_end() + found.padding, digest))
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

/// Whether a file is an image that can be signed.
fn is_image(path: &Path) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let mut magic = [0; 2];
    file.read_exact(&mut magic).is_ok() && &magic == b"MZ" && Image::read(&mut file).is_ok()
}
