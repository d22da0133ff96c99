//! One file: an archive by its first bytes, or a file taken as it is.

use std::fs::{File, Metadata};
use std::path::Path;

use gm::DualDigest;
use seal::{Container, Entry, EntryPath, Format, ObservedKind, escape};

use crate::collector::{Collector, Found};
use crate::error::EvidenceError;
use crate::image::{Images, Watch};
use crate::nest::Nest;
use crate::options::{Form, Options};
use crate::source::{ReadAt, SizedFile};
use crate::tape::Tape;
use crate::unpack::Sink;
use crate::{Progress, detect, sevenz, tar, zip};

/// Mode of a file where the system or the archive keeps none.
pub(crate) const DEFAULT_MODE: u32 = 0o644;

pub(crate) fn observe(
    path: &Path,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Found, EvidenceError> {
    unchanged(path, |source, before| match format(source, options, path)? {
        Some(format) if options.nested => {
            let mut nest = Nest::new(options);
            let collector = Collector::new(options).into_sink(&mut nest);
            let found = observe_archive(source, format, &shown(path), options, progress, collector)?;
            nest.into_found(found)
        }
        Some(format) => {
            let collector = Collector::new(options);
            observe_archive(source, format, &shown(path), options, progress, collector)
        }
        None => observe_plain(source, path, before, options, progress),
    })
}

/// Reads an archive and hands what it holds to `sink`; a file that is none is refused.
pub(crate) fn observe_into(
    path: &Path,
    options: &Options,
    progress: Progress<'_>,
    sink: &mut dyn Sink,
) -> Result<Found, EvidenceError> {
    unchanged(path, |source, _| {
        let format =
            format(source, options, path)?.ok_or_else(|| EvidenceError::NoArchive { path: shown(path) })?;
        let collector = Collector::new(options).into_sink(sink);
        observe_archive(source, format, &shown(path), options, progress, collector)
    })
}

/// Opens a file, lets it be read, and makes sure that it is still the same afterwards.
fn unchanged(
    path: &Path,
    read: impl FnOnce(&SizedFile, &Metadata) -> Result<Found, EvidenceError>,
) -> Result<Found, EvidenceError> {
    let file = open(path)?;
    let before = file.metadata().map_err(|e| EvidenceError::read(path, e))?;
    if !before.is_file() {
        return Err(EvidenceError::Special { path: shown(path), kind: "special file" });
    }
    let source = SizedFile { size: before.len(), file };
    let observation = read(&source, &before)?;
    let after = source.file.metadata().map_err(|e| EvidenceError::read(path, e))?;
    if stamp(&before) != stamp(&after) {
        return Err(EvidenceError::Unstable { path: shown(path) });
    }
    Ok(observation)
}

/// Without waiting: a FIFO that nobody writes to would otherwise hang here.
pub(crate) fn open(path: &Path) -> Result<File, EvidenceError> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, nix::fcntl::OFlag::O_NONBLOCK.bits());
    options.open(path).map_err(|e| EvidenceError::read(path, e))
}

fn format(source: &dyn ReadAt, options: &Options, path: &Path) -> Result<Option<Format>, EvidenceError> {
    match options.form {
        Form::File => Ok(None),
        Form::Archive(format) => Ok(Some(format)),
        Form::Detect => detect::format(source).map_err(|e| EvidenceError::read(path, e)),
    }
}

/// Reads an archive from any source. `name` is for errors.
pub(crate) fn observe_archive(
    source: &dyn ReadAt,
    format: Format,
    name: &str,
    options: &Options,
    progress: Progress<'_>,
    mut collector: Collector<'_>,
) -> Result<Found, EvidenceError> {
    if format == Format::SevenZip || format == Format::Zip && !collector.has_sink() {
        return observe_entries(source, format, name, options, progress, collector);
    }
    let mut tape = Tape::new(source, name, options, progress);
    match format {
        Format::Zip => zip::walk_in_order(source, &mut tape, options, &mut collector)?,
        _ => tar::walk(&mut tape, format, options, source.size(), &mut collector)?,
    }
    Ok(observed(format, tape.finish(format)?, collector))
}

/// Entries are read where they stand, on several threads, and the container beside them. So a byte is read twice; a
/// file that changes in between is noticed by [`unchanged`], and one that is changed unnoticed does not get a seal
/// that holds.
fn observe_entries(
    source: &dyn ReadAt,
    format: Format,
    name: &str,
    options: &Options,
    progress: Progress<'_>,
    mut collector: Collector<'_>,
) -> Result<Found, EvidenceError> {
    let (seen, unseen): (Progress<'_>, Progress<'_>) = (progress, &|_, _| {});
    let (by_entries, by_tape) = if options.entries_only { (seen, unseen) } else { (unseen, seen) };
    let beside = || match options.entries_only {
        true => Ok(None),
        false => Tape::new(source, name, options, by_tape).finish(format),
    };
    let whole = match format {
        Format::Zip => zip::walk(source, options, by_entries, &mut collector, beside)?,
        _ => sevenz::walk(source, options, by_entries, &mut collector, beside)?,
    };
    Ok(observed(format, whole?, collector))
}

/// An archive of which only the entries count is observed as the directory that it would unpack to.
fn observed(format: Format, whole: Option<(DualDigest, Container)>, collector: Collector<'_>) -> Found {
    match whole {
        Some((digest, container)) => {
            collector.finish(ObservedKind::Archive(format), Some(digest), Some(container))
        }
        None => collector.finish(ObservedKind::Directory, None, None),
    }
}

fn observe_plain(
    source: &SizedFile,
    path: &Path,
    metadata: &Metadata,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Found, EvidenceError> {
    let entry_path = entry_path(path, options)?;
    let shown = shown(path);
    // Blocks are of no use to a file, but the two threads are.
    let plain = Options { entries_only: false, sealed_container: None, ..options.clone() };
    let mut tape = Tape::new(source, &shown, &plain, progress);
    let mut watch = Watch::new(options.images, metadata.len());
    if options.images != Images::Ignored {
        tape.each(|piece| watch.see(piece))?;
    }
    let whole = tape.finish(Format::Tar)?;
    let (digest, size) = whole
        .map(|(digest, container)| (digest, container.size))
        .ok_or_else(|| EvidenceError::read(path, std::io::ErrorKind::UnexpectedEof.into()))?;
    let mut collector = Collector::new(options);
    collector.image(watch.image(&entry_path));
    collector.entry(Entry::file(entry_path, mode(metadata), size, digest))?;
    Ok(collector.finish(ObservedKind::File, Some(digest), None))
}

/// The path of a file's one entry. For a comparison the name does not matter, so there none is refused.
fn entry_path(path: &Path, options: &Options) -> Result<EntryPath, EvidenceError> {
    let name = path.file_name().unwrap_or_default();
    let checked = name
        .to_str()
        .ok_or_else(|| EvidenceError::Name { name: escape(name.as_encoded_bytes()) })
        .and_then(|name| Ok(EntryPath::new(name)?));
    match checked {
        Err(_) if options.tolerant => Ok(EntryPath::new("file")?),
        checked => checked,
    }
}

/// The last component of a path; of the folder that `.` stands for when it has none.
pub(crate) fn name_of(path: &Path) -> String {
    let named = |p: &Path| p.file_name().map(|n| escape(n.as_encoded_bytes()));
    named(path)
        .or_else(|| path.canonicalize().ok().and_then(|full| named(&full)))
        .unwrap_or_else(|| "root".to_owned())
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes())
}

/// What changes when a file is written to.
#[cfg(unix)]
pub(crate) fn stamp(metadata: &Metadata) -> impl PartialEq + use<> {
    use std::os::unix::fs::MetadataExt as _;
    let m = metadata;
    (m.len(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec())
}

/// What changes when a file is written to.
#[cfg(not(unix))]
pub(crate) fn stamp(metadata: &Metadata) -> impl PartialEq + use<> {
    (metadata.len(), metadata.modified().ok())
}

#[cfg(unix)]
pub(crate) fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(metadata)
}

#[cfg(not(unix))]
pub(crate) fn mode(_: &Metadata) -> u32 {
    DEFAULT_MODE
}
