//! Reading: what others wrote, with every list bounded and every digest as long as its algorithm makes it.

use pkix::cms::SignedData;
use pkix::der::{Reader, Value, tag};
use pkix::{AlgorithmId, Digest, Time};

use super::{Attribute, Catalog, MAX_MEMBERS, Member, Version};
use crate::content::IndirectData;
use crate::error::{AuthenticodeError, Result};
use crate::oid;
use crate::subject::Kind;

/// More attributes than this has no catalogue, and no member.
const MAX_ATTRIBUTES: usize = 256;

fn bad(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::malformed("catalogue", why)
}

impl Catalog {
    /// Reads the list inside a `.cat`, judging no signature ([`crate::verify::document`] does).
    ///
    /// # Errors
    /// When it is none.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let signed = SignedData::read(bytes)?;
        if signed.content_type != oid::CTL {
            return Err(bad(format!("its content is {}, and no list", signed.content_type)));
        }
        Self::read(signed.content.ok_or_else(|| bad("it has no content"))?)
    }

    /// Reads the list: `CertificateTrustList` of MS-CAESO (2009).
    ///
    /// # Errors
    /// When it is none, or a list of something else than files.
    pub fn read(content: Value<'_>) -> Result<Self> {
        if content.tag != tag::SEQUENCE {
            return Err(bad("its content is no SEQUENCE"));
        }
        let mut list = content.reader();
        list.optional(tag::INTEGER)?; // the version of the list, which nobody writes
        if list.sequence()?.oid()? != oid::CATALOG_LIST {
            return Err(bad("it is a list of something else than files"));
        }
        let identifier = list.optional(tag::OCTET_STRING)?.map_or_else(Vec::new, |v| v.body.to_vec());
        list.optional(tag::INTEGER)?; // a sequence number
        let made = Time::from_value(list.any()?)?;
        if matches!(list.peek(), Some(tag::UTC_TIME | tag::GENERALIZED_TIME)) {
            list.any()?; // when the next is expected
        }
        let version = match AlgorithmId::read(&mut list)?.oid {
            oid::CATALOG_MEMBER => Version::One,
            oid::CATALOG_MEMBER_2 => Version::Two,
            other => return Err(bad(format!("members of kind {other}"))),
        };
        let mut members = Vec::new();
        if list.peek() == Some(tag::SEQUENCE) {
            let mut entries = list.sequence()?;
            while !entries.is_empty() {
                members.push(member(entries.sequence()?, version)?);
                limit(members.len(), MAX_MEMBERS)?;
            }
        }
        let attributes = match list.optional(tag::constructed(0))? {
            Some(extensions) => catalogue_attributes(extensions.reader().sequence()?)?,
            None => Vec::new(),
        };
        list.end()?;
        Ok(Self { version, identifier, made, members, attributes })
    }
}

fn limit(count: usize, most: usize) -> Result<()> {
    if count > most { Err(bad(format!("a list in it has more than {most} parts"))) } else { Ok(()) }
}

fn member(mut entry: Reader<'_>, version: Version) -> Result<Member> {
    let tag = entry.octets()?.to_vec();
    let mut out = Member { tag, kind: None, digest: None, pages: None, attributes: Vec::new() };
    let Some(set) = entry.optional(tag::SET)? else { return Ok(out) };
    entry.end()?;
    let mut set = set.reader();
    let mut count = 0;
    while !set.is_empty() {
        count += 1;
        limit(count, MAX_ATTRIBUTES)?;
        let mut attribute = set.sequence()?;
        let kind = attribute.oid()?;
        let mut values = attribute.expect(tag::SET)?.reader();
        let value = values.any()?;
        values.end()?;
        match kind {
            oid::SPC_INDIRECT_DATA => indirect(value, &mut out)?,
            oid::CATALOG_NAME_VALUE => out.attributes.push(name_value(value)?),
            oid::CATALOG_MEMBER_INFO if version == Version::One => out.kind = out.kind.or(by_subject(value)?),
            oid::CATALOG_MEMBER_INFO_2 => out.kind = out.kind.or(by_number(value)),
            _ => {} // what this does not know can only say less than the digest
        }
    }
    Ok(out)
}

/// The digest, and of what kind of file it is.
fn indirect(value: Value<'_>, member: &mut Member) -> Result<()> {
    if member.digest.is_some() {
        return Err(bad("a member has two digests"));
    }
    if value.tag != tag::SEQUENCE {
        return Err(bad("a member's digest is no SEQUENCE"));
    }
    let mut outer = value.reader();
    let mut data = outer.sequence()?;
    let kind = data.oid()?;
    if kind == oid::SPC_PE_IMAGE_DATA {
        let content = IndirectData::read(value)?;
        member.kind = Some(Kind::Image);
        member.digest = Some((content.algorithm, content.digest));
        member.pages = content.pages;
        return Ok(());
    }
    member.kind = match kind {
        oid::SPC_CAB_DATA => Some(Kind::Flat),
        oid::SPC_LINK => Some(Kind::Cabinet),
        _ => None, // a kind of file that is hashed in a way of its own
    };
    let mut info = outer.sequence()?;
    outer.end()?;
    let algorithm = Digest::from_oid(AlgorithmId::read(&mut info)?.oid)?;
    let digest = info.octets()?.to_vec();
    info.end()?;
    if digest.len() != algorithm.size() {
        return Err(bad("a digest is not as long as its algorithm makes it"));
    }
    member.digest = Some((algorithm, digest));
    Ok(())
}

/// `CatMemberInfo ::= SEQUENCE { subject BMPString, certVersion INTEGER }`. Windows' own catalogues name the subject of
/// images for every file; the digest decides.
fn by_subject(value: Value<'_>) -> Result<Option<Kind>> {
    let mut info = Reader::new(value.raw).sequence()?;
    info.expect(tag::BMP_STRING)?;
    info.expect(tag::INTEGER)?;
    Ok(None)
}

fn by_number(value: Value<'_>) -> Option<Kind> {
    match value.tag & 0x1f {
        0 => Some(Kind::Image),
        1 => Some(Kind::Cabinet),
        2 => Some(Kind::Flat),
        _ => None,
    }
}

fn name_value(value: Value<'_>) -> Result<Attribute> {
    let mut inner = Reader::new(value.raw).sequence()?;
    let name = inner.expect(tag::BMP_STRING)?;
    // Flags with the highest bit set are negative numbers to those who write them as such.
    let flags = inner.integer()?;
    let flags = flags.iter().fold(0u32, |number, octet| number << 8 | u32::from(*octet));
    let value = inner.octets()?.to_vec();
    inner.end()?;
    let units: Vec<u16> =
        name.body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let name = String::from_utf16_lossy(&units);
    let name = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    Ok(Attribute { name, flags, value })
}

fn catalogue_attributes(mut extensions: Reader<'_>) -> Result<Vec<Attribute>> {
    let mut out = Vec::new();
    let mut count = 0;
    while !extensions.is_empty() {
        count += 1;
        limit(count, MAX_ATTRIBUTES)?;
        let mut one = extensions.sequence()?;
        let kind = one.oid()?;
        let critical = one.boolean_or(false)?;
        let value = one.octets()?;
        one.end()?;
        match kind {
            oid::CATALOG_NAME_VALUE => out.push(name_value(Value::parse(value)?)?),
            _ if critical => return Err(bad(format!("extension {kind} is critical and not known"))),
            _ => {}
        }
    }
    Ok(out)
}
