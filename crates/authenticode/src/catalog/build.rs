//! Writing: the list from its parts, and the file that is not signed yet.

use pkix::der::{self, explicit, octets, sequence, set_of, small, tag, value};
use pkix::{Digest, Oid, Time};

use super::{Attribute, Catalog, Member, Version};
use crate::content::{IndirectData, bmp};
use crate::error::{AuthenticodeError, Result};
use crate::oid;
use crate::subject::{Kind, Subject};

/// What a member says beside its digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemberOptions {
    /// Whether the digests of an image's pages are in it, so that the kernel can check one at a time.
    pub pages: bool,
}

/// `SPC_PE_IMAGE_SUBJECT` and `SPC_FLAT_IMAGE_SUBJECT` (`mssip.h`): how Windows hashes the member.
const SUBJECT_IMAGE: &str = "{C689AAB8-8E78-11D0-8C47-00C04FC295EE}";
const SUBJECT_FLAT: &str = "{DE351A42-8E59-11D0-8C47-00C04FC295EE}";
/// `dwCertVersion` of a member, as `makecat` writes it.
const CERT_VERSION: u32 = 0x200;
/// Flags of an image in a catalogue, as `makecat` writes them: resources and imports are included.
const IMAGE_FLAGS: &[u8] = &[5, 0xa0];

impl Catalog {
    /// A catalogue without members.
    #[must_use]
    pub fn new(version: Version, made: Time) -> Self {
        Self { version, identifier: Vec::new(), made, members: Vec::new(), attributes: Vec::new() }
    }

    /// Adds a file under this name; [`Catalog::sort`] is due before it is written.
    ///
    /// # Errors
    /// When it is a cabinet: its digest is not computed here.
    pub fn add(&mut self, subject: &Subject, name: &str, options: MemberOptions) -> Result<()> {
        let strong = if self.version == Version::One { Digest::Sha1 } else { Digest::Sha256 };
        let Some(digest) = subject.digest(strong) else {
            let why = format!("`{name}` is a cabinet, whose digest is of a kind of its own");
            return Err(AuthenticodeError::unsuitable("catalogue it", why));
        };
        let pages = match (options.pages, subject.kind) {
            (true, Kind::Image) => subject.pages(strong).map(|table| (strong, table.to_vec())),
            _ => None,
        };
        let tag = match self.version {
            // Upper-case hexadecimal in UTF-16, with its zero.
            Version::One => wide(&digest.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
            Version::Two => digest.to_vec(),
        };
        let kind = Some(subject.kind);
        let attributes = vec![Attribute::text("File", name)];
        let digest = Some((strong, digest.to_vec()));
        self.members.push(Member { tag, kind, digest, pages, attributes });
        if let Some(alias) = subject.digest(Digest::Sha1).filter(|_| self.version == Version::Two) {
            let tag = alias.to_vec();
            self.members.push(Member { tag, kind, digest: None, pages: None, attributes: Vec::new() });
        }
        Ok(())
    }

    /// Puts the members into the order of their tags, each once: Windows looks them up by halves. Of two with one tag the
    /// one that was added first stays.
    pub fn sort(&mut self) {
        self.members.sort_by(|a, b| a.tag.cmp(&b.tag));
        self.members.dedup_by(|later, first| later.tag == first.tag);
    }

    /// The list, one DER value. Where the catalogue has no identifier yet, it has one made of its members, so that the
    /// same files and the same time give the same bytes.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let members = sequence(&self.members.iter().map(Member::to_der).collect::<Vec<_>>().each());
        let identifier = match self.identifier.as_slice() {
            [] => Digest::Sha256.of(&members)[..16].to_vec(),
            own => own.to_vec(),
        };
        let kind = match self.version {
            Version::One => oid::CATALOG_MEMBER,
            Version::Two => oid::CATALOG_MEMBER_2,
        };
        let extensions: Vec<Vec<u8>> = self.attributes.iter().map(extension).collect();
        let extensions = match extensions.is_empty() {
            true => Vec::new(),
            false => explicit(0, &sequence(&extensions.each())),
        };
        sequence(&[
            &sequence(&[&der::oid(oid::CATALOG_LIST)]),
            &octets(&identifier),
            &self.made.to_der(),
            &der::algorithm(kind, der::NULL),
            &members,
            &extensions,
        ])
    }
}

/// Parts as the writer of DER takes them.
trait Each {
    fn each(&self) -> Vec<&[u8]>;
}

impl Each for Vec<Vec<u8>> {
    fn each(&self) -> Vec<&[u8]> {
        self.iter().map(Vec::as_slice).collect()
    }
}

/// The file of a catalogue that nobody has signed: PKCS #7 without signers, as `makecat` leaves it.
#[must_use]
pub fn unsigned(list: &[u8]) -> Vec<u8> {
    let content = sequence(&[&der::oid(oid::CTL), &explicit(0, list)]);
    let data = sequence(&[&small(1), &set_of(&[]), &content, &set_of(&[])]);
    sequence(&[&der::oid(pkix::oid::SIGNED_DATA), &explicit(0, &data)])
}

impl Member {
    fn to_der(&self) -> Vec<u8> {
        let mut attributes = Vec::new();
        if let Some((digest, value)) = &self.digest {
            attributes.push(attribute(oid::SPC_INDIRECT_DATA, self.indirect(*digest, value)));
        }
        // Both versions say how it is hashed, each in its own way.
        if self.tag.len() == Digest::Sha1.size() || self.tag.len() == Digest::Sha256.size() {
            let number = match self.kind {
                Some(Kind::Image) | None => 0,
                Some(Kind::Cabinet) => 1,
                Some(Kind::Flat) => 2,
            };
            attributes.push(attribute(oid::CATALOG_MEMBER_INFO_2, value(tag::context(number), &[])));
        } else {
            let subject = if self.kind == Some(Kind::Flat) { SUBJECT_FLAT } else { SUBJECT_IMAGE };
            let info = sequence(&[&value(tag::BMP_STRING, &bmp(subject)), &small(CERT_VERSION)]);
            attributes.push(attribute(oid::CATALOG_MEMBER_INFO, info));
        }
        attributes.extend(self.attributes.iter().map(|a| attribute(oid::CATALOG_NAME_VALUE, a.to_der())));
        sequence(&[&octets(&self.tag), &set_of(&attributes)])
    }

    /// `SpcIndirectDataContent`: of an image as in its own signature but for the flags; of any other file with a link
    /// to nothing.
    fn indirect(&self, digest: Digest, value_of: &[u8]) -> Vec<u8> {
        if self.kind == Some(Kind::Image) {
            let content =
                IndirectData { algorithm: digest, digest: value_of.to_vec(), pages: self.pages.clone() };
            return content.to_der_with(IMAGE_FLAGS);
        }
        let nothing = value(tag::constructed(2), &value(tag::context(0), &[]));
        let data = sequence(&[&der::oid(oid::SPC_CAB_DATA), &nothing]);
        sequence(&[&data, &sequence(&[&digest.algorithm(), &octets(value_of)])])
    }
}

impl Attribute {
    /// `CatNameValue ::= SEQUENCE { name BMPString, flags INTEGER, value OCTET STRING }`.
    fn to_der(&self) -> Vec<u8> {
        sequence(&[&value(tag::BMP_STRING, &bmp(&self.name)), &small(self.flags), &octets(&self.value)])
    }
}

/// An extension that is not critical, so that `critical` is left out (X.690 §11.5).
fn extension(attribute: &Attribute) -> Vec<u8> {
    sequence(&[&der::oid(oid::CATALOG_NAME_VALUE), &octets(&attribute.to_der())])
}

fn attribute(kind: Oid, value: Vec<u8>) -> Vec<u8> {
    sequence(&[&der::oid(kind), &set_of(&[value])])
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}
