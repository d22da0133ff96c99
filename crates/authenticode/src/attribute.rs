//! The signed attributes of Authenticode beside those of CMS, and our own.

use pkix::der::{self, Value, explicit, octets, sequence, small, tag, value};

use crate::content::bmp;
use crate::error::{AuthenticodeError, Result};
use crate::oid;

/// `SpcSpOpusInfo`: what Windows shows when it asks for consent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OpusInfo {
    /// The program's name.
    pub name: Option<String>,
    /// Where more is to be found.
    pub url: Option<String>,
}

impl OpusInfo {
    pub(crate) fn to_der(&self) -> Vec<u8> {
        // SpcString: [0] BMPString or [1] IA5String; SpcLink: [0] IA5String is an address.
        let name = self.name.as_deref().map(|name| explicit(0, &value(tag::context(0), &bmp(name))));
        let url = self.url.as_deref().map(|url| explicit(1, &value(tag::context(0), url.as_bytes())));
        sequence(&[&name.unwrap_or_default(), &url.unwrap_or_default()])
    }

    pub(crate) fn read(value: Value<'_>) -> Result<Self> {
        let mut inner = value.reader();
        let name = inner.optional(tag::constructed(0))?.map(|v| Value::parse(v.body)).transpose()?;
        let url = inner.optional(tag::constructed(1))?.map(|v| Value::parse(v.body)).transpose()?;
        let shown =
            |text: String| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let name = name.map(|v| match v.tag == tag::context(0) {
            true => {
                let units: Vec<u16> =
                    v.body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
                shown(String::from_utf16_lossy(&units))
            }
            false => shown(String::from_utf8_lossy(v.body).into_owned()),
        });
        let url = url
            .filter(|v| v.tag == tag::context(0))
            .map(|v| shown(String::from_utf8_lossy(v.body).into_owned()));
        Ok(Self { name, url })
    }
}

/// `SpcStatementType`: signed for oneself. Windows has never looked at it; every signer writes it.
pub(crate) fn statement_type() -> Vec<u8> {
    sequence(&[&der::oid(oid::SPC_INDIVIDUAL_SP_KEY_PURPOSE)])
}

/// The roots of the seal of the tree that the image stands in (`docs/formats/authenticode.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealRoots {
    /// Root of the SHA-256 tree.
    pub sha256: [u8; 32],
    /// Root of the SM3 tree.
    pub sm3: [u8; 32],
}

impl SealRoots {
    /// `SEQUENCE { version INTEGER (1), sha256 OCTET STRING (SIZE (32)), sm3 OCTET STRING (SIZE (32)) }`.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        sequence(&[&small(1), &octets(&self.sha256), &octets(&self.sm3)])
    }

    pub(crate) fn read(value: Value<'_>) -> Result<Self> {
        let bad = |why: &str| AuthenticodeError::malformed("seal roots in a signature", why);
        let mut inner = value.reader();
        if inner.small()? != 1 {
            return Err(bad("they are of a later version"));
        }
        let mut root = || -> Result<[u8; 32]> {
            inner.octets()?.try_into().map_err(|_| bad("a root is not 32 bytes long"))
        };
        let (sha256, sm3) = (root()?, root()?);
        inner.end()?;
        Ok(Self { sha256, sm3 })
    }
}
