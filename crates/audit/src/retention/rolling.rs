//! `[rolling]`: files for people, begun anew by day and by size, compressed, and so many kept.
//!
//! The names of the settings that log4j2 has for the same are in `docs/formats/retention.md`.

use std::path::PathBuf;

use serde::Deserialize;

/// More files than this are not kept apart.
const MOST: u32 = 100_000;
/// A file is never rolled before it has so many bytes: below, every event would be a file.
const LEAST_SIZE: u64 = 4 << 10;

/// How files are rolled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rolling {
    /// By time.
    pub every: Every,
    /// By size, in bytes before compression.
    pub size: u64,
    /// Of files that are closed.
    pub compression: Compression,
    /// The names of closed files.
    pub pattern: Pattern,
    /// So many closed files are kept; the oldest goes first.
    pub keep: u32,
    /// The folder that the owner keeps up to date by itself.
    pub folder: Option<PathBuf>,
}

/// When a file is begun anew, whatever its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    /// At each full hour, UTC.
    Hour,
    /// At midnight, UTC.
    Day,
    /// Never.
    Never,
}

/// How closed files are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// Not at all.
    None,
}

impl Compression {
    /// The end of a file's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
            Self::None => "",
        }
    }
}

/// A name with `%d{yyyy-MM-dd}` or `%d{yyyy-MM-dd-HH}` for the time and `%i` for the number within it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(String);

const DAY: &str = "%d{yyyy-MM-dd}";
const HOUR: &str = "%d{yyyy-MM-dd-HH}";

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let without = text.replacen(DAY, "", 1).replacen(HOUR, "", 1).replacen("%i", "", 1);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.len() > 128 || text.starts_with('.') || !without.chars().all(plain) {
            return Err(format!(
                "`{text}` is not a pattern: letters, digits, `-`, `_`, `.`, one {DAY} or {HOUR}, one %i"
            ));
        }
        if !text.contains("%i") {
            return Err(format!("`{text}` needs `%i`: two files of one day would have one name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name of the `number`-th file of the day or hour that `ts` (RFC 3339) lies in.
    #[must_use]
    pub fn name(&self, ts: &str, number: u32) -> String {
        let day = ts.get(..10).unwrap_or_default();
        let hour = ts.get(..13).unwrap_or_default().replace('T', "-");
        self.0.replace(HOUR, &hour).replace(DAY, day).replace("%i", &number.to_string())
    }

    /// The pattern itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn follows(&self, every: Every) -> bool {
        match every {
            Every::Hour => self.0.contains(HOUR),
            Every::Day => self.0.contains(DAY) || self.0.contains(HOUR),
            Every::Never => true,
        }
    }
}

/// `[rolling]` as it stands in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollingFile {
    every: Option<Every>,
    size: Option<String>,
    compression: Option<Compression>,
    pattern: Option<String>,
    keep: Option<u32>,
    folder: Option<PathBuf>,
}

impl Default for Rolling {
    /// The seed's: daily at midnight, 100 MB, gzip, 30 files.
    fn default() -> Self {
        Self {
            every: Every::Day,
            size: 100 << 20,
            compression: Compression::Gzip,
            pattern: Pattern(format!("audit-{DAY}-%i.ndjson")),
            keep: 30,
            folder: None,
        }
    }
}

impl RollingFile {
    pub(super) fn read(self) -> Result<Rolling, String> {
        let usual = Rolling::default();
        let rolling = Rolling {
            every: self.every.unwrap_or(usual.every),
            size: self.size.as_deref().map_or(Ok(usual.size), size)?,
            compression: self.compression.unwrap_or(usual.compression),
            pattern: self.pattern.as_deref().map_or(Ok(usual.pattern), Pattern::parse)?,
            keep: self.keep.unwrap_or(usual.keep),
            folder: self.folder,
        };
        if rolling.folder.as_ref().is_some_and(|folder| !folder.is_absolute()) {
            return Err("the `folder` of rolled files is no absolute path".into());
        }
        if !(1..=MOST).contains(&rolling.keep) {
            return Err(format!("`keep` is between 1 and {MOST}"));
        }
        if !rolling.pattern.follows(rolling.every) {
            return Err("`pattern` needs the time by which files are rolled".into());
        }
        Ok(rolling)
    }
}

/// `100MB`, `64 KB`, `2GB`: powers of 1024, as log4j2 has them.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size, as `100MB`");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim_start().to_ascii_uppercase().as_str() {
        "KB" => 1u64 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return Err(bad()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(bad)?;
    if bytes < LEAST_SIZE { Err(format!("`{text}` is smaller than 4KB")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rolling, String> {
        toml::from_str::<RollingFile>(text).map_err(|e| e.message().to_owned())?.read()
    }

    #[test]
    fn the_settings_of_log4j2_can_be_said() {
        let text = "every = \"day\"\nsize = \"100MB\"\npattern = \"app-%d{yyyy-MM-dd}-%i.log\"\nkeep = 30";
        let rolling = read(text).unwrap();
        assert_eq!((rolling.every, rolling.size, rolling.keep), (Every::Day, 104_857_600, 30));
        assert_eq!(rolling.pattern.name("2026-11-20T08:30:45Z", 2), "app-2026-11-20-2.log");
        assert_eq!(read("").unwrap(), Rolling::default());
        let hourly = read("every = \"hour\"\npattern = \"%d{yyyy-MM-dd-HH}.%i\"").unwrap();
        assert_eq!(hourly.pattern.name("2026-11-20T08:30:45Z", 1), "2026-11-20-08.1");
    }

    #[test]
    fn names_cannot_leave_the_folder_or_meet() {
        for bad in [
            "../%d{yyyy-MM-dd}-%i",
            "a/%d{yyyy-MM-dd}%i",
            "%d{yyyy-MM-dd}",
            "%i",
            ".%d{yyyy-MM-dd}%i",
            "%d{yy}%i",
            "%i%i%d{yyyy-MM-dd}",
        ] {
            assert!(read(&format!("pattern = \"{bad}\"")).is_err(), "{bad}");
        }
        for bad in
            ["size = \"1KB\"", "size = \"1TB\"", "size = \"99999999999GB\"", "keep = 0", "every = \"week\""]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
