//! PKCS #12 (RFC 7292): a private key with its certificates, under a password. DER only.
//!
//! The MAC is checked before anything is decrypted. Encryption is what OpenSSL, Windows and Java write: PBES2 with AES
//! or Triple DES, and the older schemes of PKCS #12 itself (Triple DES, RC2 of 40 bits) for files that exist.

mod cipher;
mod kdf;

use pkix::der::{Reader, Value, tag};
use pkix::{AlgorithmId, Certificate, Digest, Oid, oid};
use zeroize::Zeroizing;

use crate::KeystoreError;

/// A larger file is not read.
pub const MAX_PKCS12: usize = 1 << 20;
/// More bags than this are refused.
const MAX_BAGS: usize = 256;

const KEY_BAG: Oid = Oid::new(&[1, 2, 840, 113549, 1, 12, 10, 1, 1]);
const SHROUDED_KEY_BAG: Oid = Oid::new(&[1, 2, 840, 113549, 1, 12, 10, 1, 2]);
const CERT_BAG: Oid = Oid::new(&[1, 2, 840, 113549, 1, 12, 10, 1, 3]);
const X509_CERTIFICATE: Oid = Oid::new(&[1, 2, 840, 113549, 1, 9, 22, 1]);

/// What a file holds.
pub struct Pkcs12 {
    /// The private keys, PKCS #8 in DER. Wiped when dropped.
    pub keys: Vec<Zeroizing<Vec<u8>>>,
    /// The certificates.
    pub certificates: Vec<Certificate>,
}

fn bad(why: impl std::fmt::Display) -> KeystoreError {
    KeystoreError::Pkcs12 { why: why.to_string() }
}

/// Opens a file.
///
/// # Errors
/// [`KeystoreError::Pkcs12`] when it is none, [`KeystoreError::Password`] when the password is another.
pub fn open(bytes: &[u8], password: &str) -> Result<Pkcs12, KeystoreError> {
    if bytes.len() > MAX_PKCS12 {
        return Err(bad("it is larger than 1 MiB"));
    }
    let mut outer = sequence(bytes)?;
    if outer.small().map_err(bad)? != 3 {
        return Err(bad("it is not of version 3"));
    }
    let content = data(outer.sequence().map_err(bad)?)?;
    let mac = outer.optional(tag::SEQUENCE).map_err(bad)?.ok_or_else(|| bad("it has no MAC"))?;
    check_mac(mac.reader(), content, password)?;

    let mut out = Pkcs12 { keys: Vec::new(), certificates: Vec::new() };
    let mut safes = sequence(content)?;
    while !safes.is_empty() {
        let mut safe = safes.sequence().map_err(bad)?;
        match safe.oid().map_err(bad)? {
            oid::DATA => {
                let explicit = safe.expect(tag::constructed(0)).map_err(bad)?;
                bags(explicit.reader().octets().map_err(bad)?, password, &mut out)?;
            }
            oid::ENCRYPTED_DATA => {
                let plain = encrypted(safe.expect(tag::constructed(0)).map_err(bad)?, password)?;
                bags(&plain, password, &mut out)?;
            }
            other => return Err(bad(format!("content {other} is not supported"))),
        }
    }
    Ok(out)
}

/// Opens `ENCRYPTED PRIVATE KEY` (PKCS #8, RFC 5958 §3) in DER: the PKCS #8 inside.
///
/// # Errors
/// As [`open`].
pub fn open_encrypted_key(der: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    shrouded(sequence(der)?, password)
}

/// A reader of the one SEQUENCE that these bytes are.
fn sequence(bytes: &[u8]) -> Result<Reader<'_>, KeystoreError> {
    let mut outer = Reader::new(bytes);
    let inner = outer.sequence().map_err(bad)?;
    outer.end().map_err(bad)?;
    Ok(inner)
}

/// `ContentInfo` with plain data.
fn data(mut info: Reader<'_>) -> Result<&[u8], KeystoreError> {
    match info.oid().map_err(bad)? {
        oid::DATA => info
            .expect(tag::constructed(0))
            .map_err(bad)?
            .reader()
            .octets()
            .map_err(|_| bad("it is BER, not DER")),
        other => Err(bad(format!("its integrity is protected by {other}, which is not supported"))),
    }
}

/// `MacData` (§4): a wrong password shows here.
fn check_mac(mut mac: Reader<'_>, content: &[u8], password: &str) -> Result<(), KeystoreError> {
    let mut info = mac.sequence().map_err(bad)?;
    let digest = Digest::from_oid(AlgorithmId::read(&mut info).map_err(bad)?.oid).map_err(bad)?;
    let expected = info.octets().map_err(bad)?;
    let salt = mac.octets().map_err(bad)?;
    let rounds = if mac.is_empty() { 1 } else { mac.small().map_err(bad)? };
    let key = kdf::pkcs12(digest, kdf::Purpose::Mac, password, salt, rounds, digest.size())?;
    match kdf::hmac_is(digest, &key, content, expected)? {
        true => Ok(()),
        false => Err(KeystoreError::Password { what: "PKCS #12 file" }),
    }
}

/// `EncryptedData` (RFC 5652 §8).
fn encrypted(value: Value<'_>, password: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let mut inner = value.reader().sequence().map_err(bad)?;
    inner.small().map_err(bad)?;
    let mut info = inner.sequence().map_err(bad)?;
    info.oid().map_err(bad)?;
    let algorithm = AlgorithmId::read(&mut info).map_err(bad)?;
    let ciphertext = info.expect(tag::context(0)).map_err(bad)?.body;
    cipher::decrypt(&algorithm, password, ciphertext)
}

/// `EncryptedPrivateKeyInfo`.
fn shrouded(mut inner: Reader<'_>, password: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let algorithm = AlgorithmId::read(&mut inner).map_err(bad)?;
    cipher::decrypt(&algorithm, password, inner.octets().map_err(bad)?)
}

/// `SafeContents` (§4.2).
fn bags(bytes: &[u8], password: &str, out: &mut Pkcs12) -> Result<(), KeystoreError> {
    let mut list = sequence(bytes)?;
    while !list.is_empty() {
        let mut bag = list.sequence().map_err(bad)?;
        let kind = bag.oid().map_err(bad)?;
        let value = bag.expect(tag::constructed(0)).map_err(bad)?;
        match kind {
            KEY_BAG => out.keys.push(Zeroizing::new(value.body.to_vec())),
            SHROUDED_KEY_BAG => out.keys.push(shrouded(value.reader().sequence().map_err(bad)?, password)?),
            CERT_BAG => {
                let mut inner = value.reader().sequence().map_err(bad)?;
                if inner.oid().map_err(bad)? == X509_CERTIFICATE {
                    let octets = inner.expect(tag::constructed(0)).map_err(bad)?;
                    let der = octets.reader().octets().map_err(bad)?;
                    out.certificates.push(Certificate::from_der(der).map_err(bad)?);
                }
            }
            _ => {} // lists, secrets and bags of bags are nothing to sign with
        }
        if out.keys.len() + out.certificates.len() > MAX_BAGS {
            return Err(bad("it holds more than 256 keys and certificates"));
        }
    }
    Ok(())
}
