//! Certificate revocation lists (RFC 5280 §5).

use super::{Verdict, fresh};
use crate::certificate::{Certificate, extensions};
use crate::der::{Reader, Value, tag};
use crate::error::PkixError;
use crate::name::Name;
use crate::oid;
use crate::signature::AlgorithmId;
use crate::time::Time;

/// A larger list is not read; the largest that are published have some ten megabytes.
pub const MAX_CRL: usize = 64 << 20;

/// A list, unchecked until it is asked.
#[derive(Clone, Debug)]
pub struct Crl {
    raw: Vec<u8>,
    tbs: std::ops::Range<usize>,
    revoked: std::ops::Range<usize>,
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    algorithm: AlgorithmId,
    signature: Vec<u8>,
    /// Why it cannot be used, where its extensions say more than is understood here.
    unusable: Option<PkixError>,
}

fn bad(why: &str) -> PkixError {
    PkixError::malformed("revocation list", why)
}

impl Crl {
    /// Reads a list in DER.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_der(der: &[u8]) -> Result<Self, PkixError> {
        if der.len() > MAX_CRL {
            return Err(bad("it is larger than 64 MiB"));
        }
        Self::read(der).map_err(|e| e.of("revocation list"))
    }

    /// Reads every list of a PEM file, or the one of a DER file.
    ///
    /// # Errors
    /// As [`Crl::from_der`].
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Vec<Self>, PkixError> {
        crate::pem::blocks(bytes, "X509 CRL")?.iter().map(|der| Self::from_der(der)).collect()
    }

    fn read(der: &[u8]) -> Result<Self, PkixError> {
        let mut outer = Value::parse(der)?.reader();
        let tbs = outer.expect(tag::SEQUENCE)?;
        let algorithm = AlgorithmId::read(&mut outer)?;
        let signature = outer.bits()?.to_vec();
        outer.end()?;
        let mut inner = tbs.reader();
        inner.optional(tag::INTEGER)?; // version
        if AlgorithmId::read(&mut inner)? != algorithm {
            return Err(bad("it names two signature algorithms"));
        }
        let issuer = Name::read(&mut inner)?;
        let this_update = Time::from_value(inner.any()?)?;
        let next_update = match inner.peek() {
            Some(tag::UTC_TIME | tag::GENERALIZED_TIME) => Some(Time::from_value(inner.any()?)?),
            _ => None,
        };
        let revoked = inner.optional(tag::SEQUENCE)?.map_or(&[][..], |v| v.body);
        let unusable = match inner.optional(tag::constructed(0))? {
            Some(list) => unusable(list.reader().sequence()?)?,
            None => None,
        };
        inner.end()?;
        let range = |part: &[u8]| {
            // Every part borrows from `der`, so that its place is the distance between the two.
            let start = if part.is_empty() { 0 } else { part.as_ptr() as usize - der.as_ptr() as usize };
            start..start + part.len()
        };
        let (tbs, revoked) = (range(tbs.raw), range(revoked));
        Ok(Self {
            raw: der.to_vec(),
            tbs,
            revoked,
            issuer,
            this_update,
            next_update,
            algorithm,
            signature,
            unusable,
        })
    }

    pub(super) fn is_by(&self, issuer: &Name) -> bool {
        self.issuer == *issuer
    }

    pub(super) fn verdict(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        now: Time,
    ) -> Result<Verdict, PkixError> {
        if issuer.extensions.key_usage.is_some_and(|usage| !usage.signs_lists()) {
            return Err(PkixError::Mismatch {
                what: "revocation list",
                why: "its issuer may not sign lists".into(),
            });
        }
        issuer.key.verify(&self.algorithm, None, &self.raw[self.tbs.clone()], &self.signature).map_err(
            |error| match error {
                PkixError::BadSignature { .. } => {
                    PkixError::BadSignature { what: format!("the revocation list of {}", self.issuer) }
                }
                other => other,
            },
        )?;
        if let Some(unusable) = &self.unusable {
            return Err(unusable.clone());
        }
        if let Some(revoked) = self.entry(&certificate.serial)? {
            return Ok(revoked);
        }
        fresh("revocation list", self.this_update, self.next_update, now)?;
        Ok(Verdict::Good(self.this_update))
    }

    fn entry(&self, serial: &[u8]) -> Result<Option<Verdict>, PkixError> {
        let mut entries = Reader::new(&self.raw[self.revoked.clone()]);
        while !entries.is_empty() {
            let mut entry = entries.sequence()?;
            if entry.integer()? != serial {
                continue;
            }
            let at = Time::from_value(entry.any()?)?;
            let mut reason = 0;
            if let Some(list) = entry.optional(tag::SEQUENCE)? {
                for extension in extensions(list.reader())? {
                    if extension.oid == oid::CRL_REASON {
                        reason = Value::parse(extension.value)?.body.first().copied().unwrap_or(0);
                    }
                }
            }
            return Ok(Some(Verdict::Revoked { at, reason }));
        }
        Ok(None)
    }
}

/// A delta or indirect list, or one with critical extensions that nobody here knows, must not be used (§5.2).
fn unusable(list: Reader<'_>) -> Result<Option<PkixError>, PkixError> {
    for extension in extensions(list)? {
        let refused = match extension.oid {
            oid::ISSUING_DISTRIBUTION_POINT => indirect(extension.value)?,
            _ => extension.critical,
        };
        if refused {
            return Ok(Some(PkixError::Unsupported {
                what: "extension of a revocation list",
                oid: extension.oid,
            }));
        }
    }
    Ok(None)
}

/// `indirectCRL [4]` or `onlyContainsAttributeCerts [5]` of `IssuingDistributionPoint`.
fn indirect(value: &[u8]) -> Result<bool, PkixError> {
    let mut inner = Reader::new(value).sequence()?;
    let mut refused = false;
    while !inner.is_empty() {
        let part = inner.any()?;
        refused |= (part.tag == tag::context(4) || part.tag == tag::context(5)) && part.body != [0];
    }
    Ok(refused)
}
