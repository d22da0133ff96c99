#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pkix::fuzzing::path(data));
