//! The door to a home's ledger, as its owner or through its owner.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event::Fact;
use ledger::{LedgerError, Log, Options};

use crate::clock::documents;
use crate::index::Keeper;
use crate::owner::Owner;
use crate::pending::{Kind, Pending, Receipt, Verdict};
use crate::proof::{Proof, Selector, Status};
use crate::query::{Filter, Found, Sink};
use crate::redact::Guard;
use crate::retention::{Applied, Orders, Report, Retention};
use crate::socket::{Client, Server};
use crate::vault::{VaultAnswer, VaultCall};
use crate::{AuditError, LedgerSettings, LogKeys, load_catalogue};

/// How long a home whose lock is held may take to answer: its owner may be recovering, or just leaving.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often an owner that went away is replaced within one call.
const REPLACEMENTS: usize = 5;

/// Records facts. What the rest of Custody holds, without knowing how they are stored.
pub trait Recorder: Send + Sync {
    /// Records a fact; durable when this returns.
    ///
    /// # Errors
    /// [`AuditError::Invalid`] when it is not admitted; why it could not be stored.
    fn record(&self, fact: Fact) -> Result<Receipt, AuditError>;

    /// Records facts next to each other, with one wait for all; each is durable when this returns.
    ///
    /// # Errors
    /// As [`Recorder::record`]; with several, some may be stored all the same.
    fn record_many(&self, facts: Vec<Fact>) -> Result<Vec<Receipt>, AuditError>;
}

/// An open home.
pub struct Session {
    home: PathBuf,
    role: Mutex<Role>,
}

#[derive(Clone)]
enum Role {
    Owner(Arc<Owned>),
    Client(Arc<Client>),
}

/// What the owner holds, in the order in which it is let go: no more requests, then the ledger.
pub(crate) struct Owned {
    pub(crate) server: Mutex<Server>,
    keeper: Mutex<Keeper>,
    pub(crate) owner: Arc<Owner>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.server.get_mut().unwrap_or_else(PoisonError::into_inner).stop();
        self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner).stop();
        self.owner.record_refusals();
    }
}

/// Opens a home that [`crate::create_home`] made: as its owner, or as a client of whoever is.
///
/// # Errors
/// [`AuditError::NoKey`] when it is no home; [`AuditError::Unreachable`] when its owner does not answer; the
/// ledger's reason when it cannot be opened.
pub fn open(home: &Path) -> Result<Session, AuditError> {
    let role = find_role(home)?;
    Ok(Session { home: home.to_owned(), role: Mutex::new(role) })
}

fn find_role(home: &Path) -> Result<Role, AuditError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(client) = Client::connect(home)? {
            return Ok(Role::Client(Arc::new(client)));
        }
        match become_owner(home) {
            Err(AuditError::Ledger(LedgerError::Owned { .. })) => {}
            owned => return Ok(Role::Owner(Arc::new(owned?))),
        }
        if Instant::now() >= deadline {
            return Err(AuditError::Unreachable { home: home.to_owned() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn become_owner(home: &Path) -> Result<Owned, AuditError> {
    let signer = LogKeys::of(home).signer()?;
    let catalogue = load_catalogue(home)?;
    let guard = Guard::of(home, signer.name().to_owned())?;
    // A table that is none is told to whoever asks for it; it must not keep a home closed.
    let segment_bytes = Retention::of(home).unwrap_or_default().segments.size;
    let options = Options { segment_bytes, ..Options::new(signer.name().to_owned(), signer) };
    let (log, recovery) = Log::open(home, options)?;
    LedgerSettings::of(home)?.check_trees(home, log.latest_checkpoint().sm3_root().is_some())?;
    let owner = Arc::new(Owner::new(home, log, &recovery, catalogue, guard)?);
    let server = Mutex::new(Server::start(home, &owner)?);
    let kept = Arc::clone(&owner);
    let keeper = Keeper::start(&owner.index, move |run| run(&kept.log));
    let keeper = Mutex::new(keeper.map_err(|e| AuditError::io("start a thread for", home, e))?);
    Ok(Owned { server, keeper, owner })
}

impl Session {
    pub(crate) fn of_owner(home: &Path, owned: Owned) -> Self {
        Self { home: home.to_owned(), role: Mutex::new(Role::Owner(Arc::new(owned))) }
    }

    /// What the owner holds, when this process is the owner.
    pub(crate) fn owned(&self) -> Option<Arc<Owned>> {
        match &*self.lock() {
            Role::Owner(owned) => Some(Arc::clone(owned)),
            Role::Client(_) => None,
        }
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Whether this process owns the home.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        matches!(*self.lock(), Role::Owner(_))
    }

    /// Offers events, JSON documents as `docs/formats/event.md` says; answered by [`Pending::wait`]. Several
    /// batches may be on their way.
    ///
    /// # Errors
    /// Why they could not be offered. Nothing of them is stored then, or it is safe to offer them again.
    pub fn submit(&self, offered: Vec<Vec<u8>>) -> Result<Pending<'_>, AuditError> {
        let offered = Arc::new(offered); // a client keeps it until it is answered
        let kind = self.with_role(|role| match role {
            Role::Owner(owned) => {
                let submitted = owned.owner.submit(&offered, &owned.owner.me)?;
                Ok(Kind::Local { owner: Arc::clone(&owned.owner), submitted })
            }
            Role::Client(client) => {
                let slots = client.submit(&offered)?;
                Ok(Kind::Remote { client: Arc::clone(client), slots, offered: Arc::clone(&offered) })
            }
        })?;
        Ok(Pending { session: self, kind })
    }

    /// Offers events and waits for the answers.
    ///
    /// # Errors
    /// As [`Session::submit`] and [`Pending::wait`].
    pub fn offer(&self, offered: Vec<Vec<u8>>) -> Result<Vec<Verdict>, AuditError> {
        self.submit(offered)?.wait()
    }

    /// Once more, to the next owner: ids make it safe.
    pub(crate) fn offer_again(
        &self,
        gone: &Arc<Client>,
        offered: Vec<Vec<u8>>,
    ) -> Result<Vec<Verdict>, AuditError> {
        self.replace(&Role::Client(Arc::clone(gone)))?;
        self.offer(offered)
    }

    /// How the ledger stands.
    ///
    /// # Errors
    /// When the owner cannot be asked.
    pub fn status(&self) -> Result<Status, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => Ok(owned.owner.status()),
            Role::Client(client) => client.status(),
        })
    }

    /// Puts everything durable under a checkpoint, and gives the signed note.
    ///
    /// # Errors
    /// Why it cannot be published.
    pub fn checkpoint(&self) -> Result<String, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.checkpoint(),
            Role::Client(client) => client.checkpoint(),
        })
    }

    /// An event with its inclusion proof, under a checkpoint that is published if none covers it yet.
    ///
    /// # Errors
    /// [`AuditError::NotFound`] when there is none.
    pub fn prove(&self, selector: &Selector) -> Result<Proof, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.prove(selector),
            Role::Client(client) => client.prove(selector),
        })
    }

    /// That the ledger, published now, extends what it was when it had `old` events.
    ///
    /// # Errors
    /// When it never had so many.
    pub fn prove_consistency(&self, old: u64) -> Result<String, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.prove_consistency(old),
            Role::Client(client) => client.prove_consistency(old),
        })
    }

    /// What may go and what is due, by the home's table of retention. `confirm_clock` first records that the clock is
    /// right, where it is doubted.
    ///
    /// # Errors
    /// [`AuditError::Retention`] when the table is none; when the owner cannot be asked.
    pub fn retention(&self, confirm_clock: bool) -> Result<Report, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.retention(confirm_clock, &owned.owner.me),
            Role::Client(client) => client.retention(confirm_clock),
        })
    }

    /// Carries out the table of retention once: segments are ended, compressed, made immutable and archived, and what may
    /// go is removed. With `dry_run` only says what would be removed.
    ///
    /// # Errors
    /// [`AuditError::Retention`]; when files cannot be written; when the owner cannot be asked.
    pub fn apply_retention(&self, orders: Orders) -> Result<Applied, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.apply_retention(orders, &[], &owned.owner.me),
            Role::Client(client) => client.apply_retention(orders),
        })
    }

    /// Asks something of the home's vault. What is done is recorded by the owner, with this process's credentials.
    ///
    /// # Errors
    /// [`AuditError::Vault`], and [`AuditError::Remote`] when the owner is another process.
    pub fn vault(&self, call: &VaultCall) -> Result<VaultAnswer, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.vault_call(call.clone(), &owned.owner.me),
            Role::Client(client) => client.vault(call),
        })
    }

    /// Whether a durable event with this `ctx.trace_id` came in within the time given (at most an hour). Indexed, in
    /// memory; an id that a million newer ones pushed out counts as not seen.
    ///
    /// # Errors
    /// When the owner cannot be asked.
    pub fn trace_seen(&self, id: &str, within: Duration) -> Result<bool, AuditError> {
        self.with_role(|role| match role {
            Role::Owner(owned) => owned.owner.trace_seen(id, within),
            Role::Client(client) => client.trace_seen(id, within),
        })
    }

    /// Events that producers of rings lost since this process opened the home, by their own count; 0 where another
    /// process is the owner. The ledger names them second by second (`LEDGER.RING.LOST`).
    #[must_use]
    pub fn producer_losses(&self) -> u64 {
        match &*self.lock() {
            Role::Owner(owned) => owned.owner.rings.dropped(),
            Role::Client(_) => 0,
        }
    }

    /// Gives `sink` what is durable and meets the filter, one after another.
    ///
    /// # Errors
    /// [`AuditError::Request`] for a filter without form; what `sink` answers.
    pub fn query(
        &self,
        filter: &Filter,
        sink: &mut dyn FnMut(Found) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        self.resume(filter.clone(), sink, &mut |role, filter, sink| match role {
            Role::Owner(owned) => owned.owner.query(filter, sink),
            Role::Client(client) => client.stream(filter, false, &|| true, sink, &mut || Ok(())),
        })
    }

    /// As [`Session::query`], and then what comes, for as long as `wanted`; `idle` is called several times a second.
    /// Without [`Filter::from`], only what comes.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub fn follow(
        &self,
        filter: &Filter,
        wanted: &dyn Fn() -> bool,
        sink: &mut dyn FnMut(Found) -> Result<(), AuditError>,
        idle: &mut dyn FnMut() -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let from = filter.from.map_or_else(|| self.status().map(|status| status.durable), Ok)?;
        let filter = Filter { from: Some(from), reverse: false, ..filter.clone() };
        self.resume(filter, sink, &mut |role, filter, sink| match role {
            Role::Owner(owned) => owned.owner.follow(filter, wanted, sink, idle),
            Role::Client(client) => client.stream(filter, true, wanted, sink, idle),
        })
    }

    /// Reads; when the owner goes away in the middle, goes on with the next one behind what was given already.
    fn resume(
        &self,
        mut filter: Filter,
        sink: &mut Sink<'_>,
        read: &mut dyn FnMut(&Role, &Filter, &mut Sink<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let mut fruitless = 0;
        loop {
            let role = self.role();
            let asked = filter.clone();
            let mut counted = |found: Found| {
                filter.advance(found.index);
                fruitless = 0;
                sink(found)
            };
            match read(&role, &asked, &mut counted) {
                Err(AuditError::Gone) if fruitless < REPLACEMENTS => self.replace(&role)?,
                ended => return ended,
            }
            fruitless += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Role> {
        self.role.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn role(&self) -> Role {
        self.lock().clone()
    }

    /// Asks whoever owns the home; when that one went away, whoever is next.
    fn with_role<T>(&self, ask: impl Fn(&Role) -> Result<T, AuditError>) -> Result<T, AuditError> {
        for _ in 0..REPLACEMENTS {
            let role = self.role();
            match ask(&role) {
                Err(AuditError::Gone) => self.replace(&role)?,
                answer => return answer,
            }
        }
        Err(AuditError::Gone)
    }

    /// Finds the next owner, unless another caller did already.
    fn replace(&self, gone: &Role) -> Result<(), AuditError> {
        let mut role = self.lock();
        let same = match (&*role, gone) {
            (Role::Client(a), Role::Client(b)) => Arc::ptr_eq(a, b),
            (Role::Owner(a), Role::Owner(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        if same {
            *role = find_role(&self.home)?;
        }
        Ok(())
    }
}

impl Recorder for Session {
    fn record(&self, fact: Fact) -> Result<Receipt, AuditError> {
        let receipts = self.record_many(vec![fact])?;
        receipts.first().copied().ok_or_else(|| AuditError::protocol("no verdict for an event"))
    }

    fn record_many(&self, facts: Vec<Fact>) -> Result<Vec<Receipt>, AuditError> {
        let verdicts = self.offer(documents(facts)?)?;
        verdicts.into_iter().map(|verdict| verdict.map_err(AuditError::Invalid)).collect()
    }
}
