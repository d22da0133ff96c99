//! Oracles for hostile bytes, shared by the fuzz targets and the tests. Each panics on a broken property.

use std::io::Cursor;

use crate::catalog::{Catalog, unsigned};
use crate::image::Image;
use crate::pass::{self, Wanted};
use crate::portal::{Message, Sealed, Standing};
use crate::resource::icon::Icon;
use crate::resource::place::{self, Options};
use crate::resource::version::VersionInfo;
use crate::resource::{ENGLISH, Resources};
use crate::tap::Tap;
use crate::timestamp::{self, Timestamp};
use crate::verify;

static NOTHING: pkix::revocation::Evidence =
    pkix::revocation::Evidence { crls: Vec::new(), ocsp: Vec::new() };
/// Of somebody who trusts nobody.
static NOBODY: verify::Request<'static> = verify::Request {
    anchors: &[],
    others: &[],
    revocation: &NOTHING,
    now: pkix::Time(1_795_163_445),
    kernel: false,
};
/// The content type of a signed policy.
const SIGNED_POLICY: pkix::Oid = pkix::Oid::new(&[1, 3, 6, 1, 4, 1, 311, 79, 1]);

/// Images: reading ends, the digest does not depend on the fields left out, and nobody is trusted.
pub fn image(data: &[u8]) {
    let mut source = Cursor::new(data);
    let wanted = Wanted { digests: vec![pkix::Digest::Sha256], pages: Vec::new() };
    let tapped = tapped(data, &wanted);
    let Ok(image) = Image::read(&mut source) else {
        return assert!(tapped.is_none(), "what is no image became one piece by piece");
    };
    let found = pass::digest(&mut source, &image, &wanted)
        .map(|f| f.digest(pkix::Digest::Sha256).map(<[u8]>::to_vec));
    assert_eq!(found.as_ref().ok(), tapped.as_ref(), "an image in pieces is another one");
    let mut other = data.to_vec();
    let at = usize::try_from(image.checksum_at).unwrap_or(usize::MAX);
    if let Some(byte) = other.get_mut(at) {
        *byte ^= 0xff;
    }
    let again = Image::read(&mut Cursor::new(&other))
        .and_then(|image| pass::digest(&mut Cursor::new(&other), &image, &wanted))
        .map(|f| f.digest(pkix::Digest::Sha256).map(<[u8]>::to_vec));
    assert_eq!(found.ok(), again.ok(), "the checksum is in the digest");
    let request = verify::Request { kernel: true, ..NOBODY.clone() };
    if let Ok(report) = verify::verify(&mut source, &request) {
        assert!(!report.holds(), "an image holds and nobody is trusted");
    }
}

/// The digest of an image that comes in pieces.
fn tapped(data: &[u8], wanted: &Wanted) -> Option<Option<Vec<u8>>> {
    let mut tap = Tap::new(data.len() as u64, wanted.clone());
    data.chunks(777).for_each(|piece| tap.update(piece));
    tap.finish().map(|tapped| tapped.found.digest(pkix::Digest::Sha256).map(<[u8]>::to_vec))
}

/// Certificate tables: entries lie within the table.
pub fn table(data: &[u8]) {
    if let Ok(entries) = crate::table::entries(data) {
        let bytes: usize = entries.iter().map(|e| 8 + e.content.len() + e.padding.len()).sum();
        assert!(bytes <= data.len(), "entries are longer than their table");
    }
}

/// Catalogues: what is read is written as a list that reads the same, and nobody is trusted.
pub fn catalog(data: &[u8]) {
    let Ok(catalog) = Catalog::from_file(data) else { return };
    assert!(catalog.members.len() <= data.len(), "members out of nothing");
    let written = unsigned(&catalog.to_der());
    let again = Catalog::from_file(&written).expect("what was written can be read");
    assert_eq!(again.members.len(), catalog.members.len());
    if let Ok(document) = verify::document(data, crate::oid::CTL, &NOBODY) {
        assert!(!document.holds(), "a catalogue holds and nobody is trusted");
    }
}

/// Resource directories: what is read is written as a section that reads the same.
pub fn resources(data: &[u8]) {
    let rva = 0x5000;
    let Ok(resources) = Resources::read(data, rva) else { return };
    let Ok(section) = resources.to_section(rva) else { return };
    assert_eq!(Resources::read(&section, rva).expect("what was written can be read"), resources);
    for (_, resource) in resources.iter() {
        if let Ok(info) = VersionInfo::read(&resource.data) {
            let _ = info.to_bytes(); // texts may be too long, and nothing else
        }
    }
}

/// Images whose resources are changed: what comes out is an image with these resources and a right checksum.
pub fn rewritten(data: &[u8]) {
    let mut source = Cursor::new(data);
    let Ok(image) = Image::read(&mut source) else { return };
    let Ok(existing) = place::existing(&mut source, &image) else { return };
    let read = existing.as_ref().map(|(rva, section)| Resources::read(section, *rva));
    let Ok(mut resources) = read.transpose().map(Option::unwrap_or_default) else { return };
    resources.set(crate::resource::Key::new(crate::resource::MANIFEST, 1, ENGLISH), b"<assembly/>".to_vec());
    let mut out = Cursor::new(Vec::new());
    let options = Options { time: Some(1), drop_signature: true };
    if place::write(&mut source, &image, &resources, options, &mut out).is_err() {
        return;
    }
    let written = Image::read(&mut out).expect("what was written is an image");
    let (rva, section) = place::existing(&mut out, &written).expect("it has resources").expect("some");
    assert_eq!(Resources::read(&section, rva).expect("they can be read"), resources);
    let found = pass::digest(&mut out, &written, &Wanted::default()).expect("it can be hashed");
    assert_eq!(found.file_checksum(&written, &[]), written.checksum);
}

/// Icons: pictures lie within the file.
pub fn icon(data: &[u8]) {
    if let Ok(icon) = Icon::read(data) {
        let mut resources = Resources::default();
        let pictures = icon.pictures.len();
        icon.put(&mut resources, ENGLISH);
        assert_eq!(resources.len(), pictures + 1);
    }
}

/// Signed policies: nobody is trusted.
pub fn document(data: &[u8]) {
    for content_type in [crate::oid::CTL, SIGNED_POLICY, pkix::oid::DATA] {
        if let Ok(document) = verify::document(data, content_type, &NOBODY) {
            assert!(!document.holds(), "a document holds and nobody is trusted");
        }
    }
}

/// A signature and what is put beside it, one behind the other: the signature stays what it was.
pub fn attached(data: &[u8]) {
    let Ok(first) = pkix::cms::SignedData::read(data) else { return };
    let (first, beside) = data.split_at(first.len);
    let value = timestamp::stamped_value(first);
    let stamps = [Timestamp::rfc3161(beside, b"message"), Timestamp::legacy(beside, b"message")];
    let stamps = stamps.into_iter().flatten().chain([Timestamp::Rfc3161(beside.to_vec())]);
    let attached = stamps.map(|stamp| timestamp::attach(first, &stamp));
    for written in attached.chain([timestamp::nest(first, beside)]).flatten() {
        if let (Ok(value), Ok(again)) = (&value, timestamp::stamped_value(&written)) {
            assert_eq!(*value, again, "a signature changes");
        }
    }
}

/// What a partner portal sends: only short printable words come out of it.
pub fn portal(data: &[u8]) {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic()) && (1..=128).contains(&text.len());
    if let Ok(message) = Message::read(data) {
        assert!(plain(&message.id));
        if let Some(update) = message.update {
            assert!(plain(&update.status) && update.certificate_sha1.len() == 40);
        }
    }
    if let Ok(Some(standing)) = Standing::read(data) {
        let words = [Some(&standing.step), Some(&standing.state), standing.commit.as_ref()];
        assert!(words.into_iter().flatten().all(|word| word.is_empty() || plain(word)));
    }
    let Ok(header) = std::str::from_utf8(data) else { return };
    if let Some(sealed) = Sealed::read(header) {
        assert!(sealed.seconds >= 0 && sealed.code.len() == 32 && header.contains(sealed.time));
    }
}
