#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| supervise::fuzzing::address(data));
