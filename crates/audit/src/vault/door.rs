//! The vault as the owner of a home uses it: opened when it is first needed, with the keys in use made ready.
//!
//! A write that failed stops the sealing for the life of the owner, as a failed sync stops the ledger: which keys are
//! on the disk is then known only to who reads it anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use keystore::kek::KeyEncryptionKey;

use gm::HmacSm3;

use super::VaultError;
use super::place::kek_of;
use super::random::Random;
use super::record::{Cipher, Id, Subject};
use super::sealed::{self, Fresh, Place, Ready, TOKEN};
use super::store::Vault;
use crate::AuditError;

/// Subjects whose keys are kept ready; beyond that all are made ready anew.
const MAX_READY: usize = 65_536;

/// What a subject's values are sealed and tokenised with this month.
pub(crate) struct Live {
    token: HmacSm3,
    gcm: Option<(Id, u16, Ready)>,
    ctr: Option<(Id, u16, Ready)>,
}

/// What is asked for beside the subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Need {
    pub(crate) cipher: Option<Cipher>,
    pub(crate) token: bool,
}

enum Inner {
    Unopened,
    Absent,
    Open(Box<Vault>),
    Stopped,
}

type ByMonth = HashMap<String, Arc<Live>>;

/// Opens the vault when somebody comes.
pub(crate) struct Door {
    home: PathBuf,
    origin: String,
    inner: Mutex<Inner>,
    ready: RwLock<(u32, ByMonth)>,
    random: Mutex<Random>,
    /// Whether what a crash or a restored copy left was looked for.
    repaired: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Door {
    pub(crate) fn new(home: &Path, origin: String) -> Self {
        Self {
            home: home.to_owned(),
            origin,
            inner: Mutex::new(Inner::Unopened),
            ready: RwLock::default(),
            random: Mutex::default(),
            repaired: AtomicBool::new(false),
        }
    }

    /// Does something with the vault, which is opened for it; nothing when there is none.
    pub(crate) fn with<T>(
        &self,
        act: impl FnOnce(&mut Vault) -> Result<T, AuditError>,
    ) -> Result<Option<T>, AuditError> {
        let mut inner = lock(&self.inner);
        if matches!(*inner, Inner::Unopened) {
            let opened = Vault::open(&self.home, &self.origin, kek_of(&self.home)?)?;
            *inner = opened.map_or(Inner::Absent, |vault| Inner::Open(Box::new(vault)));
        }
        match &mut *inner {
            Inner::Open(vault) => act(vault).map(Some),
            Inner::Stopped => Err(VaultError::Stopped.into()),
            Inner::Unopened | Inner::Absent => Ok(None),
        }
    }

    /// As [`Door::with`]; a vault is made when there is none.
    pub(crate) fn with_made<T>(
        &self,
        act: impl FnOnce(&mut Vault) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        if self.with(|_| Ok(()))?.is_none() {
            let mut inner = lock(&self.inner);
            if matches!(*inner, Inner::Absent) {
                let made = Vault::create(&self.home, &self.origin, kek_of(&self.home)?)?;
                *inner = Inner::Open(Box::new(made));
            }
        }
        self.with(act)?.ok_or_else(|| VaultError::Absent.into())
    }

    /// Makes what was added durable. Nothing is written when nothing was.
    pub(crate) fn flush(&self) -> Result<(), AuditError> {
        let mut inner = lock(&self.inner);
        match &mut *inner {
            Inner::Open(vault) if vault.is_dirty() => {
                let flushed = vault.flush();
                if flushed.is_err() {
                    *inner = Inner::Stopped;
                    drop(inner);
                    self.forget_ready();
                }
                flushed
            }
            Inner::Stopped => Err(VaultError::Stopped.into()),
            _ => Ok(()),
        }
    }

    /// Whether the caller is the first, who has to make good what a crash or a restored copy left.
    pub(crate) fn begin_repair(&self) -> bool {
        // The load keeps the cache line shared: this is asked for every event.
        !self.repaired.load(Ordering::Acquire) && !self.repaired.swap(true, Ordering::AcqRel)
    }

    /// The key-encryption key, whether there is a vault or not.
    pub(crate) fn kek(&self) -> Result<Box<dyn KeyEncryptionKey>, AuditError> {
        kek_of(&self.home)
    }

    /// Makes the vault; false when there is one. A lost one is replaced only when that is asked for.
    pub(crate) fn make(&self, replace_lost: bool) -> Result<bool, AuditError> {
        match self.with(|_| Ok(())) {
            Ok(Some(())) => return Ok(false),
            Err(AuditError::Vault(VaultError::Lost { .. })) if replace_lost => {}
            Err(error) => return Err(error),
            Ok(None) => {}
        }
        let mut inner = lock(&self.inner);
        let made = Vault::create(&self.home, &self.origin, kek_of(&self.home)?)?;
        *inner = Inner::Open(Box::new(made));
        Ok(true)
    }

    /// The vault must be opened anew: something in it was changed beside this door.
    pub(crate) fn stop(&self) {
        *lock(&self.inner) = Inner::Stopped;
        self.forget_ready();
    }

    /// Keys that were made ready are made ready anew when they are needed.
    pub(crate) fn forget_ready(&self) {
        *self.ready.write().unwrap_or_else(PoisonError::into_inner) = (0, HashMap::new());
    }

    /// What a subject's values are sealed with in a month.
    pub(crate) fn live_in(&self, subject: &Subject, month: u32, need: Need) -> Result<Arc<Live>, AuditError> {
        let name = subject.to_string();
        {
            let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(live) = ready.1.get(&name).filter(|live| ready.0 == month && live.has(need)) {
                return Ok(Arc::clone(live));
            }
        }
        let known = self.ready.read().unwrap_or_else(PoisonError::into_inner);
        let had = known.1.get(&name).filter(|_| known.0 == month).map(|live| live.ciphers());
        drop(known);
        let wanted: Vec<Cipher> = had.into_iter().flatten().chain(need.cipher).collect();
        let live = self.with_made(|vault| make_ready(vault, subject, month, &wanted))?;
        let live = Arc::new(live);
        let mut ready = self.ready.write().unwrap_or_else(PoisonError::into_inner);
        if ready.0 != month || ready.1.len() >= MAX_READY {
            *ready = (month, HashMap::new());
        }
        ready.1.insert(name, Arc::clone(&live));
        Ok(live)
    }

    /// Nonce and salt for one value.
    pub(crate) fn fresh(&self) -> Result<Fresh, AuditError> {
        let mut random = lock(&self.random);
        Ok(Fresh { nonce: random.array()?, salt: random.array()? })
    }
}

fn make_ready(
    vault: &mut Vault,
    subject: &Subject,
    month: u32,
    wanted: &[Cipher],
) -> Result<Live, AuditError> {
    let row = vault.row_of(subject)?;
    let mut ready = |cipher| {
        if !wanted.contains(&cipher) {
            return Ok(None);
        }
        let key = vault.sealing_key(subject, month, cipher)?;
        Ok::<_, AuditError>(Some((key.id, key.version, Ready::new(cipher, &key.secret))))
    };
    let (gcm, ctr) = (ready(Cipher::Sm4Gcm)?, ready(Cipher::Sm4Ctr)?);
    let found = vault.state.row(&row).ok_or(VaultError::Absent)?;
    Ok(Live { token: HmacSm3::new(found.token_key.as_slice()), gcm, ctr })
}

/// Gives what values are sealed with: this month's keys of the vault, or keys that nobody keeps.
pub(crate) trait Sealer {
    /// The keys of a subject.
    fn live(&self, subject: &Subject, need: Need) -> Result<Arc<Live>, AuditError>;

    /// Nonce and salt for one value.
    fn fresh(&self) -> Result<Fresh, AuditError>;
}

impl Live {
    /// Keys that are gone with the value: to show what sealing looks like.
    pub(crate) fn throwaway(random: &mut Random) -> Result<Self, AuditError> {
        let mut ready =
            |cipher| Ok::<_, AuditError>(Some((random.array()?, 1, Ready::new(cipher, &random.array()?))));
        let (gcm, ctr) = (ready(Cipher::Sm4Gcm)?, ready(Cipher::Sm4Ctr)?);
        Ok(Self { token: HmacSm3::new(&random.array::<32>()?), gcm, ctr })
    }

    fn has(&self, need: Need) -> bool {
        match need.cipher {
            None => true,
            Some(Cipher::Sm4Gcm) => self.gcm.is_some(),
            Some(Cipher::Sm4Ctr) => self.ctr.is_some(),
        }
    }

    fn ciphers(&self) -> Vec<Cipher> {
        let gcm = self.gcm.is_some().then_some(Cipher::Sm4Gcm);
        let ctr = self.ctr.is_some().then_some(Cipher::Sm4Ctr);
        gcm.into_iter().chain(ctr).collect()
    }

    /// The token of a value.
    pub(crate) fn token(&self, label: &str, value: &str) -> String {
        format!("{TOKEN}{}", sealed::token_code(&self.token, label, value))
    }

    /// The sealed form of a value; with its token beside it when `label` is given.
    pub(crate) fn seal(
        &self,
        cipher: Cipher,
        fresh: &Fresh,
        at: Place<'_>,
        value: &str,
        label: Option<&str>,
    ) -> Result<String, AuditError> {
        let key = if cipher == Cipher::Sm4Gcm { &self.gcm } else { &self.ctr };
        let (id, version, ready) = key.as_ref().ok_or(VaultError::Absent)?;
        let mut text = sealed::seal(ready, id, *version, fresh, at, value);
        if let Some(label) = label {
            text.push(':');
            text.push_str(&sealed::token_code(&self.token, label, value));
        }
        Ok(text)
    }
}
