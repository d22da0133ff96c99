#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| gm::fuzzing::sm2_ciphertext(data));
