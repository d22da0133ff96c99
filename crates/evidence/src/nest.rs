//! Archives inside archives and folders, one level: what they hold becomes entries too, `app.jar!/META-INF/MANIFEST.MF`.
//!
//! Such a file stays an entry itself, bound to its last byte; what is inside is told for whoever has to find it. An inner
//! archive that cannot be read by the strict rules stays closed, and why is said: in a folder of test data there are
//! damaged ones, and a seal must come out the same when it is made and when it is verified.
//!
//! A ZIP is read from its end, so an inner archive is kept while it passes by, in memory while it is small and in a
//! file without a name otherwise.

use std::io::{self, Write as _};
use std::path::Path;

use seal::{Entry, EntryKind, EntryPath, Tree};
use tempfile::{SpooledData, SpooledTempFile};

use crate::collector::{Collector, Found};
use crate::detect;
use crate::error::EvidenceError;
use crate::file::{self, observe_archive};
use crate::image::Image;
use crate::options::{Form, Limits, Options};
use crate::source::{ReadAt, SizedFile};
use crate::unpack::Sink;

/// Bytes of an inner archive that are kept in memory.
const IN_MEMORY: usize = 8 << 20;
/// Bytes that tell an archive.
const HEAD: usize = 512;
/// Between the path of an archive and the path of what is in it.
const INSIDE: &str = "!/";

/// An archive inside that was not looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// The entry.
    pub path: EntryPath,
    /// What is wrong with it.
    pub reason: String,
}

/// What was found inside.
pub(crate) struct Nest {
    options: Options,
    current: Option<(EntryPath, Kept)>,
    entries: Vec<Entry>,
    images: Vec<Image>,
    closed: Vec<Closed>,
}

/// What is kept of the file that passes by.
enum Kept {
    Head(Vec<u8>),
    All(SpooledTempFile),
    /// No archive.
    Nothing,
}

impl Kept {
    fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => {}
            Self::All(file) => file.write_all(piece)?,
            Self::Head(head) => {
                head.extend(piece);
                if head.len() >= HEAD {
                    *self = Self::decided(head)?;
                }
            }
        }
        Ok(())
    }

    fn decided(head: &[u8]) -> io::Result<Self> {
        if !detect::may_be_archive(head) {
            return Ok(Self::Nothing);
        }
        let mut file = SpooledTempFile::new(IN_MEMORY);
        file.write_all(head)?;
        Ok(Self::All(file))
    }
}

impl Nest {
    /// What is inside may be as much as the limits say, once more.
    pub(crate) fn new(options: &Options) -> Self {
        let options = Options {
            limits: options.limits,
            form: Form::Detect,
            images: options.images,
            threads: options.threads,
            sm3: options.sm3.clone(),
            entries_only: true,
            ..Options::default()
        };
        Self { options, current: None, entries: Vec::new(), images: Vec::new(), closed: Vec::new() }
    }

    /// Adds what was found inside to what was found.
    pub(crate) fn into_found(self, mut found: Found) -> Result<Found, EvidenceError> {
        found.observation.entries.extend(self.entries);
        crate::budget::check_entries(&self.options.limits, found.observation.entries.len())?;
        found.images.extend(self.images);
        found.images.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        found.closed = self.closed;
        found.closed.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Looks into the files of a folder that were just hashed.
    pub(crate) fn look_below(&mut self, root: &Path, entries: &[Entry]) -> Result<(), EvidenceError> {
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::File && entry.size > 0) {
            let path = root.join(entry.path.as_str());
            let file = file::open(&path)?;
            let source = SizedFile { size: entry.size, file };
            let options = Options { entries_only: false, ..self.options.clone() };
            // The whole is hashed again with its entries, so that both are of the same bytes.
            self.look(&entry.path, &source, &options, |found| {
                match found.observation.digest == Some(entry.digest) {
                    true => Ok(()),
                    false => Err(EvidenceError::Unstable { path: entry.path.to_string() }),
                }
            })?;
        }
        Ok(())
    }

    fn look(
        &mut self,
        path: &EntryPath,
        source: &dyn ReadAt,
        options: &Options,
        check: impl FnOnce(&Found) -> Result<(), EvidenceError>,
    ) -> Result<(), EvidenceError> {
        let shown = path.to_string();
        let failed = |source| EvidenceError::Read { path: shown.clone(), source };
        let Some(format) = detect::nested(source).map_err(failed)? else { return Ok(()) };
        let collector = Collector::new(options);
        let found = observe_archive(source, format, &shown, options, &|_, _| {}, collector);
        let taken = found.and_then(|found| {
            check(&found)?;
            let entries = Tree::new(found.observation.entries)?.into_entries();
            self.take(path, entries, found.images)
        });
        match taken {
            Err(error) if error.is_damage() => {
                self.closed.push(Closed { path: path.clone(), reason: error.reason() });
                Ok(())
            }
            other => other,
        }
    }

    /// All of them, or none when one has no path that a seal can list.
    fn take(
        &mut self,
        path: &EntryPath,
        mut entries: Vec<Entry>,
        mut images: Vec<Image>,
    ) -> Result<(), EvidenceError> {
        let bytes: u64 = entries.iter().map(|entry| entry.size).sum();
        let named = entries.iter_mut().map(|entry| &mut entry.path);
        for inner in named.chain(images.iter_mut().map(|image| &mut image.path)) {
            *inner = EntryPath::new(&format!("{}{INSIDE}{}", path.as_str(), inner.as_str()))?;
        }
        let Limits { entries: count, bytes: left, .. } = &mut self.options.limits;
        *left = left.saturating_sub(bytes);
        let count = *count;
        self.entries.extend(entries);
        self.images.extend(images);
        crate::budget::check_entries(&Limits { entries: count, ..Limits::default() }, self.entries.len())
    }
}

impl Sink for Nest {
    fn content(&mut self, path: &EntryPath, piece: &[u8]) -> io::Result<()> {
        match &mut self.current {
            Some((current, kept)) if current == path => kept.push(piece),
            _ => {
                let mut kept = Kept::Head(Vec::new());
                kept.push(piece)?;
                self.current = Some((path.clone(), kept));
                Ok(())
            }
        }
    }

    /// The same file under another name holds the same.
    fn same_as(&mut self, path: &EntryPath, earlier: &EntryPath) -> io::Result<()> {
        self.current = None;
        let before = format!("{}{INSIDE}", earlier.as_str());
        let inside = |entry: &&Entry| entry.path.as_str().starts_with(&before);
        let again: Vec<Entry> = self.entries.iter().filter(inside).cloned().collect();
        for entry in again {
            let name = entry.path.as_str().replacen(earlier.as_str(), path.as_str(), 1);
            let name = EntryPath::new(&name).map_err(|e| EvidenceError::from(e).into_io())?;
            self.entries.push(Entry { path: name, ..entry });
        }
        Ok(())
    }

    fn complete(&mut self, entry: &Entry) -> io::Result<()> {
        let Some((_, kept)) = self.current.take().filter(|(path, _)| *path == entry.path) else {
            return Ok(());
        };
        let options = self.options.clone();
        let looked = match kept {
            Kept::Nothing => Ok(()),
            Kept::Head(head) => self.look(&entry.path, &head.as_slice(), &options, |_| Ok(())),
            Kept::All(file) => match file.into_inner() {
                SpooledData::InMemory(bytes) => {
                    self.look(&entry.path, &bytes.get_ref().as_slice(), &options, |_| Ok(()))
                }
                SpooledData::OnDisk(file) => {
                    let source = SizedFile { size: entry.size, file };
                    self.look(&entry.path, &source, &options, |_| Ok(()))
                }
            },
        };
        looked.map_err(EvidenceError::into_io)
    }
}
