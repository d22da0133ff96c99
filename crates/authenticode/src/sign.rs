//! Signing: the image is read once and copied aside, the signature is put behind the copy.
//!
//! In three steps, because a timestamp authority stands between them: [`Prepared::copy`] reads and copies,
//! [`Prepared::signature`] signs, [`Prepared::finish`] writes the table, the directory entry and the checksum.

use std::io::{Read, Seek, SeekFrom, Write};

use pkix::cms::Builder;
use pkix::{Certificate, Digest, Oid, der};
use signing::{Algorithm, Signer};

use crate::attribute::{OpusInfo, SealRoots, statement_type};
use crate::content;
use crate::error::{AuthenticodeError, Result};
use crate::image::Image;
use crate::pass::{self, Found, Wanted};
use crate::{oid, table};

/// Whose signature it is to be.
pub struct Credential<'a> {
    /// The key.
    pub signer: &'a dyn Signer,
    /// Its certificate.
    pub certificate: &'a Certificate,
    /// Certificates that travel along, so that others can build a chain.
    pub chain: &'a [Certificate],
}

/// What is signed beside the image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The digest of the image; none for that of the key.
    pub digest: Option<Digest>,
    /// Whether the pages are hashed too.
    pub page_hashes: bool,
    /// Name and address of the program.
    pub opus: OpusInfo,
    /// The roots of the seal of the tree that the image stands in.
    pub seal: Option<SealRoots>,
}

/// A signature that is not yet in the file.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The `ContentInfo`, without timestamps.
    pkcs7: Vec<u8>,
    /// The signature's own bytes: what a timestamp is over.
    pub value: Vec<u8>,
}

/// An image that was copied and read, and waits for its signature.
#[derive(Debug)]
pub struct Prepared {
    image: Image,
    found: Found,
    options: Options,
    digest: Digest,
    old_table: Vec<u8>,
}

/// The digest of a key's signatures.
///
/// # Errors
/// When the key's algorithm is none that Authenticode knows.
pub fn digest_of(algorithm: Algorithm) -> Result<Digest> {
    match algorithm {
        Algorithm::EcdsaP256 | Algorithm::RsaSha256 => Ok(Digest::Sha256),
        Algorithm::EcdsaP384 | Algorithm::RsaSha384 => Ok(Digest::Sha384),
        Algorithm::RsaSha512 => Ok(Digest::Sha512),
        Algorithm::Sm2 => Ok(Digest::Sm3),
        other => Err(AuthenticodeError::unsuitable(
            "sign",
            format!("{other} is no algorithm that Authenticode knows"),
        )),
    }
}

/// `AlgorithmIdentifier` of a signature. With RSA it is that of the key, as signtool writes it and old verifiers want
/// it (RFC 3370 §3.2 allows either).
fn signature_algorithm(algorithm: Algorithm) -> Result<Vec<u8>> {
    Ok(match algorithm {
        Algorithm::EcdsaP256 => der::algorithm(pkix::oid::ECDSA_WITH_SHA256, &[]),
        Algorithm::EcdsaP384 => der::algorithm(pkix::oid::ECDSA_WITH_SHA384, &[]),
        Algorithm::Sm2 => der::algorithm(pkix::oid::SM2_WITH_SM3, &[]),
        other => {
            digest_of(other)?;
            der::algorithm(pkix::oid::RSA_ENCRYPTION, der::NULL)
        }
    })
}

impl Prepared {
    /// Reads the image and copies it without its certificate table.
    ///
    /// # Errors
    /// When it is no image, cannot be read or written, or its pages cannot be hashed.
    pub fn copy(
        source: &mut (impl Read + Seek),
        destination: &mut impl Write,
        algorithm: Algorithm,
        options: Options,
    ) -> Result<Self> {
        let natural = digest_of(algorithm)?;
        let digest = options.digest.unwrap_or(natural);
        if digest != natural {
            // One digest for image, attributes and signature: Windows refuses a mixture of them.
            let why = format!("this key signs under {natural}, not under {digest}");
            return Err(AuthenticodeError::unsuitable("sign", why));
        }
        let image = Image::read(source)?;
        let pages = if options.page_hashes { vec![page_digest(digest)?] } else { Vec::new() };
        let found = pass::copy(source, &image, &Wanted { digests: vec![digest], pages }, destination)?;
        let old_table = read_table(source, &image)?;
        Ok(Self { image, found, options, digest, old_table })
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The digest algorithm and the digest that is signed.
    #[must_use]
    pub fn digest(&self) -> (Digest, &[u8]) {
        (self.digest, self.found.digest(self.digest).unwrap_or_default())
    }

    /// Signs.
    ///
    /// # Errors
    /// When the certificate is not that of the key, or the key cannot sign.
    pub fn signature(&self, credential: &Credential<'_>) -> Result<Signature> {
        let (algorithm, digest) = self.digest();
        let pages = self.options.page_hashes.then(|| page_digest(algorithm)).transpose()?;
        let pages = pages.and_then(|digest| Some((digest, self.found.pages(digest)?)));
        let content = content::encode(algorithm, digest, pages, content::NO_FLAGS);
        let mut attributes = self::attributes(&self.options.opus);
        if let Some(roots) = &self.options.seal {
            attributes.push((oid::CUSTODY_SEAL_ROOTS, roots.to_der()));
        }
        sign(oid::SPC_INDIRECT_DATA, &content, &attributes, credential)
    }

    /// The first signature of the file that was copied, if it has one: what an appended signature is nested in.
    ///
    /// # Errors
    /// When the table is malformed.
    pub fn existing(&self) -> Result<Option<Vec<u8>>> {
        first_signature(&self.old_table)
    }

    /// Writes the certificate table with one `ContentInfo` behind the copy, and mends directory entry and checksum.
    ///
    /// # Errors
    /// When it cannot be written, or the file would exceed 4 GiB.
    pub fn finish(mut self, destination: &mut (impl Write + Seek), pkcs7: &[u8]) -> Result<()> {
        // They are in the signature by now, and as large as it.
        self.found.forget_pages();
        let table = table::encode(pkcs7)?;
        let at = self.image.content_end() + self.found.padding;
        let (at, size) = match (u32::try_from(at), u32::try_from(at + table.len() as u64)) {
            (Ok(at), Ok(_)) => (at, u32::try_from(table.len()).unwrap_or(u32::MAX)),
            _ => return Err(AuthenticodeError::unsuitable("sign", "the file would be larger than 4 GiB")),
        };
        let entry = [at.to_le_bytes(), size.to_le_bytes()].concat();
        let checksum = self.found.checksum(&self.image, &entry, &table);
        let mut put = |at, bytes: &[u8]| {
            destination.seek(SeekFrom::Start(at)).and_then(|_| destination.write_all(bytes))
        };
        put(u64::from(at), &table)
            .and_then(|()| put(self.image.security_at, &entry))
            .and_then(|()| put(self.image.checksum_at, &checksum.to_le_bytes()))
            .map_err(AuthenticodeError::write)
    }
}

/// Page hashes come in two kinds only (`SPC_PE_IMAGE_PAGE_HASHES_V1` and `_V2`), and SHA-1 is not made any more.
fn page_digest(digest: Digest) -> Result<Digest> {
    match digest {
        Digest::Sm3 => {
            Err(AuthenticodeError::unsuitable("hash the pages", "there are no page hashes under SM3"))
        }
        _ => Ok(Digest::Sha256),
    }
}

/// The signed attributes that every signature of Authenticode has.
#[must_use]
pub fn attributes(opus: &OpusInfo) -> Vec<(Oid, Vec<u8>)> {
    vec![(oid::SPC_SP_OPUS_INFO, opus.to_der()), (oid::SPC_STATEMENT_TYPE, statement_type())]
}

/// Signs any content of Authenticode's family: of an image, of a catalogue, of a policy. `attributes` are signed
/// beside those of CMS.
///
/// # Errors
/// When the certificate is not that of the key, or the key cannot sign.
pub fn sign(
    content_type: Oid,
    content: &[u8],
    attributes: &[(Oid, Vec<u8>)],
    credential: &Credential<'_>,
) -> Result<Signature> {
    let Credential { signer, certificate, chain } = credential;
    if certificate.key.spki != signer.public_key_der() {
        let why = format!("the certificate of {} is of another key", certificate.subject);
        return Err(AuthenticodeError::unsuitable("sign", why));
    }
    let algorithm = signer.algorithm();
    let mut builder = Builder::new(
        content_type,
        content,
        digest_of(algorithm)?,
        certificate,
        signature_algorithm(algorithm)?,
    );
    for (oid, value) in attributes {
        builder = builder.attribute(*oid, value);
    }
    let builder = builder.certificates(chain);
    let value = signer.sign(&builder.to_be_signed())?;
    Ok(Signature { pkcs7: builder.finish(&value, &[], &[]), value })
}

impl Signature {
    /// The `ContentInfo`.
    #[must_use]
    pub fn to_pkcs7(&self) -> &[u8] {
        &self.pkcs7
    }

    /// The `ContentInfo`, and the signature's own bytes.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.pkcs7, self.value)
    }
}

/// The bytes of the certificate table.
///
/// # Errors
/// When it cannot be read, or is larger than [`table::MAX_TABLE`].
pub fn read_table(source: &mut (impl Read + Seek), image: &Image) -> Result<Vec<u8>> {
    let Some((at, size)) = image.table else { return Ok(Vec::new()) };
    if size > table::MAX_TABLE {
        return Err(AuthenticodeError::malformed("certificate table", "it is larger than 64 MiB"));
    }
    let mut bytes = vec![0; size as usize];
    source
        .seek(SeekFrom::Start(at))
        .and_then(|_| source.read_exact(&mut bytes))
        .map_err(AuthenticodeError::read)?;
    Ok(bytes)
}

/// The first `ContentInfo` of a table.
///
/// # Errors
/// When the table is malformed.
pub fn first_signature(table: &[u8]) -> Result<Option<Vec<u8>>> {
    let entries = table::entries(table)?;
    let Some(first) = entries.first() else { return Ok(None) };
    let length = pkix::cms::SignedData::read(first.content)?.len;
    Ok(Some(first.content[..length].to_vec()))
}

/// An image whose signature is replaced by another `ContentInfo` over the same bytes: one with a timestamp, or with a
/// further signature. Nothing is hashed but for the checksum.
///
/// # Errors
/// When it is no image, or cannot be read or written.
pub fn replace(
    source: &mut (impl Read + Seek),
    destination: &mut (impl Write + Seek),
    pkcs7: &[u8],
) -> Result<()> {
    let image = Image::read(source)?;
    let found = pass::copy(source, &image, &Wanted::default(), destination)?;
    let options = Options::default();
    Prepared { image, found, options, digest: Digest::Sha256, old_table: Vec::new() }
        .finish(destination, pkcs7)
}

/// The first signature of an image.
///
/// # Errors
/// When it is no image, cannot be read, or has none.
pub fn existing(source: &mut (impl Read + Seek)) -> Result<Vec<u8>> {
    let image = Image::read(source)?;
    let table = read_table(source, &image)?;
    first_signature(&table)?.ok_or_else(|| AuthenticodeError::unsuitable("date it", "it has no signature"))
}

/// `AlgorithmIdentifier` of a certificate request's signature, which names its digest.
///
/// # Errors
/// When the key's algorithm is none that Authenticode knows.
pub fn request_algorithm(algorithm: Algorithm) -> Result<Vec<u8>> {
    Ok(match algorithm {
        Algorithm::RsaSha256 => der::algorithm(pkix::oid::SHA256_WITH_RSA, der::NULL),
        Algorithm::RsaSha384 => der::algorithm(pkix::oid::SHA384_WITH_RSA, der::NULL),
        Algorithm::RsaSha512 => der::algorithm(pkix::oid::SHA512_WITH_RSA, der::NULL),
        other => signature_algorithm(other)?,
    })
}
