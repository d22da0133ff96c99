//! Bytes that nobody's linker wrote: damaged copies of real programs, and nothing but noise.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use gobinary::{Binary, Error};
use proptest::prelude::*;
use support::{Go, Program};

/// Real programs to damage; empty where there is no Go.
fn originals() -> &'static [Vec<u8>] {
    static BUILT: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let Some(go) = Go::any("hostile bytes made from real programs") else { return Vec::new() };
        let program = Program::new();
        let variants =
            [support::STRIPPED, support::STRIPPED_PIE, support::STRIPPED_WINDOWS, support::STRIPPED_DARWIN];
        variants.map(|v| std::fs::read(program.build(&go, v)).unwrap()).into()
    })
}

/// Where damage hurts: headers, the function table and its parts, the module data, the build information.
fn places(original: &[u8]) -> Vec<usize> {
    let mut places = vec![0, 64, 128, 256, 512];
    for marker in [&b"\xff Go buildinf:"[..], &[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]] {
        places.extend(memmem(original, marker).into_iter().take(3));
    }
    places
}

fn memmem(haystack: &[u8], needle: &[u8]) -> Vec<usize> {
    let starts = haystack.iter().enumerate().filter(|(_, b)| **b == needle[0]).map(|(at, _)| at);
    starts.filter(|&at| haystack[at..].starts_with(needle)).collect()
}

fn survives(bytes: &[u8]) {
    let start = Instant::now();
    gobinary::fuzzing::inspect(bytes);
    // A hundred times what a sound file of this size takes here: only a loop without bounds reaches it.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?} for {} bytes", start.elapsed(), bytes.len());
}

/// One change: where, relative to a marker or anywhere; and what.
#[derive(Clone, Debug)]
struct Damage {
    near: Option<(usize, usize)>,
    anywhere: usize,
    bytes: Vec<u8>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..9),
        Just(vec![0xff; 8]),
        Just(vec![0; 8]),
        Just(vec![0xff, 0xff, 0xff, 0x7f]),
    ];
    let near = prop::option::weighted(0.8, (any::<usize>(), 0..4096usize));
    (near, any::<usize>(), bytes).prop_map(|(near, anywhere, bytes)| Damage { near, anywhere, bytes })
}

/// A few cases in every run; `CUSTODY_SOAK` asks for many.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("CUSTODY_SOAK").is_some() { 20_000 } else { 48 };
    ProptestConfig { cases, max_shrink_iters: 32, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_programs_give_errors(which in 0..4usize, damages in prop::collection::vec(damage(), 1..6)) {
        let Some(original) = originals().get(which) else { return Ok(()) };
        let places = places(original);
        let mut bytes = original.clone();
        for damage in damages {
            let at = match damage.near {
                Some((marker, offset)) => places[marker % places.len()] + offset,
                None => damage.anywhere % bytes.len(),
            };
            let end = (at + damage.bytes.len()).min(bytes.len());
            bytes.get_mut(at..end).unwrap_or_default().copy_from_slice(&damage.bytes[..end.saturating_sub(at)]);
        }
        survives(&bytes);
    }

    #[test]
    fn cut_programs_give_errors(which in 0..4usize, keep in any::<usize>()) {
        let Some(original) = originals().get(which) else { return Ok(()) };
        survives(&original[..keep % original.len()]);
    }

    #[test]
    fn noise_gives_errors(head in 0..5usize, noise in prop::collection::vec(any::<u8>(), 0..4096)) {
        let heads = [&b"\x7fELF\x02\x01\x01"[..], b"\x7fELF\x01\x02\x01", b"MZ", b"\xcf\xfa\xed\xfe", b""];
        let head: &[u8] = heads[head];
        survives(&[head, &noise].concat());
    }
}

/// Every function shares one long value table: the walk must not be repeated.
#[test]
fn shared_tables_are_walked_once() {
    let Some(original) = originals().first() else { return };
    let mut bytes = original.clone();
    for at in memmem(original, &[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]) {
        let word =
            |n: usize| u64::from_le_bytes(original[at + 8 + 8 * n..at + 16 + 8 * n].try_into().unwrap());
        let (values, functions) =
            (at + usize::try_from(word(6)).unwrap(), at + usize::try_from(word(7)).unwrap());
        // No table ends: every delta is 2, every advance 1.
        for (index, byte) in bytes[values..functions].iter_mut().enumerate() {
            *byte = if index % 2 == 0 { 2 } else { 1 };
        }
    }
    assert!(matches!(Binary::parse(&bytes).unwrap().functions(), Err(Error::FunctionTable { .. })));
    survives(&bytes);
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let refusal = |bytes: &[u8]| Binary::parse(bytes).unwrap_err().to_string();
    assert_eq!(refusal(b""), "not an ELF, PE or Mach-O executable (an empty file)");
    assert_eq!(refusal(b"#!/bin/sh\n"), "not an ELF, PE or Mach-O executable (a script)");
    assert_eq!(refusal(&[0xcf, 0xfa, 0xed, 0xfe, 7]), "damaged Mach-O headers");
    assert_eq!(refusal(b"\x7fELF\x02\x01\x01"), "damaged ELF headers");
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(matches!(Binary::parse(&own), Err(Error::NotGo)), "a Rust program is no Go program");
}
