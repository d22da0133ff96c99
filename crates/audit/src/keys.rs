//! The log's key: `keys/log.pem` (PKCS #8, owner-only) and `keys/log.vkey` (the note verifier key, with the name).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use signing::Ed25519Signer;
use signing::note::{NoteSigner, NoteVerifier};
use zeroize::Zeroizing;

use crate::{AuditError, LedgerSettings};

/// Nothing in a key file is longer.
const MAX_FILE: u64 = 16 * 1024;

/// Where the keys of a home's log are.
#[derive(Clone, Debug)]
pub struct LogKeys {
    home: PathBuf,
    private: PathBuf,
    public: PathBuf,
}

impl LogKeys {
    /// Those of a home.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        let keys = home.join("keys");
        Self { home: home.to_owned(), private: keys.join("log.pem"), public: keys.join("log.vkey") }
    }

    /// The public key file; auditors are given a copy of it.
    #[must_use]
    pub fn public_file(&self) -> &Path {
        &self.public
    }

    /// Makes a key under `name`, which becomes the origin of the log.
    ///
    /// # Errors
    /// [`AuditError::KeyExists`] when there is one: a log's key is never replaced in place.
    pub fn create(&self, name: &str) -> Result<NoteVerifier, AuditError> {
        let bad = |source| AuditError::Key { path: self.private.clone(), source };
        let key = Ed25519Signer::generate().map_err(bad)?;
        let pem = key.to_pkcs8_pem().map_err(bad)?;
        let verifier = NoteSigner::new(name, key).map_err(bad)?.verifier();
        if self.private.exists() {
            return Err(AuditError::KeyExists { path: self.private.clone() });
        }
        // The public half first: a private key without its name could not be told from a whole one.
        write_aside(&self.public, format!("{verifier}\n").as_bytes(), 0o644)?;
        write_aside(&self.private, pem.as_bytes(), 0o600)?;
        Ok(verifier)
    }

    /// The public key.
    ///
    /// # Errors
    /// [`AuditError::NoKey`], [`AuditError::Key`].
    pub fn verifier(&self) -> Result<NoteVerifier, AuditError> {
        let text = read(&self.public)?;
        NoteVerifier::parse(&text).map_err(|source| AuditError::Key { path: self.public.clone(), source })
    }

    /// The signer of checkpoints: the log's key, and those that `[ledger]` names beside it.
    ///
    /// # Errors
    /// [`AuditError::NoKey`], [`AuditError::Key`], also when the two files are not of one key; [`AuditError::Settings`].
    pub fn signer(&self) -> Result<NoteSigner, AuditError> {
        let public = self.verifier()?;
        let bad = |source| AuditError::Key { path: self.private.clone(), source };
        let pem = read(&self.private)?;
        if let Some(why) = exposed(&self.private).map_err(|e| AuditError::io("read", &self.private, e))? {
            return Err(bad(signing::SigningError::KeyUnavailable { key: public.name().into(), why }));
        }
        let key = Ed25519Signer::from_pkcs8_pem(&pem).map_err(bad)?;
        let signer = NoteSigner::new(public.name(), key).map_err(bad)?;
        if signer.verifier() != public {
            let why = format!("it does not belong to {}", self.public.display());
            return Err(bad(signing::SigningError::KeyUnavailable { key: public.name().into(), why }));
        }
        let further = LedgerSettings::of(&self.home)?.signers(&self.home, public.name())?;
        Ok(further.into_iter().fold(signer, NoteSigner::and))
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, AuditError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(AuditError::NoKey { path: path.to_owned() });
        }
        file => file.map_err(|e| AuditError::io("read", path, e))?,
    };
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut io::Read::take(file, MAX_FILE), &mut text)
        .map_err(|e| AuditError::io("read", path, e))?;
    Ok(text)
}

/// Why a secret is none, when others than its owner may read it or put another in its place.
#[cfg(unix)]
fn exposed(path: &Path) -> io::Result<Option<String>> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions()) & 0o7777;
    let why = || format!("others may read or write it (mode {mode:04o}); it must be 0600");
    Ok((mode & 0o077 != 0).then(why))
}

/// The folder's own rights are all there is.
#[cfg(not(unix))]
fn exposed(_: &Path) -> io::Result<Option<String>> {
    Ok(None)
}

/// Writes beside, syncs, renames, syncs the folder.
pub(crate) fn write_aside(path: &Path, content: &[u8], mode: u32) -> Result<(), AuditError> {
    let aside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode; // the folder's own rights are all there is
    let write = || {
        let mut file = options.open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| AuditError::io("write", path, e))
}
