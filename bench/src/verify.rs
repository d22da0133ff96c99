//! Verification against the least that any verification must do: the leaves, in memory already, hashed one after another.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use ledger::{Leaves, Log, Options, Trees, VerifyOptions};
use signing::Ed25519Signer;
use signing::note::NoteSigner;
use tlog::{Frontier, Sha256, TreeHash as _};

use crate::Plan;
use crate::measure::{Row, processor_time};

/// Bytes of a leaf: a compliance event as it is stored.
const LEAF: usize = 330;
const BATCH: u64 = 1000;
const ORIGIN: &str = "log.example/bench";

/// Leaves that a core verifies in a second; and what verifying only the newest hundredth takes of the whole.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let leaves: u64 = if plan.sample { 20_000 } else { 1_000_000 };
    let mut rows = Vec::new();
    for (trees, what) in [
        (Trees::Sha256, "verify a log of 330-byte leaves from its files, SHA-256 tree"),
        (Trees::Both, "the same, both trees"),
    ] {
        let home = tempfile::tempdir_in(".").context("a folder on the disk under test")?;
        let since = make(home.path(), leaves, trees)?;
        rows.push(Row::alternate(
            (what, "SHA-256 of the leaves one by one, in memory", "leaves/CPU s"),
            plan.rounds,
            || Ok((verified(home.path(), VerifyOptions::default(), leaves)?, None)),
            || hashed(leaves),
        )?);
        let newest = VerifyOptions { since: Some(since), ..VerifyOptions::default() };
        rows.push(Row::alternate(
            (&format!("{what}: only the newest hundredth"), "the whole of it", "CPU s"),
            plan.rounds,
            || Ok((leaves as f64 / verified(home.path(), newest.clone(), leaves)?, None)),
            || Ok(leaves as f64 / verified(home.path(), VerifyOptions::default(), leaves)?),
        )?);
    }
    Ok(rows)
}

fn signer() -> Result<NoteSigner> {
    Ok(NoteSigner::new(ORIGIN, Ed25519Signer::from_seed(&[7; 32]))?)
}

fn leaf(number: u64) -> [u8; LEAF] {
    let mut leaf = [b'e'; LEAF];
    leaf[..8].copy_from_slice(&number.to_be_bytes());
    leaf
}

/// A log of so many leaves; the checkpoint before the newest hundredth.
fn make(home: &Path, leaves: u64, trees: Trees) -> Result<String> {
    let options = Options { create: true, trees, ..Options::new(ORIGIN, signer()?) };
    let (log, _) = Log::open(home, options)?;
    let (mut since, mut last) = (String::new(), None);
    for batch in 0..leaves / BATCH {
        if batch == leaves / BATCH * 99 / 100 {
            since = log.publish()?.note.clone();
        }
        let mut offered = Leaves::with_capacity(usize::try_from(BATCH)? * (LEAF + 2));
        (0..BATCH).for_each(|n| offered.push(&leaf(batch * BATCH + n)));
        last = Some(log.submit_leaves(offered)?);
    }
    last.map_or(Ok(0), |ticket| ticket.wait())?;
    log.close()?;
    Ok(since)
}

fn verified(home: &Path, options: VerifyOptions, leaves: u64) -> Result<f64> {
    let used = processor_time()?;
    let report = ledger::verify(home, &signer()?.verifier(), &options, &mut |_, _| ())?;
    ensure!(report.holds(), "the log does not verify: {:?}", report.damage);
    Ok(leaves as f64 / (processor_time()? - used).max(0.001))
}

fn hashed(leaves: u64) -> Result<f64> {
    let used = processor_time()?;
    let mut tree = Frontier::<Sha256>::new();
    (0..leaves).for_each(|number| tree.push(Sha256::leaf(&leaf(number))));
    ensure!(tree.root() != Sha256::empty(), "a tree of leaves has a root of its own");
    Ok(leaves as f64 / (processor_time()? - used).max(0.001))
}
