//! Oracles that fuzzers and the tests share. They panic when a promise is broken.

use crate::synthetic::{Parts, program};
use crate::{Binary, sparse};

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
    let addresses = binary.addresses();
    assert!(addresses.places.windows(2).all(|w| w[0] < w[1]));
    if let Ok(debug) = binary.debug() {
        let _ = debug.structures();
        let _ = debug.functions(&|_| true);
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
        if let Some(points) = binary.attach_points(function) {
            assert!(points.windows(2).all(|w| w[0].offset + w[0].bytes <= w[1].offset));
        }
        let Ok(source) = binary.source(function) else { continue };
        let followed = source.windows(2).all(|w| w[0].code.end == w[1].code.start);
        assert!(followed, "stretches of source do not follow each other");
        if let Ok(frames) = binary.frames(function, function.size / 2) {
            assert!(!frames.is_empty() && frames.len() <= 256);
        }
    }
}

/// A function table: the first half of the bytes are value tables, the second entries and records.
pub fn table(data: &[u8]) {
    let (values, records) = data.split_at(data.len() / 2);
    for magic in [0xffff_fff1, 0xffff_fff0, 0xffff_fffa] {
        inspect(&program(&Parts { magic, values, records, types: None }));
    }
    let spans = crate::values::Values::new(data, 1);
    let mut end = 0;
    for span in spans.map_while(Result::ok) {
        assert!(span.code.start == end && !span.code.is_empty(), "stretches do not follow each other");
        end = span.code.end;
    }
}

/// Type data: everything between `types` and `etypes`.
pub fn types(data: &[u8]) {
    inspect(&program(&Parts { magic: 0xffff_fff1, values: &[], records: &[0; 64], types: Some(data) }));
}

/// A container: the bytes behind the magic of each kind. What is read in parts is what was there.
pub fn container(data: &[u8]) {
    let heads = [
        &b"\x7fELF\x02\x01\x01"[..],
        b"\x7fELF\x01\x01\x01",
        b"MZ",
        b"\xcf\xfa\xed\xfe",
        b"\xce\xfa\xed\xfe",
    ];
    for head in heads {
        let whole = [head, data].concat();
        inspect(&whole);
        let read = |range: std::ops::Range<usize>, into: &mut [u8]| {
            into.copy_from_slice(&whole[range]);
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(part) = sparse::read(whole.len(), sparse::Need::Facts, read);
        let kept = part.iter().zip(&whole).all(|(part, whole)| part == whole || *part == 0);
        assert!(kept && part.len() == whole.len(), "a part was read wrongly");
    }
}
