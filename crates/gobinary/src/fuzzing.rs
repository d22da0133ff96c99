//! Oracles that fuzzers and the tests share. They panic when a promise is broken.

use crate::Binary;

/// Any bytes: an error or facts that agree with each other, never a panic.
pub fn inspect(data: &[u8]) {
    let Ok(binary) = Binary::parse(data) else { return };
    let facts = binary.inspect();
    let score = crate::hardening::assess(&facts).score;
    assert!(score <= 100, "score {score}");
    assert_eq!(facts.bytes, data.len() as u64);
    assert_ne!(facts.function_table.is_some(), facts.function_table_error.is_some());
    let Ok(functions) = binary.functions() else { return };
    let claimed = facts.function_table.expect("a table that was decoded has a summary").functions;
    assert!(functions.len() as u64 <= claimed);
    let names: usize = functions.iter().map(|f| f.name.len()).sum();
    // A lossy name may grow threefold; a name may be shared by a few functions.
    assert!(names <= 16 * (data.len() + (64 << 10)), "{names} bytes of names from {}", data.len());
}
