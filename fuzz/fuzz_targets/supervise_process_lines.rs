#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| supervise::fuzzing::process_lines(data));
