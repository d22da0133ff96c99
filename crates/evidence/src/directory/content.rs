//! The content of one file, which must not change while it is read.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use gm::DualDigest;
use seal::{Entry, EntryPath};

use crate::engine::Task;
use crate::error::EvidenceError;
use crate::file::{mode, stamp};
use crate::image::{Image, Images, Watch};
use crate::meter::Meter;

pub(super) struct Content<'a> {
    meter: &'a Meter<'a>,
    pub(super) path: EntryPath,
    before: Metadata,
    /// Open until everything is read: a content may wait in its lane for others, and descriptors are few.
    file: Option<File>,
    read: u64,
    watch: Watch,
}

impl<'a> Content<'a> {
    /// `file` was just opened.
    pub(super) fn new(
        path: EntryPath,
        file: File,
        (meter, images): (&'a Meter<'a>, Images),
    ) -> Result<Self, EvidenceError> {
        let before = file.metadata().map_err(|e| EvidenceError::read(Path::new(path.as_str()), e))?;
        if !before.is_file() {
            // It was one a moment ago.
            return Err(EvidenceError::Unstable { path: path.to_string() });
        }
        let watch = Watch::new(images, before.len());
        Ok(Self { meter, path, before, file: Some(file), read: 0, watch })
    }

    pub(super) fn entry(&self, digest: DualDigest) -> Entry {
        Entry::file(self.path.clone(), mode(&self.before), self.read, digest)
    }

    pub(super) fn into_image(self) -> Option<Image> {
        self.watch.image(&self.path)
    }

    fn failed(&self, error: io::Error) -> EvidenceError {
        EvidenceError::read(Path::new(self.path.as_str()), error)
    }

    /// Whether everything was read that the file had when it was opened. If it has grown since, its stamp has changed;
    /// only a file of no size is asked for more, because those of `/proc` claim to be such.
    fn is_through(&self) -> bool {
        self.read > 0 && self.read == self.before.len()
    }

    /// Holds the file to what it was when it was opened.
    fn check_end(&self, file: &File) -> Result<(), EvidenceError> {
        let after = file.metadata().map_err(|e| self.failed(e))?;
        if stamp(&self.before) != stamp(&after) || self.read != self.before.len() {
            return Err(EvidenceError::Unstable { path: self.path.to_string() });
        }
        Ok(())
    }
}

impl Task for Content<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, EvidenceError> {
        let Some(mut file) = self.file.take() else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() && !self.is_through() {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.read += count as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        self.meter.add(filled as u64);
        self.watch.see(&buffer[..filled]);
        if filled < buffer.len() {
            self.check_end(&file)?;
        } else {
            self.file = Some(file);
        }
        Ok(filled)
    }
}
