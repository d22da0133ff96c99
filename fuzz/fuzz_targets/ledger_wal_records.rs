#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ledger::fuzzing::wal_records(data));
