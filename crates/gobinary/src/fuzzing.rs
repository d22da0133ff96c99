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
    if let Ok(symbols) = binary.symbols() {
        assert!(symbols.len() <= data.len()); // no format has a symbol of less than a byte
    }
    if let Ok(imports) = binary.imports() {
        assert_eq!(imports.writable, imports.imports.iter().filter(|slot| slot.writable).count());
        assert!(imports.imports.len() <= data.len());
    }
    if let Ok(types) = binary.types() {
        let members: usize =
            types.all().iter().map(|t| t.fields.len() + t.methods.len() + t.parameters.len()).sum();
        assert!(members <= 2 * data.len(), "{members} members from {} bytes", data.len());
        let named = types.all().iter().find_map(|t| types.at(t.address));
        assert_eq!(named.is_some(), !types.all().is_empty());
    }
    let Ok(functions) = binary.functions() else { return };
    let claimed = facts.function_table.expect("a table that was decoded has a summary").functions;
    assert!(functions.len() as u64 <= claimed);
    let names: usize = functions.iter().map(|f| f.name.len()).sum();
    // A lossy name may grow threefold; a name may be shared by a few functions.
    assert!(names <= 16 * (data.len() + (64 << 10)), "{names} bytes of names from {}", data.len());
    details(&binary, &functions, data.len());
}

/// Everything that is read of single functions: errors or facts, and no more of them than there are bytes.
fn details(binary: &Binary<'_>, functions: &[crate::Function<'_>], size: usize) {
    let Ok(mut details) = binary.details() else { return };
    let mut inlined = 0;
    for function in functions {
        match details.of(function) {
            Ok(detail) => inlined += detail.inlined.len(),
            Err(_) => break,
        }
    }
    assert!(inlined <= 8 * (size + (64 << 10)), "{inlined} inlined calls from {size} bytes");
    for function in functions.iter().take(4) {
        let Ok(source) = binary.source(function) else { continue };
        let followed = source.windows(2).all(|w| w[0].code.end == w[1].code.start);
        assert!(followed, "stretches of source do not follow each other");
        if let Ok(frames) = binary.frames(function, function.size / 2) {
            assert!(!frames.is_empty() && frames.len() <= 256);
        }
    }
}
