#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tlog::fuzzing::entry_bundle(data));
