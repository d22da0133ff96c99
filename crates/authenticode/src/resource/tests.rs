#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::io::Cursor;

use proptest::prelude::*;

use super::icon::Icon;
use super::place::{self, Options, Placed};
use super::version::VersionInfo;
use super::*;
use crate::Image;
use crate::pass::{self, Wanted};

fn text(text: &str) -> Name {
    Name::Text(text.encode_utf16().collect())
}

fn sample() -> Resources<'static> {
    let mut resources = Resources::default();
    resources.set(Key::new(MANIFEST, 1, ENGLISH), b"<assembly/>".to_vec());
    resources.set(Key::new(VERSION, 1, ENGLISH), vec![7; 33]);
    resources.set(Key { kind: text("DATA"), name: text("b"), language: 0 }, vec![1]);
    resources.set(Key { kind: text("DATA"), name: text("a"), language: 0x0804 }, Vec::new());
    resources.set(Key { kind: text("DATA"), name: text("a"), language: 0x0409 }, vec![2; 8]);
    resources
}

/// PE32+ with `.text`, optionally `.rsrc` of its own, and `.reloc` behind it; then a tail that is in no section.
fn image(rsrc: Option<&Resources<'_>>, tail: &[u8]) -> Vec<u8> {
    let own = rsrc.map(|resources| resources.to_section(0x2000).unwrap());
    let mut sections: Vec<(&[u8; 8], u32, Vec<u8>)> = vec![(b".text\0\0\0", 0x1000, vec![0xc3; 0x200])];
    if let Some(bytes) = &own {
        sections.push((b".rsrc\0\0\0", 0x2000, bytes.clone()));
    }
    sections.push((b".reloc\0\0", 0x3000, vec![0x5a; 0x40]));
    let mut out = vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &0x8664u16.to_le_bytes());
    put(0x86, &u16::try_from(sections.len()).unwrap().to_le_bytes());
    put(0x94, &240u16.to_le_bytes());
    put(0x96, &0x22u16.to_le_bytes());
    put(0x98, &0x20bu16.to_le_bytes());
    put(0x98 + 32, &0x1000u32.to_le_bytes());
    put(0x98 + 36, &0x200u32.to_le_bytes());
    put(0x98 + 56, &0x4000u32.to_le_bytes());
    put(0x98 + 60, &0x400u32.to_le_bytes());
    put(0x98 + 68, &3u16.to_le_bytes());
    put(0x98 + 108, &16u32.to_le_bytes());
    let mut raw_at = 0x400u32;
    let mut bodies = Vec::new();
    for (index, (name, rva, body)) in sections.iter().enumerate() {
        let head = 0x188 + 40 * index;
        let size = u32::try_from(body.len()).unwrap();
        put(head, *name);
        for (at, field) in [(8, size), (12, *rva), (16, size.next_multiple_of(0x200)), (20, raw_at)] {
            put(head + at, &field.to_le_bytes());
        }
        raw_at += size.next_multiple_of(0x200);
        let mut body = body.clone();
        body.resize(body.len().next_multiple_of(0x200), 0);
        bodies.extend(body);
    }
    if let Some(bytes) = &own {
        put(0x98 + 112 + 16, &0x2000u32.to_le_bytes());
        put(0x98 + 112 + 20, &u32::try_from(bytes.len()).unwrap().to_le_bytes());
    }
    put(0x98 + 112 + 40, &0x3000u32.to_le_bytes());
    put(0x98 + 112 + 44, &0x40u32.to_le_bytes());
    // Symbols stand in the tail.
    put(0x8c, &raw_at.to_le_bytes());
    [out, bodies, tail.to_vec()].concat()
}

/// The image with these resources, and what a reader finds in it then.
fn put(bytes: &[u8], resources: &Resources<'_>, time: Option<u32>) -> (Placed, Vec<u8>) {
    let mut source = Cursor::new(bytes);
    let image = Image::read(&mut source).unwrap();
    let mut out = Cursor::new(Vec::new());
    let options = Options { time, drop_signature: false };
    let placed = place::write(&mut source, &image, resources, options, &mut out).unwrap();
    (placed, out.into_inner())
}

fn check(bytes: &[u8], resources: &Resources<'_>, tail: &[u8]) -> Image {
    let mut source = Cursor::new(bytes);
    let image = Image::read(&mut source).unwrap();
    let (rva, section) = place::existing(&mut source, &image).unwrap().unwrap();
    assert_eq!(Resources::read(&section, rva).unwrap(), *resources);
    let found = pass::digest(&mut source, &image, &Wanted::default()).unwrap();
    assert_eq!(found.file_checksum(&image, &[]), image.checksum, "the checksum is right");
    for (section, body) in image.sections.iter().map(|s| (s, s.file_range())) {
        assert!(body.end <= image.file_size && body.start % 0x200 == 0, "{section:?}");
        let byte = bytes[usize::try_from(body.start).unwrap()];
        match section.name.as_str() {
            ".text" => assert_eq!(byte, 0xc3),
            ".reloc" => {
                assert_eq!(byte, 0x5a);
                assert_eq!(image.directories[5], (section.virtual_address, 0x40));
            }
            _ => assert_eq!(image.directories[2], (section.virtual_address, section.virtual_size)),
        }
    }
    let mut ends: Vec<_> =
        image.sections.iter().map(|s| (s.virtual_address, s.virtual_address + s.virtual_size)).collect();
    ends.sort_unstable();
    assert!(ends.windows(2).all(|pair| pair[0].1 <= pair[1].0), "sections share memory");
    assert_eq!(image.size_of_image, ends.last().unwrap().1.next_multiple_of(0x1000));
    assert!(bytes.ends_with(tail));
    let symbols = u32::from_le_bytes(bytes[0x8c..0x90].try_into().unwrap());
    assert_eq!(&bytes[symbols as usize..], tail, "the symbols moved with their pointer");
    image
}

#[test]
fn resources_come_in_as_a_section_of_their_own() {
    let tail = b"symbols and an archive";
    let bare = image(None, tail);
    let (placed, bytes) = put(&bare, &sample(), Some(1_750_000_000));
    assert_eq!(placed, Placed::Appended);
    let found = check(&bytes, &sample(), tail);
    assert_eq!((found.time_date_stamp, found.sections.len()), (1_750_000_000, 3));
    // The same again is the same bytes; without any the section is empty.
    assert_eq!(put(&bytes, &sample(), None), (Placed::Replaced, bytes.clone()));
    let (_, emptied) = put(&bytes, &Resources::default(), None);
    assert_eq!(Image::read(&mut Cursor::new(&emptied)).unwrap().directories[2], (0, 0));
    assert_eq!(put(&bare, &Resources::default(), None).0, Placed::Nothing);
}

#[test]
fn the_old_section_grows_and_relocations_make_room() {
    let tail = b"tail";
    let old = image(Some(&sample()), tail);
    check(&put(&old, &sample(), None).1, &sample(), tail);
    let mut more = sample();
    more.set(Key::new(ICON, 1, ENGLISH), vec![3; 0x1800]);
    let (placed, bytes) = put(&old, &more, None);
    assert_eq!(placed, Placed::Replaced);
    let grown = check(&bytes, &more, tail);
    assert_eq!(grown.sections[2].virtual_address, 0x4000, "behind the two pages of resources");
    // And shrinks again.
    let (_, bytes) = put(&bytes, &sample(), None);
    check(&bytes, &sample(), tail);
}

#[test]
fn what_has_no_room_is_left_alone() {
    let refused = |bytes: &[u8], options: Options| {
        let mut source = Cursor::new(bytes);
        let image = Image::read(&mut source).unwrap();
        place::write(&mut source, &image, &sample(), options, &mut Cursor::new(Vec::new())).is_err()
    };
    // Something stands where the next section's header would.
    let mut full = image(None, b"");
    full[0x188 + 80] = 1;
    assert!(refused(&full, Options::default()));
    // Every byte in memory where it is in the file.
    let mut low = image(None, b"");
    low[0x98 + 32..0x98 + 36].copy_from_slice(&0x200u32.to_le_bytes());
    assert!(refused(&low, Options::default()));
    // A signature is not lost unasked.
    let mut signed = image(None, b"");
    let at = signed.len();
    signed.extend([16, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    signed[0x98 + 144..0x98 + 148].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
    signed[0x98 + 148] = 16;
    assert!(refused(&signed, Options::default()));
    assert!(!refused(&signed, Options { drop_signature: true, time: None }));
    // The section behind is not one of relocations.
    let mut data = image(Some(&sample()), b"");
    data[0x98 + 112 + 40..0x98 + 112 + 48].fill(0);
    let mut source = Cursor::new(&data);
    let image = Image::read(&mut source).unwrap();
    let mut more = sample();
    more.set(Key::new(ICON, 1, ENGLISH), vec![3; 0x1800]);
    assert!(
        place::write(&mut source, &image, &more, Options::default(), &mut Cursor::new(Vec::new())).is_err()
    );
}

#[test]
fn a_version_is_read_as_it_was_written() {
    let info = VersionInfo {
        file: [1, 2, 3, 4],
        product: [65_535, 0, 0, 7],
        file_type: 1,
        flags: 2,
        language: ENGLISH,
        strings: vec![
            ("CompanyName".into(), "Zahlungen GmbH – 付款".into()),
            ("Empty".into(), String::new()),
        ],
    };
    let bytes = info.to_bytes().unwrap();
    assert_eq!(VersionInfo::read(&bytes).unwrap(), info);
    // Win32: the length, the length of the fixed part, binary, the name, and the signature at a multiple of four.
    assert_eq!(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])), bytes.len());
    assert_eq!((&bytes[2..6], &bytes[40..44]), (&[52, 0, 0, 0][..], &[0xbd, 0x04, 0xef, 0xfe][..]));
    for length in 0..bytes.len() {
        assert!(VersionInfo::read(&bytes[..length]).is_err(), "cut to {length}");
    }
    let long = VersionInfo { strings: vec![("Comments".into(), "x".repeat(40_000))], ..info };
    assert!(long.to_bytes().is_err());
}

/// An `.ico` of one PNG header and one bitmap header; Windows never looks further, and neither does this.
fn ico() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\x01\0".to_vec();
    png.extend([8, 6, 0, 0, 0]);
    let mut bitmap = vec![0u8; 40];
    (bitmap[0], bitmap[14]) = (40, 24);
    let entry = |size: u8, length: usize, at: usize| {
        let mut entry = vec![size, size, 0, 0, 0, 0, 0, 0];
        entry.extend(u32::try_from(length).unwrap().to_le_bytes());
        entry.extend(u32::try_from(at).unwrap().to_le_bytes());
        entry
    };
    let (first, second) = (entry(0, png.len(), 38), entry(16, 40, 38 + png.len()));
    [&[0, 0, 1, 0, 2, 0][..], &first, &second, &png, &bitmap].concat()
}

#[test]
fn an_icon_becomes_a_group_and_its_pictures() {
    let bytes = ico();
    let icon = Icon::read(&bytes).unwrap();
    assert_eq!(icon.pictures.iter().map(|p| (p.size.0, p.bits)).collect::<Vec<_>>(), [(0, 32), (16, 24)]);
    let mut resources = sample();
    resources.set(Key::new(ICON, 9, ENGLISH), vec![0]);
    resources.set(Key::new(GROUP_ICON, 2, ENGLISH), vec![0]);
    icon.put(&mut resources, ENGLISH);
    assert_eq!(resources.of_kind(&ICON).count(), 2);
    let (_, group) = resources.of_kind(&GROUP_ICON).next().unwrap();
    assert_eq!(group.data[..6], [0, 0, 1, 0, 2, 0]);
    assert_eq!((group.data.len(), &group.data[18..20], &group.data[32..34]), (34, &[1, 0][..], &[2, 0][..]));
    for length in 0..bytes.len() {
        assert!(Icon::read(&bytes[..length]).is_err(), "cut to {length}");
    }
}

proptest! {
    #[test]
    fn any_tree_is_read_as_it_was_written(
        entries in proptest::collection::vec((0u32..4, any::<bool>(), 0u32..4, any::<bool>(), 0u32..3, 0usize..40), 0..40),
        rva in 0u32..0x7000_0000,
    ) {
        let mut resources = Resources::default();
        for (kind, kind_text, name, name_text, language, length) in entries {
            let label = |number: u32, text: bool| match text {
                true => Name::Text(vec![u16::try_from(number).unwrap() + 65; 1 + number as usize]),
                false => Name::Id(number),
            };
            let key = Key { kind: label(kind, kind_text), name: label(name, name_text), language };
            resources.set(key, vec![length.to_le_bytes()[0]; length]);
        }
        let section = resources.to_section(rva).unwrap();
        prop_assert_eq!(Resources::read(&section, rva).unwrap(), resources);
    }
}
