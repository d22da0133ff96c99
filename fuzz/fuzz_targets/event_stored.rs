#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| event::fuzzing::stored(data));
