//! `retention.toml`: what the operator adds to the known regimes, or takes from them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::archive::Folder;
use super::rolling::RollingFile;
use super::segments::SegmentsFile;
use super::{Period, RETENTION, Regime, Retention, Rolling, Segments, regimes};
use crate::AuditError;

/// A file larger than this is refused.
const MAX_FILE: u64 = 1 << 20;
/// More regimes than this are refused: each event is held against all of them.
const MAX_REGIMES: usize = 100;
const VERSION: u32 = 1;
/// Two of the ledger's own events are seldom further apart.
const STEP: Period = Period::Days(7);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    /// Which of the known ones are in force; all when absent.
    regimes: Option<Vec<String>>,
    #[serde(default)]
    regime: Vec<RegimeFile>,
    #[serde(default)]
    clock: ClockFile,
    #[serde(default)]
    archive: ArchiveFile,
    #[serde(default)]
    segments: SegmentsFile,
    #[serde(default)]
    rolling: RollingFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegimeFile {
    name: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    subjects: Vec<String>,
    minimum: Option<String>,
    at_hand: Option<String>,
    maximum: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockFile {
    step: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveFile {
    #[serde(default)]
    required: Vec<String>,
    /// Folders that are archives, by name.
    #[serde(default)]
    folders: BTreeMap<String, PathBuf>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            regimes: regimes::known(),
            step: STEP,
            archives: Vec::new(),
            folders: Vec::new(),
            segments: Segments::default(),
            rolling: Rolling::default(),
        }
    }
}

impl Retention {
    /// What is in force in a home: its `retention.toml`, or the known regimes when there is none.
    ///
    /// # Errors
    /// [`AuditError::Retention`] when the file is not one.
    pub fn of(home: &Path) -> Result<Self, AuditError> {
        let path = home.join(RETENTION);
        let bad = |why: String| AuditError::Retention { path: path.clone(), why };
        let file = match std::fs::File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(|e| AuditError::io("read", &path, e))?,
        };
        let mut text = String::new();
        let read = io::Read::read_to_string(&mut io::Read::take(file, MAX_FILE + 1), &mut text);
        let read = read.map_err(|e| AuditError::io("read", &path, e))?;
        if read as u64 > MAX_FILE {
            return Err(bad("it is larger than 1 MiB".into()));
        }
        Self::parse(&text).map_err(bad)
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        if file.version != VERSION {
            return Err(format!("version {} of the format is unknown", file.version));
        }
        let mut regimes = regimes::known();
        if let Some(wanted) = &file.regimes {
            if let Some(unknown) = wanted.iter().find(|name| !regimes.iter().any(|one| one.name == **name)) {
                return Err(format!("`{unknown}` is none of the known regimes"));
            }
            regimes.retain(|regime| wanted.contains(&regime.name));
        }
        if file.regime.len() > MAX_REGIMES {
            return Err(format!("there are more than {MAX_REGIMES} regimes"));
        }
        for own in file.regime {
            let own = own.read()?;
            if regimes.iter().chain(&regimes::known()).any(|known| known.name == own.name) {
                return Err(format!("there is another regime named `{}`", own.name));
            }
            regimes.push(own);
        }
        let step = file.clock.step.as_deref().map_or(Ok(STEP), Period::parse)?;
        let (archives, folders) = file.archive.read()?;
        let (segments, rolling) = (file.segments.read()?, file.rolling.read()?);
        Ok(Self { regimes, step, archives, folders, segments, rolling })
    }
}

impl ArchiveFile {
    /// The names of all archives, and the folders among them. Whoever names a folder wants what it promises.
    fn read(self) -> Result<(Vec<String>, Vec<Folder>), String> {
        let mut names = self.required;
        names.extend(self.folders.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        if names.iter().any(|name| !is_plain(name)) {
            return Err("an archive's name has 1 to 64 letters, digits, `-`, `_` and `.`".into());
        }
        if let Some((name, _)) = self.folders.iter().find(|(_, path)| !path.is_absolute()) {
            return Err(format!("the folder of archive `{name}` is no absolute path"));
        }
        let folders = self.folders.into_iter().map(|(name, path)| Folder { name, path }).collect();
        Ok((names, folders))
    }
}

impl RegimeFile {
    fn read(self) -> Result<Regime, String> {
        let name = self.name;
        if !is_plain(&name) {
            return Err("a regime's name has 1 to 64 letters, digits, `-`, `_` and `.`".into());
        }
        let period = |text: Option<String>| {
            text.map(|text| Period::parse(&text).map_err(|why| format!("regime `{name}`: {why}"))).transpose()
        };
        let (minimum, at_hand, maximum) =
            (period(self.minimum)?, period(self.at_hand)?, period(self.maximum)?);
        if minimum.is_none() && maximum.is_none() && at_hand.is_none() {
            return Err(format!("regime `{name}` asks for nothing: give `minimum`, `at_hand` or `maximum`"));
        }
        Ok(Regime {
            source: self.source,
            actions: self.actions,
            subjects: self.subjects,
            minimum,
            at_hand,
            maximum,
            answer: None,
            name,
        })
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "version"),
            ("version = 2", "version 2"),
            ("version = 1\nregimes = [\"gdpr\"]", "`gdpr` is none"),
            ("version = 1\n[[regime]]\nname = \"x\"", "asks for nothing"),
            ("version = 1\n[[regime]]\nname = \"x\"\nminimum = \"soon\"", "regime `x`: `soon`"),
            ("version = 1\n[[regime]]\nname = \"gdpr-12.3\"\nminimum = \"1 day\"", "another regime"),
            ("version = 1\n[[regime]]\nname = \"a b\"\nminimum = \"1 day\"", "a regime's name"),
            ("version = 1\n[clock]\nstep = \"1 hour\"", "not a period"),
            ("version = 1\n[archive]\nrequired = [\"\"]", "an archive's name"),
            ("version = 1\n[archive.folders]\nnas = \"x\"", "no absolute path"),
            ("version = 1\n[archive.folders]\n\"a b\" = \"/x\"", "an archive's name"),
            ("version = 1\n[segments]\nsize = \"4KB\"", "between 64KB and 1GB"),
            ("version = 1\n[rolling]\nfolder = \"x\"", "absolute"),
            ("version = 1\n[rolling]\nkeep = 0", "keep"),
            ("version = 1\n[other]", "other"),
        ] {
            let found = Retention::parse(text).unwrap_err();
            assert!(found.contains(why), "{text:?}: {found}");
        }
    }

    #[test]
    fn an_absent_file_is_the_known_table() {
        assert_eq!(Retention::parse("version = 1").unwrap(), Retention::default());
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Retention::of(home.path()).unwrap(), Retention::default());
        std::fs::write(home.path().join(RETENTION), "version = 1\nx = 1").unwrap();
        assert!(matches!(Retention::of(home.path()), Err(AuditError::Retention { .. })));
    }
}
