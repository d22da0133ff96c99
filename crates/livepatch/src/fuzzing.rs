//! Oracles for `fuzz/`: hostile bytes may be refused, and nothing else.

use crate::{Patch, Statement};

/// The file of a patch: what is read can be written, and is read again as the same.
pub fn file(data: &[u8]) {
    let Ok(patch) = Patch::decode(data) else { return };
    let Ok(again) = patch.encode() else { return };
    assert_eq!(Patch::decode(&again).ok(), Some(patch), "a patch is what its file says");
}

/// What is signed of a patch: what is read can be written, and is read again as the same.
pub fn statement(data: &[u8]) {
    let Ok(statement) = Statement::decode(data) else { return };
    let Ok(again) = statement.encode() else { return };
    assert_eq!(Statement::decode(&again).ok(), Some(statement), "a statement is what its text says");
}

#[cfg(test)]
mod tests {
    use fuzz_replay::Target;

    #[test]
    fn seeds_are_replayed() {
        let targets: &[Target] =
            &[("livepatch_file", super::file), ("livepatch_statement", super::statement)];
        fuzz_replay::corpus(targets);
        fuzz_replay::every_byte(targets);
    }
}
