//! `[segments]`: when the ledger's own files are ended, and what becomes of them then.

use serde::Deserialize;

use super::rolling::size;
use super::{Compression, Every};

/// A segment that is ended at once keeps nothing together; one above a gibibyte is refused by the ledger.
const SIZES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// How segments are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segments {
    /// By time, in UTC.
    pub every: Every,
    /// By size, in bytes.
    pub size: u64,
    /// Of those that are closed.
    pub compression: Compression,
    /// Whether closed ones are made immutable, where that is possible.
    pub protect: bool,
}

impl Default for Segments {
    fn default() -> Self {
        Self { every: Every::Day, size: 64 << 20, compression: Compression::Zstd, protect: true }
    }
}

/// `[segments]` as it stands in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentsFile {
    every: Option<Every>,
    size: Option<String>,
    compression: Option<Compression>,
    protect: Option<bool>,
}

impl SegmentsFile {
    pub(super) fn read(self) -> Result<Segments, String> {
        let usual = Segments::default();
        let segments = Segments {
            every: self.every.unwrap_or(usual.every),
            size: self.size.as_deref().map_or(Ok(usual.size), size)?,
            compression: self.compression.unwrap_or(usual.compression),
            protect: self.protect.unwrap_or(usual.protect),
        };
        if !SIZES.contains(&segments.size) {
            return Err("the `size` of segments is between 64KB and 1GB".into());
        }
        Ok(segments)
    }
}
