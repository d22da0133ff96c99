//! Building: the bytes to sign first, the whole when the signature is there. Who signs is the caller's affair.

use crate::certificate::Certificate;
use crate::der::{self, Part, constructed, octets, sequence, set_of, small, sorted, tag, value};
use crate::digest::Digest;
use crate::oid::{self, Oid};

/// One signature over one content.
#[derive(Clone, Debug)]
pub struct Builder<'a> {
    digest: Digest,
    content_type: Oid,
    content: Option<&'a [u8]>,
    signer: &'a Certificate,
    signature_algorithm: Vec<u8>,
    attributes: Vec<Vec<u8>>,
    certificates: Vec<&'a Certificate>,
}

impl<'a> Builder<'a> {
    /// A signature by `signer` over `content`, one DER value of type `content_type`. `signature_algorithm` is the
    /// whole `AlgorithmIdentifier`.
    ///
    /// The attributes that CMS itself asks for (content type, message digest; RFC 5652 §5.3) are set.
    #[must_use]
    pub fn new(
        content_type: Oid,
        content: &'a [u8],
        digest: Digest,
        signer: &'a Certificate,
        signature_algorithm: Vec<u8>,
    ) -> Self {
        let body = der::Value::parse(content).map_or(content, |v| v.body);
        let message_digest = digest.of(body);
        let builder = Self {
            digest,
            content_type,
            content: Some(content),
            signer,
            signature_algorithm,
            attributes: Vec::new(),
            certificates: vec![signer],
        };
        builder
            .attribute(oid::CONTENT_TYPE, &der::oid(content_type))
            .attribute(oid::MESSAGE_DIGEST, &octets(&message_digest))
    }

    /// Leaves the content out of what is written: a detached signature.
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.content = None;
        self
    }

    /// Adds a signed attribute with one value, in DER.
    #[must_use]
    pub fn attribute(mut self, oid: Oid, value: &[u8]) -> Self {
        self.attributes.push(attribute(oid, value));
        self
    }

    /// Adds certificates to those that travel along; each at most once.
    #[must_use]
    pub fn certificates(mut self, more: &'a [Certificate]) -> Self {
        for certificate in more {
            if !self.certificates.contains(&certificate) {
                self.certificates.push(certificate);
            }
        }
        self
    }

    /// The bytes that the signer's key must sign: the signed attributes as a SET (RFC 5652 §5.4).
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        set_of(&self.attributes)
    }

    /// The `ContentInfo`. `unsigned` are attributes made by [`attribute`], `more_certificates` those that they need.
    #[must_use]
    pub fn finish(
        &self,
        signature: &[u8],
        unsigned: &[(Oid, Vec<u8>)],
        more_certificates: &[Certificate],
    ) -> Vec<u8> {
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        for certificate in self.certificates.iter().copied().chain(more_certificates) {
            if !certificates.iter().any(|known| known == certificate.as_der()) {
                certificates.push(certificate.as_der().to_vec());
            }
        }
        let unsigned: Vec<Vec<u8>> = unsigned.iter().map(|(oid, value)| attribute(*oid, value)).collect();
        let unsigned = match unsigned.is_empty() {
            true => Vec::new(),
            false => value(tag::constructed(1), &sorted(&unsigned)),
        };
        let signer = sequence(&[
            &small(1),
            &self.signer.issuer_and_serial(),
            &self.digest.algorithm(),
            &value(tag::constructed(0), &sorted(&self.attributes)),
            &self.signature_algorithm,
            &octets(signature),
            &unsigned,
        ]);
        let kind = der::oid(self.content_type);
        let content =
            self.content.map(|content| Part::Value(tag::constructed(0), vec![Part::Bytes(content)]));
        let encapsulated = std::iter::once(Part::Bytes(&kind)).chain(content).collect();
        // Authenticode asks for version 1 (Windows Authenticode Portable Executable Signature Format, "SignedData"),
        // whatever RFC 5652 §5.1 would make of the content's type.
        let before = [small(1), set_of(&[self.digest.algorithm()])].concat();
        let certificates =
            constructed(tag::constructed(0), &certificates.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let behind = [certificates, set_of(&[signer])].concat();
        let data = vec![Part::Bytes(&before), Part::Value(tag::SEQUENCE, encapsulated), Part::Bytes(&behind)];
        let data = Part::Value(tag::constructed(0), vec![Part::Value(tag::SEQUENCE, data)]);
        Part::Value(tag::SEQUENCE, vec![Part::Bytes(&der::oid(oid::SIGNED_DATA)), data]).to_vec()
    }
}

/// `Attribute` with one value.
fn attribute(oid: Oid, value: &[u8]) -> Vec<u8> {
    sequence(&[&der::oid(oid), &set_of(&[value.to_vec()])])
}

/// The bytes of a `SignerInfo` that stands alone (RFC 5652 §11.4), from the one signer of a `SignedData`.
#[must_use]
pub fn countersignature(signed: &super::SignedData<'_>) -> Option<Vec<u8>> {
    match signed.signers.as_slice() {
        [one] => Some(one.raw.to_vec()),
        _ => None,
    }
}
