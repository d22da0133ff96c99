//! Signing and verification, GB/T 32918.2 §6 and §7.

use alloc::vec::Vec;

use zeroize::Zeroize as _;

use super::base;
use super::der::{self, Reader};
use super::error::Sm2Error;
use super::field::{Fe, P};
use super::keys::{PrivateKey, PublicKey};
use super::limbs;
use super::multiply;
use super::nonce::Nonces;
use super::scalar::{N, Scalar};
use crate::secrets::published;

/// A signature: r and s, both from 1 to n - 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    bytes: [u8; 64],
}

impl Signature {
    /// Reads r and s, 32 bytes each, big-endian.
    ///
    /// # Errors
    /// [`Sm2Error::Malformed`] when one of them is not from 1 to n - 1.
    pub fn from_bytes(bytes: &[u8; 64]) -> Result<Self, Sm2Error> {
        let (halves, _) = bytes.as_chunks::<32>();
        if halves.iter().all(|half| Scalar::from_bytes(half).is_some_and(|scalar| !scalar.is_zero())) {
            Ok(Self { bytes: *bytes })
        } else {
            Err(Sm2Error::malformed("SM2 signature", "r or s is not between 1 and n - 1"))
        }
    }

    /// r and s, 32 bytes each.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 64] {
        self.bytes
    }

    /// Reads SEQUENCE { INTEGER r, INTEGER s } (GB/T 35276 §7.3).
    ///
    /// # Errors
    /// [`Sm2Error::Malformed`] when it is not that, in DER, to the last byte.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Sm2Error> {
        let mut outer = Reader::new(bytes, "SM2 signature");
        let mut pair = outer.sequence()?;
        outer.end()?;
        let mut both = [0; 64];
        both[..32].copy_from_slice(&pair.integer()?);
        both[32..].copy_from_slice(&pair.integer()?);
        pair.end()?;
        Self::from_bytes(&both)
    }

    /// SEQUENCE { INTEGER r, INTEGER s } in DER, 72 bytes at most.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let (halves, _) = self.bytes.as_chunks::<32>();
        der::element(der::SEQUENCE, &[&der::integer(&halves[0]), &der::integer(&halves[1])])
    }

    fn scalars(&self) -> Option<(Scalar, Scalar)> {
        let (halves, _) = self.bytes.as_chunks::<32>();
        Some((Scalar::from_bytes(&halves[0])?, Scalar::from_bytes(&halves[1])?))
    }
}

impl PrivateKey {
    /// Signs a message under a user id ([`super::DEFAULT_ID`] where none is agreed).
    ///
    /// `fresh` are bytes from a random generator, drawn for this signature. They are mixed into the secret number, so
    /// that faults and power traces of two signatures cannot be compared; were they all zero, the signature would
    /// still be safe to publish (RFC 6979 §3.6).
    ///
    /// # Errors
    /// [`Sm2Error::IdTooLong`].
    pub fn sign(&self, id: &[u8], message: &[u8], fresh: &[u8; 32]) -> Result<Signature, Sm2Error> {
        let mut hasher = self.public_key().hasher(id)?;
        hasher.update(message);
        Ok(self.sign_digest(&hasher.finalize(), fresh))
    }

    /// Signs `e`, the digest of Z and the message: see [`PublicKey::hasher`].
    #[must_use]
    pub fn sign_digest(&self, digest: &[u8; 32], fresh: &[u8; 32]) -> Signature {
        let e = Scalar::reduced(&limbs::from_bytes(digest));
        let mut nonces = Nonces::new(&self.d, &e, fresh);
        loop {
            let mut k = nonces.next();
            let signature = self.sign_with(&e, &k);
            k.zeroize();
            if let Some(signature) = signature {
                return signature;
            }
            nonces.refuse();
        }
    }

    /// Steps A4 to A6 for the number k, unless r, r + k or s comes to zero. With (1 + d)^-1 at hand,
    /// (1 + d)^-1 * (k - r * d) is (1 + d)^-1 * (k + r) - r.
    pub(super) fn sign_with(&self, e: &Scalar, k: &Scalar) -> Option<Signature> {
        let mut point = base::multiply(k);
        let x = point.to_affine_finite().x.to_integer();
        point.zeroize();
        let r = e.add(&Scalar::reduced(&x));
        let mut sum = r.add(k);
        let s = self.inverse.mul(&sum).sub(&r);
        // Without a branch between the three; that one of them is zero may show.
        let useless = published(r.is_zero() | sum.is_zero() | s.is_zero());
        sum.zeroize();
        if useless {
            return None;
        }
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&r.to_bytes());
        bytes[32..].copy_from_slice(&s.to_bytes());
        Some(Signature { bytes: published(bytes) })
    }
}

impl PublicKey {
    /// Whether `signature` is one of this message under this user id, by this key.
    ///
    /// # Errors
    /// [`Sm2Error::BadSignature`] when it is not, [`Sm2Error::IdTooLong`].
    pub fn verify(&self, id: &[u8], message: &[u8], signature: &Signature) -> Result<(), Sm2Error> {
        let mut hasher = self.hasher(id)?;
        hasher.update(message);
        self.verify_digest(&hasher.finalize(), signature)
    }

    /// The same for `e`, the digest of Z and the message: see [`PublicKey::hasher`].
    ///
    /// # Errors
    /// [`Sm2Error::BadSignature`] when it is not.
    pub fn verify_digest(&self, digest: &[u8; 32], signature: &Signature) -> Result<(), Sm2Error> {
        let (r, s) = signature.scalars().ok_or(Sm2Error::BadSignature)?;
        let t = r.add(&s);
        if t.is_zero() {
            return Err(Sm2Error::BadSignature);
        }
        let point = multiply::joint_vartime(&s, &t, &self.point);
        // r = e + x mod n, and x is below p: so x is r - e or, where that is still below p, r - e + n.
        let x = r.sub(&Scalar::reduced(&limbs::from_bytes(digest)));
        let (above, carry) = limbs::add(x.limbs(), &N);
        let also = carry == 0 && limbs::sub(&above, &P).1 == 1;
        if point.has_x(&Fe::from_integer(x.limbs())) || also && point.has_x(&Fe::from_integer(&above)) {
            Ok(())
        } else {
            Err(Sm2Error::BadSignature)
        }
    }
}
