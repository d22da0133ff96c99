#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::io::Cursor;

use pkix::der::Value;

use super::*;

fn subject(bytes: &[u8]) -> Subject {
    Subject::read(&mut Cursor::new(bytes)).unwrap()
}

fn catalogue(version: Version) -> Catalog {
    let mut catalog = Catalog::new(version, Time(1_749_110_448));
    catalog.attributes.push(Attribute::text("OSAttr", "2:6.0"));
    for (name, bytes) in [("a.js", &b"first"[..]), ("b.js", b"second"), ("c.js", b"first")] {
        catalog.add(&subject(bytes), name, MemberOptions::default()).unwrap();
    }
    catalog.sort();
    catalog
}

#[test]
fn what_is_written_is_read_as_it_was() {
    for version in [Version::One, Version::Two] {
        let written = catalogue(version);
        let der = written.to_der();
        let mut read = Catalog::read(Value::parse(&der).unwrap()).unwrap();
        assert_eq!(read.identifier.len(), 16);
        assert_eq!(read.to_der(), der);
        assert_eq!(Catalog::from_file(&unsigned(&der)).unwrap(), read);
        read.identifier.clear();
        // Version 1 says of what kind a file is only where it says its digest.
        assert_eq!(read, written);
        // The same bytes under two names are one member; version 2 has each once more under SHA-1.
        assert_eq!(read.members.len(), if version == Version::One { 2 } else { 4 });
        assert!(read.members.is_sorted_by(|a, b| a.tag < b.tag));
    }
}

#[test]
fn files_are_found_by_their_digest() {
    for (version, digest) in [(Version::One, Digest::Sha1), (Version::Two, Digest::Sha256)] {
        let catalog = Lookup::new(catalogue(version));
        let member = catalog.find(&subject(b"first")).unwrap();
        assert_eq!((member.vouches_by().unwrap().0, member.file().as_deref()), (digest, Some("a.js")));
        assert_eq!(catalog.find(&subject(b"third")), None);
    }
    // The name under SHA-1 vouches where nothing better does.
    let mut weak = catalogue(Version::Two);
    weak.members.retain(|member| member.digest.is_none());
    assert_eq!(Lookup::new(weak).find(&subject(b"first")).unwrap().vouches_by().unwrap().0, Digest::Sha1);
    // A digest that the member names decides, and not its tag.
    let mut lying = catalogue(Version::Two);
    for member in &mut lying.members {
        if member.digest.is_some() {
            member.digest = Some((Digest::Sha256, Digest::Sha256.of(b"third")));
        }
    }
    lying.members.retain(|member| member.digest.is_some());
    assert_eq!(Lookup::new(lying).find(&subject(b"first")), None);
}

/// The bytes of a member, as `makecat` of the Windows SDK writes them for a file that it hashes byte by byte
/// (docs/formats/catalog.md); put together by hand with another program.
#[test]
fn a_member_has_these_bytes() {
    let mut catalog = Catalog::new(Version::Two, Time(1_749_110_448));
    catalog.add(&subject(b"first"), "a.js", MemberOptions::default()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected = [
        "0420a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e", // the tag: the digest
        "318197",
        "3010060a2b0601040182370c020331028200", // hashed byte by byte
        "302c060a2b0601040182370c0201311e301c", // a name and its value
        "1e0800460069006c0065020410010001040a61002e006a0073000000",
        "3055060a2b060104018237020104314730453010060a2b060104018237020119a2028000", // the digest, of a link to nothing
        "3031300d060960864801650304020105000420",
        "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
    ];
    let der = hex(&catalog.to_der());
    assert!(der.contains(&expected.concat()), "{der}");
}

#[test]
fn what_is_cut_or_of_another_kind_is_refused() {
    let der = catalogue(Version::Two).to_der();
    for length in 0..der.len() {
        let cut =
            Value::parse(&der[..length]).map_err(crate::AuthenticodeError::from).and_then(Catalog::read);
        assert!(cut.is_err(), "cut to {length}");
    }
    let mut other = der.clone();
    let list = der.windows(10).position(|w| w == oid_bytes(crate::oid::CATALOG_LIST)).unwrap();
    other[list + 9] = 9;
    assert!(Catalog::read(Value::parse(&other).unwrap()).is_err());
    assert!(catalogue(Version::One).add(&subject(b"MSCF...."), "x.cab", MemberOptions::default()).is_err());
}

fn oid_bytes(oid: pkix::Oid) -> Vec<u8> {
    oid.as_bytes().to_vec()
}
