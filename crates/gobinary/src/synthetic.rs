//! Small executables made by hand: for what no toolchain at hand writes any more, as seeds for fuzzing, and around the
//! parts that fuzzers make.

use crate::layout::Places;

/// Where the only segment is loaded.
pub(crate) const BASE: u64 = 0x40_0000;
/// Where its content starts in the file: behind the ELF header and one program header.
pub(crate) const START: usize = 0x80;

/// A 64-bit little-endian ELF with one readable and writable segment that holds `content` at `BASE`.
pub(crate) fn elf(content: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    for half in [2u16, 62] {
        file.extend(half.to_le_bytes()); // ET_EXEC, EM_X86_64
    }
    file.extend(1u32.to_le_bytes());
    for word in [BASE, 64, 0] {
        file.extend(word.to_le_bytes()); // entry, program headers, no section headers
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1u32, 6] {
        file.extend(word.to_le_bytes()); // PT_LOAD, read and write
    }
    let size = content.len() as u64;
    for word in [START as u64, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.resize(START, 0);
    file.extend(content);
    file
}

/// Bytes that grow word by word.
#[derive(Default)]
pub(crate) struct Content(pub(crate) Vec<u8>);

impl Content {
    /// Pads to a multiple of `alignment`; gives the address of what comes next.
    pub(crate) fn align(&mut self, alignment: usize) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(alignment), 0);
        BASE + self.0.len() as u64
    }

    pub(crate) fn words(&mut self, words: &[u64]) {
        self.0.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    }
}

/// `\xff Go buildinf:` with the strings inline, as Go 1.18 and later write it.
pub(crate) fn inline_build_info(version: &str, text: &str) -> Vec<u8> {
    let mut blob = b"\xff Go buildinf:\x08\x02".to_vec();
    blob.resize(32, 0);
    let framed = format!("0123456789abcdef{text}fedcba9876543210");
    for string in [version, &framed] {
        let length = u16::try_from(string.len()).expect("seeds are small");
        blob.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        blob.push(u8::try_from(length >> 7).expect("seeds are small"));
        blob.extend(string.as_bytes());
    }
    blob
}

/// What stands in the parts of a program that a fuzzer replaces.
pub(crate) struct Parts<'p> {
    /// The magic of the function table.
    pub(crate) magic: u32,
    /// Value tables.
    pub(crate) values: &'p [u8],
    /// Pairs of entries and records, then the records.
    pub(crate) records: &'p [u8],
    /// Everything between `types` and `etypes`; two types of our own where absent.
    pub(crate) types: Option<&'p [u8]>,
}

/// The file number 0 and the line 7 for 16 bytes; the same with line 9.
#[cfg(test)]
const VALUES: [u8; 10] = [0, 2, 16, 0, 16, 16, 0, 20, 16, 0];

/// A function table with two functions, `main.a` in a first part of the code and `main.b` in a second one that stands
/// elsewhere, and the module data that says so. The code itself is not there.
#[cfg(test)]
pub(crate) fn split_program(magic: u32) -> Vec<u8> {
    let record = |entry: u32, name: u32, lines: u32| [entry, name, 0, 0, 0, 1, lines, 0, 0, 0, 0];
    let pairs = [0u32, 20, 0x100, 64, 0x200];
    let numbers = pairs.into_iter().chain(record(0, 1, 4)).chain(record(0x100, 8, 7));
    let records: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
    program(&Parts { magic, values: &VALUES, records: &records, types: None })
}

/// The same with other parts.
pub(crate) fn program(parts: &Parts<'_>) -> Vec<u8> {
    const FIRST: u64 = 0x1000_0000;
    const SECOND: u64 = 0x2000_0000;
    let mut content = Content(inline_build_info("go1.27.3", "path\texample.com/split\n"));
    let table = content.align(32);
    content.0.extend(parts.magic.to_le_bytes());
    content.0.extend([0, 0, 1, 8]);
    let values = parts.values.len().next_multiple_of(16) as u64;
    let offsets = [72u64, 88, 96, 112, 112 + values];
    content.words(&[[2, 1, 0].as_slice(), &offsets].concat());
    content.0.extend(b"\0main.a\0main.b\0");
    content.align(8);
    content.0.extend(0u32.to_le_bytes()); // the unit's only file is the first
    content.align(8);
    content.0.extend(b"/src/main.go\0");
    content.align(8);
    content.0.extend(parts.values);
    content.align(16);
    content.0.extend(parts.records);
    let map = content.align(8);
    content.words(&[0, 0x100, FIRST, 0x100, 0x200, SECOND]);
    let types = match parts.types {
        None => type_data(&mut content),
        Some(bytes) => {
            let start = content.align(8);
            content.0.extend(bytes);
            start
        }
    };
    let end = content.align(8);
    content.words(&module_data(table, offsets, (FIRST, SECOND + 0x100), map, (types, end)));
    elf(&content.0)
}

/// Module data as Go 1.27 lays it out.
fn module_data(table: u64, parts: [u64; 5], text: (u64, u64), map: u64, types: (u64, u64)) -> Vec<u64> {
    let places = Places::of(27);
    let mut words = vec![0; usize::try_from(places.words()).expect("a few dozen")];
    let mut put = |name: &str, values: &[u64]| {
        let start = places.place(name).and_then(|place| usize::try_from(place).ok()).expect("a field");
        words[start..start + values.len()].copy_from_slice(values);
    };
    put("pcHeader", &[table]);
    for (name, offset) in ["funcnametab", "cutab", "filetab", "pctab", "pclntable"].into_iter().zip(parts) {
        put(name, &[table + offset, 1, 1]);
    }
    put("ftab", &[0, 3, 3]);
    for (name, value) in [("minpc", text.0), ("maxpc", text.1), ("text", text.0), ("etext", text.1)] {
        put(name, &[value]);
    }
    for (name, value) in [("types", types.0), ("etypes", types.1), ("rodata", types.0), ("gofunc", types.0)] {
        put(name, &[value]);
    }
    put("itaboffset", &[types.1 - types.0]);
    put("epclntab", &[map]);
    put("textsectmap", &[map, 2, 2]);
    put("hasmain", &[1]);
    words
}

/// Two types, `int` and `main.T` with one field of it; gives where type data starts.
fn type_data(content: &mut Content) -> u64 {
    let start = content.align(8);
    content.words(&[0]);
    content.0.extend(b"\x00\x03int\x01\x06main.T\x01\x01N"); // at 8, 13, 21
    let integer = content.align(8);
    let common = |kind: u64, name: u64, hash: u64| {
        let flags = hash | 4 << 32 | 8 << 40 | 8 << 48 | kind << 56; // named; aligned to 8 twice
        [8, 0, flags, 0, 0, name]
    };
    content.words(&common(2, 8, 1));
    let fields = integer + 2 * 48 + 32;
    content.words(&common(25, 13, 2));
    content.words(&[0, fields, 1, 1]);
    content.words(&[start + 21, integer, 0]);
    start
}
