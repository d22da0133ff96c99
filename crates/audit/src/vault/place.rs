//! Where the key-encryption key of a home is: `<home>/vault.toml`, or the default.

use std::io;
use std::path::{Path, PathBuf};

use keystore::kek::{KekFile, KekToken, KeyEncryptionKey};

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
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Kek {
    file: Option<PathBuf>,
    pkcs11: Option<String>,
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
    let path = home.join(VAULT_CONFIG);
    let bad = |why: String| VaultError::Config { path: path.clone(), why };
    let config = match std::fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Kek::default(),
        Err(e) => return Err(AuditError::io("read", &path, e)),
        Ok(data) if data.len() > MAX_FILE => return Err(bad("it is larger than 64 KiB".into()).into()),
        Ok(_) => {
            let text = std::fs::read_to_string(&path).map_err(|e| AuditError::io("read", &path, e))?;
            parse(&text).map_err(bad)?
        }
    };
    if let Some(uri) = &config.pkcs11 {
        return Ok(Box::new(KekToken::new(uri, None).map_err(VaultError::Kek)?));
    }
    let file = config.file.unwrap_or_else(|| default_kek_file(home));
    Ok(Box::new(KekFile::new(file)))
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

fn parse(text: &str) -> Result<Kek, String> {
    let config: Config = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    if config.version != 1 {
        return Err(format!("version {} of the format is unknown", config.version));
    }
    if config.kek.file.as_ref().is_some_and(|file| !file.is_absolute()) {
        return Err("`kek.file` must be an absolute path".into());
    }
    if config.kek.file.is_some() && config.kek.pkcs11.is_some() {
        return Err("the key is in a `file` or in a token (`pkcs11`), not in both".into());
    }
    Ok(config.kek)
}
