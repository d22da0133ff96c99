//! A large file written aside while it is read, then put in the place of the old one with the old one's mode.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::direct::Destination;
use crate::aside::{Aside, sync_folder};
use crate::failure::Failure;
use crate::given;

/// A source, and the file that will stand at the target.
pub(super) struct Replacement {
    pub(super) source: File,
    pub(super) copy: Destination,
    before: Metadata,
    source_path: PathBuf,
    aside: Aside,
}

impl Replacement {
    /// Opens `source` and a file beside `target`. A link is followed: what it names is replaced, not the link.
    pub(super) fn open(source: &Path, target: &Path) -> Result<Self, Failure> {
        let unreadable = |e: io::Error| {
            let misnamed = given::is_misnamed(&e);
            let error = anyhow::Error::from(e).context(format!("cannot read `{}`", source.display()));
            if misnamed { Failure::input(error) } else { Failure::environment(error) }
        };
        let file = given::open(source).map_err(unreadable)?;
        let before = file.metadata().map_err(unreadable)?;
        let target = target.canonicalize().unwrap_or_else(|_| target.to_owned());
        let (aside, copy) = Aside::open(&target).map_err(|e| unwritable(e, &target))?;
        copy.set_permissions(before.permissions()).map_err(|e| unwritable(e, &target))?;
        let copy = Destination::new(copy, aside.aside(), before.len());
        Ok(Self { source: file, copy, before, source_path: source.to_owned(), aside })
    }

    /// Puts the copy in its place, unless the source was written to meanwhile: of one file alone.
    #[allow(dead_code, reason = "of many files, each is placed behind its wave")]
    pub(super) fn place(self) -> Result<(), Failure> {
        let mut folders = Folders::default();
        self.synced()?.place(&mut folders)?;
        folders.sync()
    }

    /// Makes the copy durable, and closes both files.
    pub(super) fn synced(self) -> Result<Synced, Failure> {
        let after = self.source.metadata();
        let unchanged = after.is_ok_and(|after| {
            after.len() == self.before.len() && after.modified().ok() == self.before.modified().ok()
        });
        if !unchanged {
            let what = format!("`{}` was written to while it was read", self.source_path.display());
            return Err(Failure::environment(anyhow::anyhow!(what))
                .hint("nothing was replaced; stop whatever writes to it, then try again"));
        }
        self.copy.sync().map_err(|e| unwritable(e, &self.source_path))?;
        Ok(Synced { source_path: self.source_path, aside: self.aside })
    }
}

/// A whole copy on the disk, which does not stand in its place yet.
pub(super) struct Synced {
    source_path: PathBuf,
    aside: Aside,
}

impl Synced {
    /// Puts it in its place; `folders` remembers whose new names must be synced.
    pub(super) fn place(self, folders: &mut Folders) -> Result<(), Failure> {
        let folder = self.aside.rename().map_err(|e| unwritable(e, &self.source_path))?;
        folders.0.insert(folder);
        Ok(())
    }
}

/// Folders with new names in them.
#[derive(Default)]
pub(super) struct Folders(BTreeSet<PathBuf>);

impl Folders {
    /// Makes the names durable.
    pub(super) fn sync(self) -> Result<(), Failure> {
        self.0.iter().try_for_each(|folder| sync_folder(folder).map_err(|e| unwritable(e, folder)))
    }
}

fn unwritable(error: io::Error, target: &Path) -> Failure {
    let error = anyhow::Error::from(error).context(format!("cannot write beside `{}`", target.display()));
    Failure::environment(error).hint("the original is as it was; name another place with `-o FILE`")
}
