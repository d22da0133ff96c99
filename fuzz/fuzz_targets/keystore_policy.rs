#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| keystore::fuzzing::policy(data));
