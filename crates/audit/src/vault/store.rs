//! The vault on disk and in memory.
//!
//! Order of a new data key: it is appended and synced before the first leaf that needs it goes to the ledger
//! ([`Vault::flush`]). Order of a destruction: a new epoch of the key-encryption key; the vault rewritten under it,
//! without the keys, synced, renamed, the old file's blocks overwritten; the old epoch destroyed. After a crash between
//! any two, [`Vault::open`] finds the newest epoch that opens the file and destroys the others.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use gm::Sm4Gcm;
use keystore::kek::{KeyEncryptionKey, WRAPPED_KEY, replace_and_shred, shred_left_over};
use zeroize::Zeroizing;

use super::VaultError;
use super::frame::{self, Header, MAX_FRAME, VaultDamage};
use super::random::Random;
use super::record::{Cipher, DataKey, Id, Record, Subject};
use super::sealed::{Opened, Place, SealedField};
use super::state::State;
use crate::AuditError;

/// The folder in the home.
pub(crate) const FOLDER: &str = "vault";
/// The file in it.
pub(crate) const FILE: &str = "keys.vault";
/// A vault larger than this is refused: tens of millions of keys.
pub(crate) const MAX_VAULT: u64 = 4 << 30;

/// An open vault.
pub(crate) struct Vault {
    pub(crate) kek: Box<dyn KeyEncryptionKey>,
    path: PathBuf,
    file: File,
    header: Header,
    cipher: Sm4Gcm,
    frames: u64,
    pub(crate) state: State,
    /// Records that are not on the disk yet.
    pending: Zeroizing<Vec<u8>>,
    pub(crate) random: Random,
}

/// The vault's file in a home.
pub(crate) fn path_in(home: &Path) -> PathBuf {
    home.join(FOLDER).join(FILE)
}

/// Reads the file; nothing when there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|e| AuditError::io("open", path, e))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_VAULT + 1).read_to_end(&mut bytes).map_err(|e| AuditError::io("read", path, e))?;
    if bytes.len() as u64 > MAX_VAULT {
        return Err(VaultError::TooLarge.into());
    }
    Ok(Some(bytes))
}

impl Vault {
    /// Opens the vault of a home; nothing when there is none and never was.
    pub(crate) fn open(
        home: &Path,
        origin: &str,
        kek: Box<dyn KeyEncryptionKey>,
    ) -> Result<Option<Self>, AuditError> {
        let path = path_in(home);
        let Some(bytes) = read(&path)? else {
            return match kek.epochs().map_err(VaultError::Kek)?.is_empty() {
                true => Ok(None),
                // A new vault in its place would hide that everything sealed so far is lost.
                false => Err(VaultError::Lost { path, place: kek.place() }.into()),
            };
        };
        let parts = frame::parse(&bytes).map_err(VaultError::Damaged)?;
        if parts.header.origin != origin {
            return Err(VaultError::Foreign { path, origin: parts.header.origin }.into());
        }
        let key = unwrap(&*kek, &parts.header)?;
        let cipher = Sm4Gcm::new(&key);
        let state = replay(&cipher, &parts, &bytes)?;
        kek.keep_only(parts.header.epoch).map_err(VaultError::Kek)?;
        shred_left_over(&path).map_err(VaultError::Kek)?;
        let file = reopen(&path, parts.end as u64, bytes.len() as u64)?;
        Ok(Some(Self {
            kek,
            path,
            file,
            header: parts.header,
            cipher,
            frames: parts.frames.len() as u64,
            state,
            pending: Zeroizing::default(),
            random: Random::default(),
        }))
    }

    /// Makes the vault of a home that has none.
    pub(crate) fn create(
        home: &Path,
        origin: &str,
        kek: Box<dyn KeyEncryptionKey>,
    ) -> Result<Self, AuditError> {
        let folder = home.join(FOLDER);
        crate::home::make_private_folder(&folder)?;
        let mut random = Random::default();
        let epoch = kek.epochs().map_err(VaultError::Kek)?.last().map_or(1, |last| last.saturating_add(1));
        kek.add(epoch).map_err(VaultError::Kek)?;
        let mut state = State::default();
        state.apply(Record::Genesis { index_key: random.array()? });
        let path = path_in(home);
        let (header, cipher, frames) = write_whole(&path, &state, &*kek, epoch, origin, &mut random)?;
        kek.keep_only(epoch).map_err(VaultError::Kek)?;
        let file = append_to(&path)?;
        let pending = Zeroizing::default();
        Ok(Self { kek, path, file, header, cipher, frames, state, pending, random })
    }

    /// Takes a record into the state; [`Vault::flush`] makes it durable.
    pub(crate) fn add(&mut self, record: Record) {
        record.encode(&mut self.pending);
        self.state.apply(record);
    }

    /// Whether something is not on the disk yet.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends what is new and syncs it. After an error the vault must be opened anew.
    pub(crate) fn flush(&mut self) -> Result<(), AuditError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // Records are not cut by the edge of a frame: more than one frame's worth is written with all the rest.
        if self.pending.len() > MAX_FRAME {
            return self.rewrite(self.header.epoch);
        }
        let mut out = Vec::with_capacity(self.pending.len() + frame::OVERHEAD);
        let nonce = self.random.array()?;
        frame::seal(&self.cipher, &self.header.file_id, self.frames, nonce, &self.pending, &mut out);
        let write = |file: &mut File| file.write_all(&out).and_then(|()| file.sync_data());
        write(&mut self.file).map_err(|e| AuditError::io("append to", &self.path, e))?;
        self.frames += 1;
        self.pending = Zeroizing::default();
        Ok(())
    }

    /// Closes the vault under a new epoch, and destroys the old one: what was forgotten before is gone.
    pub(crate) fn close_anew(&mut self) -> Result<u64, AuditError> {
        let epoch = self.header.epoch.saturating_add(1);
        self.kek.add(epoch).map_err(VaultError::Kek)?;
        self.rewrite(epoch)?;
        self.kek.keep_only(epoch).map_err(VaultError::Kek)?;
        Ok(epoch)
    }

    fn rewrite(&mut self, epoch: u64) -> Result<(), AuditError> {
        let origin = self.header.origin.clone();
        let (header, cipher, frames) =
            write_whole(&self.path, &self.state, &*self.kek, epoch, &origin, &mut self.random)?;
        self.pending = Zeroizing::default();
        self.file = append_to(&self.path)?;
        (self.header, self.cipher, self.frames) = (header, cipher, frames);
        Ok(())
    }

    /// Epoch of the key-encryption key.
    pub(crate) fn epoch(&self) -> u64 {
        self.header.epoch
    }

    /// The key that seals for a subject in a month; made when there is none.
    pub(crate) fn sealing_key(
        &mut self,
        subject: &Subject,
        month: u32,
        cipher: Cipher,
    ) -> Result<DataKey, AuditError> {
        let row = self.row_of(subject)?;
        let (found, version) = self.state.sealing(&row, month, cipher);
        if let Some(key) = found {
            return Ok(key.clone());
        }
        let (id, secret) = (self.random.array()?, self.random.array()?);
        let version = version.checked_add(1).ok_or(VaultError::TooManyVersions)?;
        let key = DataKey { row, month, cipher, version, id, secret };
        self.add(Record::Key(key.clone()));
        Ok(key)
    }

    /// What a sealed value of an event holds; nothing when its key is gone, or it is not this event's.
    pub(crate) fn opened(
        &self,
        event: &event::Event<'_>,
        section: &str,
        name: &str,
        value: &str,
    ) -> Option<Opened> {
        let field = SealedField::parse(value)?;
        let key = self.state.key(&field.key_id).filter(|key| key.cipher == field.cipher)?;
        let name = name.strip_suffix(crate::redact::SEALED_NAME).unwrap_or(name);
        let path = format!("{section}.{name}");
        field.open(&key.secret, Place { event: event.id.as_bytes(), path: &path })
    }

    /// The row of a subject; made when there is none.
    pub(crate) fn row_of(&mut self, subject: &Subject) -> Result<Id, AuditError> {
        let row = self.state.place(subject);
        if self.state.row(&row).is_none() {
            let (token_id, token_key) = (self.random.array()?, self.random.array()?);
            self.add(Record::Subject { row, token_id, token_key });
        }
        Ok(row)
    }
}

fn unwrap(kek: &dyn KeyEncryptionKey, header: &Header) -> Result<Zeroizing<[u8; WRAPPED_KEY]>, AuditError> {
    Ok(kek.unwrap(header.epoch, &header.wrapped).map_err(VaultError::Kek)?)
}

/// Opens every frame and takes every record.
fn replay(cipher: &Sm4Gcm, parts: &frame::Parts, bytes: &[u8]) -> Result<State, VaultError> {
    let mut state = State::default();
    for (number, range) in (0..).zip(&parts.frames) {
        let damaged = |why| {
            let bytes = range.start as u64..range.end as u64;
            VaultError::Damaged(VaultDamage { bytes, frame: Some(number), why })
        };
        let text = frame::open(cipher, &parts.header.file_id, number, &bytes[range.clone()])
            .ok_or_else(|| damaged("it was not written by who has the key"))?;
        let records = Record::decode_all(&text).ok_or_else(|| damaged("it holds no records"))?;
        for record in records {
            if !state.apply(record) {
                return Err(damaged("it contradicts what stands before it"));
            }
        }
    }
    Ok(state)
}

/// Every damage of a vault's bytes that shows without its key, or with it.
pub(crate) fn inspect(bytes: &[u8], kek: Option<&dyn KeyEncryptionKey>) -> Result<u64, VaultError> {
    let parts = frame::parse(bytes).map_err(VaultError::Damaged)?;
    if let Some(kek) = kek {
        let key = kek.unwrap(parts.header.epoch, &parts.header.wrapped).map_err(VaultError::Kek)?;
        replay(&Sm4Gcm::new(&key), &parts, bytes)?;
    }
    Ok(parts.frames.len() as u64)
}

/// Cuts off what was never finished, and opens for appending.
fn reopen(path: &Path, end: u64, length: u64) -> Result<File, AuditError> {
    if end < length {
        let file = OpenOptions::new().write(true).open(path);
        let cut = |file: File| file.set_len(end).and_then(|()| file.sync_all());
        file.and_then(cut).map_err(|e| AuditError::io("repair", path, e))?;
    }
    append_to(path)
}

fn append_to(path: &Path) -> Result<File, AuditError> {
    OpenOptions::new().append(true).open(path).map_err(|e| AuditError::io("open", path, e))
}

/// Writes the whole vault under a new key of its own, wrapped under `epoch`.
fn write_whole(
    path: &Path,
    state: &State,
    kek: &dyn KeyEncryptionKey,
    epoch: u64,
    origin: &str,
    random: &mut Random,
) -> Result<(Header, Sm4Gcm, u64), AuditError> {
    let key = Zeroizing::new(random.array::<WRAPPED_KEY>()?);
    let wrapped = kek.wrap(epoch, &key).map_err(VaultError::Kek)?;
    let header = Header { epoch, file_id: random.array()?, wrapped, origin: origin.to_owned() };
    let cipher = Sm4Gcm::new(&key);
    let mut out = header.encode();
    let mut frames = 0;
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FRAME));
    let mut one = Zeroizing::new(Vec::new());
    for record in state.records() {
        one.clear();
        record.encode(&mut one);
        if text.len() + one.len() > MAX_FRAME {
            frame::seal(&cipher, &header.file_id, frames, random.array()?, &text, &mut out);
            frames += 1;
            text.clear();
        }
        text.extend_from_slice(&one);
    }
    frame::seal(&cipher, &header.file_id, frames, random.array()?, &text, &mut out);
    replace_and_shred(path, &out).map_err(VaultError::Kek)?;
    Ok((header, cipher, frames + 1))
}
