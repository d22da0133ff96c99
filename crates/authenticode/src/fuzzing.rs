//! Oracles for hostile bytes, shared by the fuzz targets and the tests. Each panics on a broken property.

use std::io::Cursor;

use crate::image::Image;
use crate::pass::{self, Wanted};
use crate::tap::Tap;
use crate::verify;

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
    let request = verify::Request {
        anchors: &[],
        others: &[],
        revocation: &pkix::revocation::Evidence::default(),
        now: pkix::Time(1_795_163_445),
        kernel: true,
    };
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
