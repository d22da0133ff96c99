//! Tile coordinates and paths, c2sp.org/tlog-tiles.

use std::fmt;

use crate::TlogError;

/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// Levels above this cannot exist in a tree of 2^64 leaves: 8 levels of height 8.
pub const MAX_LEVEL: u8 = 7;
/// A tile's path is never longer (three digits and a slash for each 10 bits of the index, and the suffix).
const MAX_PATH: usize = 64;

/// What a tile holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// Log entries, beside level 0.
    Entries,
    /// Tree hashes at `256^level` leaves each.
    Hashes(u8),
}

/// Coordinates of a tile or of an entry bundle.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tile {
    /// What it holds.
    pub level: Level,
    /// Its number within the level, from 0.
    pub index: u64,
    /// Hashes or entries in it: 1 to 256.
    pub width: u16,
}

impl Tile {
    /// A full tile.
    #[must_use]
    pub fn full(level: Level, index: u64) -> Self {
        Self { level, index, width: 256 }
    }

    /// Whether it holds 256 hashes or entries.
    #[must_use]
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == TILE_WIDTH
    }

    /// How many hashes of this level a tree of `size` leaves has: `floor(size / 256^level)`.
    #[must_use]
    pub fn hashes_in_level(level: Level, size: u64) -> u64 {
        match level {
            Level::Entries => size,
            Level::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        }
    }

    /// The width that the tile at `index` of `level` has in a tree of `size` leaves; 0 when it has none.
    #[must_use]
    pub fn width_in(level: Level, index: u64, size: u64) -> u16 {
        let hashes = Self::hashes_in_level(level, size);
        let start = index.saturating_mul(TILE_WIDTH);
        u16::try_from(hashes.saturating_sub(start).min(TILE_WIDTH)).unwrap_or(256)
    }

    /// The partial tiles at the right edge of a tree of `size` leaves: the entry bundle first, then each level.
    pub fn right_edge(size: u64) -> impl Iterator<Item = Self> {
        let levels = std::iter::once(Level::Entries).chain((0..=MAX_LEVEL).map(Level::Hashes));
        levels.filter_map(move |level| {
            let hashes = Self::hashes_in_level(level, size);
            let width = u16::try_from(hashes % TILE_WIDTH).ok()?;
            (width > 0).then_some(Self { level, index: hashes / TILE_WIDTH, width })
        })
    }

    /// Reads a path below the log's prefix, such as `tile/0/x001/067.p/8`. Only the one spelling that
    /// [`fmt::Display`] writes is taken.
    ///
    /// # Errors
    /// [`TlogError::Malformed`] when it is not a tile's path.
    pub fn parse(path: &str) -> Result<Self, TlogError> {
        let bad = |why: &str| TlogError::malformed("tile path", why);
        if path.len() > MAX_PATH {
            return Err(bad("it is too long"));
        }
        let rest = path.strip_prefix("tile/").ok_or_else(|| bad("it does not start with `tile/`"))?;
        let (level, rest) = rest.split_once('/').ok_or_else(|| bad("no tile number"))?;
        let level = match level {
            "entries" => Level::Entries,
            number => Level::Hashes(number.parse().map_err(|_| bad("the level is not a number"))?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().map_err(|_| bad("the width is not a number"))?),
            None => (rest, 256),
        };
        let mut index = 0u64;
        for part in number.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad("the number is not in groups of three digits"));
            }
            let group: u64 = digits.parse().map_err(|_| bad("the number is not decimal"))?;
            index = index
                .checked_mul(1000)
                .and_then(|n| n.checked_add(group))
                .ok_or_else(|| bad("the number is too large"))?;
        }
        let tile = Self { level, index, width };
        let canonical = matches!(level, Level::Entries | Level::Hashes(0..=MAX_LEVEL))
            && (1..=256).contains(&width)
            && tile.to_string() == path;
        canonical.then_some(tile).ok_or_else(|| bad("it is not in its canonical spelling"))
    }
}

/// Writes an index as path elements: `1234067` as `x001/x234/067`.
fn write_index(index: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if index >= 1000 {
        write_leading(index / 1000, f)?;
    }
    write!(f, "{:03}", index % 1000)
}

fn write_leading(index: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if index >= 1000 {
        write_leading(index / 1000, f)?;
    }
    write!(f, "x{:03}/", index % 1000)
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries/")?,
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        write_index(self.index, f)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}
