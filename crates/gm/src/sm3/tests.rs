use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::level::Level;
use super::{IV, Sm3, many, reference, to_bytes};

/// Bytes that no two lanes share.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// One message at one level, through the compression function alone.
fn alone(level: Level, message: &[u8]) -> [u8; 32] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let mut state = IV;
    level.blocks(&mut state, padded.as_chunks().0);
    to_bytes(state)
}

fn together(level: Level, prefix: &[u8], messages: &[Vec<u8>]) -> Vec<[u8; 32]> {
    let mut out = vec![[0; 32]; messages.len()];
    many::at(level, prefix, messages, &mut out);
    out
}

fn expected(prefix: &[u8], messages: &[Vec<u8>]) -> Vec<[u8; 32]> {
    messages.iter().map(|message| reference::digest(&[prefix, message].concat())).collect()
}

/// A machine without a vector unit tests less; say which levels were not reached.
#[test]
fn levels_here() {
    let levels = Level::all();
    assert!(matches!(levels[0], Level::Portable));
    assert_eq!(format!("{:?}", Level::best()), format!("{:?}", levels[levels.len() - 1]));
    eprintln!("SM3 is tested at {levels:?}");
}

/// GB/T 32905-2016, annex A, at every level, alone and in every lane.
#[test]
fn standard_vectors_at_every_level() {
    let abc = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0";
    let abcd = "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732";
    let hex = |digest: [u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(reference::digest(b"abc")), abc);
    for level in Level::all() {
        for (message, digest) in [(b"abc".to_vec(), abc), (b"abcd".repeat(16), abcd)] {
            assert_eq!(hex(alone(level, &message)), digest, "{level:?}");
            for found in together(level, &[], &vec![message; 35]) {
                assert_eq!(hex(found), digest, "{level:?}");
            }
        }
    }
}

#[test]
fn every_length_agrees_with_the_reference() {
    let data = bytes(1, 70_000);
    let lengths = (0..=300).chain([511, 512, 513, 4095, 4096, 4097, 16_383, 16_384, 65_537, 70_000]);
    for length in lengths {
        let message = &data[..length];
        let expected = reference::digest(message);
        assert_eq!(Sm3::digest(message), expected, "length {length}");
        for level in Level::all() {
            assert_eq!(alone(level, message), expected, "length {length} at {level:?}");
        }
    }
}

/// Equal lengths keep all lanes in step; rising and mixed ones refill them at different times.
#[test]
fn every_count_of_lanes_agrees_with_the_reference() {
    for count in 0..=40 {
        let equal: Vec<_> = (0..count).map(|i| bytes(i, 119)).collect();
        let rising: Vec<_> = (0..count).map(|i| bytes(i, 17 * usize::try_from(i).unwrap())).collect();
        let one_long: Vec<_> = (0..count).map(|i| bytes(i, if i == count / 2 { 5000 } else { 64 })).collect();
        for messages in [equal, rising, one_long] {
            for prefix in [&[][..], &[0], &[7; 63], &[8; 64], &[9; 130]] {
                let expected = expected(prefix, &messages);
                for level in Level::all() {
                    assert_eq!(together(level, prefix, &messages), expected, "{count} messages at {level:?}");
                }
            }
        }
    }
}

#[test]
fn pairs_are_prefix_left_right() {
    let row: Vec<[u8; 32]> = (0..81).map(|i| reference::digest(&[i])).collect();
    for count in 0..=row.len() {
        let pairs: Vec<_> =
            row[..count].as_chunks::<2>().0.iter().map(|pair| pair.as_flattened().to_vec()).collect();
        for level in Level::all() {
            let mut out = vec![[0; 32]; count / 2];
            many::pairs_at(level, &[1], &row[..count], &mut out);
            assert_eq!(out, expected(&[1], &pairs), "{count} at {level:?}");
        }
    }
}

#[test]
#[should_panic(expected = "one digest for each input")]
fn an_output_of_another_length_is_refused() {
    super::digest_many(&[b"a"], &mut []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_agree_with_the_reference(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..50),
        prefix in prop::collection::vec(any::<u8>(), 0..70),
    ) {
        let expected = expected(&prefix, &messages);
        for level in Level::all() {
            prop_assert_eq!(&together(level, &prefix, &messages), &expected, "{:?}", level);
        }
    }

    #[test]
    fn any_stream_in_any_parts_agrees_with_the_reference(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
    ) {
        let mut hasher = Sm3::new();
        parts.iter().for_each(|part| hasher.update(part));
        prop_assert_eq!(hasher.finalize(), reference::digest(&parts.concat()));
    }
}

/// An implementation that shares nothing with this one.
#[test]
fn openssl_agrees() {
    for length in [0, 1, 55, 56, 64, 1000, 100_000] {
        let message = bytes(3, length);
        let Some(digest) = openssl(&message) else {
            eprintln!("SKIPPED openssl_agrees: no `openssl` with SM3 on this machine");
            return;
        };
        assert_eq!(Sm3::digest(&message).as_slice(), digest, "length {length}");
    }
}

fn openssl(message: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sm3", "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // A build without SM3 ends before it reads: the exit status says so, not the broken pipe.
    let _ = child.stdin.take()?.write_all(message);
    let output = child.wait_with_output().unwrap();
    output.status.success().then_some(output.stdout)
}
