//! Oracles over outside bytes, shared by the fuzz targets and the tests that replay their corpora.

use crate::{Comparison, Observation, ObservedKind, Seal, Subject};

/// A statement that is read is written again to one that reads the same, and holds against itself; an envelope
/// that nobody trusted signed is never opened.
///
/// # Panics
/// When one of these does not hold.
pub fn statement(data: &[u8]) {
    assert!(Seal::open(data, &[]).is_err(), "an envelope was opened without a trusted signature");
    let Ok(seal) = Seal::from_statement(data) else { return };
    let again = seal.to_statement().expect("what was read is within the limits");
    assert_eq!(Seal::from_statement(&again).expect("what was written is read"), seal);
    let found = observed(&seal);
    let comparison = Comparison::of(&seal, &found).expect("an artefact is comparable with its own seal");
    assert!(comparison.holds(), "a seal does not hold against itself: {comparison:?}");
}

fn observed(seal: &Seal) -> Observation {
    let (kind, container) = match seal.subject() {
        Subject::Directory => (ObservedKind::Directory, None),
        Subject::File => (ObservedKind::File, None),
        Subject::Archive { container, .. } => {
            (ObservedKind::Archive(container.format), Some(container.clone()))
        }
    };
    Observation {
        kind,
        digest: seal.digest(),
        entries: seal.tree().entries().to_vec(),
        container,
        places: Vec::new(),
        faults: Vec::new(),
        broken: None,
    }
}
