//! The fuzzer's oracle on arbitrary images and on the seeds of its corpus.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, reason = "test data is cut on purpose")]
#![cfg(target_os = "linux")]

use proptest::prelude::*;

/// An image that is nearly right: a head, and frames that mostly follow from each other.
fn image() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0u32..400, prop_oneof![4 => Just(0i64), 1 => -32i64..33], any::<bool>());
    (any::<u8>(), proptest::collection::vec(frame, 0..12), prop_oneof![6 => Just(0i64), 1 => -64i64..65])
        .prop_map(|(every, frames, shift)| {
            let mut records = Vec::new();
            for (length, error, sound) in frames {
                let position = records.len() as i64 + error;
                let content = vec![length as u8; length as usize];
                let sum = if sound { crc32c::crc32c(&content) } else { length };
                records.extend_from_slice(&length.to_ne_bytes());
                records.extend_from_slice(&sum.to_ne_bytes());
                records.extend_from_slice(&position.to_ne_bytes());
                records.extend_from_slice(&content);
                records.resize(records.len().next_multiple_of(16), 0);
            }
            let mut header = vec![0u8; 272];
            header[..8].copy_from_slice(&(records.len() as i64 + shift).to_ne_bytes());
            [vec![every], header, records].concat()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_image(image in image()) {
        shmring::fuzzing::memory(&image);
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        shmring::fuzzing::memory(&bytes);
    }
}

#[test]
fn the_seeds_of_the_fuzzer_hold() {
    fuzz_replay::corpus(&[("shmring_memory", shmring::fuzzing::memory)]);
}
