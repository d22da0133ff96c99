//! Every fuzz target in one program, chosen by `CUSTODY_FUZZ_TARGET`: one instrumented link for all of them.
//! `cargo xtask fuzz` runs this; `fuzz_targets/` holds the same as programs of their own, for `cargo fuzz`.
#![no_main]

use std::sync::OnceLock;

type Oracle = fn(&[u8]);

static TARGETS: &[(&str, Oracle)] = include!(concat!(env!("OUT_DIR"), "/targets.rs"));
static CHOSEN: OnceLock<Oracle> = OnceLock::new();

/// The oracle that the environment names. Ends the process when there is none: to fuzz nothing must not look like
/// finding nothing.
fn chosen() -> Oracle {
    let name = std::env::var("CUSTODY_FUZZ_TARGET").unwrap_or_default();
    let Some((_, oracle)) = TARGETS.iter().find(|(target, _)| *target == name) else {
        eprintln!("CUSTODY_FUZZ_TARGET names no target: {name:?}");
        std::process::exit(2);
    };
    *oracle
}

libfuzzer_sys::fuzz_target!(
    init: {
        CHOSEN.get_or_init(chosen);
    },
    |data: &[u8]| CHOSEN.get_or_init(chosen)(data)
);
