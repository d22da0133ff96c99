//! Public-key encryption, GB/T 32918.4: C1, C3 and C2 in the order of the standard of 2016, or the SEQUENCE of
//! GB/T 35276 §7.2.

use alloc::vec;
use alloc::vec::Vec;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::base;
use super::der::{self, Reader};
use super::error::Sm2Error;
use super::kdf;
use super::keys::{PrivateKey, PublicKey};
use super::multiply;
use super::nonce::Nonces;
use super::point::Affine;
use crate::Sm3;
use crate::secrets::published;

/// Before C2 stand the point C1 (65 bytes) and the digest C3 (32 bytes).
const HEAD: usize = 65 + 32;

impl PublicKey {
    /// Encrypts a message for the holder of this key: `C1 || C3 || C2`, 97 bytes longer than the message.
    ///
    /// `fresh` must come from a good random generator, new for each message: who knows it can decrypt.
    ///
    /// # Errors
    /// [`Sm2Error::Length`] for an empty message, or one of 128 GiB.
    pub fn encrypt(&self, message: &[u8], fresh: &[u8; 32]) -> Result<Vec<u8>, Sm2Error> {
        kdf::check_length(message.len())?;
        let mut nonces = Nonces::seeded(&[fresh, self.coordinates(), message]);
        loop {
            let mut k = nonces.next();
            // Both products are of a number from 1 to n - 1 and a point of order n: never infinity.
            let mut shared = multiply::multiply(&k, &self.point).to_affine_finite();
            let c1 = Self::of(published(base::multiply(&k).to_affine_finite())).to_sec1();
            k.zeroize();
            let coordinates = both(&shared);
            shared.zeroize();
            let mut out = vec![0; HEAD];
            out.extend_from_slice(message);
            if published(kdf::apply(coordinates.as_slice(), &mut out[HEAD..])) {
                out[..65].copy_from_slice(&c1);
                out[65..HEAD].copy_from_slice(&digest(&coordinates, message));
                return Ok(out);
            }
            nonces.refuse();
        }
    }

    /// The same, as SEQUENCE { INTEGER x1, INTEGER y1, OCTET STRING C3, OCTET STRING C2 }: what OpenSSL reads and
    /// writes.
    ///
    /// # Errors
    /// As [`PublicKey::encrypt`].
    pub fn encrypt_der(&self, message: &[u8], fresh: &[u8; 32]) -> Result<Vec<u8>, Sm2Error> {
        let plain = self.encrypt(message, fresh)?;
        let (coordinates, _) = plain[1..65].as_chunks::<32>();
        let (c3, c2) = plain[65..].split_at(32);
        let (x, y) = (der::integer(&coordinates[0]), der::integer(&coordinates[1]));
        let (c3, c2) = (der::element(der::OCTET_STRING, &[c3]), der::element(der::OCTET_STRING, &[c2]));
        Ok(der::element(der::SEQUENCE, &[&x, &y, &c3, &c2]))
    }
}

impl PrivateKey {
    /// Decrypts `C1 || C3 || C2`; C1 may be compressed.
    ///
    /// # Errors
    /// [`Sm2Error::BadCiphertext`] when it was not made for this key or was changed, [`Sm2Error::Malformed`] and
    /// [`Sm2Error::NotOnCurve`] when it can be nobody's.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Sm2Error> {
        let short = Sm2Error::malformed("SM2 ciphertext", "it is cut short");
        let point = if ciphertext.first() == Some(&4) { 65 } else { 33 };
        let (c1, rest) = ciphertext.split_at_checked(point).ok_or(short)?;
        let (c3, c2) = rest.split_first_chunk::<32>().ok_or(short)?;
        self.open(&PublicKey::from_sec1(c1)?, c3, c2)
    }

    /// Decrypts the SEQUENCE.
    ///
    /// # Errors
    /// As [`PrivateKey::decrypt`].
    pub fn decrypt_der(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Sm2Error> {
        const WHAT: &str = "SM2 ciphertext";
        let mut outer = Reader::new(ciphertext, WHAT);
        let mut parts = outer.sequence()?;
        outer.end()?;
        let mut c1 = [4; 65];
        c1[1..33].copy_from_slice(&parts.integer()?);
        c1[33..].copy_from_slice(&parts.integer()?);
        let c3 = parts.element(der::OCTET_STRING)?;
        let c3 = c3.try_into().map_err(|_| Sm2Error::malformed(WHAT, "its digest is not of 32 bytes"))?;
        let c2 = parts.element(der::OCTET_STRING)?;
        parts.end()?;
        self.open(&PublicKey::from_sec1(&c1)?, c3, c2)
    }

    /// GB/T 32918.4 §7.1, steps B3 to B6.
    fn open(&self, c1: &PublicKey, c3: &[u8; 32], c2: &[u8]) -> Result<Zeroizing<Vec<u8>>, Sm2Error> {
        kdf::check_length(c2.len())?;
        let mut shared = multiply::multiply(&self.d, &c1.point).to_affine_finite();
        let coordinates = both(&shared);
        shared.zeroize();
        let mut message = Zeroizing::new(c2.to_vec());
        let keyed = kdf::apply(coordinates.as_slice(), &mut message);
        let same = bool::from(published(digest(&coordinates, &message).ct_eq(c3)));
        if published(keyed) & same { Ok(message) } else { Err(Sm2Error::BadCiphertext) }
    }
}

fn both(point: &Affine) -> Zeroizing<[u8; 64]> {
    let mut bytes = Zeroizing::new([0; 64]);
    bytes[..32].copy_from_slice(&point.x.to_bytes());
    bytes[32..].copy_from_slice(&point.y.to_bytes());
    bytes
}

/// C3 = SM3(x2 || M || y2).
fn digest(coordinates: &[u8; 64], message: &[u8]) -> [u8; 32] {
    let mut hasher = Sm3::new();
    hasher.update(&coordinates[..32]);
    hasher.update(message);
    hasher.update(&coordinates[32..]);
    hasher.finalize()
}
