//! Recovery from what a crash may leave behind, and the proof that these tests see a missing sync.

use std::sync::Arc;

use signing::Ed25519Signer;
use signing::note::NoteSigner;

use crate::storage::sim::{Fault, Mark, Sim, Unit};
use crate::storage::{Site, Storage as _};
use crate::verify::verify_storage;
use crate::{LedgerError, Log, Options, SignedCheckpoint, VerifyOptions};

const ORIGIN: &str = "log.example/crash";

/// A key as PKCS #8 text.
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new() -> Self {
        Self(Ed25519Signer::generate().unwrap().to_pkcs8_pem().unwrap().to_string())
    }

    fn signer(&self) -> NoteSigner {
        NoteSigner::new(ORIGIN, Ed25519Signer::from_pkcs8_pem(&self.0).unwrap()).unwrap()
    }

    pub(crate) fn open(&self, sim: &Sim) -> Result<(Log, crate::Recovery), LedgerError> {
        let options = Options {
            create: true,
            publish_every: None,
            segment_bytes: 7 << 10,
            ..Options::new(ORIGIN, self.signer())
        };
        Log::start(Arc::new(sim.clone()), options, None)
    }

    fn verify(&self, sim: &Sim) -> Result<crate::Report, String> {
        let report =
            verify_storage(sim, &self.signer().verifier(), &VerifyOptions::default(), &mut |_, _| ());
        report.map_err(|error| format!("verify: {error}"))
    }
}

/// Leaf `i`: unlike any other, a few of them longer than a sector.
pub(crate) fn leaf(i: u64) -> Vec<u8> {
    let padding = if i % 50 == 7 { 700 } else { (i % 5) as usize };
    format!("leaf {i} {}", "x".repeat(padding)).into_bytes()
}

fn append(log: &Log, sim: &Sim, count: u64) {
    let from = log.size();
    let range = log.append((from..from + count).map(leaf).collect()).unwrap();
    sim.mark(Mark::Acknowledged(range.end));
}

fn publish(log: &Log, sim: &Sim) {
    sim.mark(Mark::Published(log.publish().unwrap()));
}

/// Removes the oldest segment, if it is closed.
pub(crate) fn prune(log: &Log, sim: &Sim) -> Option<u64> {
    let oldest = log.segments().ok()?.first().cloned()?;
    sim.mark(Mark::Pruning(oldest.end));
    log.prune(oldest.end).ok()
}

/// A life of a log: partial tiles that grow, a tile that becomes full, several WAL segments, leaves left
/// unpublished; one segment compressed, the oldest one pruned. Every sync site of normal work is passed.
fn live(key: &Key, sim: &Sim) {
    let (log, _) = key.open(sim).unwrap();
    append(&log, sim, 3);
    append(&log, sim, 1);
    publish(&log, sim);
    append(&log, sim, 130);
    append(&log, sim, 118);
    publish(&log, sim);
    append(&log, sim, 2);
    append(&log, sim, 3);
    publish(&log, sim);
    log.compress(0, crate::Form::Zstd).unwrap();
    append(&log, sim, 4);
    append(&log, sim, 60);
    publish(&log, sim);
    prune(&log, sim);
    append(&log, sim, 1);
    // The process ends here without its last words: what it would still write belongs to no image.
    let end = sim.points();
    drop(log);
    sim.cut(end);
}

/// What must hold of a disk after a crash.
pub(crate) fn check(key: &Key, image: &Sim, marks: &[Mark]) -> Result<(), String> {
    let acknowledged = marks.iter().filter_map(|mark| match mark {
        Mark::Acknowledged(end) => Some(*end),
        Mark::Published(_) | Mark::Pruning(_) => None,
    });
    let acknowledged = acknowledged.max().unwrap_or(0);
    let pruning = marks.iter().filter_map(|mark| if let Mark::Pruning(to) = mark { Some(*to) } else { None });
    let pruned = pruning.max().unwrap_or(0);
    if !marks.is_empty() {
        // Also before anyone repairs it: a crash is not damage.
        let report = key.verify(image)?;
        if !report.holds() {
            return Err(format!("before opening: {}", report.damage[0]));
        }
    }
    let (log, _) = key.open(image).map_err(|error| format!("open: {error}"))?;
    let size = log.durable_size();
    if size < acknowledged {
        return Err(format!("{acknowledged} leaves were acknowledged, {size} are there"));
    }
    let minimum = log.minimum();
    if minimum > pruned {
        return Err(format!("entries below {minimum} are gone; up to {pruned} was asked for"));
    }
    for (i, entry) in (minimum..).zip(log.entries(minimum..size)) {
        if entry.map_err(|error| format!("read {i}: {error}"))? != leaf(i) {
            return Err(format!("entry {i} is another"));
        }
    }
    log.append(vec![leaf(size)]).map_err(|error| format!("append: {error}"))?;
    let latest = log.publish().map_err(|error| format!("publish: {error}"))?;
    for mark in marks {
        if let Mark::Published(old) = mark {
            extends(&log, old, &latest)?;
        }
    }
    drop(log);
    let report = key.verify(image)?;
    let whole = report.holds() && report.unpublished == 0 && report.unfinished.is_none();
    if whole { Ok(()) } else { Err(format!("after opening: {report:?}")) }
}

fn extends(log: &Log, old: &SignedCheckpoint, latest: &SignedCheckpoint) -> Result<(), String> {
    let proof = log.prove_consistency(old.size()).map_err(|error| format!("consistency: {error}"))?;
    proof.verify(&old.checkpoint, &latest.checkpoint).map_err(|error| format!("from {}: {error}", old.size()))
}

/// A small generator: the images are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Choices of what a crash keeps: all subsets of a few units; of many, none, all, each alone, all but each, and
/// `random` others.
fn choices(units: &[Unit], random: usize, dice: &mut Dice) -> Vec<Vec<Unit>> {
    if units.len() <= 4 {
        let subset = |bits: u32| {
            let kept = units.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
            kept.map(|(_, unit)| *unit).collect()
        };
        return (0..1 << units.len()).map(subset).collect();
    }
    let mut out = vec![Vec::new(), units.to_vec()];
    // Where hundreds of sectors are volatile, some of them stand for all.
    let step = units.len().div_ceil(24);
    for unit in units.iter().step_by(step) {
        out.push(vec![*unit]);
        out.push(units.iter().copied().filter(|other| other != unit).collect());
    }
    for _ in 0..random {
        let odds = 1 + dice.roll() % 7;
        out.push(units.iter().copied().filter(|_| dice.roll() % 8 < odds).collect());
    }
    out
}

/// Checks the images of every `stride`-th crash from `first` on; answers how many there were, or the first failure.
fn enumerate(key: &Key, sim: &Sim, first: usize, stride: usize, random: usize) -> Result<usize, String> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut images = 0;
    for point in (first..=sim.points()).step_by(stride) {
        let marks = sim.marks(point);
        for kept in choices(&sim.volatile(point), random, &mut dice) {
            let image = sim.crash(point, &kept);
            check(key, &image, &marks).map_err(|why| format!("crash at {point}, kept {kept:?}: {why}"))?;
            images += 1;
        }
    }
    Ok(images)
}

#[test]
fn every_crash_image_of_a_life_recovers() {
    let (key, sim) = (Key::new(), Sim::new());
    live(&key, &sim);
    let images = enumerate(&key, &sim, 0, 1, 4).unwrap();
    println!("{images} images");
    assert!(images > 1300, "only {images} images");
}

/// A crash while recovering from a crash, with `stride` between the first crashes.
fn crashes_twice(key: &Key, sim: &Sim, stride: usize) -> Result<usize, String> {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut images = 0;
    for point in (0..=sim.points()).step_by(stride) {
        let volatile = sim.volatile(point);
        let kept: Vec<Unit> = volatile.into_iter().filter(|_| dice.roll().is_multiple_of(2)).collect();
        let next = sim.crash(point, &kept);
        next.disable(sim.disabled());
        sim.marks(point).into_iter().for_each(|mark| next.mark(mark));
        let first = next.points();
        images += second_life(key, &next)
            .and_then(|()| enumerate(key, &next, first, 3, 1))
            .map_err(|why| format!("after a first crash at {point}: {why}"))?;
    }
    Ok(images)
}

/// A kill at every point, which loses nothing and makes nothing durable; the next owner opens the home; then a
/// crash, which loses what neither of the two has synced.
fn crashes_after_kills(key: &Key, sim: &Sim) -> Result<usize, String> {
    let mut images = 0;
    for point in 0..=sim.points() {
        let next = sim.kill(point);
        let (log, _) = key.open(&next).map_err(|error| format!("open after a kill at {point}: {error}"))?;
        let opened = next.points();
        drop(log);
        next.cut(opened);
        images +=
            enumerate(key, &next, opened, 1, 0).map_err(|why| format!("after a kill at {point}: {why}"))?;
    }
    Ok(images)
}

fn second_life(key: &Key, sim: &Sim) -> Result<(), String> {
    let (log, _) = key.open(sim).map_err(|error| format!("open: {error}"))?;
    append(&log, sim, 2);
    let end = sim.points();
    drop(log);
    sim.cut(end);
    Ok(())
}

#[test]
fn a_crash_after_a_crash_recovers() {
    let (key, sim) = (Key::new(), Sim::new());
    live(&key, &sim);
    let images = crashes_twice(&key, &sim, 17).unwrap();
    assert!(images > 300, "only {images} images");
}

#[test]
fn a_crash_after_a_kill_recovers() {
    let (key, sim) = (Key::new(), Sim::new());
    live(&key, &sim);
    let images = crashes_after_kills(&key, &sim).unwrap();
    assert!(images > 900, "only {images} images");
}

#[test]
fn taking_away_any_sync_is_noticed() {
    for site in Site::ALL {
        let (key, sim) = (Key::new(), Sim::new());
        sim.disable(Some(site));
        live(&key, &sim);
        let found = enumerate(&key, &sim, 0, 1, 4).and_then(|_| crashes_after_kills(&key, &sim));
        let why = found.expect_err(&format!("no crash image fails without the sync of {site:?}"));
        println!("{site:?}: {why}");
    }
}

/// The record does not fit the segment that is open, so that a new one is begun.
const LONG: usize = 9000;

#[test]
fn a_failed_sync_stops_the_writer_and_opening_again_goes_on() {
    let sites = [
        Site::SegmentHeader,
        Site::SegmentName,
        Site::Records,
        Site::Hashes,
        Site::HashNames,
        Site::CheckpointContents,
        Site::CheckpointName,
    ];
    for site in sites {
        let (key, sim) = (Key::new(), Sim::new());
        let (log, _) = key.open(&sim).unwrap();
        append(&log, &sim, 5);
        sim.inject(Some(Fault::Sync(site)));
        let failed = match site {
            Site::Records => log.append(vec![leaf(5)]).map(|_| ()),
            Site::SegmentHeader | Site::SegmentName => log.append(vec![vec![0; LONG]]).map(|_| ()),
            _ => log.publish().map(|_| ()),
        };
        assert!(failed.is_err(), "{site:?}");
        sim.inject(None);
        let later = log.append(vec![leaf(5)]);
        assert!(matches!(later, Err(LedgerError::Poisoned { .. })), "{site:?}: {later:?}");
        if !matches!(site, Site::SegmentHeader | Site::SegmentName | Site::Records) {
            assert!(matches!(log.publish(), Err(LedgerError::Poisoned { .. })), "{site:?}");
        }
        let failed_at = sim.points();
        drop(log); // tries to publish what it still may
        enumerate(&key, &sim, failed_at, 1, 8).unwrap();
        check(&key, &sim.kill(sim.points()), &sim.marks(sim.points())).unwrap();
    }
}

#[test]
fn a_full_disk_is_said_and_passes() {
    let (key, sim) = (Key::new(), Sim::new());
    let (log, _) = key.open(&sim).unwrap();
    append(&log, &sim, 5);
    sim.inject(Some(Fault::Full));
    assert!(matches!(log.publish(), Err(LedgerError::Full { .. })));
    sim.inject(Some(Fault::FullMidway));
    assert!(matches!(log.publish(), Err(LedgerError::Full { .. })), "and again, with files cut short");
    sim.inject(Some(Fault::Full));
    let long = vec![vec![b'x'; 8000]];
    assert!(matches!(log.append(long), Err(LedgerError::Full { .. })), "no space for the next segment");
    sim.inject(None);
    append(&log, &sim, 5);
    publish(&log, &sim);
    drop(log);
    assert!(key.verify(&sim).unwrap().holds());
    check(&key, &sim, &sim.marks(sim.points())).unwrap();

    let (log, _) = key.open(&sim).unwrap();
    let size = log.size();
    append(&log, &sim, 1);
    sim.inject(Some(Fault::FullMidway));
    let cut = log.append(vec![leaf(size + 1)]);
    assert!(matches!(cut, Err(LedgerError::Full { .. })), "half a record: {cut:?}");
    sim.inject(None);
    append(&log, &sim, 1);
    drop(log);
    check(&key, &sim, &sim.marks(sim.points())).unwrap();
}

/// Segments left by an owner that was killed, with the places of their records.
fn killed_with_records(key: &Key, sim: &Sim) -> String {
    let (log, _) = key.open(sim).unwrap();
    for count in [1, 2, 3] {
        append(&log, sim, count);
    }
    let end = sim.points();
    drop(log);
    sim.cut(end);
    crate::segment::segment_path(0, crate::Form::Plain)
}

#[test]
fn a_damaged_record_before_others_is_an_error_and_a_damaged_last_one_is_torn() {
    let key = Key::new();
    let first_record = crate::segment::record::FIRST_RECORD;
    let torn_at = |at: usize| {
        let sim = Sim::new();
        let segment = killed_with_records(&key, &sim);
        sim.corrupt(&segment, at);
        let size = sim.read(&segment).unwrap().iter().rposition(|&b| b != 0).unwrap();
        (key.open(&sim).map(|(log, recovery)| (log.size(), recovery)), size)
    };
    let last = torn_at(0).1;
    for at in [first_record, first_record + 8, first_record + 33, 0, 20, 33] {
        let (opened, _) = torn_at(at);
        assert!(matches!(opened, Err(LedgerError::WalDamaged { .. })), "byte {at}");
    }
    let (opened, _) = torn_at(last - 2);
    let (size, recovery) = opened.unwrap();
    assert_eq!((size, recovery.replayed), (3, 3), "the last record had leaves 3..6");
    let torn = recovery.torn.unwrap();
    assert_eq!(torn.index, 3);
    assert!(torn.offset > first_record as u64);
}

#[test]
fn a_client_cannot_forge_a_record_inside_a_leaf() {
    // Bytes of a real record of another segment, offered as a leaf, then torn around: never taken for a record.
    let (key, other, sim) = (Key::new(), Sim::new(), Sim::new());
    let segment = killed_with_records(&key, &other);
    let first_record = crate::segment::record::FIRST_RECORD;
    let forged = other.read(&segment).unwrap()[first_record..][..600].to_vec();
    let (log, _) = key.open(&sim).unwrap();
    log.append(vec![forged]).unwrap();
    let end = sim.points();
    drop(log);
    sim.cut(end);
    sim.corrupt(&segment, first_record + 4);
    let (_, recovery) = key.open(&sim).unwrap();
    assert!(recovery.torn.is_some());
}
