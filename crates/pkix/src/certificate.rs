//! X.509 certificates, version 3 (RFC 5280 §4).

use crate::der::{Reader, Value, tag};
use crate::error::PkixError;
use crate::name::Name;
use crate::oid::{self, Oid};
use crate::signature::{AlgorithmId, PublicKey};
use crate::time::Time;

/// A larger certificate is not read; those of code signers have two kilobytes.
pub const MAX_CERTIFICATE: usize = 256 * 1024;
/// More extensions than this are no certificate that anyone issued.
const MAX_EXTENSIONS: usize = 128;

/// A certificate: what it says, unchecked. [`crate::chain`] decides whether it counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    raw: Vec<u8>,
    tbs: std::ops::Range<usize>,
    /// Content octets of the serial number.
    pub serial: Vec<u8>,
    /// Who issued it.
    pub issuer: Name,
    /// Whose key it is.
    pub subject: Name,
    /// From when on.
    pub not_before: Time,
    /// Until when, inclusive.
    pub not_after: Time,
    /// The key.
    pub key: PublicKey,
    /// The algorithm of the issuer's signature.
    pub algorithm: AlgorithmId,
    /// The issuer's signature.
    pub signature: Vec<u8>,
    /// What the extensions say.
    pub extensions: Extensions,
}

/// The extensions that decide, and the identifiers of those that nobody here understands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    /// `basicConstraints`: whether it is an authority, and how many authorities may follow.
    pub basic_constraints: Option<(bool, Option<u32>)>,
    /// `keyUsage`, the first bit the highest.
    pub key_usage: Option<KeyUsage>,
    /// `extKeyUsage`.
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    /// `subjectKeyIdentifier`.
    pub subject_key_identifier: Option<Vec<u8>>,
    /// `authorityKeyIdentifier`, the key identifier in it.
    pub authority_key_identifier: Option<Vec<u8>>,
    /// Critical ones that are not known here: the certificate must not be used (RFC 5280 §4.2).
    pub unknown_critical: Vec<Oid>,
}

/// `KeyUsage` (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUsage(u8);

impl KeyUsage {
    /// `digitalSignature`.
    #[must_use]
    pub fn signs(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// `keyCertSign`.
    #[must_use]
    pub fn certifies(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// `cRLSign`.
    #[must_use]
    pub fn signs_lists(self) -> bool {
        self.0 & 0x02 != 0
    }
}

/// `ExtKeyUsageSyntax` (RFC 5280 §4.2.1.12).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExtendedKeyUsage {
    /// What the key may do.
    pub purposes: Vec<Oid>,
    /// Whether whoever does not understand it must refuse.
    pub critical: bool,
}

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// When it is none, or larger than [`MAX_CERTIFICATE`].
    pub fn from_der(der: &[u8]) -> Result<Self, PkixError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(malformed("it is larger than 256 KiB"));
        }
        let value = Value::parse(der).map_err(|e| e.of("certificate"))?;
        Self::from_value(value).map_err(|e| e.of("certificate"))
    }

    fn from_value(value: Value<'_>) -> Result<Self, PkixError> {
        if value.tag != tag::SEQUENCE {
            return Err(malformed("it is not a SEQUENCE"));
        }
        let mut outer = value.reader();
        let tbs = outer.expect(tag::SEQUENCE)?;
        let algorithm = AlgorithmId::read(&mut outer)?;
        let signature = outer.bits()?.to_vec();
        outer.end()?;

        let mut inner = tbs.reader();
        let version = match inner.optional(tag::constructed(0))? {
            Some(version) => version.reader().small()?,
            None => 0,
        };
        let serial = inner.integer()?.to_vec();
        // RFC 5280 §4.1.1.2: the same algorithm inside and outside, or a signature could be given another meaning.
        if AlgorithmId::read(&mut inner)? != algorithm {
            return Err(malformed("it names two signature algorithms"));
        }
        let issuer = Name::read(&mut inner)?;
        let mut validity = inner.sequence()?;
        let (not_before, not_after) =
            (Time::from_value(validity.any()?)?, Time::from_value(validity.any()?)?);
        let subject = Name::read(&mut inner)?;
        let key = PublicKey::read(&mut inner)?;
        inner.optional(tag::context(1))?; // issuerUniqueID and subjectUniqueID: nobody uses them
        inner.optional(tag::context(2))?;
        let extensions = match inner.optional(tag::constructed(3))? {
            Some(value) if version == 2 => Extensions::read(value.reader().sequence()?)?,
            Some(_) => return Err(malformed("it has extensions and is not of version 3")),
            None => Extensions::default(),
        };
        inner.end()?;
        let header = value.raw.len() - value.body.len();
        let tbs = header..header + tbs.raw.len();
        Ok(Self {
            raw: value.raw.to_vec(),
            tbs,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            algorithm,
            signature,
            extensions,
        })
    }

    /// Reads every certificate of a PEM file, or the one of a DER file.
    ///
    /// # Errors
    /// When there is none, or one of them cannot be read.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Vec<Self>, PkixError> {
        crate::pem::blocks(bytes, "CERTIFICATE")?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The encoding.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.raw
    }

    /// The part that the issuer signed.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.raw[self.tbs.clone()]
    }

    /// Whether subject and issuer are the same name.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `basicConstraints` makes it an authority.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.extensions.basic_constraints.is_some_and(|(authority, _)| authority)
    }

    /// Whether its key made the signature of `other`.
    ///
    /// # Errors
    /// As [`PublicKey::verify`].
    pub fn certified(&self, other: &Self) -> Result<(), PkixError> {
        self.key.verify(&other.algorithm, None, other.tbs(), &other.signature)
    }

    /// Lower-case hexadecimal digest of the whole certificate: a thumbprint.
    #[must_use]
    pub fn thumbprint(&self, digest: crate::Digest) -> String {
        hex(&digest.of(&self.raw))
    }

    /// The serial number in lower-case hexadecimal, as `openssl x509 -serial` counts its digits.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        hex(self.serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(&self.serial))
    }

    /// `IssuerAndSerialNumber` (RFC 5652 §10.2.4).
    #[must_use]
    pub fn issuer_and_serial(&self) -> Vec<u8> {
        crate::der::sequence(&[self.issuer.as_der(), &crate::der::value(tag::INTEGER, &self.serial)])
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

/// One extension: its identifier, whether it is critical, its value's bytes.
pub(crate) struct Extension<'a> {
    pub(crate) oid: Oid,
    pub(crate) critical: bool,
    pub(crate) value: &'a [u8],
}

/// `Extensions` (RFC 5280 §4.1): each at most once.
pub(crate) fn extensions(mut list: Reader<'_>) -> Result<Vec<Extension<'_>>, PkixError> {
    let mut found: Vec<Extension<'_>> = Vec::new();
    while !list.is_empty() {
        let mut one = list.sequence()?;
        let oid = one.oid()?;
        let critical = one.boolean_or(false)?;
        let value = one.octets()?;
        one.end()?;
        if found.iter().any(|other| other.oid == oid) {
            return Err(malformed(format!("extension {oid} stands twice")));
        }
        found.push(Extension { oid, critical, value });
        if found.len() > MAX_EXTENSIONS {
            return Err(malformed("it has more than 128 extensions"));
        }
    }
    Ok(found)
}

impl Extensions {
    fn read(list: Reader<'_>) -> Result<Self, PkixError> {
        let mut out = Self::default();
        for Extension { oid, critical, value } in extensions(list)? {
            match oid {
                oid::BASIC_CONSTRAINTS => out.basic_constraints = Some(basic_constraints(value)?),
                oid::KEY_USAGE => out.key_usage = Some(key_usage(value)?),
                oid::EXTENDED_KEY_USAGE => {
                    out.extended_key_usage = Some(ExtendedKeyUsage { purposes: purposes(value)?, critical });
                }
                oid::SUBJECT_KEY_IDENTIFIER => {
                    out.subject_key_identifier = Some(Reader::new(value).octets()?.to_vec());
                }
                oid::AUTHORITY_KEY_IDENTIFIER => {
                    let id = Reader::new(value).sequence()?.optional(tag::context(0))?;
                    out.authority_key_identifier = id.map(|id| id.body.to_vec());
                }
                // Names and policies decide nothing here: no purpose that is asked for depends on them.
                oid::SUBJECT_ALT_NAME | oid::CERTIFICATE_POLICIES => {}
                _ if critical => out.unknown_critical.push(oid),
                _ => {}
            }
        }
        Ok(out)
    }
}

fn basic_constraints(value: &[u8]) -> Result<(bool, Option<u32>), PkixError> {
    let mut inner = Reader::new(value).sequence()?;
    let authority = inner.boolean_or(false)?;
    let length = if inner.is_empty() { None } else { Some(inner.small()?) };
    Ok((authority, length))
}

fn key_usage(value: &[u8]) -> Result<KeyUsage, PkixError> {
    match Value::parse(value)?.body {
        [unused, first, ..] if *unused < 8 => Ok(KeyUsage(*first)),
        _ => Err(malformed("its key usage is empty")),
    }
}

fn purposes(value: &[u8]) -> Result<Vec<Oid>, PkixError> {
    let mut inner = Reader::new(value).sequence()?;
    let mut out = Vec::new();
    while !inner.is_empty() {
        out.push(inner.oid()?);
    }
    Ok(out)
}

fn malformed(why: impl Into<String>) -> PkixError {
    PkixError::malformed("certificate", why)
}
