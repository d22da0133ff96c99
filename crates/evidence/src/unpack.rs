//! Unpacks an archive into a folder of its own. What is written is what was read, checked and hashed: the same
//! readers serve both, so nothing comes to lie on disk that a seal of the archive would not name.
//!
//! No entry can leave the folder: paths are [`EntryPath`]s, no file is ever written over another, and symbolic
//! links are made last, when nothing is written any more, and only where their targets stay inside.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use seal::{Entry, EntryKind, EntryPath, Tree};

use crate::collector::Found;
use crate::error::EvidenceError;
use crate::options::Options;
use crate::{Evidence, Progress, file};

/// Takes what an archive holds, in its order, as it is read.
pub(crate) trait Sink: Send {
    /// The next piece of a file. Whether the file is sound is known only at [`Sink::complete`].
    fn content(&mut self, path: &EntryPath, piece: &[u8]) -> io::Result<()>;
    /// A file has the content of one that came before; [`Sink::complete`] follows.
    fn same_as(&mut self, path: &EntryPath, earlier: &EntryPath) -> io::Result<()>;
    /// An entry was read to its end and is sound.
    fn complete(&mut self, entry: &Entry) -> io::Result<()>;
}

/// Unpacks the archive at `path` into `root`, a folder that exists, is empty and that nobody else writes to.
///
/// Files keep the permission bits that the archive gives them, except that others never may write and that
/// set-user-id and its like are dropped; folders get 0755. When this returns, everything is on the disk. After an
/// error, `root` holds a part of the archive, which the caller removes.
///
/// # Errors
/// When the archive cannot be read, breaks a rule of its format, exceeds a limit or would leave the folder, and
/// when the folder cannot be written.
pub fn unpack(
    path: &Path,
    root: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Evidence, EvidenceError> {
    let mut folder = Folder { root: root.to_owned(), current: None, links: Vec::new() };
    let options = Options { tolerant: false, ..options.clone() };
    let Found { observation, images, .. } = file::observe_into(path, &options, progress, &mut folder)?;
    // Before any link is made: no entry may stand below one.
    Tree::new(observation.entries.clone())?;
    let unwritten =
        |source| EvidenceError::Write { path: seal::escape(root.as_os_str().as_encoded_bytes()), source };
    folder.make_links()?;
    sync(root).map_err(unwritten)?;
    Ok(Evidence {
        name: file::name_of(path),
        exclude: seal::Exclude::default(),
        observation,
        images,
        nested: false,
        closed: Vec::new(),
    })
}

struct Folder {
    root: PathBuf,
    /// The file that is being written.
    current: Option<(EntryPath, File)>,
    links: Vec<(EntryPath, String)>,
}

impl Folder {
    fn place(&self, path: &EntryPath) -> io::Result<PathBuf> {
        // There a backslash separates, and a colon names a drive or a stream.
        if cfg!(windows) && path.as_str().contains(['\\', ':']) {
            return Err(EvidenceError::entry(path.as_str(), "Windows has no file of such a name").into_io());
        }
        let place = self.root.join(path.as_str());
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(|e| taken(path, e))?;
        }
        Ok(place)
    }

    fn create(&self, path: &EntryPath) -> io::Result<File> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(self.place(path)?).map_err(|e| taken(path, e))
    }

    fn make_links(&self) -> Result<(), EvidenceError> {
        for (path, target) in &self.links {
            let made = self.place(path).and_then(|place| symlink(target, &place)).map_err(|e| taken(path, e));
            made.map_err(|e| EvidenceError::unwritten(path, e))?;
        }
        Ok(())
    }
}

impl Sink for Folder {
    fn content(&mut self, path: &EntryPath, piece: &[u8]) -> io::Result<()> {
        if self.current.as_ref().is_none_or(|(current, _)| current != path) {
            self.current = Some((path.clone(), self.create(path)?));
        }
        self.current.as_mut().map_or(Ok(()), |(_, file)| file.write_all(piece))
    }

    fn same_as(&mut self, path: &EntryPath, earlier: &EntryPath) -> io::Result<()> {
        let mut file = self.create(path)?;
        io::copy(&mut File::open(self.root.join(earlier.as_str()))?, &mut file)?;
        self.current = Some((path.clone(), file));
        Ok(())
    }

    fn complete(&mut self, entry: &Entry) -> io::Result<()> {
        let open = self.current.take().filter(|(path, _)| *path == entry.path);
        match entry.kind {
            EntryKind::File => {
                let file = open.map_or_else(|| self.create(&entry.path), |(_, file)| Ok(file))?;
                set_mode(&file, entry.mode)?;
                sync_file(&file)
            }
            EntryKind::Directory => {
                let place = self.place(&entry.path)?;
                fs::create_dir_all(place).map_err(|e| taken(&entry.path, e))
            }
            EntryKind::Symlink => {
                let target = entry.target.clone().unwrap_or_default();
                if !stays_inside(&entry.path, &target) {
                    return Err(
                        EvidenceError::entry(entry.path.as_str(), "its target may lie outside").into_io()
                    );
                }
                self.links.push((entry.path.clone(), target));
                Ok(())
            }
        }
    }
}

/// Whether a link can only lead to something inside, even through other links that keep the same rule: relative,
/// every `..` at the beginning (behind a name it would climb from wherever that name leads), and no more of them
/// than there are folders above the link.
fn stays_inside(link: &EntryPath, target: &str) -> bool {
    if target.starts_with('/') || target.contains(['\\', ':', '\0']) {
        return false;
    }
    let components = || target.split('/').filter(|c| !c.is_empty() && *c != ".");
    let ups = components().take_while(|c| *c == "..").count();
    ups <= link.ancestors().count() && components().skip(ups).all(|c| c != "..")
}

/// A name that is taken is the archive's fault, not the machine's.
fn taken(path: &EntryPath, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            EvidenceError::entry(path.as_str(), "another entry has its place").into_io()
        }
        _ => error,
    }
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode & 0o755 | 0o600))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn symlink(target: &str, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(not(unix))]
fn symlink(_: &str, _: &Path) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "symbolic links need a privilege on this system"))
}

/// One call for the whole file system instead of one for each of twelve thousand files.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync(root: &Path) -> io::Result<()> {
    nix::unistd::syncfs(File::open(root)?).map_err(io::Error::from)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn sync_file(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn sync_file(file: &File) -> io::Result<()> {
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_may_lead_outside_are_known() {
        let inside = [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d/e"), ("a", "./b//c"), ("a/b", "..")];
        let outside = [
            ("a", ".."),
            ("a", "/etc"),
            ("a/b", "../../c"),
            ("a", "b/../c"),
            ("a/b/c", "d/.."),
            ("a", "./../x"),
            ("a", "C:x"),
            ("a", "..\\x"),
        ];
        for (link, target) in inside {
            assert!(stays_inside(&EntryPath::new(link).unwrap(), target), "{link} -> {target}");
        }
        for (link, target) in outside {
            assert!(!stays_inside(&EntryPath::new(link).unwrap(), target), "{link} -> {target}");
        }
    }
}
