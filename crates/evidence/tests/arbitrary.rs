//! Any bytes, and the seeds of the fuzz targets, keep the oracles' promises.

use std::path::Path;

use proptest::prelude::*;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target, usize); 5] = [
    ("evidence_zip", evidence::fuzzing::zip, 4),
    ("evidence_sevenz", evidence::fuzzing::sevenz, 6),
    ("evidence_tar", evidence::fuzzing::tar, 6),
    ("evidence_detect", evidence::fuzzing::detect, 3),
    ("evidence_modules", evidence::fuzzing::modules, 2),
];

/// The seeds of a target. They were made with Python's `zipfile` and `tarfile`, `gzip`, `lzma` and `zstd`, those
/// of 7z with `7zz`.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    files.filter_map(|file| std::fs::read(file.path()).ok()).collect()
}

#[test]
fn seeds_keep_the_promises() {
    for (name, target, count) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= count, "seeds of {name} are missing");
        seeds.iter().for_each(|seed| target(seed));
    }
}

#[test]
fn the_seeds_are_archives_that_read() {
    let behind_a_byte =
        ["evidence_tar", "evidence_sevenz"].into_iter().flat_map(seeds).map(|s| s[1..].to_vec());
    for seed in seeds("evidence_zip").into_iter().chain(behind_a_byte) {
        let file = tempfile::NamedTempFile::new().expect("a temporary folder");
        std::fs::write(file.path(), &seed).expect("a writable temporary folder");
        let found = evidence::collect(file.path(), &evidence::Options::default(), &|_, _| {});
        // Without this the oracles above would have nothing to look at.
        assert!(found.is_ok_and(|e| e.into_seal().is_ok_and(|s| s.tree().entries().len() >= 3)));
    }
}

proptest! {
    #[test]
    fn changed_seeds_keep_the_promises(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for (name, target, _) in TARGETS {
            let seeds = seeds(name);
            let mut bytes = seeds[which.index(seeds.len())].clone();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = &cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            target(&bytes);
        }
    }

    #[test]
    fn any_bytes_keep_the_promises(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for (_, target, _) in TARGETS {
            target(&bytes);
        }
    }
}
