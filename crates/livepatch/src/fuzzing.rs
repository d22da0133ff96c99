//! Oracles for `fuzz/`: hostile bytes may be refused, and nothing else.

use crate::Patch;

/// The file of a patch: what is read can be written, and is read again as the same.
pub fn file(data: &[u8]) {
    let Ok(patch) = Patch::decode(data) else { return };
    let Ok(again) = patch.encode() else { return };
    assert_eq!(Patch::decode(&again).ok(), Some(patch), "a patch is what its file says");
}

#[cfg(test)]
mod tests {
    use fuzz_replay::Target;

    #[test]
    fn seeds_are_replayed() {
        let targets: &[Target] = &[("livepatch_file", super::file)];
        fuzz_replay::corpus(targets);
        fuzz_replay::every_byte(targets);
    }
}
