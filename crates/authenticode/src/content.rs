//! `SpcIndirectDataContent`: what an Authenticode signature signs, a digest of the image and its page hashes.

use pkix::der::{self, Part, Reader, Value, octets, sequence, tag, value};
use pkix::{AlgorithmId, Digest};

use crate::error::{AuthenticodeError, Result};
use crate::oid;

/// What the `file` of `SpcPeImageData` says when it has no page hashes ("SpcPeImageData": "set to <<<Obsolete>>>").
const OBSOLETE: &str = "<<<Obsolete>>>";
/// The class of the serialized page hashes, {A6B586D5-B4A1-2466-AE05-A217DA8E60D6} in the order of its bytes.
const PAGE_HASH_CLASS: [u8; 16] =
    [0xa6, 0xb5, 0x86, 0xd5, 0xb4, 0xa1, 0x24, 0x66, 0xae, 0x05, 0xa2, 0x17, 0xda, 0x8e, 0x60, 0xd6];
/// `SpcPeImageFlags`: "includeResources" is obsolete; everybody writes an empty string of bits.
pub(crate) const NO_FLAGS: &[u8] = &[0];

/// What is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IndirectData {
    /// The digest algorithm.
    pub algorithm: Digest,
    /// The digest of the image.
    pub digest: Vec<u8>,
    /// Page hashes and their algorithm, where there are any.
    pub pages: Option<(Digest, Vec<u8>)>,
}

impl IndirectData {
    /// The content of a signature, one DER value.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        self.to_der_with(NO_FLAGS)
    }

    /// The same with these flags: the octets of a BIT STRING, unused bits first.
    pub(crate) fn to_der_with(&self, flags: &[u8]) -> Vec<u8> {
        let pages = self.pages.as_ref().map(|(digest, table)| (*digest, table.as_slice()));
        encode(self.algorithm, &self.digest, pages, flags)
    }

    /// Reads it from the content of a signature.
    ///
    /// # Errors
    /// When it is no content of a PE image's signature.
    pub fn read(content: Value<'_>) -> Result<Self> {
        // Its tag and length are in nobody's digest.
        if content.tag != tag::SEQUENCE {
            return Err(AuthenticodeError::malformed("signature", "its content is no SEQUENCE"));
        }
        let mut outer = content.reader();
        let mut data = outer.sequence()?;
        let kind = data.oid()?;
        if kind != oid::SPC_PE_IMAGE_DATA {
            return Err(AuthenticodeError::malformed(
                "signature",
                format!("it signs {kind}, and no PE image"),
            ));
        }
        let pages = if data.is_empty() { None } else { pages(data.sequence()?)? };
        let mut info = outer.sequence()?;
        outer.end()?;
        let algorithm = Digest::from_oid(AlgorithmId::read(&mut info)?.oid)?;
        let digest = info.octets()?.to_vec();
        info.end()?;
        if digest.len() != algorithm.size() {
            return Err(AuthenticodeError::malformed(
                "signature",
                "its digest is not as long as its algorithm makes it",
            ));
        }
        Ok(Self { algorithm, digest, pages })
    }
}

/// The content of a signature by its parts. The table of page hashes, 0.9 MB for 100 MB of a program, is copied once.
pub(crate) fn encode(
    algorithm: Digest,
    digest: &[u8],
    pages: Option<(Digest, &[u8])>,
    flags: &[u8],
) -> Vec<u8> {
    let moniker = pages.map(|(algorithm, table)| {
        let kind = match algorithm {
            Digest::Sha1 => oid::SPC_PE_IMAGE_PAGE_HASHES_V1,
            _ => oid::SPC_PE_IMAGE_PAGE_HASHES_V2,
        };
        (der::oid(kind), octets(&PAGE_HASH_CLASS), table)
    });
    let obsolete = bmp(OBSOLETE);
    let within = |tag, part| Part::Value(tag, vec![part]);
    let link = match &moniker {
        None => within(tag::constructed(2), within(tag::context(0), Part::Bytes(&obsolete))),
        Some((kind, class, table)) => {
            let hashes = within(tag::SET, within(tag::OCTET_STRING, Part::Bytes(table)));
            let attribute = Part::Value(tag::SEQUENCE, vec![Part::Bytes(kind), hashes]);
            let serialized = within(tag::OCTET_STRING, within(tag::SET, attribute));
            Part::Value(tag::constructed(1), vec![Part::Bytes(class), serialized])
        }
    };
    let flags = value(tag::BIT_STRING, flags);
    let image = Part::Value(tag::SEQUENCE, vec![Part::Bytes(&flags), within(tag::constructed(0), link)]);
    let kind = der::oid(oid::SPC_PE_IMAGE_DATA);
    let data = Part::Value(tag::SEQUENCE, vec![Part::Bytes(&kind), image]);
    let signed = sequence(&[&algorithm.algorithm(), &octets(digest)]);
    Part::Value(tag::SEQUENCE, vec![data, Part::Bytes(&signed)]).to_vec()
}

/// The page hashes in `SpcPeImageData`.
fn pages(mut image: Reader<'_>) -> Result<Option<(Digest, Vec<u8>)>> {
    image.optional(tag::BIT_STRING)?;
    let Some(link) = image.optional(tag::constructed(0))? else { return Ok(None) };
    let Some(moniker) = link.reader().optional(tag::constructed(1))? else { return Ok(None) };
    let mut object = moniker.reader();
    if object.octets()? != PAGE_HASH_CLASS {
        return Ok(None);
    }
    let mut set = Value::parse(object.octets()?)?.reader();
    let mut attribute = set.sequence()?;
    let algorithm = match attribute.oid()? {
        oid::SPC_PE_IMAGE_PAGE_HASHES_V1 => Digest::Sha1,
        oid::SPC_PE_IMAGE_PAGE_HASHES_V2 => Digest::Sha256,
        other => {
            return Err(AuthenticodeError::malformed("signature", format!("page hashes of kind {other}")));
        }
    };
    let table = attribute.expect(tag::SET)?.reader().octets()?.to_vec();
    Ok(Some((algorithm, table)))
}

/// UTF-16, big-endian: a `BMPString`'s content octets.
pub(crate) fn bmp(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}
