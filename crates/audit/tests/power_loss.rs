//! The loss of power, and the death of the owner, at every system call of an erasure and of a pruning.
//!
//! A victim does the act under strace. What it wrote, synced, renamed and removed is played back call by call
//! (`power_loss/disk.rs`); after each, every disk that a crash could leave there is opened by a new owner. It must prove
//! every receipt, verify, keep closed what was said to be erased and open what was not; and it must end what was begun.
//!
//! Each sync is then forgotten in turn. Those that a promise hangs on must be missed: a test that passes without them shows
//! nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]
#![cfg(target_os = "linux")]

#[path = "power_loss/disk.rs"]
mod disk;
#[path = "power_loss/trace.rs"]
mod trace;

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use audit::retention::Orders;
use audit::vault::{Subject, VaultAnswer, VaultCall};
use audit::{Filter, LogKeys, Selector, Session};
use disk::{Disk, Image};
use tlog::{Checkpoint, InclusionProof, Sha256, TreeHash as _};
use trace::Call;

/// What the victim is to do: `<act> <home>`.
const VICTIM: &str = "CUSTODY_POWER_LOSS";
const POLICY: &str = "version = 1\npolicy = 1\n\
    [[rule]]\nname = \"mobile\"\nfields = [\"ctx.phone\"]\nsubject = \"customer=sub.customer\"\naction = \"sm4-gcm\"\n";
/// Small segments, so that images are small; nothing that only some machines can do.
const SEGMENTS: &str = "[segments]\nsize = \"64KB\"\ncompression = \"none\"\nprotect = false\n";
const PHONE: &str = "13856781234";

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes()).and_then(|()| output.flush()).unwrap();
}

fn event(customer: &str) -> Vec<u8> {
    format!(
        concat!(
            r#"{{"id":"{:08x}-0000-4000-8000-000000000000","ts":"2026-01-10T08:30:45Z","severity":"INFO","#,
            r#""sub":{{"customer":"{}"}},"act":"PAYMENT.CREATED","ctx":{{"phone":"{}"}}}}"#
        ),
        customer.bytes().fold(0u32, |sum, byte| sum << 8 | u32::from(byte)),
        customer,
        PHONE
    )
    .into_bytes()
}

fn record(session: &Session, customer: &str) -> u64 {
    session.offer(vec![event(customer)]).unwrap().remove(0).unwrap().index
}

fn erasure(customer: &str) -> VaultCall {
    let subject = Subject { kind: "customer".into(), id: customer.into() };
    VaultCall::Erase { subject, reason: "asked".into(), dry_run: false }
}

/// Not a test by itself: the process that loses its machine.
#[test]
fn victim() {
    let Ok(order) = std::env::var(VICTIM) else { return };
    let (act, home) = order.split_once(' ').unwrap();
    let session = audit::own(Path::new(home)).unwrap();
    match act {
        "record" => drop(["ab", "cd"].map(|customer| record(&session, customer))),
        "erase" => {
            session.vault(&erasure("ab")).unwrap();
            say("\nerased\n");
            say(&format!("\nreceipt {}\n", record(&session, "ef")));
        }
        "prune" => {
            let applied = session.apply_retention(Orders { dry_run: false, prune: true }).unwrap();
            say(&format!("\npruned {}\n", applied.pruned.map_or(0, |pruned| pruned.before)));
        }
        other => panic!("{other}"),
    }
}

/// A folder with a home in it, and beside it the key that closes its vault.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// For a disk that was lost already: it need not survive another loss.
    fn in_memory() -> Self {
        tempfile::tempdir_in("/dev/shm").map_or_else(|_| Self::new(), Self)
    }

    fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    /// Has the victim do something, at a made-up time when one is given.
    fn run(&self, act: &str, command: Command, time: Option<&str>) {
        let mut command = match time {
            None => command,
            Some(time) => {
                let mut faked = Command::new("faketime");
                faked.args(["--exclude-monotonic", time]).arg(command.get_program()).args(command.get_args());
                faked
            }
        };
        command.args(["--exact", "victim", "--nocapture", "--test-threads=1"]);
        command.env(VICTIM, format!("{act} {}", self.home().display())).env("TZ", "UTC");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{act}: {output:?}");
    }

    /// As [`Place::run`]; answers the disk before it, and every call that it made.
    fn traced(&self, act: &str, time: Option<&str>) -> (Disk, Vec<Call>) {
        let (before, log) = (Disk::of(&self.root()), tempfile::NamedTempFile::new().unwrap());
        self.run(act, trace::traced(&me(), log.path()), time);
        (before, trace::read(&std::fs::read_to_string(log.path()).unwrap()))
    }
}

fn me() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// Whether this machine has what is needed; said aloud when it has not.
fn ready(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    let why = missing.map(|tool| format!("no {tool}")).or((!trace::can_trace()).then(|| "no tracing".into()));
    if let Some(why) = &why {
        eprintln!("SKIPPED: {why} (scripts/setup.sh installs strace and faketime)");
    }
    why.is_none()
}

/// What is demanded of a home after a crash.
trait Promise {
    /// On the disk as it was found, when the victim had said `said`; nothing when it was kept.
    fn broken_on_disk(&self, image: &Image, said: &str) -> Option<String>;
    /// By the next owner.
    fn broken_after(&self, place: &Place, said: &str) -> Result<(), String>;
}

/// Plays the calls back. Without a sync to forget, every disk that a crash may leave must keep the promise. With one,
/// answers what it was a sync of, and how the promise was broken.
fn play(
    promise: &dyn Promise,
    mut disk: Disk,
    calls: &[Call],
    kept: &mut HashSet<u64>,
    forget: Option<usize>,
) -> (usize, Option<(String, String)>) {
    let (mut syncs, mut forgotten, mut images) = (0, String::new(), 0);
    for call in calls {
        let of = disk.apply(call, forget == Some(syncs));
        if let Some(of) = of {
            forgotten = if forget == Some(syncs) { of } else { forgotten };
            syncs += 1;
        }
        let relevant =
            !matches!(call, Call::Open { .. } | Call::Close { .. } | Call::Seek { .. } | Call::Dup { .. });
        if !relevant || (forget.is_some() && forgotten.is_empty()) {
            continue;
        }
        for image in disk.images() {
            let mut hash = DefaultHasher::new();
            (&image, &disk.said).hash(&mut hash);
            if !kept.insert(hash.finish()) {
                continue;
            }
            images += 1;
            let Some(why) = broken(promise, &image, &disk.said) else { continue };
            if forget.is_some() {
                return (syncs, Some((forgotten, why)));
            }
            let names: Vec<_> = image.iter().map(|(n, b)| (n, b.as_ref().map(Vec::len))).collect();
            panic!("after {call:?}, where {:?} was said: {why}\n{names:?}", disk.said);
        }
    }
    if forget.is_none() {
        println!("{} calls, {syncs} syncs, {images} different disks", calls.len());
    }
    (syncs, (!forgotten.is_empty()).then(|| (forgotten, String::new())))
}

fn broken(promise: &dyn Promise, image: &Image, said: &str) -> Option<String> {
    if let Some(why) = promise.broken_on_disk(image, said) {
        return Some(why);
    }
    let place = Place::in_memory();
    disk::place(image, &place.root());
    promise.broken_after(&place, said).err()
}

/// That every disk keeps the promise, and that each sync of `needed` is missed when it is forgotten.
fn check(promise: &dyn Promise, (before, calls): (Disk, Vec<Call>), needed: &[&str]) {
    let mut kept = HashSet::new();
    let (syncs, _) = play(promise, before.clone(), &calls, &mut kept, None);
    let mut missed = BTreeSet::new();
    for forget in 0..syncs {
        match play(promise, before.clone(), &calls, &mut kept, Some(forget)).1 {
            Some((of, why)) if !why.is_empty() => {
                println!("without sync {forget}, of {of}: {why}");
                missed.insert(of);
            }
            Some((of, _)) => println!("without sync {forget}, of {of}: nothing is lost"),
            None => {}
        }
    }
    for of in needed {
        assert!(missed.contains(*of), "nobody misses the sync of {of}: {missed:?}");
    }
}

/// Every receipt that the victim gave, those of before included, is proved under the log's key.
fn prove(home: &Path, session: &Session, receipts: &[u64]) -> Result<(), String> {
    let key = LogKeys::of(home).verifier().unwrap();
    for index in receipts {
        let proof = session.prove(&Selector::Index(*index)).map_err(|e| format!("receipt {index}: {e}"))?;
        let parsed = InclusionProof::parse(&proof.proof).map_err(|e| e.to_string())?;
        let text = key.open(&parsed.note).map_err(|e| e.to_string())?.text;
        let checkpoint = Checkpoint::parse(&text).map_err(|e| e.to_string())?;
        parsed.verify(&Sha256::leaf(proof.event.as_bytes()), &checkpoint).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn leaves(session: &Session, act: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let filter = Filter { act: Some(act.into()), ..Filter::default() };
    let sink = &mut |one: audit::Found| {
        found.push(String::from_utf8(one.stored).unwrap());
        Ok(())
    };
    session.query(&filter, sink).map_err(|e| e.to_string())?;
    Ok(found)
}

/// Numbers that were said after a word, on whole lines.
fn said(text: &str, word: &str) -> Vec<u64> {
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}

fn verify(home: &Path, earlier: &str) -> Result<(), String> {
    let found = audit::verify(home, Some(earlier.to_owned()), &mut |_, _| ()).map_err(|e| e.to_string())?;
    if found.holds() { Ok(()) } else { Err(format!("{found:?}")) }
}

/// Of two customers one is erased.
struct Erasing {
    /// The indices of their events: of the one that goes, and the one that stays.
    going: u64,
    staying: u64,
    /// The key that closed the vault before, as it stands in its file.
    old_key: String,
    /// The checkpoint of before.
    note: String,
}

impl Erasing {
    fn begin(place: &Place) -> Self {
        audit::create_home(&place.home(), "test").unwrap();
        std::fs::write(place.home().join("redaction.toml"), POLICY).unwrap();
        std::fs::write(place.home().join("retention.toml"), format!("version = 1\nregimes = []\n{SEGMENTS}"))
            .unwrap();
        place.run("record", Command::new(me()), None);
        let session = audit::own(&place.home()).unwrap();
        let [going, staying] = [0, 1].map(|at| {
            let mut found = Vec::new();
            let filter = Filter { act: Some("PAYMENT.CREATED".into()), ..Filter::default() };
            let sink = &mut |one: audit::Found| {
                found.push(one.index);
                Ok(())
            };
            session.query(&filter, sink).unwrap();
            found[at]
        });
        let note = session.checkpoint().unwrap();
        drop(session);
        let kek = std::fs::read_to_string(place.root().join("home.kek")).unwrap();
        let old_key = kek.lines().last().unwrap().split(' ').next_back().unwrap().to_owned();
        assert_eq!(old_key.len(), 32);
        Self { going, staying, old_key, note }
    }

    fn opens(session: &Session, index: u64) -> Result<bool, String> {
        let call = VaultCall::Reveal { reason: "test".into(), indices: vec![index] };
        match session.vault(&call).map_err(|e| format!("reveal {index}: {e}"))? {
            VaultAnswer::Revealed(shown) => Ok(shown[0].event.contains(PHONE)),
            other => Err(format!("{other:?}")),
        }
    }

    /// A file in which the key still stands that yesterday's copy of the vault opens with.
    fn old_key_in(&self, image: &Image) -> Option<String> {
        let holds = |bytes: &Vec<u8>| bytes.windows(32).any(|window| window == self.old_key.as_bytes());
        let found = image.iter().find(|(_, content)| content.as_ref().is_some_and(holds));
        found.map(|(name, _)| format!("the key of the old vault stands in {}", name.display()))
    }
}

impl Promise for Erasing {
    fn broken_on_disk(&self, image: &Image, said: &str) -> Option<String> {
        if said.contains("\nerased\n") { self.old_key_in(image) } else { None }
    }

    fn broken_after(&self, place: &Place, text: &str) -> Result<(), String> {
        let session = audit::own(&place.home()).map_err(|e| format!("cannot be opened: {e:?}"))?;
        let mut open = Self::opens(&session, self.going)?;
        if !Self::opens(&session, self.staying)? {
            return Err("who was not erased is".into());
        }
        let told = leaves(&session, "ERASURE.DESTROYED")?.len();
        if open == (told > 0) {
            return Err(format!("it opens: {open}, and {told} leaves say that it is destroyed"));
        }
        if text.contains("\nerased\n") && open {
            return Err("what was erased opens".into());
        }
        // Whoever asked and had no answer asks again.
        if open {
            session.vault(&erasure("ab")).map_err(|e| format!("it cannot be asked again: {e}"))?;
            open = Self::opens(&session, self.going)?;
        }
        let receipts = [&[self.going, self.staying], &said(text, "receipt ")[..]].concat();
        prove(&place.home(), &session, &receipts)?;
        drop(session);
        let after = Disk::of(&place.root()).images().remove(0);
        match self.old_key_in(&after) {
            _ if open => return Err("it cannot be erased".into()),
            Some(why) => return Err(format!("{why}, after the next owner")),
            None => {}
        }
        verify(&place.home(), &self.note)
    }
}

#[test]
fn an_erasure_is_whole_or_did_not_begin_wherever_the_power_fails() {
    if !ready(&["strace"]) {
        return;
    }
    let place = Place::new();
    let promise = Erasing::begin(&place);
    let traced = place.traced("erase", None);
    check(
        &promise,
        traced,
        &[
            "home/vault/.keys.vault.tmp",
            "home/vault/",
            ".home.kek.tmp",
            "/",
            "home/log/entries/0000000000000000.seg",
        ],
    );
}

/// The oldest of three segments may go.
struct Pruning {
    /// Events that were recorded, all before the pruning.
    receipts: Vec<u64>,
    /// One that goes, with its proof of before.
    proof: String,
    leaf: String,
    note: String,
}

const TABLE: &str = "version = 1\nregimes = []\n[clock]\nstep = \"20000 days\"\n\
    [[regime]]\nname = \"short\"\nminimum = \"1 day\"\n";

impl Pruning {
    fn begin(place: &Place) -> Self {
        audit::create_home(&place.home(), "test").unwrap();
        std::fs::write(place.home().join("retention.toml"), format!("{TABLE}{SEGMENTS}")).unwrap();
        place.run("record", Command::new(me()), Some("2026-01-10 10:00:00"));
        place.run("prune", Command::new(me()), Some("2026-01-11 10:00:00")); // only ends the segment of the day before
        let session = audit::own(&place.home()).unwrap();
        let note = session.checkpoint().unwrap();
        let proved = session.prove(&Selector::Index(1)).unwrap();
        let end = session.status().unwrap().durable;
        Self { receipts: (0..end).collect(), proof: proved.proof, leaf: proved.event, note }
    }

    /// The first event that is there, by the signed checkpoint.
    fn minimum(note: &str) -> u64 {
        note.lines().find_map(|line| line.strip_prefix("minimum ")).map_or(0, |n| n.parse().unwrap())
    }
}

impl Promise for Pruning {
    fn broken_on_disk(&self, _: &Image, _: &str) -> Option<String> {
        None
    }

    fn broken_after(&self, place: &Place, text: &str) -> Result<(), String> {
        let session = audit::own(&place.home()).map_err(|e| format!("cannot be opened: {e:?}"))?;
        let note = session.checkpoint().map_err(|e| e.to_string())?;
        let minimum = Self::minimum(&note);
        if said(text, "pruned ").iter().any(|before| *before != minimum) {
            return Err(format!("{text:?} was said, and the minimum is {minimum}"));
        }
        let there: Vec<u64> = self.receipts.iter().copied().filter(|index| *index >= minimum).collect();
        prove(&place.home(), &session, &there)?;
        let told = leaves(&session, "LEDGER.PRUNED")?;
        if minimum > 0 && !told.iter().any(|leaf| leaf.contains(&format!("\"before\":\"{minimum}\""))) {
            return Err(format!("what is below {minimum} is gone, and no leaf says so: {told:?}"));
        }
        // What was said and not done is done by the next pass; a proof of before stands for ever.
        let pass =
            session.apply_retention(Orders { dry_run: false, prune: true }).map_err(|e| e.to_string())?;
        let now = Self::minimum(&session.checkpoint().map_err(|e| e.to_string())?);
        if now == 0 {
            return Err(format!("the next pass removes nothing: {pass:?}"));
        }
        let proof = InclusionProof::parse(&self.proof).map_err(|e| e.to_string())?;
        let note =
            LogKeys::of(&place.home()).verifier().unwrap().open(&proof.note).map_err(|e| e.to_string())?;
        let then = Checkpoint::parse(&note.text).map_err(|e| e.to_string())?;
        proof.verify(&Sha256::leaf(self.leaf.as_bytes()), &then).map_err(|e| e.to_string())?;
        drop(session);
        verify(&place.home(), &self.note)
    }
}

#[test]
fn a_pruning_is_said_before_it_is_done_wherever_the_power_fails() {
    if !ready(&["strace", "faketime"]) {
        return;
    }
    let place = Place::new();
    let promise = Pruning::begin(&place);
    let traced = place.traced("prune", Some("2026-01-20 10:00:00"));
    let segment = format!("home/log/entries/{:016x}.seg", promise.receipts.len());
    check(&promise, traced, &[&segment, "home/log/checkpoint.next", "home/log/"]);
}
