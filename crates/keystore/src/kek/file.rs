//! A key-encryption key in a file: for a demonstration, a test, or a machine without a token.
//!
//! ```text
//! custody-kek 1
//! 3 9f2c…            epoch, and its key: 32 hexadecimal digits
//! ```
//!
//! The file is owner-only and stands outside the home, so that a copy of the home does not carry it. Whoever copies
//! the whole disk copies it all the same; `custody doctor` says so.

use std::path::{Path, PathBuf};

use gm::Sm4Gcm;
use zeroize::Zeroizing;

use super::{KeyEncryptionKey, WRAPPED_KEY, replace_and_shred, shred_left_over};
use crate::KeystoreError;
use crate::files::{self, Access};

const HEAD: &str = "custody-kek 1";
/// More epochs than two exist only when somebody wrote them there: one in use, one being taken into use.
const MAX_EPOCHS: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
/// What is wrapped is bound to its use and its epoch.
const CONTEXT: &[u8; 14] = b"custody-kek-v1";

/// The key in the file at a path.
#[derive(Clone, Debug)]
pub struct KekFile {
    path: PathBuf,
}

struct Epoch {
    number: u64,
    key: Zeroizing<[u8; 16]>,
}

impl KekFile {
    /// The key at `path`. Nothing is touched.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn read(&self) -> Result<Vec<Epoch>, KeystoreError> {
        let Some(text) = files::read(&self.path, Access::Owner)? else { return Ok(Vec::new()) };
        parse(&text).map_err(|why| KeystoreError::malformed(&self.path, why))
    }

    fn write(&self, epochs: &[Epoch]) -> Result<(), KeystoreError> {
        let mut text = Zeroizing::new(String::with_capacity(256 + 64 * epochs.len())); // never grows: no copies
        text.push_str(HEAD);
        for epoch in epochs {
            text.push_str(&format!("\n{} ", epoch.number));
            let mut digits = Zeroizing::new([0u8; 32]);
            hex::encode_to_slice(epoch.key.as_slice(), digits.as_mut_slice())
                .map_err(|e| KeystoreError::malformed(&self.path, e))?;
            text.push_str(std::str::from_utf8(digits.as_slice()).unwrap_or_default()); // hexadecimal digits
        }
        text.push('\n');
        replace_and_shred(&self.path, text.as_bytes())
    }

    fn cipher(&self, epoch: u64) -> Result<Sm4Gcm, KeystoreError> {
        let epochs = self.read()?;
        let found = epochs.iter().find(|known| known.number == epoch);
        found.map(|known| Sm4Gcm::new(&known.key)).ok_or_else(|| self.missing(epoch))
    }

    fn missing(&self, epoch: u64) -> KeystoreError {
        KeystoreError::NotFound { key: format!("of epoch {epoch} in {}", self.path.display()) }
    }
}

fn parse(text: &str) -> Result<Vec<Epoch>, &'static str> {
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Err("it does not begin with `custody-kek 1`");
    }
    let mut epochs: Vec<Epoch> = Vec::new();
    for line in lines {
        let (number, digits) = line.split_once(' ').ok_or("a line is not `<epoch> <key>`")?;
        let number = number.parse().map_err(|_| "an epoch is not a number")?;
        let mut key = Zeroizing::new([0u8; 16]);
        hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| "a key is not 32 hexadecimal digits")?;
        if epochs.last().is_some_and(|last| last.number >= number) || epochs.len() == MAX_EPOCHS {
            return Err("its epochs are not in order, or too many");
        }
        epochs.push(Epoch { number, key });
    }
    Ok(epochs)
}

/// Whether `text` is such a file, for the fuzzer; nothing of it is kept.
pub(crate) fn is_kek_file(text: &str) -> bool {
    parse(text).is_ok()
}

fn bound(epoch: u64) -> [u8; 22] {
    let mut bytes = [0; 22];
    bytes[..14].copy_from_slice(CONTEXT);
    bytes[14..].copy_from_slice(&epoch.to_be_bytes());
    bytes
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, KeystoreError> {
    let mut bytes = Zeroizing::new([0u8; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|e| KeystoreError::Randomness { why: e.to_string() })?;
    Ok(bytes)
}

impl KeyEncryptionKey for KekFile {
    fn place(&self) -> String {
        format!("file {}", self.path.display())
    }

    fn in_token(&self) -> bool {
        false
    }

    fn epochs(&self) -> Result<Vec<u64>, KeystoreError> {
        Ok(self.read()?.iter().map(|epoch| epoch.number).collect())
    }

    fn add(&self, epoch: u64) -> Result<(), KeystoreError> {
        let mut epochs = self.read()?;
        if epochs.last().is_some_and(|last| last.number >= epoch) || epochs.len() == MAX_EPOCHS {
            return Err(KeystoreError::Exists { what: format!("epoch {epoch} of {}", self.path.display()) });
        }
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(KeystoreError::io("make folder", folder))?;
        }
        epochs.push(Epoch { number: epoch, key: random()? });
        self.write(&epochs)
    }

    fn wrap(&self, epoch: u64, key: &[u8; WRAPPED_KEY]) -> Result<Vec<u8>, KeystoreError> {
        let cipher = self.cipher(epoch)?;
        let nonce = random::<NONCE>()?;
        let mut wrapped = Vec::with_capacity(NONCE + WRAPPED_KEY + TAG);
        wrapped.extend_from_slice(nonce.as_slice());
        wrapped.extend_from_slice(key);
        let tag = cipher
            .encrypt_in_place(&nonce, &bound(epoch), &mut wrapped[NONCE..])
            .map_err(|_| self.missing(epoch))?; // sixteen bytes are never too long
        wrapped.extend_from_slice(&tag);
        Ok(wrapped)
    }

    fn unwrap(&self, epoch: u64, wrapped: &[u8]) -> Result<Zeroizing<[u8; WRAPPED_KEY]>, KeystoreError> {
        let refused = || KeystoreError::Wrapped { place: self.place(), epoch };
        let cipher = self.cipher(epoch)?;
        let (nonce, rest) = wrapped.split_first_chunk::<NONCE>().ok_or_else(refused)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or_else(refused)?;
        let mut key = Zeroizing::new(<[u8; WRAPPED_KEY]>::try_from(text).map_err(|_| refused())?);
        cipher.decrypt_in_place(nonce, &bound(epoch), key.as_mut_slice(), tag).map_err(|_| refused())?;
        Ok(key)
    }

    fn keep_only(&self, epoch: u64) -> Result<(), KeystoreError> {
        let mut epochs = self.read()?;
        if !epochs.iter().any(|known| known.number == epoch) {
            return Err(self.missing(epoch));
        }
        // An owner that died while it wrote left every epoch of then beside the file.
        shred_left_over(&self.path)?;
        if epochs.len() > 1 {
            epochs.retain(|known| known.number == epoch);
            self.write(&epochs)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_is_gone_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let kek = KekFile::new(folder.path().join("away/home.kek"));
        assert_eq!(kek.epochs().unwrap(), [0u64; 0]);
        kek.add(1).unwrap();
        let wrapped = kek.wrap(1, &[9; 16]).unwrap();
        assert_eq!(kek.unwrap(1, &wrapped).unwrap().as_slice(), [9; 16]);
        assert_ne!(kek.wrap(1, &[9; 16]).unwrap(), wrapped, "a nonce served twice");
        assert!(kek.add(1).is_err());
        kek.add(2).unwrap();
        assert_eq!(kek.epochs().unwrap(), [1, 2]);
        assert!(matches!(kek.unwrap(2, &wrapped), Err(KeystoreError::Wrapped { .. })));
        kek.keep_only(2).unwrap();
        assert!(matches!(kek.unwrap(1, &wrapped), Err(KeystoreError::NotFound { .. })));
        assert!(kek.keep_only(1).is_err());
        for at in 0..wrapped.len() {
            let mut changed = kek.wrap(2, &[9; 16]).unwrap();
            changed[at] ^= 1;
            assert!(kek.unwrap(2, &changed).is_err(), "byte {at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        let kek = KekFile::new(&path);
        kek.add(1).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(kek.epochs(), Err(KeystoreError::ReadableByOthers { .. })));
    }

    #[test]
    fn what_is_no_key_file_is_refused() {
        let ok = "custody-kek 1\n1 000102030405060708090a0b0c0d0e0f\n";
        assert!(is_kek_file(ok));
        for bad in [
            "",
            "custody-kek 2\n",
            "custody-kek 1\n1",
            "custody-kek 1\n1 00\n",
            &format!("{ok}1 {}", "00".repeat(16)),
        ] {
            assert!(!is_kek_file(bad), "{bad}");
        }
    }
}
