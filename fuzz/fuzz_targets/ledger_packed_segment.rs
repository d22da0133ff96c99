#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ledger::fuzzing::packed_segment(data));
