//! Where the key-encryption key of a home is: `<home>/vault.toml`, or the default.

use std::io;
use std::path::{Path, PathBuf};

use keystore::kek::{KekFile, KekToken, KeyEncryptionKey, TokenPlace};

use super::VaultError;
use crate::AuditError;

/// Name of the configuration in the home.
pub const VAULT_CONFIG: &str = "vault.toml";
/// A larger one is refused.
const MAX_FILE: u64 = 64 * 1024;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    version: u32,
    #[serde(default)]
    kek: Kek,
    #[serde(default)]
    keep: Vec<Keep>,
}

/// A time that some events must stay readable: erasures wait for it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    /// The law or rule that asks for it.
    pub(crate) name: String,
    /// Actions that it concerns, by how they begin; all when none is named.
    #[serde(default)]
    pub(crate) actions: Vec<String>,
    /// Subject kinds that it concerns; all when none is named.
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    /// Calendar months.
    pub(crate) months: u16,
}

/// A hundred years.
const MAX_MONTHS: u16 = 1200;

impl Keep {
    pub(crate) fn concerns(&self, act: &str, kind: &str) -> bool {
        (self.actions.is_empty() || self.actions.iter().any(|prefix| act.starts_with(prefix.as_str())))
            && (self.subjects.is_empty() || self.subjects.iter().any(|known| known == kind))
    }

    /// The first day on which an event of that day need not stay: the months end with the whole of their last day.
    pub(crate) fn until(&self, day: &str) -> Option<String> {
        let day: jiff::civil::Date = day.parse().ok()?;
        let last = day.checked_add(jiff::Span::new().try_months(i64::from(self.months)).ok()?).ok()?;
        Some(last.tomorrow().ok()?.to_string())
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kek {
    file: Option<PathBuf>,
    module: Option<PathBuf>,
    token: Option<String>,
    object: Option<String>,
    pin_file: Option<PathBuf>,
}

/// The key file of a home whose `vault.toml` names none: beside the home, not in it, so that a copy of the home does
/// not carry it.
#[must_use]
pub fn default_kek_file(home: &Path) -> PathBuf {
    let absolute = home.canonicalize().unwrap_or_else(|_| home.to_owned());
    let mut name = absolute.file_name().unwrap_or_default().to_owned();
    name.push(".kek");
    absolute.with_file_name(name)
}

/// The key-encryption key of a home.
pub(crate) fn kek_of(home: &Path) -> Result<Box<dyn KeyEncryptionKey>, AuditError> {
    let kek = config(home)?.map(|config| config.kek).unwrap_or_default();
    let token = (kek.module, kek.token, kek.object, kek.pin_file);
    Ok(match token {
        (Some(module), Some(token), Some(object), Some(pin_file)) => {
            Box::new(KekToken::new(TokenPlace { module, token, object, pin_file }))
        }
        _ => Box::new(KekFile::new(kek.file.unwrap_or_else(|| default_kek_file(home)))),
    })
}

/// How long which events must stay readable.
pub(crate) fn keeps_of(home: &Path) -> Result<Vec<Keep>, AuditError> {
    Ok(config(home)?.map(|config| config.keep).unwrap_or_default())
}

fn config(home: &Path) -> Result<Option<Config>, AuditError> {
    let path = home.join(VAULT_CONFIG);
    let bad = |why: String| VaultError::Config { path: path.clone(), why };
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(AuditError::io("read", &path, e)),
        Ok(data) if data.len() > MAX_FILE => Err(bad("it is larger than 64 KiB".into()).into()),
        Ok(_) => {
            let text = std::fs::read_to_string(&path).map_err(|e| AuditError::io("read", &path, e))?;
            Ok(Some(parse(&text).map_err(bad)?))
        }
    }
}

/// Where the key-encryption key of a home is, and whether there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KekPlace {
    /// For people.
    pub place: String,
    /// Whether it is in a token.
    pub token: bool,
    /// Whether there is a vault or a key.
    pub exists: bool,
}

/// Looks for the key-encryption key of a home, without opening the vault.
///
/// # Errors
/// When the place cannot be read; when there is a vault and no key.
pub fn kek_place(home: &Path) -> Result<KekPlace, AuditError> {
    let kek = kek_of(home)?;
    let vault = super::store::path_in(home).exists();
    let epochs = kek.epochs().map_err(VaultError::Kek)?;
    if vault && epochs.is_empty() {
        let missing = keystore::KeystoreError::NotFound { key: format!("in {}", kek.place()) };
        return Err(VaultError::Kek(missing).into());
    }
    Ok(KekPlace { place: kek.place(), token: kek.in_token(), exists: vault || !epochs.is_empty() })
}

fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    if config.version != 1 {
        return Err(format!("version {} of the format is unknown", config.version));
    }
    let kek = &config.kek;
    let named = [kek.module.is_some(), kek.token.is_some(), kek.object.is_some(), kek.pin_file.is_some()];
    if named.contains(&true) && (named.contains(&false) || kek.file.is_some()) {
        return Err("a token needs `module`, `token`, `object` and `pin_file`, and no `file`".into());
    }
    let paths = [&kek.file, &kek.module, &kek.pin_file];
    if paths.into_iter().flatten().any(|path| !path.is_absolute()) {
        return Err("paths must be absolute".into());
    }
    if config.keep.iter().any(|keep| keep.months > MAX_MONTHS) {
        return Err("`months` is at most 1200".into());
    }
    Ok(config)
}

/// Whether `text` is such a file, for the fuzzer.
pub(crate) fn is_config(text: &str) -> bool {
    parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_of_the_calendar() {
        let keep = |months| Keep { name: "x".into(), actions: Vec::new(), subjects: Vec::new(), months };
        for (day, months, until) in [
            ("2026-11-21", 6, "2027-05-22"),
            ("2026-08-31", 6, "2027-03-01"),
            ("2027-08-31", 6, "2028-03-01"),
            ("2024-02-29", 12, "2025-03-01"),
        ] {
            assert_eq!(keep(months).until(day).unwrap(), until, "{day}");
        }
    }

    #[test]
    fn half_a_token_is_refused() {
        let whole = "version = 1\n[kek]\nmodule = \"/m\"\ntoken = \"t\"\nobject = \"o\"\npin_file = \"/p\"\n";
        assert!(is_config(whole));
        for bad in [
            whole.replace("token = \"t\"\n", ""),
            whole.replace("/m", "m"),
            format!("{whole}file = \"/f\"\n"),
            whole.replace('1', "2"),
        ] {
            assert!(!is_config(&bad), "{bad}");
        }
    }
}
