//! Reading and checking.

use crate::certificate::{Certificate, hex};
use crate::der::{Reader, Value, sorted, tag, value};
use crate::digest::Digest;
use crate::error::PkixError;
use crate::oid::{self, Oid};
use crate::signature::AlgorithmId;
use crate::time::Time;

/// A larger signature is not read: page hashes of a file of 4 GiB take 54 MiB.
pub const MAX_SIGNED_DATA: usize = 64 << 20;
/// More signers, certificates or attributes than this are refused.
const MAX_MEMBERS: usize = 256;

/// A `ContentInfo` with `SignedData`, unchecked. Borrows from the bytes it was read from.
#[derive(Clone, Debug)]
pub struct SignedData<'a> {
    /// The digest algorithms that it announces; each signer names its own.
    pub digests: Vec<Oid>,
    /// What kind of content is signed.
    pub content_type: Oid,
    /// The content's value with tag and length; none where the signature is detached.
    pub content: Option<Value<'a>>,
    /// The certificates, in their order. Attribute certificates are left out.
    pub certificates: Vec<Certificate>,
    /// The revocation lists, each a whole encoding.
    pub crls: Vec<&'a [u8]>,
    /// The signers.
    pub signers: Vec<SignerInfo<'a>>,
    /// How many bytes the whole took of those it was read from.
    pub len: usize,
}

/// Whose signature it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignerId<'a> {
    /// Issuer (its encoding) and serial number (content octets).
    IssuerAndSerial(&'a [u8], &'a [u8]),
    /// Subject key identifier.
    KeyIdentifier(&'a [u8]),
}

/// One signer.
#[derive(Clone, Debug)]
pub struct SignerInfo<'a> {
    /// The whole encoding.
    pub raw: &'a [u8],
    /// Whose it is.
    pub id: SignerId<'a>,
    /// The digest under which content and attributes were hashed.
    pub digest: AlgorithmId,
    /// The content octets of the signed attributes, as they stand; none where the content is signed directly.
    signed_raw: Option<&'a [u8]>,
    /// The signed attributes.
    pub signed: Vec<Attribute<'a>>,
    /// The algorithm of the signature.
    pub algorithm: AlgorithmId,
    /// The signature.
    pub signature: &'a [u8],
    /// The unsigned attributes.
    pub unsigned: Vec<Attribute<'a>>,
}

/// An attribute with its values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute<'a> {
    /// What it is.
    pub oid: Oid,
    /// Its values.
    pub values: Vec<Value<'a>>,
}

fn bad(why: impl Into<String>) -> PkixError {
    PkixError::malformed("signed data", why)
}

impl<'a> SignedData<'a> {
    /// Reads one from the start of `bytes`; [`SignedData::len`] says where it ended.
    ///
    /// # Errors
    /// When it is none, or beyond the limits of this module.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PkixError> {
        if bytes.len() > MAX_SIGNED_DATA {
            return Err(bad("it is larger than 64 MiB"));
        }
        Self::of(bytes).map_err(|e| e.of("signed data"))
    }

    fn of(bytes: &'a [u8]) -> Result<Self, PkixError> {
        let whole = Reader::new(bytes).expect(tag::SEQUENCE)?;
        let mut outer = whole.reader();
        let kind = outer.oid()?;
        if kind != oid::SIGNED_DATA {
            return Err(PkixError::Unsupported { what: "content", oid: kind });
        }
        let mut inner = outer.expect(tag::constructed(0))?.reader();
        outer.end()?;
        let mut data = inner.sequence()?;
        inner.end()?;
        // The version follows from the rest (RFC 5652 §5.1) and decides nothing here; there is no other number.
        if !matches!(data.small()?, 1 | 3..=5) {
            return Err(bad("its version is none of CMS"));
        }
        let mut digests = Vec::new();
        let mut set = data.expect(tag::SET)?.reader();
        while !set.is_empty() {
            digests.push(AlgorithmId::read(&mut set)?.oid);
            limit(digests.len())?;
        }
        let mut content_info = data.sequence()?;
        let content_type = content_info.oid()?;
        let content = match content_info.optional(tag::constructed(0))? {
            Some(value) => Some(Value::parse(value.body)?),
            None => None,
        };
        content_info.end()?;
        let certificates = certificates(data.optional(tag::constructed(0))?)?;
        let crls = crls(data.optional(tag::constructed(1))?)?;
        let signers = signers(data.expect(tag::SET)?.reader())?;
        data.end()?;
        Ok(Self { digests, content_type, content, certificates, crls, signers, len: whole.raw.len() })
    }

    /// The certificate of a signer, if it is among these or `others`.
    #[must_use]
    pub fn certificate_of<'c>(
        &'c self,
        signer: &SignerInfo<'_>,
        others: &'c [Certificate],
    ) -> Option<&'c Certificate> {
        self.certificates.iter().chain(others).find(|certificate| signer.id.is(certificate))
    }
}

impl SignerId<'_> {
    /// Whether it names this certificate.
    #[must_use]
    pub fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial(issuer, serial) => {
                certificate.issuer.as_der() == *issuer && certificate.serial == *serial
            }
            Self::KeyIdentifier(id) => certificate.extensions.subject_key_identifier.as_deref() == Some(*id),
        }
    }
}

impl std::fmt::Display for SignerId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::IssuerAndSerial(_, serial) => write!(f, "serial {}", hex(serial)),
            Self::KeyIdentifier(id) => write!(f, "key identifier {}", hex(id)),
        }
    }
}

fn limit(members: usize) -> Result<(), PkixError> {
    if members > MAX_MEMBERS { Err(bad("a part of it has more than 256 members")) } else { Ok(()) }
}

fn certificates(set: Option<Value<'_>>) -> Result<Vec<Certificate>, PkixError> {
    let mut out = Vec::new();
    let Some(set) = set else { return Ok(out) };
    let mut reader = set.reader();
    while !reader.is_empty() {
        let value = reader.any()?;
        if value.tag == tag::SEQUENCE {
            out.push(Certificate::from_der(value.raw)?);
        }
        limit(out.len())?;
    }
    Ok(out)
}

fn crls(set: Option<Value<'_>>) -> Result<Vec<&[u8]>, PkixError> {
    let mut out = Vec::new();
    let Some(set) = set else { return Ok(out) };
    let mut reader = set.reader();
    while !reader.is_empty() {
        out.push(reader.any()?.raw);
        limit(out.len())?;
    }
    Ok(out)
}

fn signers(mut set: Reader<'_>) -> Result<Vec<SignerInfo<'_>>, PkixError> {
    let mut out = Vec::new();
    while !set.is_empty() {
        out.push(SignerInfo::from_value(set.any()?)?);
        limit(out.len())?;
    }
    Ok(out)
}

fn attributes(mut set: Reader<'_>) -> Result<Vec<Attribute<'_>>, PkixError> {
    let mut out: Vec<Attribute<'_>> = Vec::new();
    while !set.is_empty() {
        let mut one = set.sequence()?;
        let oid = one.oid()?;
        let mut inner = one.expect(tag::SET)?.reader();
        one.end()?;
        let mut values = Vec::new();
        while !inner.is_empty() {
            values.push(inner.any()?);
            limit(values.len())?;
        }
        out.push(Attribute { oid, values });
        limit(out.len())?;
    }
    Ok(out)
}

impl<'a> SignerInfo<'a> {
    /// Reads a `SignerInfo`, also one that stands alone as a countersignature (RFC 5652 §11.4).
    ///
    /// # Errors
    /// When it is none.
    pub fn from_value(value: Value<'a>) -> Result<Self, PkixError> {
        if value.tag != tag::SEQUENCE {
            return Err(bad("a signer is not a SEQUENCE"));
        }
        let mut inner = value.reader();
        if !matches!(inner.small()?, 1 | 3) {
            return Err(bad("a signer's version is none of CMS"));
        }
        let id = match inner.optional(tag::context(0))? {
            Some(id) => SignerId::KeyIdentifier(id.body),
            None => {
                let mut pair = inner.sequence()?;
                let issuer = pair.expect(tag::SEQUENCE)?.raw;
                SignerId::IssuerAndSerial(issuer, pair.integer()?)
            }
        };
        let digest = AlgorithmId::read(&mut inner)?;
        let signed_raw = inner.optional(tag::constructed(0))?.map(|v| v.body);
        let signed = signed_raw.map(|body| attributes(Reader::new(body))).transpose()?.unwrap_or_default();
        let algorithm = AlgorithmId::read(&mut inner)?;
        let signature = inner.octets()?;
        let unsigned = match inner.optional(tag::constructed(1))? {
            Some(v) => attributes(v.reader())?,
            None => Vec::new(),
        };
        inner.end()?;
        Ok(Self { raw: value.raw, id, digest, signed_raw, signed, algorithm, signature, unsigned })
    }

    /// The one value of a signed attribute; none where it is absent.
    ///
    /// # Errors
    /// When it stands there twice or has not exactly one value (RFC 5652 §11).
    pub fn signed_attribute(&self, oid: Oid) -> Result<Option<Value<'a>>, PkixError> {
        let mut found = self.signed.iter().filter(|attribute| attribute.oid == oid);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(one), None) if one.values.len() == 1 => Ok(Some(one.values[0])),
            _ => Err(bad(format!("signed attribute {oid} has not exactly one value"))),
        }
    }

    /// The values of an unsigned attribute, wherever it stands.
    pub fn unsigned_values(&self, oid: Oid) -> impl Iterator<Item = Value<'a>> {
        self.unsigned.iter().filter(move |a| a.oid == oid).flat_map(|a| a.values.iter().copied())
    }

    /// The moment that the signer claims.
    ///
    /// # Errors
    /// When the attribute is malformed.
    pub fn signing_time(&self) -> Result<Option<Time>, PkixError> {
        self.signed_attribute(oid::SIGNING_TIME)?.map(Time::from_value).transpose()
    }

    /// Checks that the signer signed `content` (content octets) of this type with the key of `certificate`.
    ///
    /// # Errors
    /// [`PkixError::Mismatch`] when content or type are others, [`PkixError::BadSignature`] when the signature is not
    /// this key's, [`PkixError::Unsupported`] for unknown algorithms.
    pub fn verify(
        &self,
        certificate: &Certificate,
        content_type: Oid,
        content: &[u8],
    ) -> Result<(), PkixError> {
        let digest = Digest::from_oid(self.digest.oid)?;
        if !self.digest.is_plain() {
            return Err(bad("a digest algorithm with parameters"));
        }
        self.check_content(content_type, &digest.of(content))?;
        let message = match self.signed_raw {
            None => content.to_vec(),
            // The `[0]` of the encoding is signed as the SET that it stands for (RFC 5652 §5.4), in DER order:
            // some signers write the attributes in another order and sign the sorted one, most sign what they write.
            Some(body) => value(tag::SET, body),
        };
        let verified = certificate.key.verify(&self.algorithm, Some(digest), &message, self.signature);
        let verified = match (verified, self.signed_raw) {
            (Err(PkixError::BadSignature { .. }), Some(body)) => {
                let parts = members(body)?;
                let again = value(tag::SET, &sorted(&parts));
                certificate.key.verify(&self.algorithm, Some(digest), &again, self.signature)
            }
            (verified, _) => verified,
        };
        verified.map_err(|error| match error {
            PkixError::BadSignature { .. } => {
                PkixError::BadSignature { what: certificate.subject.to_string() }
            }
            other => other,
        })
    }

    /// RFC 5652 §11.1 and §11.2: with signed attributes, they bind content and type.
    fn check_content(&self, content_type: Oid, digest: &[u8]) -> Result<(), PkixError> {
        if self.signed_raw.is_none() {
            return Ok(());
        }
        let claimed = self.signed_attribute(oid::MESSAGE_DIGEST)?.ok_or_else(|| bad("no message digest"))?;
        if claimed.tag != tag::OCTET_STRING || claimed.body != digest {
            return Err(PkixError::Mismatch {
                what: "message digest",
                why: format!("signed {}, found {}", hex(claimed.body), hex(digest)),
            });
        }
        // A countersignature has no content type (RFC 5652 §11.4); Authenticode's old timestamps have one anyway.
        match self.signed_attribute(oid::CONTENT_TYPE)? {
            Some(found) if Reader::new(found.raw).oid()? != content_type => Err(PkixError::Mismatch {
                what: "content type",
                why: format!("signed {}, found {content_type}", Reader::new(found.raw).oid()?),
            }),
            _ => Ok(()),
        }
    }
}

fn members(body: &[u8]) -> Result<Vec<Vec<u8>>, PkixError> {
    let mut reader = Reader::new(body);
    let mut out = Vec::new();
    while !reader.is_empty() {
        out.push(reader.any()?.raw.to_vec());
        limit(out.len())?;
    }
    Ok(out)
}
