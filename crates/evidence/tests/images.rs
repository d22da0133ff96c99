//! Windows programs among the entries: their Authenticode digests and page hashes, whatever they stand in.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;

use evidence::{Evidence, Image, Images, Options};
use sha2::Digest as _;
use support::tar::Tar;
use support::zip::{archive, deflated, stored};
use support::{observe, text};

/// `CheckSum` and the certificate table's directory entry of [`program`].
const CHECKSUM: std::ops::Range<usize> = 0xd8..0xdc;
const SECURITY: std::ops::Range<usize> = 0x128..0x130;

/// A PE32+ image: headers in half a kilobyte, one section of 0x4600 bytes, `overlay` behind it.
fn program(overlay: usize) -> Vec<u8> {
    let mut out = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0\x64\x86\x01\0"); // x86-64, one section
    put(0x94, &[240, 0, 0x22, 0]);
    put(0x98, &[0x0b, 0x02]);
    put(0x98 + 32, &0x1000u32.to_le_bytes()); // SectionAlignment
    put(0x98 + 36, &0x200u32.to_le_bytes());
    put(0x98 + 56, &0x6000u32.to_le_bytes());
    put(0x98 + 60, &0x400u32.to_le_bytes()); // SizeOfHeaders
    put(CHECKSUM.start, &0x1234u32.to_le_bytes());
    put(0x98 + 108, &16u32.to_le_bytes());
    put(0x188, b".text\0\0\0\0\x46\0\0\0\x10\0\0\0\x46\0\0\0\x04\0\0");
    out.extend(text(0x4600));
    out.extend(text(overlay));
    out
}

/// The same with a certificate table of `size` bytes, as a signer leaves it.
fn signed(program: &[u8], size: u32) -> Vec<u8> {
    let mut out = program.to_vec();
    out.resize(out.len().next_multiple_of(8), 0);
    let at = u32::try_from(out.len()).unwrap();
    out[SECURITY].copy_from_slice(&[at.to_le_bytes(), size.to_le_bytes()].concat());
    out[CHECKSUM].copy_from_slice(&[9; 4]);
    out.extend(vec![7; size as usize]);
    out
}

/// By definition ("Calculating the PE Image Hash"): everything before the certificate table but the two fields, filled up.
fn covered(program: &[u8]) -> Vec<u8> {
    let parts =
        [&program[..CHECKSUM.start], &program[CHECKSUM.end..SECURITY.start], &program[SECURITY.end..]];
    let mut out = parts.concat();
    out.resize(out.len() + program.len().next_multiple_of(8) - program.len(), 0);
    out
}

/// By definition: the headers without the fields, then every page, each filled up with zeros.
fn pages(program: &[u8]) -> Vec<u8> {
    let hash = |bytes: &[u8], length: usize| {
        let mut page = bytes.to_vec();
        page.resize(4096 - (length - bytes.len()), 0);
        sha2::Sha256::digest(&page).to_vec()
    };
    let head = &covered(&program[..0x400])[..0x400 - 12];
    let mut out = [vec![0; 4], hash(head, 0x400)].concat();
    for at in (0x400..0x4a00).step_by(4096) {
        let page = &program[at..(at + 4096).min(0x4a00)];
        out.extend(u32::try_from(at).unwrap().to_le_bytes());
        out.extend(hash(page, page.len()));
    }
    out.extend([&0x4a00u32.to_le_bytes()[..], &[0; 32]].concat());
    out
}

fn options(images: Images) -> Options {
    Options { images, ..Options::default() }
}

fn check(found: &Evidence, unsigned: &[u8]) {
    let paths: Vec<_> = found.images.iter().map(|image| image.path.as_str()).collect();
    assert_eq!(paths, ["bin/app.exe", "bin/signed.exe"], "which entries are images");
    for Image { path, size, digest, pages: table } in &found.images {
        assert_eq!(*digest, gm::Dual::digest(&covered(unsigned)), "{path}");
        assert_eq!(*size, unsigned.len().next_multiple_of(8) as u64, "{path}");
        assert_eq!(table.as_deref(), Some(&pages(unsigned)[..]), "{path}");
    }
}

fn contents(unsigned: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    let mut wrong = unsigned.to_vec();
    wrong[0x80] = b'N';
    [
        ("bin/app.exe", unsigned.to_vec()),
        ("bin/signed.exe", signed(unsigned, 72)),
        ("mz.txt", [&b"MZ"[..], &text(70_000)].concat()),
        ("wrong.exe", wrong),
    ]
}

#[test]
fn images_are_found_in_whatever_holds_them() {
    for overlay in [0, 3, 90_000] {
        let unsigned = program(overlay);
        let contents = contents(&unsigned);
        let zip = archive(contents.clone().map(|(name, data)| match name.len() % 2 {
            0 => stored(name, &data),
            _ => deflated(name, &data),
        }));
        let tar = contents.iter().fold(Tar::default(), |tar, (name, data)| tar.file(name, data)).end();
        let zst = zstd::encode_all(tar.as_slice(), 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        contents.iter().for_each(|(name, data)| fs::write(folder.path().join(name), data).unwrap());
        for bytes in [zip, tar, zst] {
            check(&observe(&bytes, &options(Images::Pages)).unwrap(), &unsigned);
        }
        let found = evidence::collect(folder.path(), &options(Images::Pages), &|_, _| {}).unwrap();
        check(&found, &unsigned);
        let alone =
            evidence::collect(&folder.path().join("bin/signed.exe"), &options(Images::Digests), &|_, _| {});
        let alone = alone.unwrap().images;
        assert_eq!(alone.len(), 1);
        assert_eq!((alone[0].digest, &alone[0].pages), (gm::Dual::digest(&covered(&unsigned)), &None));
    }
}

#[test]
fn nothing_is_looked_at_unasked() {
    let bytes = archive([stored("app.exe", &program(0))]);
    assert!(observe(&bytes, &Options::default()).unwrap().images.is_empty());
    let cut = archive([stored("app.exe", &program(0)[..0x180]), stored("dos.exe", b"MZ")]);
    assert!(observe(&cut, &options(Images::Digests)).unwrap().images.is_empty());
}
