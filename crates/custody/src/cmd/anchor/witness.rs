//! The home's ledger as witnesses see it, and the keys of both.

use std::path::Path;

use anchor::witness::{Ledger, WitnessKey};
use anchor::{AnchorError, Order};
use audit::{Filter, Selector};
use signing::note::NoteVerifier;
use tlog::{ConsistencyProof, Hash};

use super::{failure, read};
use crate::cmd::Context;
use crate::failure::Failure;

/// Bytes of a file with a key.
const MAX_KEY: usize = 4096;

/// The ledger of the context's home.
pub(super) struct OwnLedger<'a>(pub(super) &'a Context);

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = read(path, MAX_KEY)?;
    let first = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
    Ok(first)
}

/// The public key of a witness.
pub(super) fn read_key(path: &Path) -> Result<WitnessKey, Failure> {
    WitnessKey::parse(&text(path)?).map_err(failure)
}

/// The public key of a ledger.
pub(super) fn read_ledger_key(path: &Path) -> Result<NoteVerifier, Failure> {
    NoteVerifier::parse(&text(path)?).map_err(|e| {
        Failure::input(anyhow::Error::from(e).context(format!("cannot use `{}`", path.display())))
    })
}

fn unproved(error: impl std::fmt::Display) -> AnchorError {
    AnchorError::Declined { who: "the home's ledger".into(), why: error.to_string() }
}

impl Ledger for OwnLedger<'_> {
    fn prove(&self, order: &Order<'_>) -> Result<(String, String), AnchorError> {
        let session = self.0.session().map_err(unproved)?;
        let object = vec![
            ("biz_id".to_owned(), order.biz_id.to_owned()),
            ("sha256".to_owned(), order.subject.sha256()),
        ];
        let act = Some("ANCHOR.REQUESTED".to_owned());
        let filter = Filter { act, object, reverse: true, limit: Some(1), ..Filter::default() };
        let mut newest = None;
        session
            .query(&filter, &mut |found| {
                newest = Some(found.index);
                Ok(())
            })
            .map_err(unproved)?;
        let index = newest.ok_or_else(|| unproved("it holds no such request"))?;
        let proved = session.prove(&Selector::Index(index)).map_err(unproved)?;
        Ok((proved.event, proved.proof))
    }

    fn consistency(&self, old: u64) -> Result<(u64, Vec<Hash>), AnchorError> {
        let session = self.0.session().map_err(unproved)?;
        let proof = session.prove_consistency(old).map_err(unproved)?;
        let proof = ConsistencyProof::parse(&proof).map_err(unproved)?;
        Ok((proof.new, proof.path))
    }
}
