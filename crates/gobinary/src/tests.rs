//! What no toolchain at hand writes: the build information of Go 1.17 and before, code in several parts, quoted
//! settings, tables of old releases.

use crate::synthetic::{BASE, Content, elf, inline_build_info, split_program};
use crate::{Binary, Error};

const NEWEST: u32 = 0xffff_fff1;

#[test]
fn build_information_by_pointers_is_read() {
    let text = "0123456789abcdefpath\texample.com/old\nmod\texample.com/old\tv1.2.3\th1:x=\nfedcba9876543210";
    let mut content = Content(vec![0; 48]); // the blob is not first
    let blob = content.align(16);
    content.0.extend(b"\xff Go buildinf:\x08\x00");
    content.words(&[blob + 32, blob + 48]);
    content.words(&[blob + 64, 6, blob + 70, text.len() as u64]);
    content.0.extend(b"go1.17");
    content.0.extend(text.as_bytes());
    let file = elf(&content.0);
    let binary = Binary::parse(&file).unwrap();
    let info = binary.build_info().unwrap();
    assert_eq!((info.version.as_str(), info.package.as_deref()), ("go1.17", Some("example.com/old")));
    let main = info.main.as_ref().unwrap();
    assert_eq!((main.version.as_str(), main.sum.as_str()), ("v1.2.3", "h1:x="));
    assert!(matches!(binary.functions(), Err(Error::NoFunctionTable)));
}

#[test]
fn quoted_settings_are_read_as_go_wrote_them() {
    let text = "build\t-ldflags=\"-X 'main.name=a\\tb' \\u00e9\\x41\\\"\"\nbuild\tCGO_CFLAGS=\nbuild\t\"odd key\"=`raw`\n";
    let file = elf(&inline_build_info("go1.27.3", text));
    let binary = Binary::parse(&file).unwrap();
    let settings = &binary.build_info().unwrap().settings;
    assert_eq!(settings["-ldflags"], "-X 'main.name=a\tb' éA\"");
    assert_eq!((settings["CGO_CFLAGS"].as_str(), settings["odd key"].as_str()), ("", "raw"));
}

#[test]
fn the_magic_alone_is_no_build_information() {
    let mut decoy = inline_build_info("not a version", "");
    decoy.resize(128, 0);
    assert!(matches!(Binary::parse(&elf(&decoy)), Err(Error::NotGo)));
    decoy.extend(inline_build_info("devel go1.28-0123456789", ""));
    let file = elf(&decoy);
    assert_eq!(Binary::parse(&file).unwrap().build_info().unwrap().version, "devel go1.28-0123456789");
    // At an address that is not a multiple of 16 it is somebody's string.
    let unaligned = [&[0; 8][..], &inline_build_info("go1.27.3", "")].concat();
    assert!(matches!(Binary::parse(&elf(&unaligned)), Err(Error::NotGo)));
}

#[test]
fn code_in_several_parts_is_placed_by_the_map() {
    let file = split_program(NEWEST);
    let functions = Binary::parse(&file).unwrap().functions().unwrap();
    let rows = functions.iter().map(|f| (f.name.as_ref(), f.entry, f.size, f.file.as_ref(), f.line));
    let expected =
        [("main.a", 0x1000_0000, 16, "/src/main.go", 7), ("main.b", 0x2000_0000, 16, "/src/main.go", 9)];
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn types_are_read_without_symbols() {
    let file = split_program(NEWEST);
    let binary = Binary::parse(&file).unwrap();
    assert_eq!(binary.module_data().unwrap().layout, "1.27");
    let types = binary.types().unwrap();
    let told = types.all().iter().map(|t| (t.name.as_str(), t.size, t.hash, t.fields.len()));
    assert_eq!(told.collect::<Vec<_>>(), [("int", 8, 1, 0), ("main.T", 8, 2, 1)]);
    let field = &types.named("main.T").unwrap().fields[0];
    assert_eq!((field.name.as_str(), field.offset, field.descriptor), ("N", 0, types.all()[0].address));
    assert!(types.itabs().is_empty());
}

#[test]
fn tables_of_old_releases_are_refused_by_name() {
    let file = split_program(0xffff_fffb);
    let binary = Binary::parse(&file).unwrap();
    let told = "1.2 to 1.15";
    assert!(matches!(binary.functions(), Err(Error::OldFunctionTable { release }) if release == told));
    let facts = binary.inspect();
    assert!(facts.function_table_error.unwrap().contains(told) && facts.go.is_some());
}

#[test]
fn every_damaged_word_of_a_table_is_an_error_or_harmless() {
    let sound = split_program(NEWEST);
    for at in 0..sound.len() - 8 {
        for word in [0u64, u64::MAX, BASE, 0x7fff_ffff_ffff_fff8] {
            let mut damaged = sound.clone();
            damaged[at..at + 8].copy_from_slice(&word.to_le_bytes());
            crate::fuzzing::inspect(&damaged);
        }
    }
}

/// The seeds in `fuzz/corpus` are what the builders make; `CUSTODY_BLESS=1` writes them.
#[test]
fn seeds_are_current_and_keep_the_promise() {
    let inspect: Seeds<'_> = &[
        (
            "build-info",
            elf(&inline_build_info("go1.27.3", "path\tcommand-line-arguments\nbuild\tGOOS=linux\n")),
        ),
        ("split-1.20", split_program(NEWEST)),
        ("split-1.18", split_program(0xffff_fff0)),
        ("pe-header", b"MZ".iter().copied().chain([0; 58]).chain(*b"\x40\0\0\0PE\0\0\x64\x86").collect()),
    ];
    let whole = split_program(NEWEST);
    let find = |needle: &[u8]| memchr::memmem::find(&whole, needle).unwrap();
    let values = find(&[0, 2, 16, 0, 16, 16, 0, 20]);
    let types = find(b"\x00\x03int\x01\x06main.T") - 8;
    let table: Seeds<'_> = &[("two-functions", whole[values..values + 136].to_vec())];
    let data: Seeds<'_> = &[("two-types", whole[types..types + 200].to_vec())];
    let container: Seeds<'_> = &[
        ("elf-64", elf(&[])[7..].to_vec()),
        ("macho-64", [&[7, 0, 0, 1, 3, 0, 0, 0, 2, 0, 0, 0][..], &[0; 16]].concat()),
    ];
    replayed("gobinary_inspect", inspect, crate::fuzzing::inspect);
    replayed("gobinary_table", table, crate::fuzzing::table);
    replayed("gobinary_types", data, crate::fuzzing::types);
    replayed("gobinary_container", container, crate::fuzzing::container);
}

type Seeds<'s> = &'s [(&'s str, Vec<u8>)];

fn replayed(target: &str, seeds: Seeds<'_>, oracle: fn(&[u8])) {
    let dir = fuzz_replay::folder(target);
    if std::env::var_os("CUSTODY_BLESS").is_some() {
        std::fs::create_dir_all(&dir).unwrap();
        seeds.iter().for_each(|(name, bytes)| std::fs::write(dir.join(name), bytes).unwrap());
    }
    for (name, bytes) in seeds {
        assert_eq!(&std::fs::read(dir.join(name)).unwrap(), bytes, "{target}/{name}");
    }
    fuzz_replay::seeds(target).iter().for_each(|seed| oracle(seed));
}
