//! Every call of the write path fails in turn, in every way, while a second thread publishes: what was acknowledged is
//! there afterwards, whatever of the rest a crash keeps, and the log verifies.
//!
//! `CUSTODY_SOAK=1` fails every call until there were 10,000 faults; otherwise a sample.

use crate::crash_tests::{Dice, Key, check, leaf, prune};
use crate::storage::sim::{Failing, Mark, Sim};
use crate::{Form, Log};

/// Batches of a life: within a segment, over its end, over the end of a tile, and one that is longer than a segment.
const BATCHES: [u64; 6] = [3, 1, 130, 118, 7, 200];

/// A life in which something fails. Errors are what its callers would see; they go on where they may.
fn live(key: &Key, sim: &Sim, dice: &mut Dice) {
    let Ok((log, _)) = key.open(sim) else { return };
    std::thread::scope(|scope| {
        scope.spawn(|| (0..3).for_each(|_| drop(log.publish())));
        for batch in BATCHES {
            let batch = 1 + (batch + dice.roll() % 5) % 210;
            if !append(&log, sim, batch) {
                return;
            }
            if dice.roll().is_multiple_of(2)
                && let Ok(published) = log.publish()
            {
                sim.mark(Mark::Published(published));
            }
        }
    });
    let _ = log.roll();
    let first = log.segments().ok().and_then(|segments| segments.first().map(|segment| segment.first));
    let _ = first.map(|first| log.compress(first, Form::Zstd));
    if prune(&log, sim).is_some() {
        let _ = append(&log, sim, 1 + dice.roll() % 5);
    }
}

/// Appends, once more where the failure may pass; whether it goes on.
fn append(log: &Log, sim: &Sim, count: u64) -> bool {
    for _ in 0..2 {
        let from = log.size();
        match log.append((from..from + count).map(leaf).collect()) {
            Ok(range) => {
                sim.mark(Mark::Acknowledged(range.end));
                return true;
            }
            Err(error) if error.may_pass() => {}
            Err(_) => return false,
        }
    }
    false
}

/// What is left after a life, as it is and as crashes may leave it, holds.
fn judge(key: &Key, sim: &Sim, dice: &mut Dice) -> Result<(), String> {
    let end = sim.points();
    let marks = sim.marks(end);
    check(key, &sim.kill(end), &marks).map_err(|why| format!("after a kill: {why}"))?;
    let volatile = sim.volatile(end);
    for kept in
        [Vec::new(), volatile.iter().copied().filter(|_| dice.roll().is_multiple_of(2)).collect::<Vec<_>>()]
    {
        check(key, &sim.crash(end, &kept), &marks)
            .map_err(|why| format!("after a crash that kept {kept:?}: {why}"))?;
    }
    Ok(())
}

#[test]
fn every_call_fails_in_turn() {
    let soak = std::env::var_os("CUSTODY_SOAK").is_some();
    let (wanted, stride) = if soak { (10_000, 1) } else { (150, 5) };
    let (key, mut dice, mut faults) = (Key::new(), Dice::new(0x5851_f42d_4c95_7f2d), 0);
    while faults < wanted {
        let whole = Sim::new();
        live(&key, &whole, &mut dice);
        judge(&key, &whole, &mut dice).unwrap();
        for number in (1 + faults % stride..=whole.calls()).step_by(stride) {
            for failing in Failing::ALL {
                let sim = Sim::new();
                sim.fail_call(number, failing);
                live(&key, &sim, &mut dice);
                judge(&key, &sim, &mut dice)
                    .unwrap_or_else(|why| panic!("call {number} failed by {failing:?}: {why}"));
                faults += 1;
            }
        }
    }
    println!("{faults} faults");
}
