//! What a disk holds after a loss of power: every file and name as it was last synced, and whatever else of it the kernel
//! happened to write by itself.
//!
//! Nothing is assumed about the order in which un-synced writes and names reach the disk. A rename is whole or did not
//! happen. Removed files are gone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::trace::Call;

/// Files by their path below the root; folders hold nothing.
pub(crate) type Image = BTreeMap<PathBuf, Option<Vec<u8>>>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone)]
struct File {
    now: Vec<u8>,
    safe: Vec<u8>,
}

#[derive(Clone)]
enum Target {
    File {
        number: usize,
        at: usize,
        append: bool,
    },
    Folder(PathBuf),
    /// Standard output.
    Said,
}

/// The files below one folder.
#[derive(Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    files: Vec<File>,
    now: BTreeMap<PathBuf, Node>,
    safe: BTreeMap<PathBuf, Node>,
    open: HashMap<u64, Target>,
    /// What was written to standard output so far.
    pub(crate) said: String,
}

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Room that is set aside and holds nothing: a megabyte that no image needs.
const RESERVE: &str = "home/reserve";

impl Disk {
    /// What is below `root` now, all of it durable.
    pub(crate) fn of(root: &Path) -> Self {
        let open = HashMap::from([(1, Target::Said)]);
        let mut disk = Self {
            root: root.to_owned(),
            files: Vec::new(),
            now: BTreeMap::new(),
            safe: BTreeMap::new(),
            open,
            said: String::new(),
        };
        disk.take(root);
        disk.safe = disk.now.clone();
        disk
    }

    fn take(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let Some(name) = self.below(&path) else { continue };
            if kind.is_dir() {
                self.now.insert(name, Node::Folder);
                self.take(&path);
            } else if kind.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                self.now.insert(name, Node::File(self.files.len()));
                self.files.push(File { now: bytes.clone(), safe: bytes });
            }
        }
    }

    /// The name of what is looked at; nothing for the rest of the machine.
    fn below(&self, path: &Path) -> Option<PathBuf> {
        let name = path.strip_prefix(&self.root).ok()?;
        (name != Path::new(RESERVE)).then(|| name.to_owned())
    }

    /// Does what a call did; answers what it synced, when it was a sync. With `forget`, a sync does nothing.
    pub(crate) fn apply(&mut self, call: &Call, forget: bool) -> Option<String> {
        match call {
            Call::Open { path, fd, create, truncate, append } => {
                let target = self.opened(path, *create, *truncate, *append);
                self.open.remove(fd);
                self.open.extend(target.map(|target| (*fd, target)));
            }
            Call::Close { fd } => drop(self.open.remove(fd)),
            Call::Dup { fd, new } => {
                if let Some(target) = self.open.get(fd).cloned() {
                    self.open.insert(*new, target);
                }
            }
            Call::Seek { fd, at: to } => {
                if let Some(Target::File { at, .. }) = self.open.get_mut(fd) {
                    *at = *to;
                }
            }
            Call::Write { fd, at, bytes } => self.write(*fd, *at, bytes),
            Call::Length { fd, length } => {
                if let Some(Target::File { number, .. }) = self.open.get(fd) {
                    self.files[*number].now.resize(*length, 0);
                }
            }
            Call::Sync { fd } => return self.sync(*fd, forget),
            Call::Rename { from, to } => {
                if let (Some(from), Some(to)) = (self.below(from), self.below(to)) {
                    match self.now.remove(&from) {
                        Some(node) => drop(self.now.insert(to, node)),
                        // A socket is no file; it is gone with its owner.
                        None => {
                            assert!(to.ends_with("custody.sock"), "{} is not in the model", from.display())
                        }
                    }
                }
            }
            Call::Link { from, to } => {
                if let (Some(from), Some(to)) = (self.below(from), self.below(to)) {
                    self.now.insert(to, self.now[&from]);
                }
            }
            Call::Remove { path } => drop(self.below(path).and_then(|name| self.now.remove(&name))),
            Call::MakeDir { path } => {
                self.now.extend(self.below(path).map(|name| (name, Node::Folder)));
            }
        }
        None
    }

    fn opened(&mut self, path: &Path, create: bool, truncate: bool, append: bool) -> Option<Target> {
        let name = self.below(path)?;
        if name == Path::new("") {
            return Some(Target::Folder(name));
        }
        let number = match self.now.get(&name) {
            Some(Node::Folder) => return Some(Target::Folder(name)),
            Some(Node::File(number)) => *number,
            None => {
                assert!(create, "{} was opened and is not in the model", path.display());
                self.files.push(File { now: Vec::new(), safe: Vec::new() });
                self.now.insert(name, Node::File(self.files.len() - 1));
                self.files.len() - 1
            }
        };
        if truncate {
            self.files[number].now.clear();
        }
        Some(Target::File { number, at: 0, append })
    }

    fn write(&mut self, fd: u64, at: Option<usize>, bytes: &[u8]) {
        match self.open.get_mut(&fd) {
            Some(Target::Said) => self.said.push_str(&String::from_utf8_lossy(bytes)),
            Some(Target::File { number, at: position, append }) => {
                let now = &mut self.files[*number].now;
                let start = at.unwrap_or(if *append { now.len() } else { *position });
                if at.is_none() {
                    *position = start + bytes.len();
                }
                now.resize(now.len().max(start + bytes.len()), 0);
                now[start..start + bytes.len()].copy_from_slice(bytes);
            }
            Some(Target::Folder(_)) | None => {}
        }
    }

    fn sync(&mut self, fd: u64, forget: bool) -> Option<String> {
        match self.open.get(&fd)?.clone() {
            Target::Said => None,
            Target::File { number, .. } => {
                if !forget {
                    self.files[number].safe = self.files[number].now.clone();
                }
                let name = self.now.iter().find(|(_, node)| **node == Node::File(number));
                Some(name.map_or_else(|| "a removed file".to_owned(), |(name, _)| plain(name)))
            }
            Target::Folder(folder) => {
                if !forget {
                    self.safe = reverted(&self.safe, &self.now, &folder);
                }
                Some(format!("{}/", folder.display()))
            }
        }
    }

    /// What may be found after a crash here: as the kernel has it; only what was synced; names without contents and
    /// contents without names; and each file or folder alone as it was last synced, or half of it.
    pub(crate) fn images(&self) -> Vec<Image> {
        let contents = |choose: &dyn Fn(usize, &File) -> Vec<u8>| -> Vec<Vec<u8>> {
            self.files.iter().enumerate().map(|(number, file)| choose(number, file)).collect()
        };
        let (now, safe) = (contents(&|_, file| file.now.clone()), contents(&|_, file| file.safe.clone()));
        let mut images = vec![
            image(&self.now, &now),
            image(&self.safe, &safe),
            image(&self.now, &safe),
            image(&self.safe, &now),
        ];
        for dirty in
            (0..self.files.len()).filter(|number| self.files[*number].now != self.files[*number].safe)
        {
            for written in
                [Written::Nothing, Written::Length, Written::FirstSector, Written::AllButFirstSector]
            {
                let one = contents(&|number, file| match number == dirty {
                    true => torn(file, written),
                    false => file.now.clone(),
                });
                images.push(image(&self.now, &one));
            }
        }
        let folders: BTreeSet<PathBuf> = self
            .now
            .keys()
            .chain(self.safe.keys())
            .filter_map(|name| name.parent())
            .map(Path::to_owned)
            .collect();
        images.extend(folders.iter().map(|folder| image(&reverted(&self.now, &self.safe, folder), &now)));
        images
    }
}

/// `names`, with those directly in `folder` as they are in `other`.
fn reverted(
    names: &BTreeMap<PathBuf, Node>,
    other: &BTreeMap<PathBuf, Node>,
    folder: &Path,
) -> BTreeMap<PathBuf, Node> {
    let within = |name: &&PathBuf| name.parent() == Some(folder);
    let mut mixed: BTreeMap<PathBuf, Node> =
        names.iter().filter(|(name, _)| !within(name)).map(|(name, node)| (name.clone(), *node)).collect();
    mixed.extend(other.iter().filter(|(name, _)| within(name)).map(|(name, node)| (name.clone(), *node)));
    mixed
}

/// How much of what changed in a file since its last sync was written.
#[derive(Clone, Copy)]
enum Written {
    Nothing,
    Length,
    FirstSector,
    AllButFirstSector,
}

fn torn(file: &File, written: Written) -> Vec<u8> {
    let (now, safe) = (&file.now, &file.safe);
    let old = |at: usize| safe.get(at).copied().unwrap_or(0);
    let Some(changed) = (0..now.len()).find(|at| now[*at] != old(*at)) else { return now.clone() };
    let edge = (changed / SECTOR + 1) * SECTOR;
    let kept = |at: usize| match written {
        Written::Nothing | Written::Length => false,
        Written::FirstSector => at < edge,
        Written::AllButFirstSector => at >= edge,
    };
    let length = if matches!(written, Written::Nothing) { safe.len() } else { now.len() };
    (0..length).map(|at| if kept(at) { now[at] } else { old(at) }).collect()
}

fn image(names: &BTreeMap<PathBuf, Node>, contents: &[Vec<u8>]) -> Image {
    let there = |name: &PathBuf| {
        name.ancestors()
            .skip(1)
            .all(|folder| folder == Path::new("") || names.get(folder) == Some(&Node::Folder))
    };
    let content = |node: &Node| match node {
        Node::Folder => None,
        Node::File(number) => Some(contents[*number].clone()),
    };
    names.iter().filter(|(name, _)| there(name)).map(|(name, node)| (name.clone(), content(node))).collect()
}

/// The name without what differs from run to run.
fn plain(name: &Path) -> String {
    let name = name.display().to_string();
    match name.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.')) {
        Some((rest, _)) => format!("{rest}.tmp"),
        None => name,
    }
}

/// Puts an image into a folder, for its owner alone, as a home is.
pub(crate) fn place(image: &Image, root: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    for (name, content) in image {
        let path = root.join(name);
        match content {
            None => std::fs::create_dir(&path).unwrap(),
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        }
        let mode = if content.is_none() { 0o700 } else { 0o600 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}
